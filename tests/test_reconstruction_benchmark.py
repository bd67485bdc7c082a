"""The benchmark of reconstruction: what is hidden is not used, and it is what the accessor returns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from benchmarks import reconstruction
from benchmarks.reconstruction import (
    Basin,
    _scores,
    by_distance,
    hidden_of,
    normal_crps,
    predict,
    prepare,
    reconstructed,
    with_weather_forecast,
    without_model,
)
from xmsgl.benchmark.given import damped_persistence, same_day
from xmsgl.benchmark.sources import SOURCES, Source, late_years
from xmsgl.evaluate import mask_labels
from xmsgl.reconstruct import fit, reconstruct
from xmsgl.reconstruct.river import River
from xmsgl.reconstruct.run import accompanied
from xmsgl.training.train import train

DAYS = 300  # from which the years are those of the test


@pytest.fixture(scope="module")
def basin(river_once, small_fits):
    learned = mask_labels(river_once, segments=river_once.coarse.values[[2]])  # the others have gauges
    model = train(learned, "trees", validation="folds:2", iterations=8, progress=False)
    rng = np.random.default_rng(0)
    fine = np.full((river_once.sizes["time"], 12), np.nan, np.float32)
    fine[:, [1, 4, 7, 9, 11]] = rng.normal(10, 3, (len(fine), 5))
    coarse = np.full((len(fine), 5), np.nan, np.float32)
    mean, own = predict(river_once, model)
    test = np.arange(len(fine)) >= DAYS
    # Four segments are too few for an interval of 90 %.
    river = River.of(river_once)
    return Basin(
        river,
        fine,
        coarse,
        mean,
        own,
        test,
        model,
        model.spec.errors,
        river_once.indexes["time"],
        accompanied(river_once, river, model.spec.errors),
        interval=(0.4, 0.6),
    )


def with_marks(basin, hidden, segment_hidden):
    """The same basin with other observations where they are hidden, at both scales."""
    fine = np.where(hidden & np.isfinite(basin.fine), basin.fine + 50, basin.fine)
    coarse = np.where(segment_hidden, 99.0, basin.coarse)
    return replace(basin, fine=fine.astype(np.float32), coarse=coarse.astype(np.float32))


@pytest.fixture
def prepared(monkeypatch, tmp_path):
    """Train the benchmark's model of a case on a small river in place of the Delaware."""
    trees = {"validation": "folds:2", "iterations": 8, "min_samples_leaf": 20, "features": ["default"]}
    monkeypatch.setattr(reconstruction, "SETTINGS", trees)
    monkeypatch.setattr(fit, "_SAMPLE", 200)
    monkeypatch.setattr(fit, "_STEPS", 1)

    def of(case, ds, name):
        monkeypatch.setitem(SOURCES, "delaware", Source(lambda: ds, late_years))
        monkeypatch.setattr(reconstruction, "open_source", lambda *_, **__: ds)
        (tmp_path / name).mkdir()
        return prepare(case, tmp_path / name)

    return of


def warmer(ds, segments, days):
    """The same river with observations 15 degC warmer at segments and days, boolean, at both scales."""
    fine = xr.DataArray(days[:, None] & segments[River.of(ds).segment], dims=("time", "fine"))
    coarse = xr.DataArray(days[:, None] & segments, dims=("time", "coarse"))
    new = {f"water_temperature_{scale}": where for scale, where in (("fine", fine), ("coarse", coarse))}
    return ds.assign({name: ds[name].where(~where, ds[name] + 15) for name, where in new.items()})


@pytest.mark.parametrize("case", ["spatial-0", "gaps-30"])
def test_training_does_not_see_what_is_scored(prepared, river_once, case):
    one = prepared(case, river_once, "one")
    days, segments = np.ones(len(one.fine), np.bool_), np.ones(5, np.bool_)
    if case == "spatial-0":
        segments = np.isin(np.arange(5), one.river.segment[one.test])
    else:
        days = one.test
    assert 0 < segments.mean() * days.mean() < 1
    other = prepared(case, warmer(river_once, segments, days), "other")
    assert np.nanmax(other.fine - one.fine) == pytest.approx(15, abs=1e-3)
    np.testing.assert_array_equal(one.predicted, other.predicted)
    np.testing.assert_array_equal(one.own, other.own)
    assert one.model.spec.errors == other.model.spec.errors


def test_ungauged_is_predicted_without_its_own_record(prepared, river_once):
    one = prepared("ungauged-50", river_once, "one")
    segments = np.arange(5) == 3
    other = prepared("ungauged-50", warmer(river_once, segments, np.ones(len(one.fine), np.bool_)), "other")
    own = one.river.segment == 3
    np.testing.assert_array_equal(one.predicted[:, own], other.predicted[:, own])
    assert np.abs(other.predicted - one.predicted)[:, ~own].max() > 1


@pytest.mark.parametrize("case", ["spatial-0", "gaps-30", "sensors-50", "ungauged-50"])
def test_hidden_observations_change_nothing(basin, case):
    if case == "spatial-0":
        basin = replace(basin, test=np.isin(np.arange(12), [3, 4, 9]))
    reports, scored = hidden_of(case, basin)
    day, reach = np.nonzero(scored)
    assert day.size > 20
    until = np.full(day.size, len(scored) - 1)
    found = []
    for own in (basin, with_marks(basin, ~reports[:, basin.river.segment], ~reports)):
        errors = own.errors(reports)
        rules = [*same_day(errors, own.river, reach, day).values()]
        if case == "gaps-30":
            last = errors, own.river, reach, day, day, ~own.test
            rules += [damped_persistence(*last, both=both) for both in (False, True)]
        found.append([*reconstructed(own, reports, reach, day, until), *rules])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_forecast_sees_nothing_after_its_issue(basin):
    reports, scored = hidden_of("forecast-3", basin)
    day, reach = (each[::10] for each in np.nonzero(scored))
    assert ((day - 3) % 7 == 0).all()
    for d, r in zip(day, reach, strict=True):
        late = np.zeros_like(scored)
        late[d - 2 :] = True
        asked = np.array([r]), np.array([d]), np.array([d - 3])
        found = []
        for own in (basin, with_marks(basin, late, np.zeros_like(reports))):
            rule = damped_persistence(own.errors(reports), own.river, *asked, ~own.test)
            found.append([*reconstructed(own, reports, *asked), rule])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("lead", [1, 7])
def test_a_forecast_is_issued_in_the_record(basin, lead):
    _, scored = hidden_of(f"forecast-{lead}", replace(basin, test=np.ones(len(basin.fine), np.bool_)))
    days = np.flatnonzero(scored.any(axis=1))
    np.testing.assert_array_equal(days, np.arange(0, len(scored) - lead, 7) + lead)


@pytest.mark.parametrize("mode", ["smooth", "filter"])
def test_it_is_what_the_accessor_returns(basin, river_once, mode):
    basin = replace(basin, test=np.isin(np.arange(12), [3, 4, 9]))
    reports, scored = hidden_of("spatial-0", basin)
    day, reach = np.nonzero(scored)
    until = np.full(day.size, len(scored) - 1) if mode == "smooth" else day
    mean, _, bounds = reconstructed(basin, reports, reach, day, until)
    fine = np.where(reports[:, basin.river.segment], basin.fine, np.nan)
    observed = xr.DataArray(fine, {"time": river_once.time, "fine": river_once.fine}, ("time", "fine"))
    found = reconstruct(river_once, basin.model, observed=observed, mode=mode)
    expected = basin.predicted[day, reach] + np.array([mean, *bounds])
    np.testing.assert_allclose(np.maximum(expected[0], 0), found.values[day, reach], atol=1e-4)
    between = reconstruct(river_once, basin.model, observed=observed, mode=mode, quantiles=[0.4, 0.6])
    np.testing.assert_allclose(np.maximum(expected[1:], 0), between.values[:, day, reach], atol=1e-4)


def test_a_score_by_hand():
    """Two reaches with 30 days of 1 and 3 degC, and one with a single day of 5 degC."""
    error, reach = np.repeat([1.0, -3.0, 5.0], [30, 30, 1]), np.repeat([0, 5, 9], [30, 30, 1])
    assert _scores(error, reach) == {"rmse": 2.3082, "median": 2.0, "n": 61}  # root of (30 + 270 + 25) / 61


def test_the_mean_of_the_day_of_the_year(basin, monkeypatch):
    """Against a plain loop; the days of the test are not used."""
    monkeypatch.setattr(fit, "_SAMPLE", 200)
    monkeypatch.setattr(fit, "_STEPS", 1)
    coarse = np.full_like(basin.coarse, np.nan)
    coarse[:, :4] = np.random.default_rng(2).normal(10, 5, (len(coarse), 4))
    own = replace(basin, coarse=coarse)
    found = without_model(own)
    day = np.minimum(own.time.day_of_year.to_numpy(), 365)
    for t in (0, 100, DAYS + 10):
        near = [k for k in range(DAYS) if min((day[k] - day[t]) % 365, (day[t] - day[k]) % 365) <= 15]
        means = [coarse[[k for k in near if day[k] == d]][:, :4].mean() for d in {day[k] for k in near}]
        np.testing.assert_allclose(found.predicted[t], np.mean(means), rtol=1e-5)
    late = np.where(own.test[:, None], coarse + 50, coarse).astype(np.float32)
    other = without_model(replace(own, coarse=late, fine=np.where(own.test[:, None], 99, own.fine)))
    assert other.covariances == found.covariances
    np.testing.assert_array_equal(other.predicted, found.predicted)


def test_the_crps_is_the_integral_of_its_definition():
    from scipy.stats import norm

    values = np.linspace(-40, 40, 160_001)
    for error, deviation in ((0.3, 1.2), (-2.5, 0.7), (0.0, 3.0)):
        squared = (norm.cdf(values / deviation) - (values >= error)) ** 2
        assert normal_crps(error, deviation) == pytest.approx(np.trapezoid(squared, values), abs=1e-3)


def test_every_distance_is_in_one_group():
    groups = by_distance(np.array([0.0, 4999.0, 5000.0, 1e5, np.inf]))
    assert groups.pop("all").all()
    assert np.sum(list(groups.values()), axis=0).tolist() == [1, 1, 1, 1, 0]


def test_a_forecast_of_the_weather_grows_worse(river_once, basin, monkeypatch):
    issues = np.array([500, 640])
    weeks = np.add.outer(issues + 1, np.arange(7))
    monkeypatch.setattr(reconstruction, "AIR_ERROR", (0.0,) * 7)
    perfect = with_weather_forecast(river_once, basin.model, issues)
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(perfect).all(axis=1)), weeks.ravel())
    np.testing.assert_allclose(perfect[weeks], basin.predicted[weeks], atol=1e-4)
    monkeypatch.setattr(reconstruction, "AIR_ERROR", (0.0,) * 3 + (3.0,) * 4)
    late = with_weather_forecast(river_once, basin.model, issues)
    np.testing.assert_allclose(late[weeks[:, :3]], basin.predicted[weeks[:, :3]], atol=1e-4)
    assert (np.abs(late[weeks[:, 3:]] - basin.predicted[weeks[:, 3:]]).mean(axis=-1) > 0.01).all()


def test_a_forecast_of_the_weather_needs_a_whole_week(prepared, river_once):
    """Of the issues 735, 763 and 791, the last has two days left."""
    one = prepared("weather-1", river_once.isel(time=slice(794)), "one")
    days = np.flatnonzero(np.isfinite(one.forecast).all(axis=1))
    np.testing.assert_array_equal(days, [*range(736, 743), *range(764, 771)])
