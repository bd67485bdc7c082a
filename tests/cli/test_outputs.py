"""Predictions and datasets as files: which are recognised, and how they are written."""

from __future__ import annotations

import threading

import dask.array
import numpy as np
import pytest
import xarray as xr

from xmsgl import datasets
from xmsgl.cli.outputs import (
    BASIN,
    MODEL,
    PREDICTION,
    check_output,
    is_prediction,
    write_dataset,
    write_prediction,
)
from xmsgl.errors import MissingDependencyError, OutputError


@pytest.fixture
def temperature(river):
    """A prediction with the attributes that identify it."""
    days = river.isel(time=slice(0, 60))
    values = dask.array.full((60, 12), 7.5, chunks=(20, 12), dtype="f4")
    attrs = {"units": "degC", "model_sha256": "ab12", "history": "2001-01-01T00:00:00Z xmsgl 1: downscale(x)"}
    coords = {"time": days.time, "fine": days.fine, "lat_fine": ("fine", np.arange(12.0))}
    return xr.DataArray(values, coords, ("time", "fine"), "water_temperature", attrs)


@pytest.mark.parametrize("name", ["t.nc", "t.zarr", "t.NC"])
@pytest.mark.parametrize("lazy", [True, False])
def test_a_prediction_is_recognised_by_its_attributes(temperature, tmp_path, name, lazy):
    path = tmp_path / name
    check_output(path, PREDICTION)
    write_prediction(temperature if lazy else temperature.compute(), path)
    assert is_prediction(path)
    check_output(path, PREDICTION)
    engine = "zarr" if path.is_dir() else "netcdf4"
    with xr.open_dataset(path, engine=engine) as back:
        xr.testing.assert_equal(back.water_temperature.load(), temperature.compute())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda da: da.to_dataset(name="temperature"), id="another name"),
        pytest.param(lambda da: da.drop_attrs().to_dataset(), id="no attributes"),
        pytest.param(lambda da: da.assign_attrs(history="made by hand").to_dataset(), id="another history"),
        pytest.param(lambda da: da.to_dataset().assign(air=da + 1), id="another variable"),
    ],
)
@pytest.mark.parametrize("name", ["t.nc", "t.zarr"])
def test_what_is_not_a_prediction_alone_is_not_replaced(temperature, tmp_path, name, change):
    ds, path = change(temperature.compute()), tmp_path / name
    ds.to_netcdf(path) if name.endswith("nc") else ds.to_zarr(path, consolidated=False)
    assert not is_prediction(path)
    with pytest.raises(OutputError, match="it exists and is not a prediction"):
        check_output(path, PREDICTION)


def test_a_zarr_store_needs_zarr_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match="zarr"):
        check_output(tmp_path / "t.zarr", PREDICTION)


def test_only_a_dataset_of_the_package_is_replaced_by_one(river, tmp_path):
    ds = datasets.simulated(n_coarse=3, years=1)
    write_dataset(ds, tmp_path / "s.nc")
    check_output(tmp_path / "s.nc", BASIN)
    with xr.open_dataset(tmp_path / "s.nc") as back:
        assert back.sizes == ds.sizes
    river.to_netcdf(tmp_path / "river.nc")
    for name, message in (
        ("river.nc", "not a dataset written by xmsgl"),
        ("s.csv", r"writes a netCDF file \(.nc\); choose a name with this ending"),
    ):
        with pytest.raises(OutputError, match=message):
            check_output(tmp_path / name, BASIN)


def test_a_damaged_model_is_not_replaced(tmp_path):
    (tmp_path / "m").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(OutputError, match="not a model or checkpoint written by xmsgl; remove it"):
        check_output(tmp_path / "m", MODEL)


def test_no_thread_continues_after_a_failed_write(temperature, tmp_path):
    release, late = threading.Event(), []

    def block(values, block_id):
        if block_id[0] == 0:
            release.set()
            raise RuntimeError("a block failed")
        release.wait(10)
        late.append(threading.current_thread())
        return values

    broken = temperature.copy(data=temperature.data.map_blocks(block, dtype="f4"))
    with dask.config.set(num_workers=3), pytest.raises(RuntimeError, match="a block failed"):
        write_prediction(broken, tmp_path / "t.zarr")
    assert not [thread for thread in late if thread.is_alive()]
    assert list(tmp_path.iterdir()) == []
