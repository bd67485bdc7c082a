"""Downscaling over time: short records, warm-up, carried windows, any order of days, against one run."""

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

from tests.small import PLAIN
from xmsgl.errors import InvalidDatasetError
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.inputs.windows import cut_windows
from xmsgl.models.file.model import Model
from xmsgl.models.methods.msgl import MSGL
from xmsgl.prediction.downscale import downscale, prepare
from xmsgl.prediction.operators import Operators
from xmsgl.training.train import train


@pytest.mark.parametrize("days", [1, 3, 149, 150, 151])
def test_a_record_shorter_than_a_window(river, model, days, plainly):
    short = river.isel(time=slice(0, days))
    result = downscale(short, model)
    assert result.shape == (days, 12)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[:150], plainly(short, model, 20)[:150], atol=2e-4)


def test_another_period_after_a_warm_up_is_near_the_whole_record(river, model):
    """Starting a year later: the memory fills up, and the effect of the start fades."""
    start = 365
    whole = downscale(river, model, warmup=250)
    later = downscale(river.isel(time=slice(start, None)), model, warmup=250)
    np.testing.assert_array_equal(later["time"], river["time"][start:])
    error = np.abs(later - whole[start:]).max("fine")
    season = float(whole.std())
    assert float(error[90:].mean()) < 0.02 * season  # the mean over 90 days is complete then
    assert float(error[90:].max()) < 0.15 * season


def test_warm_up_fills_the_memory(river, model):
    long = downscale(river, model, warmup=400)
    errors = [float(np.abs(downscale(river, model, warmup=days) - long).mean()) for days in (0, 5, 30)]
    assert errors[0] > errors[1] > errors[2]
    np.testing.assert_array_equal(downscale(river, model, warmup=20), downscale(river, model))


def test_days_past_the_last_full_window_are_there(river, model, whole):
    cut = downscale(river.isel(time=slice(0, 777)), model)
    assert np.isfinite(cut).all()
    np.testing.assert_allclose(cut, whole[:777], atol=1e-5)


def test_what_is_cut_out_for_a_window_is_enough_for_its_trailing_means(river, model, whole):
    fixed = river[[name for name in river.variables if "time" not in river[name].dims]]
    engine = prepare(model.payload, fixed, "cpu")
    drivers = river[["air_temperature_coarse", "precipitation_coarse", "solar_radiation_coarse"]]
    assert max(feature.days for feature in model.spec.features) == 90
    for window in cut_windows(800, 150, 20)[1:]:
        all_before = drivers.isel(time=slice(0, window.stop))
        np.testing.assert_allclose(
            engine.run(all_before, window), whole[window.start : window.stop], atol=1e-4
        )


# ----------------------------------------------------- windows after windows


@pytest.fixture(scope="module")
def plainly(preceded):
    """One run of the reference cell over a record and the days that stand in for those before."""

    def run(ds, model, warmup):
        spec = replace(model.spec, architecture={**model.spec.architecture, "backend": "reference"})
        operators = Operators.build(ds, spec.graph, spec.segments, torch.device("cpu"))
        longer = preceded(ds, warmup + 89)
        days = np.arange(89, longer.sizes["time"])
        inputs = {}
        for scale in ("coarse", "fine"):
            inputs[scale] = ScaleInputs(longer, spec.features, scale)
            inputs[scale].use(spec.scaling[scale])
        batch = operators.batch({scale: of.gather(days[None]) for scale, of in inputs.items()})
        output = Model(spec, model.weights).module().stream(batch)[0][warmup:, :, 0].numpy()
        scaling = spec.scaling["fine"]
        return np.maximum(output * scaling.label_deviation + scaling.label_mean, 0)

    return run


@pytest.fixture(scope="module")
def carried(river_once, model):
    return downscale(river_once, model, carry=True)


def test_carried_windows_are_one_run_over_the_record(river, model, carried, whole, plainly):
    np.testing.assert_allclose(carried, plainly(river, model, 20), atol=2e-4)
    np.testing.assert_array_equal(carried[:150], whole[:150])  # the first window is warmed up as ever
    assert not np.array_equal(carried[150:300], whole[150:300])
    assert carried.attrs["history"].endswith(f"model sha256 {model.sha256[:12]}, carry=True)")


def test_carried_windows_differ_little_from_warm_ones(river, model, carried):
    """The longer each window is warmed up, the nearer it comes to the whole past."""
    errors = [float(np.abs(downscale(river, model, warmup=days) - carried).mean()) for days in (0, 20, 100)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.02 * float(carried.std())


def test_the_warm_up_of_carried_windows_is_that_of_the_record(river, model, carried, plainly):
    cold = downscale(river, model, carry=True, warmup=0)
    np.testing.assert_allclose(cold, plainly(river, model, 0), atol=2e-4)
    difference = np.abs(cold - carried).max("fine")
    assert float(difference[0]) > 100 * float(difference[500:].max())


def test_carried_windows_compute_no_day_twice(river, model, monkeypatch):
    days = []
    stream = MSGL.stream

    def counted(self, batch, memory=None):
        days.append(len(batch.x_fine))
        return stream(self, batch, memory)

    monkeypatch.setattr(MSGL, "stream", counted)
    downscale(river, model, carry=True)
    assert sum(days) == 20 + 800
    days.clear()
    downscale(river, model)
    assert sum(days) == 6 * 20 + 800


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(time=st.integers(20, 800), coarse=st.integers(1, 5), fine=st.integers(1, 12), data=st.data())
def test_every_chunking_carries_the_same_bits(river_once, model, carried, time, coarse, fine, data):
    lazy = river_once.chunk({"time": time, "coarse": coarse, "fine": fine})
    some = data.draw(st.lists(st.sampled_from(sorted(lazy.data_vars)), max_size=6, unique=True))
    mixed = lazy.assign({name: lazy[name].compute() for name in some})
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(downscale(mixed, model, carry=True), carried)


def test_carried_windows_are_lazy(river, model, carried, refuse_to_compute):
    lazy = river.chunk({"time": 100})
    with refuse_to_compute():
        result = downscale(lazy, model, carry=True)
    assert result.chunks == ((150, 150, 150, 150, 150, 50), (12,))
    last = result[790:].compute(scheduler="threads", num_workers=3)  # which runs all windows before
    np.testing.assert_array_equal(last, carried[790:])
    travelled = pickle.loads(cloudpickle.dumps(result))
    np.testing.assert_array_equal(travelled.compute(scheduler="synchronous"), carried)
    assert downscale(lazy, model, carry=True).data.name == result.data.name
    assert downscale(lazy, model).data.name != result.data.name


def test_a_fault_reaches_the_windows_after_it_alone(river, model, carried):
    river["air_temperature_coarse"][520, 1] = np.nan
    result = downscale(river.chunk({"time": 100}), model, carry=True)
    np.testing.assert_array_equal(result[:450].compute(), carried[:450])
    for days in (slice(450, 600), slice(750, 751)):
        with pytest.raises(
            InvalidDatasetError, match=r"air_temperature_coarse: 1 values are NaN.*2003-03-05"
        ):
            result[days].compute()


def test_attention_over_time_sees_its_window_and_the_state_before(river, preceded):
    options = {"hidden": 4, "window": 100, "warmup": 20, "epochs": 1, "device": "cpu", "progress": False}
    ds = river.isel(time=slice(0, 250))
    model = train(ds, "msgl", tasks=("coarse", "interpolation"), features=PLAIN, **options)
    result = downscale(ds, model, carry=True)
    np.testing.assert_array_equal(downscale(ds.chunk({"time": 70}), model, carry=True), result)
    module, spec = model.module(), model.spec
    operators = Operators.build(ds, spec.graph, spec.segments, torch.device("cpu"))
    inputs = ScaleInputs(preceded(ds, 109), spec.features, "coarse")
    inputs.use(spec.scaling["coarse"])
    days = np.arange(89, 359)
    with torch.no_grad():
        hidden = module.hidden_states(operators.batch({"coarse": inputs.gather(days[None])}), "coarse")
        near = operators.interpolation.matmul_days(hidden)
        parts = [module.interpolation_head(part) for part in near.split([120, 100, 50])]
    output = torch.cat(parts)[20:, :, 0].numpy() * spec.scaling["fine"].label_deviation
    expected = np.maximum(output + spec.scaling["fine"].label_mean, 0)
    np.testing.assert_allclose(result, expected, atol=2e-4)


# --------------------------------------------------------------------- days


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("how", ["reversed", "shuffled"])
def test_the_order_of_days_does_not_matter(river, model, whole, how, lazy, refuse_to_compute):
    order = np.arange(800)[::-1] if how == "reversed" else np.random.default_rng(0).permutation(800)
    turned = river.isel(time=order)
    turned = turned.chunk({"time": 100}) if lazy else turned
    with refuse_to_compute():
        result = downscale(turned, model)
    np.testing.assert_array_equal(result["time"], turned["time"])
    np.testing.assert_array_equal(result, whole.isel(time=order))
    np.testing.assert_array_equal(result["spin_up"], whole["spin_up"].isel(time=order))


def other_days(river, how):
    days = river.indexes["time"]
    return {
        "hourly": lambda: river.assign_coords(time=pd.date_range("2001-10-01", periods=800, freq="h")),
        "monthly": lambda: river.assign_coords(time=pd.date_range("1950-01-01", periods=800, freq="MS")),
        "gap": lambda: river.isel(time=np.r_[0:300, 485:800]),
        "one-missing": lambda: river.isel(time=np.r_[0:300, 301:800]),
        "repeated": lambda: river.isel(time=np.r_[0:300, 299:800]),
        "summers": lambda: river.isel(time=np.flatnonzero(days.month.isin([6, 7, 8]))),
        "missing": lambda: river.assign_coords(time=days.where(days != days[7])),
        "numbers": lambda: river.assign_coords(time=np.arange(800)),
        "text": lambda: river.assign_coords(time=days.strftime("%Y-%m-%d").to_numpy()),
        "no-days": lambda: river.drop_vars("time"),
        "noleap": lambda: river.assign_coords(
            time=xr.date_range("2001-10-01", periods=800, calendar="noleap", use_cftime=True)
        ),
        "360-day": lambda: river.assign_coords(
            time=xr.date_range("2001-10-01", periods=800, calendar="360_day", use_cftime=True)
        ),
    }[how]()


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("hourly", "not at midnight"),
        ("monthly", "time is not daily: the usual step is 31 days"),
        ("gap", "185 days are missing: 2002-07-28"),
        ("one-missing", "1 day is missing: 2002-07-28"),
        ("repeated", "time has duplicates: 2002-07-27"),
        ("summers", "time has gaps"),
        ("missing", "NaT"),
        ("numbers", "instead of datetime64"),
        ("text", "instead of datetime64"),
        ("no-days", "coordinate 'time' is missing"),
        ("noleap", "instead of datetime64"),
        ("360-day", "instead of datetime64"),
    ],
)
def test_days_that_are_not_consecutive_are_refused(river, model, how, fault, lazy):
    ds = other_days(river, how)
    with pytest.raises(InvalidDatasetError, match=fault):
        downscale(ds.chunk() if lazy else ds, model)
