"""What a type checker knows of ``ds.msgl`` with the plugin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

SOURCE = """
import xarray as xr
import xmsgl

reveal_type(xr.Dataset().msgl)
reveal_type(xr.DataTree().msgl)
reveal_type(xr.DataArray().msgl)
xr.Dataset().msgl.trian()
xr.Dataset().msgl.train(epochs="many")
"""


@pytest.mark.slow
def test_the_accessor_has_its_type(tmp_path, monkeypatch):
    (tmp_path / "use.py").write_text(SOURCE)
    (tmp_path / "mypy.ini").write_text("[mypy]\nplugins = xmsgl.util.mypy_plugin\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYPYPATH", str(Path(__file__).parents[2]))
    said, errors, _ = api.run(["--config-file", "mypy.ini", "--python-executable", sys.executable, "use.py"])
    assert errors == ""
    lines = said.splitlines()
    assert [line.partition("note: ")[2] for line in lines[:3]] == [
        'Revealed type is "xmsgl.accessor.MsglAccessor"',
        'Revealed type is "xmsgl.accessor.MsglAccessor"',
        'Revealed type is "Any"',
    ]
    assert '"MsglAccessor" has no attribute "trian"; maybe "train"?' in lines[3]
    assert 'Argument "epochs" to "train" of "MsglAccessor" has incompatible type "str"' in lines[4]
