"""The benchmarks are run by hand; here, that they still run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

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
    names = list(transfer.METHODS)
    rmse = dict(zip(names, map(float, row[1 : 1 + len(names)]), strict=True))
    for share, other in zip(row[1 + len(names) :], transfer.GAINS.values(), strict=True):
        assert float(share.rstrip("%")) / 100 == pytest.approx(1 - rmse["msgl"] / rmse[other], abs=2e-3)
