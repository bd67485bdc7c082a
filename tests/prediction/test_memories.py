"""A record in several runs, each with the state that the one before left, against one run."""

from __future__ import annotations

from itertools import pairwise

import dask
import numpy as np
import pytest
import xarray as xr

from tests.small import TWO_FEATURES
from xmsgl.errors import InvalidArgumentError, ModelMismatchError
from xmsgl.prediction.downscale import downscale, downscale_and_state

CUTS = [0, 365, 430, 700, 800]
WEATHER = ["air_temperature", "air_temperature:30", "solar_radiation"]


@pytest.fixture(scope="module")
def model(river_once):
    return river_once.msgl.train("msgl", validation=None, **{**TWO_FEATURES, "features": WEATHER})


def pieces(ds):
    return [ds.isel(time=slice(first, stop)) for first, stop in pairwise(CUTS)]


def in_pieces(ds, model, through=lambda state: state):
    """Predict piece by piece; return the whole and the last state."""
    found, state = [], None
    for piece in pieces(ds):
        values, state = downscale_and_state(piece, model, start=state)
        state = through(state)
        found.append(values)
    return xr.concat(found, "time"), state


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("msgl", {"features": WEATHER}),
        ("fine-only", {}),
        ("dynamic-msgl", {}),
        ("msgl", {"backbone": "stgcn"}),
        ("msgl", {"backbone": "gat-lstm"}),
        ("msgl", {"ensemble": 2}),
    ],
)
def test_pieces_are_one_run(river, method, settings):
    model = river.msgl.train(method, validation=None, **{**TWO_FEATURES, **settings})
    whole = downscale(river.isel(time=slice(0, CUTS[-1])), model, carry=True)
    found, state = in_pieces(river, model)
    np.testing.assert_allclose(found, whole, atol=2e-5)
    assert (found.spin_up == whole.spin_up).all()
    assert state.attrs["days"] == CUTS[-1]
    # Without the state, the days after a cut are not those of one run.
    alone = downscale(pieces(river)[2], model, carry=True)
    assert float(abs(alone - whole.sel(time=alone.time)).max()) > 1e-3


def test_trees_have_an_empty_memory(river):
    model = river.msgl.train("trees", validation=None, features=["air_temperature", "air_temperature:30"])
    whole = downscale(river.isel(time=slice(0, CUTS[-1])), model, carry=True)
    np.testing.assert_array_equal(in_pieces(river, model)[0], whole)


@pytest.mark.parametrize("chunks", [{"time": 61}, {"time": 200, "coarse": 2, "fine": 5}])
def test_lazy_pieces_are_one_run(river, model, chunks, refuse_to_compute):
    whole = downscale(river.isel(time=slice(0, CUTS[-1])), model, carry=True)
    with refuse_to_compute():
        found, state = in_pieces(river.chunk(chunks), model)
    values, state = dask.compute(found, state)
    np.testing.assert_allclose(values, whole, atol=2e-5)
    xr.testing.assert_allclose(state.drop_attrs(), in_pieces(river, model)[1].drop_attrs(), atol=1e-5)


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_a_state_lies_in_a_file(river, model, tmp_path, kind):
    def stored(state):
        path = tmp_path / f"{state.attrs['days']}.{kind}"
        (state.to_netcdf if kind == "nc" else state.to_zarr)(path)
        return xr.open_dataset(path, engine="netcdf4" if kind == "nc" else "zarr", chunks={})

    whole = downscale(river.isel(time=slice(0, CUTS[-1])), model, carry=True)
    np.testing.assert_allclose(in_pieces(river, model, stored)[0], whole, atol=2e-5)


def test_the_accessor_returns_both(river, model):
    first, second = pieces(river)[:2]
    values, state = first.msgl.downscale(model, return_state=True)
    assert values.sizes["time"] == CUTS[1]
    later = second.msgl.downscale(model, start=state, quantiles=None)
    assert "start=state of" in later.attrs["history"]
    assert first.msgl.downscale(model, carry=True).equals(values)


def test_a_state_of_something_else_is_refused(river, model):
    first, second = pieces(river)[:2]
    state = downscale_and_state(first, model)[1]
    with pytest.raises(InvalidArgumentError, match=r"begins on .*; select the days with"):
        downscale(second.isel(time=slice(3, None)), model, start=state)
    other = river.msgl.train("msgl", validation=None, seed=4, **{**TWO_FEATURES, "features": WEATHER})
    with pytest.raises(ModelMismatchError, match="the state is of model"):
        downscale(second, other, start=state)
    with pytest.raises(ModelMismatchError, match="other segments or reaches"):
        downscale(second.isel(fine=slice(None, None, -1)), model, start=state)
    with pytest.raises(InvalidArgumentError, match="not a state"):
        downscale(second, model, start=second)
    with pytest.raises(InvalidArgumentError, match="holds 29 days"):
        downscale_and_state(first.isel(time=slice(0, 20)), model)
    warm = second.air_temperature_coarse.copy()
    warm.attrs["units"] = "K"
    with pytest.raises(ModelMismatchError, match="air_temperature_coarse is in"):
        downscale(second.assign(air_temperature_coarse=warm + 273.15), model, start=state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.drop_vars("time"), "has no coordinate time"),
        (lambda state: state.drop_vars("fine"), "has no coordinate fine"),
        (lambda state: state.assign_attrs(days="many"), "must be a number of days, not 'many'"),
        (lambda state: state.drop_vars("memory_0_0_fine_0"), "no variable memory_0_0_fine_0"),
        (lambda state: state.drop_vars("air_temperature_coarse"), "no variable air_temperature_coarse"),
        (lambda state: state.isel(time=slice(-3, None)), "every day from .* it holds 3 of 29"),
        (lambda state: state.isel(time=[*range(27), 26, 28]), "every day from"),
        (lambda state: state.transpose(..., "fine"), "memory_0_0_fine_0 in the state is float32 over"),
        (lambda state: state.astype(str), "air_temperature_coarse|memory_0_0"),
    ],
)
def test_a_state_that_is_not_whole_is_refused(river, model, change, message):
    first, second = pieces(river)[:2]
    state = downscale_and_state(first, model)[1]
    with pytest.raises(InvalidArgumentError, match=f"{message}.*make it again"):
        downscale(second, model, start=change(state))


def test_a_model_that_reads_later_days_has_no_state(river):
    coarse = river.drop_vars("water_temperature_fine")
    model = coarse.msgl.train(
        "msgl", validation=None, **{**TWO_FEATURES, "tasks": ["coarse", "interpolation"]}
    )
    with pytest.raises(InvalidArgumentError, match="predicts a day from later days"):
        downscale_and_state(river, model)


def test_the_state_is_small(river, model):
    state = downscale_and_state(river, model)[1]
    assert state.nbytes < 0.05 * river.nbytes
