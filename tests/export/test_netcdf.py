"""Files with text can be opened twice, closed once and read again."""

from __future__ import annotations

import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import xarray as xr

from xmsgl.export.netcdf import write_netcdf

TWICE = """
import netCDF4, sys
for _ in range(20):
    first, second = netCDF4.Dataset(sys.argv[1]), netCDF4.Dataset(sys.argv[1])
    second.variables["name"][:]
    first.close()
    third = netCDF4.Dataset(sys.argv[1])
    third.variables["name"][:]
    second.close()
"""
NAMES = ["Willamette", "", "Río Grande"]


@pytest.mark.filterwarnings("error::xarray.SerializationWarning")
@pytest.mark.parametrize("kind", [object, "U20"])
@pytest.mark.parametrize("chunks", [None, 2])
def test_text_comes_back_and_has_no_variable_length(tmp_path, kind, chunks):
    ds = xr.Dataset({"name": ("fine", np.array(NAMES, dtype=kind)), "length": ("fine", [1.0, 2.0, 3.0])})
    lazy = ds if chunks is None else ds.chunk(fine=chunks)
    write_netcdf(lazy, tmp_path / "a.nc", {"length": {"zlib": True}})
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file["name"].dtype == np.dtype("S1")
        assert file["length"].filters()["zlib"]
    with xr.open_dataset(tmp_path / "a.nc", chunks={}) as back:
        assert back["name"].values.tolist() == NAMES
        write_netcdf(back, tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc") as again:
        assert again["name"].values.tolist() == NAMES
    done = subprocess.run([sys.executable, "-c", TWICE, str(tmp_path / "b.nc")], timeout=60, check=False)
    assert done.returncode == 0
