"""The readers as an engine of xarray, against the readers themselves."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.readers.test_ssn import Made
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.readers import read, read_csv, read_ssn
from xmsgl.readers.backend import XmsglBackend

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(tmp_path):
    reaches = pd.DataFrame({"id": [1, 2], "downstream": [2, 0], "length": [9.0, 4.0], "name": ["a", None]})
    daily = pd.DataFrame({"id": [1], "date": ["31/01/2001"], "flow [m3 s-1]": [3.0]})
    reaches.to_csv(tmp_path / "r.csv", index=False)
    daily.to_csv(tmp_path / "d.csv", index=False)
    options = {"daily": tmp_path / "d.csv", "units": {"length": "m"}, "date_format": "%d/%m/%Y"}
    return tmp_path / "r.csv", options | {"scale": "coarse"}


@pytest.mark.parametrize("kind", [str, Path])
def test_arguments_reach_the_reader(tables, kind):
    path, options = tables
    ds = xr.open_dataset(kind(path), engine=XmsglBackend, reader="csv", **options)
    expected = read_csv(path, **options)
    xr.testing.assert_equal(ds, expected)
    assert ds["length_coarse"].attrs == expected["length_coarse"].attrs
    assert ds.attrs["source"] == "r.csv, d.csv"


@pytest.mark.parametrize("dropped", ["flow_coarse", ["flow_coarse", "name_coarse"], ["not there"], None])
def test_variables_are_dropped(tables, dropped):
    path, options = tables
    ds = xr.open_dataset(path, engine=XmsglBackend, reader="csv", drop_variables=dropped, **options)
    wanted = {*read_csv(path, **options).variables} - {
        *([dropped] if isinstance(dropped, str) else dropped or ())
    }
    assert set(ds.variables) == wanted


def refuse(graph, keys, **options):
    msg = "a lazy variable was computed"
    raise AssertionError(msg)


def test_lazy_variables_stay_lazy():
    days = pd.date_range("2004-01-01", periods=4)
    air = (("seg_id_nat", "date"), np.full((2, 4), 5.0))
    store = xr.Dataset({"seg_tave_air": air}, coords={"seg_id_nat": [7, 8], "date": days}).chunk(date=2)
    options = {"network": {7: 8, 8: 0}, "length": {7: 900.0, 8: 400.0}}
    with dask.config.set(scheduler=refuse):
        ds = xr.open_dataset(store, engine=XmsglBackend, reader="river-dl", **options)
        chunked = xr.open_dataset(
            store, engine=XmsglBackend, reader="river-dl", chunks={"time": 2}, **options
        )
        assert chunked["air_temperature_coarse"].chunksizes["time"] == (2, 2)
    expected = read("river-dl", store, **options)
    xr.testing.assert_equal(ds, expected)
    xr.testing.assert_equal(chunked, expected)


def test_folders_of_spatial_stream_networks_need_no_reader(tmp_path):
    folder = Made(n=20).write(tmp_path / "made.ssn")
    ds = xr.open_dataset(folder, engine=XmsglBackend)
    xr.testing.assert_equal(ds, read_ssn(folder))


def test_other_files_are_left_to_other_engines(tmp_path):
    backend = XmsglBackend()
    assert backend.guess_can_open("MiddleFork04.ssn")
    assert backend.guess_can_open(tmp_path / "made.SSN")
    others = ["a.nc", "a.zarr", "a.csv", "a.ssn.nc", "http://x.org/a.nc", b"CDF", None, tmp_path / "a.gpkg"]
    assert not any(map(backend.guess_can_open, others))


def test_the_reader_must_be_named_and_known(tables):
    with pytest.raises(InvalidArgumentError, match=r"reader=; known: csv, .*ssn"):
        xr.open_dataset(tables[0], engine=XmsglBackend)
    with pytest.raises(UnknownNameError, match="unknown reader 'shapes'"):
        xr.open_dataset(tables[0], engine=XmsglBackend, reader="shapes")


def test_the_entry_point_is_the_backend():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["xarray.backends"].items()
    assert name == "xmsgl"
    assert EntryPoint(name, value, "xarray.backends").load() is XmsglBackend
