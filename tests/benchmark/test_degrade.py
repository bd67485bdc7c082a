"""Degradations: the right errors, nothing else changes, order and chunks do not matter."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmsgl.benchmark.degrade import (
    DEGRADATIONS,
    SOURCES,
    degrade,
    is_random,
    parse_degradation,
)
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UnknownNameError

NAME = "water_temperature_coarse"
AMOUNTS = {"noise": 1.5, "bias": -0.7, "seasonal_bias": 2.0, "missing_segments": 0.4}


@pytest.fixture
def ds(river):
    """Labels far from the bounds, so that nothing is clipped."""
    river[NAME] = (river[NAME] * 0.1 + 15).assign_attrs(river[NAME].attrs)
    river["simulated_temperature_coarse"] = river["air_temperature_coarse"] * 0.1 + 15
    return river


def change(ds, amounts, seed=0, name=NAME):
    return degrade(ds, amounts, seed)[name] - ds[name]


def test_noise_has_the_deviation_asked_for_and_no_mean(ds):
    moved = change(ds, {"noise": 1.5})
    n = int(moved.count())
    assert float(moved.std()) == pytest.approx(1.5, abs=4 * 1.5 / np.sqrt(2 * n))
    assert abs(float(moved.mean())) < 4 * 1.5 / np.sqrt(n)
    columns = moved.fillna(0).values
    assert np.abs(np.corrcoef(columns.T) - np.eye(5)).max() < 0.15


def test_noise_of_half_the_size_is_half_the_noise(ds):
    xr.testing.assert_allclose(change(ds, {"noise": 1.0}), 2 * change(ds, {"noise": 0.5}), atol=1e-5)


def test_a_bias_is_the_same_everywhere(ds):
    moved = change(ds, {"bias": -0.7}).values
    np.testing.assert_allclose(moved[np.isfinite(moved)], -0.7, atol=1e-5)


def test_a_seasonal_bias_warms_the_summer_as_much_as_it_cools_the_winter(ds):
    moved = change(ds, {"seasonal_bias": 2.0}).mean("coarse")
    monthly = moved.groupby("time.month").mean()
    assert int(monthly.idxmax("month")) in (7, 8)
    assert int(monthly.idxmin("month")) in (1, 2)
    year = moved.sel(time=slice("2001-10-01", "2002-09-30"))
    assert abs(float(year.mean())) < 0.05
    assert float(abs(year).max()) == pytest.approx(2.0, abs=1e-3)


def test_missing_segments_lose_everything_and_the_others_nothing(ds):
    ds[NAME][:, 2] = np.nan  # four segments with labels are left to draw from
    left = degrade(ds, {"missing_segments": 0.5}, seed=3)[NAME]
    gone = left.isnull().all("time").values
    assert gone.sum() == 3
    assert gone[2]
    xr.testing.assert_equal(left[:, ~gone], ds[NAME][:, ~gone])


def test_seeds_draw_other_segments(ds):
    left = [degrade(ds, {"missing_segments": 0.4}, seed)[NAME] for seed in range(8)]
    drawn = {tuple(each.isnull().all("time").values) for each in left}
    assert len(drawn) > 2


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_nothing_else_changes(ds, name, source):
    before = ds.copy(deep=True)
    prefix = "process_" if source == "process" else ""
    worse = degrade(ds, {prefix + name: AMOUNTS[name]}, 1)
    xr.testing.assert_identical(ds, before)
    changed = [each for each in ds.variables if not worse[each].identical(ds[each])]
    assert changed == [SOURCES[source]]
    assert worse[SOURCES[source]].attrs == ds[SOURCES[source]].attrs
    assert worse[SOURCES[source]].dtype == ds[SOURCES[source]].dtype
    lost = worse[SOURCES[source]].isnull() & ds[SOURCES[source]].notnull()
    assert bool(lost.any()) == (name == "missing_segments")
    assert not bool((worse[SOURCES[source]].notnull() & ds[SOURCES[source]].isnull()).any())
    assert name.replace("_", " ") in worse.attrs["history"]


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_order_and_chunks_do_not_matter(ds, name, refuse_to_compute):
    amounts = {name: AMOUNTS[name]}
    expected = degrade(ds, amounts, 2)
    order = np.random.default_rng(0).permutation(5)
    shuffled = degrade(ds.isel(coarse=order, time=slice(None, None, -1)), amounts, 2)
    xr.testing.assert_equal(shuffled.sortby("time").sel(coarse=ds["coarse"])[NAME], expected[NAME])
    lazy = degrade(ds.chunk(time=100), amounts, 2)
    assert lazy[NAME].chunks is not None
    xr.testing.assert_equal(lazy[NAME].compute(), expected[NAME])
    if name != "missing_segments":
        with refuse_to_compute():
            degrade(ds.chunk(time=100), amounts, 2)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_only_random_degradations_depend_on_the_seed(ds, name):
    one, two = (degrade(ds, {name: AMOUNTS[name]}, seed)[NAME] for seed in (0, 1))
    assert one.equals(two) != is_random(name)
    assert is_random(name) == is_random(f"process_{name}")


def test_values_stay_in_the_range_of_the_convention(river):
    worse = degrade(river, {"bias": -30.0})
    assert float(worse[NAME].min()) == -5.0
    worse.msgl.validate()


def test_degradations_add_up(ds):
    both = change(ds, {"bias": 1.0, "noise": 0.5}, seed=4)
    xr.testing.assert_allclose(
        both, change(ds, {"bias": 1.0}) + change(ds, {"noise": 0.5}, seed=4), atol=1e-5
    )


def test_degradations_that_are_not_possible_are_refused(ds):
    with pytest.raises(InvalidArgumentError, match="noise is -1"):
        degrade(ds, {"noise": -1.0})
    with pytest.raises(InvalidArgumentError, match="missing_segments is 2"):
        degrade(ds, {"missing_segments": 2})
    with pytest.raises(UnknownNameError, match="process_noise"):
        degrade(ds, {"process_nose": 1.0})
    with pytest.raises(InvalidDatasetError, match="simulated_temperature_coarse is missing"):
        degrade(ds.drop_vars("simulated_temperature_coarse"), {"process_bias": 1.0})
    assert parse_degradation("process_bias")[1] == "process"


@pytest.mark.parametrize("kind", AMOUNTS)
def test_integers_are_degraded_as_the_same_numbers_in_single_precision(ds, kind):
    name = "simulated_temperature_coarse"
    whole = ds.assign({name: ds[name].round().astype("int16")})
    numbers = ds.assign({name: ds[name].round().astype("float32")})
    amounts = {f"process_{kind}": AMOUNTS[kind]}
    xr.testing.assert_identical(degrade(whole, amounts)[name], degrade(numbers, amounts)[name])


def test_kelvin_is_refused_and_not_clipped(ds):
    kelvin = ds.assign({NAME: (ds[NAME] + 273.15).assign_attrs(units="K")})
    with pytest.raises(InvalidDatasetError, match="is in K, not in degC; convert: "):
        degrade(kelvin, {"bias": 1.0})


def test_amounts_are_finite(ds):
    with pytest.raises(InvalidArgumentError, match="bias is inf; it must be a finite number"):
        degrade(ds, {"bias": np.inf})
