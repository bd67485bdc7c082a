"""Downscaling: labelled, lazy, the same whatever the chunks, the order of the reaches or the labels."""

from __future__ import annotations

import pickle
from dataclasses import replace

import cloudpickle
import dask
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmsgl.errors import (
    CheckpointError,
    ExtrapolationWarning,
    InvalidArgumentError,
    InvalidDatasetError,
    ModelMismatchError,
)
from xmsgl.inputs.windows import Window
from xmsgl.models.file.model import Model
from xmsgl.prediction.downscale import downscale, prepare
from xmsgl.prediction.operators import Operators
from xmsgl.prediction.predictor import window_days
from xmsgl.schema.graphs import known_segments


@pytest.fixture(scope="module")
def other(model):
    """A model that differs only in its weights."""
    return Model(model.spec, {name: value + 0.01 for name, value in model.weights.items()}, model.history)


# -------------------------------------------------------------------- labels


def test_the_result_is_labelled(river, model, whole):
    assert whole.name == "water_temperature"
    assert whole.dims == ("time", "fine")
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    for name in ("time", "fine"):
        np.testing.assert_array_equal(whole[name], river[name])
    assert set(whole.coords) == {"time", "fine", "spin_up"}
    assert whole.attrs["units"] == "degC"
    assert whole.attrs["long_name"]
    assert whole.attrs["cell_methods"] == "time: mean"
    assert whole.attrs["method"] == "msgl"
    assert whole.attrs["model_sha256"] == model.sha256
    assert whole.attrs["source"] == "the small river of the tests"
    assert whole["fine"].attrs["cf_role"] == "timeseries_id"
    assert whole["fine"].attrs["long_name"]
    assert whole.attrs["history"].count("\n") == 0
    assert f"downscale(method='msgl', model sha256 {model.sha256[:12]})" in whole.attrs["history"]


def test_history_goes_on_and_the_dataset_is_left_alone(river, model):
    river.attrs["history"] = "2020-01-01 made by hand"
    before = river.copy(deep=True)
    lines = downscale(river, model).attrs["history"].splitlines()
    assert lines[0] == "2020-01-01 made by hand"
    assert "downscale" in lines[1]
    xr.testing.assert_identical(river, before)
    assert river["fine"].attrs == {}


def test_places_of_the_reaches_come_along(river, model):
    located = river.assign_coords(
        lat_fine=("fine", np.linspace(40, 41, 12)), lat_coarse=("coarse", np.linspace(40, 41, 5)), basin=7
    )
    assert set(downscale(located, model).coords) == {"time", "fine", "lat_fine", "basin", "spin_up"}


def test_labels_are_neither_needed_nor_used(river, model, whole):
    bare = river.drop_vars(["water_temperature_coarse", "water_temperature_fine"])
    np.testing.assert_array_equal(downscale(bare, model), whole)
    for scale in ("coarse", "fine"):
        river[f"water_temperature_{scale}"] = river[f"water_temperature_{scale}"] * 0 + 44
        river[f"true_temperature_{scale}"] = river[f"water_temperature_{scale}"]
    np.testing.assert_array_equal(downscale(river, model), whole)


def test_the_global_generator_does_not_matter(river, model, whole):
    torch.manual_seed(77)
    np.testing.assert_array_equal(downscale(river, model), whole)


# ------------------------------------------------------------------ laziness


def test_lazy_in_lazy_out(river, model, refuse_to_compute):
    lazy = river.chunk({"time": 100, "coarse": 2, "fine": 5})
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)
    with refuse_to_compute():
        result = downscale(lazy, model)
        tree = downscale(lazy.msgl.to_datatree(), model)
    assert result.chunks == ((150, 150, 150, 150, 150, 50), (12,))
    assert tree.chunks == result.chunks
    assert result.attrs["units"] == "degC"
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)


def test_in_memory_in_memory_out(whole):
    assert whole.chunks is None


def test_only_what_is_asked_for_is_computed(river, model, whole):
    """NaN on one day breaks its window and those it warms up, no other."""
    river["air_temperature_coarse"][520, 1] = np.nan
    result = downscale(river.chunk({"time": 100}), model)
    np.testing.assert_array_equal(result[:450].compute(), whole[:450])
    np.testing.assert_array_equal(result[750:].compute(), whole[750:])
    with pytest.raises(
        InvalidDatasetError, match=r"air_temperature_coarse: 1 values are NaN.*2003-03-05.*coarse 102"
    ):
        result[600:610].compute()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(time=st.integers(1, 800), coarse=st.integers(1, 5), fine=st.integers(1, 12), data=st.data())
def test_every_chunking_gives_the_same_bits(river_once, model, whole, time, coarse, fine, data):
    lazy = river_once.chunk({"time": max(time, 20), "coarse": coarse, "fine": fine})
    some = data.draw(st.lists(st.sampled_from(sorted(lazy.data_vars)), max_size=6, unique=True))
    mixed = lazy.assign({name: lazy[name].compute() for name in some})
    result = downscale(mixed, model)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(result, whole)


def test_statics_alone_may_be_lazy(river, model, whole):
    for name in ("slope_coarse", "downstream_fine", "coarse_segment"):
        river[name] = river[name].chunk()
    result = downscale(river, model)
    assert result.chunks is not None
    np.testing.assert_array_equal(result, whole)


def test_threads_give_the_same_bits(river, model, whole):
    result = downscale(river.chunk({"time": 100}), model).compute(scheduler="threads", num_workers=3)
    np.testing.assert_array_equal(result, whole)


def test_the_graph_travels_to_another_process(river, model, whole):
    """What the processes and distributed schedulers do with tasks and their results."""
    lazy = pickle.loads(cloudpickle.dumps(downscale(river.chunk({"time": 400}), model)))
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), whole)
    fixed = river[[name for name in river.variables if "time" not in river[name].dims]]
    engine = prepare(model.payload, fixed, "cpu")
    travelled = pickle.loads(cloudpickle.dumps(engine))
    days = river[["air_temperature_coarse", "precipitation_coarse", "solar_radiation_coarse"]]
    window = Window(0, 150, 20)
    part = travelled.run(window_days(days, window, model.spec.features), window)
    np.testing.assert_array_equal(part, whole[:150])


def test_no_days_are_refused(river, model):
    for ds in (river, river.chunk()):
        with pytest.raises(InvalidDatasetError, match="'time' has size 0; give at least one day"):
            downscale(ds.isel(time=slice(0, 0)), model)


# -------------------------------------------------------------------- models


def test_a_model_may_be_a_path(river, model, whole, tmp_path):
    path = model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(downscale(river, path), whole)
    lazy = downscale(river.chunk({"time": 300}), str(path))
    path.unlink()  # the weights travel with the graph
    np.testing.assert_array_equal(lazy, whole)
    with pytest.raises(CheckpointError, match="no file of weights"):
        downscale(river, path)


def test_equal_models_give_equal_tasks(river, model, other, tmp_path):
    lazy = river.chunk({"time": 300})
    names = [
        downscale(lazy, m).data.name
        for m in (model, model, model.save(tmp_path / "m"), Model(model.spec, model.weights, model.history))
    ]
    assert len(set(names)) == 1
    assert downscale(lazy, other).data.name != names[0]
    assert downscale(lazy, model, warmup=7).data.name != names[0]
    drivers = lazy["air_temperature_coarse"]
    warmer = lazy.assign(air_temperature_coarse=drivers.copy(data=drivers.data + 1))
    assert downscale(warmer, model).data.name != names[0]


def test_other_weights_give_another_result(river, other, whole):
    assert not np.array_equal(downscale(river, other), whole)


# ------------------------------------------------------ other shapes of data


def test_a_datatree_gives_the_same(river, model, whole):
    np.testing.assert_array_equal(downscale(river.msgl.to_datatree(), model), whole)


def test_the_order_of_ids_does_not_matter(river, model, whole):
    rng = np.random.default_rng(3)
    turned = river.isel(fine=rng.permutation(12), coarse=rng.permutation(5))
    result = downscale(turned, model)
    np.testing.assert_array_equal(result["fine"], turned["fine"])
    np.testing.assert_allclose(result.sel(fine=whole["fine"]), whole, atol=1e-4)


def test_the_order_of_dimensions_and_variables_does_not_matter(river, model, whole):
    turned = river.transpose("fine", "coarse", "time")
    turned = turned[sorted(turned.data_vars, reverse=True)].assign_attrs(river.attrs)
    np.testing.assert_array_equal(downscale(turned, model), whole)


def test_an_own_driver_of_the_reaches_is_used(river, model, whole):
    own = river["air_temperature_coarse"].sel(coarse=river["coarse_segment"]).drop_vars("coarse")
    river["air_temperature_fine"] = own.copy(data=own.data + 5)
    assert float((downscale(river, model) - whole).mean()) > 0.1


# -------------------------------------------------------------------- files


def test_netcdf_round_trip_also_after_sel(river, model, tmp_path):
    river.to_netcdf(tmp_path / "river.nc", encoding={"air_temperature_coarse": {"chunksizes": (100, 5)}})
    with xr.open_dataset(tmp_path / "river.nc", chunks={}) as opened:
        result = downscale(opened, model)
        cut = result.sel(fine=[3, 9], time=slice("2002-05-01", "2003-02-03"))
        for name, array in (("all", result), ("cut", cut), ("day", result.sel(time="2002-05-05"))):
            array.to_netcdf(tmp_path / f"{name}.nc")
            with xr.open_dataarray(tmp_path / f"{name}.nc") as back:
                xr.testing.assert_identical(back.load(), array.compute())
    with xr.open_dataarray(tmp_path / "cut.nc") as back:
        assert back["fine"].values.tolist() == [3, 9]
        assert back.attrs["model_sha256"] == model.sha256
        assert back.indexes["time"].equals(pd.date_range("2002-05-01", "2003-02-03", unit="ns"))


def test_zarr_round_trip_also_after_sel(river, model, tmp_path):
    pytest.importorskip("zarr")
    river.chunk({"time": 100}).to_zarr(tmp_path / "river.zarr", consolidated=False)
    opened = xr.open_zarr(tmp_path / "river.zarr", consolidated=False)
    result = downscale(opened, model)
    # Days cut across windows leave uneven chunks, which Zarr does not store: chunk anew first.
    cut = result.sel(fine=[3, 9], time=slice("2002-05-01", "2003-02-03")).chunk({"time": 100})
    for name, array in (("all", result), ("reaches", result.isel(fine=slice(2, 5))), ("cut", cut)):
        array.to_dataset().to_zarr(tmp_path / f"{name}.zarr", consolidated=False)
        back = xr.open_zarr(tmp_path / f"{name}.zarr", consolidated=False)["water_temperature"]
        xr.testing.assert_identical(back.compute(), array.compute())


def test_a_file_opened_without_dask_is_not_filled(river, model, whole, tmp_path):
    river.to_netcdf(tmp_path / "river.nc")
    with xr.open_dataset(tmp_path / "river.nc", cache=False) as opened:
        np.testing.assert_array_equal(downscale(opened, model), whole)
        assert not opened["air_temperature_coarse"]._in_memory


# ------------------------------------------------------------------- faults


def test_missing_features_and_wrong_units_are_named(river, model):
    broken = river.drop_vars("precipitation_coarse")
    broken["air_temperature_coarse"].attrs["units"] = "K"
    for ds in (broken, broken.chunk()):
        with pytest.raises(ModelMismatchError) as error:
            downscale(ds, model)
        assert "precipitation_coarse is missing" in str(error.value)
        assert "air_temperature_coarse is in 'K', the model needs 'degC'" in str(error.value)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("air_temperature_coarse", (10, 2)),
        ("precipitation_coarse", (799, 0)),
        ("slope_coarse", (3,)),
        ("elevation_fine", (7,)),
    ],
)
def test_features_that_are_nan_are_named(river, model, name, where):
    river[name][*where] = np.nan
    with pytest.raises(InvalidDatasetError) as error:
        downscale(river, model)
    assert f"{name}: 1 values are NaN" in str(error.value)
    scale = name.rsplit("_", 1)[1]
    assert f"{scale} {river[scale].values[where[-1]]}" in str(error.value)
    if len(where) == 2:
        assert str(river["time"].values[where[0]])[:10] in str(error.value)


def test_a_negative_warm_up_is_refused(river, model):
    with pytest.raises(InvalidArgumentError, match="warmup must be 0 to 3660 days, not -1"):
        downscale(river, model, warmup=-1)


def test_a_device_that_is_not_there_is_refused(river, model):
    with pytest.raises(InvalidArgumentError, match="'quantum'"):
        downscale(river, model, device="quantum")


# ----------------------------------------------------------- other basins


def moved(river, away=1000):
    """The same river under other ids."""
    ds = river.assign_coords(coarse=river["coarse"].values + away)
    below = river["downstream_coarse"].values
    ds["downstream_coarse"] = ("coarse", np.where(below > 0, below + away, 0), {"units": "1"})
    ds["coarse_segment"] = ("fine", river["coarse_segment"].values + away, {"units": "1"})
    return ds


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_another_basin_is_a_first_guess(river, model, lazy):
    foreign = moved(river).chunk({"time": 100}) if lazy else moved(river)
    with pytest.warns(ExtrapolationWarning, match="none of the 5 segments.*first guess") as told:
        downscale(foreign, model).compute()
    assert len(told) == 1
    assert told[0].filename == __file__ or lazy


def test_ids_of_another_basin_receive_no_identities(river, model, whole):
    """Equal ids on rivers of other lengths have the same effect as unknown ids."""
    longer = river.assign(length_coarse=river["length_coarse"] * 1.3)
    with pytest.warns(ExtrapolationWarning, match=r"5 ids are equal, but their lengths or links differ"):
        same_ids = downscale(longer, model)
    with pytest.warns(ExtrapolationWarning, match="first guess"):
        other_ids = downscale(moved(longer), model)
    np.testing.assert_array_equal(same_ids, other_ids)
    recognised = replace(model.spec, network=known_segments(longer))
    assert not np.array_equal(downscale(longer, Model(recognised, model.weights)), same_ids)


def test_a_part_of_the_basin_keeps_its_identities(river, model, whole):
    """The headwaters alone do not depend on the network downstream, except within the range of the graph."""
    part = river.sel(coarse=[101, 102, 103], fine=[1, 2, 3, 4, 5, 6, 7])
    for scale, outlet in (("coarse", 103), ("fine", 7)):
        part[f"downstream_{scale}"] = part[f"downstream_{scale}"].where(part[scale] != outlet, 0)
    operators = Operators.build(
        part,
        model.spec.graph,
        model.spec.segments,
        torch.device("cpu"),
        known=model.spec.network.recognise(known_segments(part)),
    )
    assert operators.coarse_segments.tolist() == [0, 1, 2]
    downscale(part, model)  # and nothing warns


def test_drivers_are_looked_at_in_the_window_computed_first(river, model):
    """For a lazy record too, once, when it is computed."""
    river["precipitation_coarse"] = xr.full_like(river["precipitation_coarse"], 900.0)
    lazy = downscale(river.chunk({"time": 100}), model)
    with pytest.warns(ExtrapolationWarning, match=r"precipitation_coarse \(100%") as told:
        lazy.compute(scheduler="synchronous")
    assert len(told) == 1
    with pytest.warns(ExtrapolationWarning, match="precipitation_coarse"):
        downscale(river, model)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("air_temperature_coarse", lambda x: x + 273.15, "probably kelvin"),
        ("air_temperature_coarse", lambda x: x * 1.8 + 32, "degrees Fahrenheit"),
        ("precipitation_coarse", lambda x: x.where(x.coarse != 103, -9999.0), "fill values"),
        ("solar_radiation_coarse", lambda x: x * 86_400, "joules a day"),
        ("elevation_coarse", lambda x: x * 0 + 1e30, "fill values"),
        ("slope_coarse", lambda x: x - 1, "outside 0..3"),
    ],
    ids=["kelvin", "fahrenheit", "fill", "joules", "static-fill", "negative"],
)
def test_impossible_values_are_refused_when_they_are_read(river, model, name, change, fault, lazy):
    """Even in a chunk of a lazy record that validation has not read."""
    river[name] = change(river[name]).astype(river[name].dtype).assign_attrs(river[name].attrs)
    with pytest.raises(InvalidDatasetError, match=fault) as error:
        downscale(river.chunk({"time": 100}) if lazy else river, model).isel(time=slice(700, 702)).compute()
    assert str(error.value).count(name) >= 1
