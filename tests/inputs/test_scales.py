"""From labelled arrays to the inputs of a scale: what reaches inherit, means, scaling, pruning."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl import schema
from xmsgl.inputs import scales
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import Scaling
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.scales import ScaleInputs

CHOSEN = ["air_temperature", "precipitation", "air_temperature:7", "drainage_area", "slope", "elevation"]
LAPSE = -0.0065


def raw_value(ds, label, scale, node, day):
    """One number before scaling, looked up by id as a person would."""
    name, _, days = label.partition(":")
    segment = node if scale == "coarse" else int(ds["coarse_segment"].sel(fine=node))
    own = f"{name}_{scale}" in ds
    array = ds[f"{name}_{scale}"].sel({scale: node}) if own else ds[f"{name}_coarse"].sel(coarse=segment)
    if "time" in array.dims:
        series = pd.Series(array.values.astype(float))
        value = series.rolling(int(days or 1), min_periods=1).mean().iloc[day]
    else:
        value = float(array)
    if name in {"precipitation", "drainage_area"}:
        value = np.log1p(value)
    if name == "slope":
        value = np.sqrt(value)
    if name == "air_temperature" and not own:
        value += LAPSE * float(
            ds["elevation_fine"].sel(fine=node) - ds["elevation_coarse"].sel(coarse=segment)
        )
    return value


@pytest.fixture
def small(river):
    return river.isel(time=slice(0, 40))


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_gather_equals_a_plain_loop(small, scale):
    features = choose_features(small, CHOSEN)
    inputs = ScaleInputs(small, features, scale)
    scaling = Scaling((1.0, 0.5, 2.0, 3.0, 0.05, 100.0), (2.0, 0.7, 3.0, 1.5, 0.02, 50.0), 10.0, 5.0)
    inputs.use(scaling)
    days = np.array([[0, 1, 2], [10, 11, 39]])
    gathered = inputs.gather(days)
    nodes = small[scale].values
    assert gathered.shape == (3, len(nodes), 2, 6)
    assert gathered.dtype == np.float32
    for d, n, w, k in np.ndindex(gathered.shape):
        raw = raw_value(small, CHOSEN[k], scale, nodes[n], days[w, d])
        assert gathered[d, n, w, k] == pytest.approx((raw - scaling.mean[k]) / scaling.deviation[k], abs=2e-5)


def test_inheritance_is_that_of_the_schema(small):
    features = choose_features(small, ["air_temperature", "solar_radiation"])
    gathered = ScaleInputs(small, features, "fine").gather(np.arange(40)[None])
    for k, feature in enumerate(features):
        expected = schema.fine_values(small, feature.name).transpose("time", "fine").values
        np.testing.assert_allclose(gathered[:, :, 0, k], expected, atol=2e-5)


def test_reaches_use_their_own_drivers_where_they_have_them(small):
    own = np.random.default_rng(5).normal(10, 3, (40, 12)).astype("float32")
    small["air_temperature_fine"] = ("time", "fine"), own, {"units": "degC"}
    gathered = ScaleInputs(small, choose_features(small, ["air_temperature"]), "fine").gather(
        np.arange(40)[None]
    )
    np.testing.assert_array_equal(gathered[:, :, 0, 0], own)  # and no correction for height


@pytest.fixture
def own_drivers(small):
    """Reaches that have one driver of their own and inherit the others."""
    rain = np.random.default_rng(5).gamma(1, 3, (40, 12)).astype("float32")
    small["precipitation_fine"] = ("time", "fine"), rain, {"units": "mm d-1"}
    return small


@pytest.mark.parametrize("piece", [1, 500], ids=["day-by-day", "days-in-uneven-pieces"])
@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_pieces_change_nothing(own_drivers, monkeypatch, scale, piece):
    inputs = ScaleInputs(own_drivers, choose_features(own_drivers, CHOSEN), scale)
    days = np.random.default_rng(0).integers(0, 40, (2, 11))
    at_once = inputs.gather(days)
    for d, n, k in np.ndindex(11, inputs.n, len(CHOSEN)):
        raw = raw_value(own_drivers, CHOSEN[k], scale, own_drivers[scale].values[n], days[1, d])
        assert at_once[d, n, 1, k] == pytest.approx(raw, rel=1e-5, abs=1e-5)
    monkeypatch.setattr(scales, "_PIECE", piece)
    np.testing.assert_array_equal(inputs.gather(days), at_once)


def test_sources_are_what_gather_brings_together(small):
    inputs = ScaleInputs(small, choose_features(small, CHOSEN), "fine")
    inputs.use(Scaling((1.0, 0.5, 2.0, 3.0, 0.05, 100.0), (2.0, 0.7, 3.0, 1.5, 0.02, 50.0), 10.0, 5.0))
    days = np.array([[0, 1, 2], [10, 11, 39]])
    for some in (inputs, inputs.prune(np.array([11, 0, 3]))):
        rows, place, fixed = some.sources(days)
        assert rows.shape == (3, len(set(place.tolist())), 2, 6)
        np.testing.assert_array_equal(rows[:, place] + fixed[:, None], some.gather(days))
        assert not rows[..., [3, 4, 5]].any()


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_hidden_segments_have_no_anomaly_of_their_own(small, scale):
    """As a dataset in which the own anomalies of these segments are 0, and nothing else is changed."""
    names = [*neighbour_features([0.0])]
    rng = np.random.default_rng(3)
    given = small.assign({f"{name}_coarse": ("coarse", rng.normal(0, 1, 5)) for name in names})
    features = choose_features(given, [*CHOSEN, *names])
    scaling = Scaling((1.0, 0.5, 2.0, 3.0, 0.05, 100.0, *[0.2] * 4), (2.0,) * 10, 10.0, 5.0)
    days = np.array([[0, 1, 2], [10, 11, 39]])
    hidden = np.array([[True, False, False, True, False], [False, True, True, True, False]])
    inputs = ScaleInputs(given, features, scale)
    inputs.use(scaling)
    assert inputs.hides
    few = np.array([3, 0, 4])
    for some in (inputs, inputs.prune(few)):
        found = some.gather(days, hidden)
        for w in (0, 1):
            seen = given.assign(
                {f"{name}_coarse": given[f"{name}_coarse"].where(~hidden[w], 0.0) for name in names}
            )
            other = ScaleInputs(seen, features, scale)
            other.use(scaling)
            other = other if some is inputs else other.prune(few)
            np.testing.assert_allclose(found[:, :, w], other.gather(days[w : w + 1])[:, :, 0], atol=1e-6)
        if scale == "fine":
            rows, place, fixed = some.sources(days, hidden)
            np.testing.assert_allclose(rows[:, place] + fixed[:, None], found, atol=1e-6)


def test_what_is_inherited_is_shared_with_the_coarse_scale(own_drivers):
    features, days = choose_features(own_drivers, CHOSEN), np.array([[0, 5, 39]])
    coarse = ScaleInputs(own_drivers, features, "coarse")
    alone, beside = (ScaleInputs(own_drivers, features, "fine", coarse=of) for of in (None, coarse))
    np.testing.assert_array_equal(beside.gather(days), alone.gather(days))
    shared = [
        np.shares_memory(a.values, b.values) for a, b in zip(beside._columns, coarse._columns, strict=True)
    ]
    assert shared == [True, False, True, False, False, False]  # reaches have a rain of their own


def test_drivers_of_their_own_are_not_inherited(own_drivers):
    features = choose_features(own_drivers, CHOSEN)
    days = np.array([[0, 1]])
    assert ScaleInputs(own_drivers, features, "fine").sources(days) is None
    assert ScaleInputs(own_drivers, features, "coarse").sources(days) is None
    inherited = choose_features(own_drivers, ["air_temperature", "slope"])
    assert ScaleInputs(own_drivers, inherited, "fine").sources(days) is not None


@pytest.mark.parametrize("few", [0, 16], ids=["one by one", "by rows"])
@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_pruned_inputs_are_those_of_the_nodes(own_drivers, monkeypatch, scale, few):
    monkeypatch.setattr(scales, "_FEW", few)
    whole = ScaleInputs(own_drivers, choose_features(own_drivers, CHOSEN), scale)
    whole.use(Scaling((1.0, 0.5, 2.0, 3.0, 0.05, 100.0), (2.0, 0.7, 3.0, 1.5, 0.02, 50.0), 10.0, 5.0))
    days = np.array([[0, 1, 2], [10, 11, 39]])
    full = whole.gather(days)
    nodes = np.array([4, 0, 3])
    few = whole.prune(nodes)
    assert few.n == 3
    np.testing.assert_array_equal(few.gather(days), full[:, nodes])
    np.testing.assert_array_equal(few.prune(np.array([2])).gather(days), full[:, [3]])
    assert few.prune(np.arange(0)).gather(days).shape == (3, 0, 2, 6)
    np.testing.assert_array_equal(whole.gather(days), full)  # and the whole stays as it was


def test_memory_grows_with_segments_and_reaches_not_with_reaches_times_days():
    """100,000 reaches on 400 segments: one driver written out for each would take 160 MB."""
    rng = np.random.default_rng(0)
    n_coarse, n_fine, n_days = 400, 100_000, 400
    coarse, daily = ("coarse",), ("time", "coarse")
    ds = xr.Dataset(
        {
            "coarse_segment": ("fine", np.sort(rng.integers(0, n_coarse, n_fine))),
            "elevation_coarse": (coarse, rng.normal(300, 50, n_coarse)),
            "elevation_fine": ("fine", rng.normal(300, 50, n_fine)),
            "slope_coarse": (coarse, rng.random(n_coarse)),
            "air_temperature_coarse": (daily, rng.normal(10, 3, (n_days, n_coarse)).astype("float32")),
            "precipitation_coarse": (daily, rng.random((n_days, n_coarse)).astype("float32")),
        },
        coords={
            "time": pd.date_range("2001", periods=n_days),
            "coarse": range(n_coarse),
            "fine": range(n_fine),
        },
    )
    features = choose_features(ds)
    drivers = sum(feature.dynamic for feature in features)
    assert (drivers, len(features)) == (5, 7)
    tracemalloc.start()
    try:
        inputs = ScaleInputs(ds, features, "fine")
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        gathered = inputs.gather(np.arange(8)[None])
        gathering = tracemalloc.get_traced_memory()[1] - kept
    finally:
        tracemalloc.stop()
    room = 20 * 4 * (n_coarse * n_days + n_fine)  # 21 MB
    assert max(kept, peak, gathering - gathered.nbytes) < room < 4 * n_days * n_fine / 7


def test_no_inherited_driver_is_copied_for_every_reach(small):
    inputs = ScaleInputs(small, choose_features(small, ["air_temperature", "solar_radiation"]), "fine")
    assert [column.values.shape for column in inputs._columns] == [(40, 5), (40, 5)]


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_scaling_is_mean_and_deviation_over_the_chosen_days_and_all_nodes(small, scale):
    days = np.zeros(40, bool)
    days[[3, 4, 17, 30]] = True
    features = choose_features(small, CHOSEN)
    mean, deviation = ScaleInputs(small, features, scale).fit(days)
    for k, label in enumerate(CHOSEN):
        values = [raw_value(small, label, scale, n, d) for n in small[scale].values for d in (3, 4, 17, 30)]
        assert mean[k] == pytest.approx(np.mean(values), rel=1e-5)
        assert deviation[k] == pytest.approx(np.std(values), rel=1e-4)


def test_a_feature_that_never_changes_is_not_blown_up(small):
    small["slope_coarse"] = small["slope_coarse"] * 0 + 0.01
    inputs = ScaleInputs(small, choose_features(small, ["air_temperature", "slope"]), "coarse")
    mean, deviation = inputs.fit(np.ones(40, bool))
    assert (mean[1], deviation[1]) == (pytest.approx(0.1), 1.0)


def test_order_of_dimensions_does_not_matter(small):
    turned = small.transpose("fine", "coarse", "time")
    features = choose_features(small, CHOSEN)
    days = np.arange(40)[None]
    for scale in ("coarse", "fine"):
        np.testing.assert_array_equal(
            ScaleInputs(turned, features, scale).gather(days),
            ScaleInputs(small, features, scale).gather(days),
        )
