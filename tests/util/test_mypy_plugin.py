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
    # Large packages that the accessor's type does not depend on are not read.
    skipped = ",".join(f"{name}.*" for name in ("torch", "pandas", "dask", "scipy", "matplotlib", "click"))
    config = f"[mypy]\nplugins = xmsgl.util.mypy_plugin\n[mypy-{skipped}]\nfollow_imports = skip\n"
    (tmp_path / "mypy.ini").write_text(config)
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
