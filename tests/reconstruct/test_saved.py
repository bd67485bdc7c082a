"""A reconstruction that starts from a state gives the numbers of the whole record."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.small import QUICK
from xmsgl.errors import InvalidArgumentError, ModelMismatchError
from xmsgl.models.file.model import Model
from xmsgl.prediction.downscale import downscale
from xmsgl.reconstruct import reconstruct, state
from xmsgl.reconstruct.given import LIMIT
from xmsgl.training.train import train

FINE, COARSE = "water_temperature_fine", "water_temperature_coarse"
DAY = pd.Timedelta(1, "D")
#: In the middle of a window, and at the end of one.
MIDDLE, END = "2003-06-01", "2003-09-20"


@pytest.fixture(scope="module")
def trees(river_once, small_fits):
    return train(river_once, "trees", validation="folds:2", iterations=8, progress=False)


@pytest.fixture(scope="module")
def network(river_once, small_fits):
    return train(river_once, "msgl", validation="folds:2", **QUICK)


@pytest.fixture(params=["trees", "network"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def before(river, trees):
    """The state of a day, and the dataset from the first day on that it needs."""
    found = state(river.sel(time=slice(None, MIDDLE)), trees)
    return found, river.sel(time=slice(found.drivers_from, None))


def since(before, river):
    """The days that a run from a state needs, with no observation up to its day."""
    late = river.sel(time=slice(before.drivers_from, None))
    new = late.time > before.time[-1].values
    return late.assign({name: late[name].where(new) for name in (FINE, COARSE)})


def written(ds, path, kind):
    """Write a state and read it back."""
    if kind == "zarr":
        pytest.importorskip("zarr")
        ds.to_zarr(path / "state.zarr", consolidated=False)
        return xr.open_zarr(path / "state.zarr", consolidated=False)
    ds.to_netcdf(path / "state.nc")
    return xr.open_dataset(path / "state.nc")


@pytest.mark.parametrize("mode", ["filter", "smooth", "forecast"])
@pytest.mark.parametrize(("day", "kind"), [(MIDDLE, "netcdf"), (END, "zarr")])
def test_a_late_start_gives_the_numbers_of_the_whole_record(river, model, mode, day, kind, tmp_path):
    options = {"lead": 9, "observed": river[[FINE, COARSE]].sel(time=slice(None, "2003-10-20"))}
    options = {"mode": mode, **(options if mode == "forecast" else {})}
    whole = reconstruct(river, model, **options)
    before = written(state(river, model, day=day), tmp_path, kind)
    late = since(before, river)
    assert late.sizes["time"] < 0.75 * river.sizes["time"]
    found = reconstruct(late, model, start=before, **options)
    expected = whole if mode == "forecast" else whole.sel(time=slice(pd.Timestamp(day) + DAY, None))
    np.testing.assert_array_equal(found.time, expected.time)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    alone = reconstruct(late, model, **options).sel(time=found.time.values)
    assert mode == "forecast" or abs(found - alone).max() > 1e-3  # the state changes the numbers
    with dask.config.set(scheduler="synchronous"):
        lazy = reconstruct(late.chunk(time=70), model, start=before.chunk(), **options)
        assert lazy.chunks is not None
        np.testing.assert_allclose(lazy.compute(), expected, atol=1e-5)


def test_quantiles_of_a_late_start(river, network):
    asked = {"mode": "filter", "quantiles": [0.3, 0.5, 0.7]}
    before = state(river, network, day=MIDDLE)
    found = reconstruct(since(before, river), network, start=before, **asked)
    expected = reconstruct(river, network, **asked).sel(time=found.time)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_week_after_week(river, model):
    """Each state is made from the one before, across the end of a window and a week without observations."""
    quiet = (river.time >= np.datetime64("2003-09-15")) & (river.time < np.datetime64("2003-09-22"))
    river = river.assign({name: river[name].where(~quiet) for name in (FINE, COARSE)})
    whole, kept = reconstruct(river, model, mode="filter"), state(river, model, day="2003-09-01")
    for end in pd.date_range("2003-09-08", periods=5, freq="7D"):
        late = since(kept, river).sel(time=slice(None, end))
        found = reconstruct(late, model, start=kept, mode="filter")
        assert found.sizes["time"] == 7
        np.testing.assert_allclose(found, whole.sel(time=found.time), atol=1e-5)
        kept = state(late, model, day=end, start=kept)
        expected = state(river, model, day=end)
        xr.testing.assert_allclose(kept, expected, atol=1e-5)
        assert kept.drivers_from == expected.drivers_from


def test_a_forecast_on_the_day_of_the_state_needs_no_observations(river, trees):
    known = river[[FINE, COARSE]].sel(time=slice(None, MIDDLE))
    expected = reconstruct(river, trees, mode="forecast", lead=5, observed=known)
    before = state(river, trees, day=MIDDLE)
    late = river.sel(time=slice(before.drivers_from, "2003-06-06"))
    for ds in (late.drop_vars([FINE, COARSE]), late.assign({FINE: np.nan * late[FINE]}).drop_vars(COARSE)):
        found = reconstruct(ds, trees, start=before, mode="forecast")
        xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs(), atol=1e-5)
    assert found.issue.values == np.datetime64(MIDDLE)


def test_it_holds_observed_minus_predicted(river, network):
    """At reaches, and on days without one of its own reaches for each segment at its outlet."""
    found = state(river, network, day=MIDDLE)
    days = found.indexes["time"]
    np.testing.assert_array_equal(days, pd.date_range(end=MIDDLE, periods=LIMIT))
    ds, predicted = river.sel(time=days), downscale(river, network).sel(time=days)
    segment = river.coarse_segment.values
    expected = (ds[FINE] - predicted).values
    for k, own in enumerate(river.coarse.values):
        reaches = np.flatnonzero(segment == own)
        mean = predicted.values[:, reaches].mean(axis=1)
        silent = np.isnan(ds[FINE].values[:, reaches]).all(axis=1)
        at = reaches[-1]  # numbered downstream
        expected[silent, at] = (ds[COARSE].values[:, k] - mean)[silent]
    np.testing.assert_allclose(found.error_gauged, expected, atol=1e-4)
    left_out = [~np.isin(segment, part.spec.held) for part in network.parts]
    for part, learned in zip(network.parts, left_out, strict=True):
        own = (ds[FINE] - downscale(river, part).sel(time=days)).values
        other = np.all([each for each in left_out if each is not learned], axis=0)
        seen = np.isfinite(ds[FINE].values) & ~learned & other
        assert seen.any()
        np.testing.assert_allclose(found.error_ungauged.values[seen], own[seen], atol=1e-4)


def test_what_it_says_of_itself(river, trees):
    found = state(river, trees, day=MIDDLE)
    assert found.attrs["Conventions"] == "CF-1.11"
    assert found.attrs["model_sha256"] == trees.sha256
    assert "state(day='2003-06-01')" in found.attrs["history"]
    assert {found[name].attrs["units"] for name in found} == {"degC"}
    assert found.fine.attrs["cf_role"] == "timeseries_id"
    assert sum(found[name].nbytes for name in found.variables) < 30_000
    late = river.sel(time=slice(found.drivers_from, None))
    done = reconstruct(late, trees, start=found, mode="filter")
    assert "start='2003-06-01'" in done.attrs["history"]
    assert not done.spin_up.any()  # the weather before these days is known


def test_of_a_short_record_the_days_before_are_empty(river, network):
    day = river.indexes["time"][40]
    found, seen = state(river, network, day=day), river.isel(time=slice(0, 41))
    assert dict(found.sizes)["time"] == LIMIT
    assert found.time[-1].values == day
    expected = seen[FINE].notnull().any("fine") | seen[COARSE].notnull().any("coarse")
    np.testing.assert_array_equal(found.error_gauged.notnull().any("fine")[-41:], expected)
    assert found.error_gauged[:-41].isnull().all()


def test_by_default_it_is_of_the_last_day_with_an_observation(river, trees):
    silent = river.time > np.datetime64(MIDDLE)
    some = river.assign({name: river[name].where(~silent) for name in (FINE, COARSE)})
    known = river[[FINE, COARSE]].sel(time=slice(None, MIDDLE))
    expected = state(river, trees, day=MIDDLE).drop_attrs()
    xr.testing.assert_equal(state(some, trees).drop_attrs(), expected)
    xr.testing.assert_equal(state(some.chunk(time=50), trees).drop_attrs(), expected)
    xr.testing.assert_equal(river.msgl.state(trees, observed=known).drop_attrs(), expected)


def test_of_the_day_it_starts_from_it_is_the_same(before, trees):
    found, late = before
    without = late.drop_vars([FINE, COARSE])
    xr.testing.assert_identical(state(without, trees, start=found), found)


def test_observations_up_to_its_day_are_not_used_again(before, trees):
    found, late = before
    earlier = late.time <= np.datetime64(MIDDLE)
    changed = late.assign({name: late[name] + 5 * earlier for name in (FINE, COARSE)})
    one, other = (reconstruct(ds, trees, start=found) for ds in (late, changed))
    xr.testing.assert_equal(one, other)
    observed = changed[[FINE, COARSE]]
    xr.testing.assert_equal(reconstruct(late, trees, start=found, observed=observed), one)


def test_an_ensemble_starts_from_one_state(before, trees):
    found, late = before
    late = late.sel(time=slice(None, "2003-06-10"))
    warmer = late.assign(air_temperature_coarse=late.air_temperature_coarse + 2)
    driver = xr.concat([each.air_temperature_coarse for each in (late, warmer)], "member")
    both = late.assign(air_temperature_coarse=driver)
    done = reconstruct(both, trees, start=found)
    for one, ds in zip(done, (late, warmer), strict=True):
        np.testing.assert_array_equal(one, reconstruct(ds, trees, start=found))
    with pytest.raises(InvalidArgumentError, match="of one member of an ensemble; select one"):
        state(both, trees, start=found)


def test_days_in_another_order(before, trees):
    found, late = before
    order = np.random.default_rng(0).permutation(late.sizes["time"])
    expected = reconstruct(late, trees, start=found)
    shuffled = reconstruct(late.isel(time=order), trees, start=found)
    after = late.time.values[order]
    np.testing.assert_array_equal(shuffled.time, after[after > np.datetime64(MIDDLE)])
    xr.testing.assert_equal(shuffled.sortby("time"), expected)


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
@pytest.mark.parametrize("names", ["numbers", "text"])
def test_without_a_sensor_for_long(river, network, kind, names, tmp_path):
    """The state is empty, and a file keeps it."""
    silent = river.time > np.datetime64("2002-12-31")
    river = river.assign({name: river[name].where(~silent) for name in (FINE, COARSE)})
    if names == "text":
        river = river.assign_coords(fine=[f"r{k}" for k in river.fine.values])
        river["downstream_fine"] = ("fine", [f"r{k}" if k else "" for k in river.downstream_fine.values])
    found = written(state(river, network, day=MIDDLE), tmp_path, kind)
    assert found.sizes["fine"] == 0
    late = river.sel(time=slice(found.drivers_from, None))
    done = reconstruct(late, network, start=found, mode="filter")
    np.testing.assert_allclose(done, downscale(river, network).sel(time=done.time), atol=1e-5)


def test_another_warm_up(river, network):
    """It holds for a forecast from the whole record, too, which reads no more drivers than it needs."""
    known = river[[FINE, COARSE]].sel(time=slice(None, MIDDLE))
    silent = river.time > np.datetime64(MIDDLE)
    some = river.assign({name: river[name].where(~silent) for name in (FINE, COARSE)})
    expected = reconstruct(some, network, mode="filter", warmup=200).sel(
        time=slice("2003-06-02", "2003-06-08")
    )
    found = reconstruct(river, network, mode="forecast", lead=7, observed=known, warmup=200)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    before = state(river, network, day=MIDDLE, warmup=200)
    late = river.sel(time=slice(before.drivers_from, None))
    found = reconstruct(late, network, mode="forecast", lead=7, start=before, observed=known, warmup=200)
    np.testing.assert_allclose(found, expected, atol=1e-5)


class TestRefused:
    def test_of_another_model(self, before, trees):
        found, late = before
        other = Model(replace(trees.spec, training={}), trees.weights)
        with pytest.raises(
            ModelMismatchError, match=f"of model {trees.sha256[:12]}, not of {other.sha256[:12]}"
        ):
            reconstruct(late, other, start=found)
        with pytest.raises(ModelMismatchError, match=r"make it again .* ds\.msgl\.state"):
            state(late, other, start=found)

    @pytest.mark.parametrize("change", ["fewer", "other ids", "other links", "other order"])
    def test_of_other_reaches(self, before, trees, change):
        found, late = before
        if change == "fewer":
            other = late.isel(fine=slice(2, None))
        elif change == "other order":
            other = late.isel(fine=slice(None, None, -1))
        elif change == "other ids":
            below = late.downstream_fine.values
            other = late.assign_coords(fine=late.fine + 100)
            other["downstream_fine"] = ("fine", np.where(below == 0, 0, below + 100))
        else:
            other = late.assign(downstream_fine=late.downstream_fine.where(late.fine != 1, 5))
        with pytest.raises(ModelMismatchError, match="of other segments, reaches or links"):
            reconstruct(other, trees, start=found)

    def test_of_another_warm_up(self, before, trees):
        found, late = before
        with pytest.raises(ModelMismatchError, match="warmup=default, not warmup=30"):
            reconstruct(late, trees, start=found, warmup=30)

    def test_of_another_version(self, before, trees):
        found, late = before
        with pytest.raises(
            InvalidArgumentError, match=r"version 2 and 120 days; it has version 1 and .*make it again"
        ):
            reconstruct(late, trees, start=found.assign_attrs(xmsgl_state=1))

    def test_a_part_of_it(self, before, trees):
        found, late = before
        with pytest.raises(InvalidArgumentError, match="it has version 2 and 20 days"):
            reconstruct(late, trees, start=found.isel(time=slice(-20, None)))

    def test_another_dataset(self, before, trees):
        _, late = before
        with pytest.raises(InvalidArgumentError, match=r"made by ds\.msgl\.state"):
            reconstruct(late, trees, start=late)

    def test_too_few_drivers(self, river, before, trees):
        """The advice, followed, works; a day less does not."""
        found, late = before
        needed = pd.Timestamp(found.drivers_from)
        days = (pd.Timestamp(MIDDLE) + DAY - needed).days
        for begin in (needed + DAY, pd.Timestamp(MIDDLE) + DAY):
            said = f"of the {days} days before, too; .* on {begin.date()}; .* from {needed.date()} on"
            with pytest.raises(InvalidArgumentError, match=said):
                reconstruct(river.sel(time=slice(begin, None)), trees, start=found)
        assert reconstruct(late, trees, start=found).sizes["time"] > 0

    def test_a_gap(self, river, before, trees):
        found, _ = before
        with pytest.raises(InvalidArgumentError, match=r"lasts until 2003-06-01, .* begins on 2003-06-03"):
            reconstruct(river.sel(time=slice("2003-06-03", None)), trees, start=found)

    def test_no_later_days(self, before, trees):
        found, late = before
        with pytest.raises(
            InvalidArgumentError, match="ends on 2003-06-01; give later days, or an earlier state"
        ):
            reconstruct(late.sel(time=slice(None, MIDDLE)), trees, start=found)

    def test_a_forecast_before_it(self, before, trees):
        found, late = before
        known = late[[FINE]].sel(time=slice(None, "2003-05-30"))
        with pytest.raises(
            InvalidArgumentError, match="observations are used is 2003-05-30; give an earlier"
        ):
            reconstruct(late, trees, start=found, mode="forecast", observed=known)
        with pytest.raises(InvalidArgumentError, match="give an earlier state"):
            state(late, trees, day="2003-05-30", start=found)

    def test_a_day_that_is_not_in_the_dataset(self, river, trees):
        with pytest.raises(
            InvalidArgumentError, match="day 2010-01-01 is not a day of the dataset, which has 2001"
        ):
            state(river, trees, day="2010-01-01")

    @pytest.mark.parametrize(
        ("day", "words"),
        [
            ("2003-06", "must be one day"),
            (np.datetime64("2003-06"), "must be one day"),
            ("01/06/2003", "its day and its month may be confused"),
            ("2003-06-01T12:00", "has a time of day"),
        ],
    )
    def test_what_is_not_one_day(self, river, trees, day, words):
        with pytest.raises(InvalidArgumentError, match=words):
            state(river, trees, day=day)

    def test_no_observations(self, river, trees):
        with pytest.raises(InvalidArgumentError, match="give observed="):
            state(river.drop_vars([FINE, COARSE]), trees, day=MIDDLE)

    def test_a_model_that_reads_later_days(self, river_once, network):
        plain = train(river_once, "msgl", tasks=["coarse", "interpolation"], **QUICK)
        ahead = Model(replace(plain.spec, errors=network.spec.errors), plain.weights)
        with pytest.raises(InvalidArgumentError, match="from later days, too"):
            state(river_once, ahead, day=MIDDLE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.isel(time=slice(None, None, -1)), "its days are not consecutive"),
        (lambda state: state.assign_coords(fine=state.fine + 10_000), "which the dataset does not have"),
        (lambda state: state.drop_vars("error_ungauged"), "it lacks error_ungauged"),
        (lambda state: state.isel(fine=[0]), "it has 1 sensor instead of"),
    ],
)
def test_a_changed_state_is_refused(before, trees, change, said):
    found, late = before
    with pytest.raises(InvalidArgumentError, match=said):
        reconstruct(late, trees, start=change(found))
