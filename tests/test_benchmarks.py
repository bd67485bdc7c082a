"""The benchmarks are run by hand; here, that they still run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_transfer_prints_every_method_and_the_gains(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("transfer", FOLDER / "transfer.py")
    assert spec is not None
    assert spec.loader is not None
    transfer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(transfer)
    transfer.main(["--seeds", "0", "--epochs", "2", "--segments", "5", "--years", "2"])
    printed = capsys.readouterr().out
    for name in transfer.METHODS:
        assert printed.count(name) >= 2
    row = printed.strip().splitlines()[-1].split()
    rmse = dict(zip(transfer.METHODS, map(float, row[1:6]), strict=True))
    gain = 1 - rmse["msgl"] / rmse["fine-only"]
    assert row[6] == f"{gain:.1%}" or abs(float(row[6].rstrip("%")) / 100 - gain) < 2e-3
