"""Thermal indices, against plain loops over pandas, and xclim where it is installed."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.bad_settings import EnoughError
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate import indices


@pytest.fixture(scope="module")
def daily():
    rng = np.random.default_rng(0)
    days = pd.date_range("2000-03-01", "2003-12-31")
    doy = days.day_of_year.to_numpy()
    cycle = np.stack([12 - 9 * np.cos(2 * np.pi * (doy - lag) / 365.25) for lag in (20, 45, 300)], axis=1)
    values = cycle + rng.normal(0, 2, cycle.shape)
    values[rng.random(values.shape) < 0.03] = np.nan
    values[500:620, 1] = np.nan
    coords = {"time": days, "fine": [5, 6, 7]}
    return xr.DataArray(values, coords, ("time", "fine"), attrs={"units": "degC"})


def loop(series, thresholds=(18.0, 20.0, 22.0), base=0.0, min_days=330):
    """Indices of one reach by year, one day after the other."""
    found = {}
    for year in sorted(set(series.index.year)):
        values = series[series.index.year == year].dropna()
        if len(values) < min_days:
            continue
        weeks = []
        for day in values.index:
            week = [series.get(day - pd.Timedelta(days=back), np.nan) for back in range(7)]
            if not np.isnan(week).any():
                weeks.append(sum(week) / 7)
        above = [sum(value > threshold for value in values) for threshold in thresholds]
        found[year] = (len(values), max(weeks), above, sum(max(value - base, 0.0) for value in values))
    return found


@pytest.mark.parametrize("gaps", [False, True], ids=["nan", "days absent"])
def test_indices_are_those_of_a_plain_loop(daily, gaps):
    given = daily.isel(time=np.r_[0:700, 730:1401])[::-1] if gaps else daily
    result = indices(given, base=4.0)
    for reach in (5, 6, 7):
        known = loop(given.sel(fine=reach).to_series().sort_index(), base=4.0)
        enough = result.max_7day_mean.sel(fine=reach).dropna("year").year.values.tolist()
        assert enough == list(known)
        for year, (n, week, above, degrees) in known.items():
            one = result.sel(fine=reach, year=year)
            assert one.n == n
            np.testing.assert_allclose(one.max_7day_mean, week, rtol=1e-12)
            np.testing.assert_array_equal(one.days_above, above)
            np.testing.assert_allclose(one.degree_days, degrees, rtol=1e-12)
    assert result.degree_days.isnull().any()  # years with too few days


def test_the_annual_cycle_is_that_of_least_squares(daily):
    result = indices(daily)
    for reach in (5, 6, 7):
        series = daily.sel(fine=reach).to_series().dropna()
        angle = 2 * np.pi * series.index.day_of_year.to_numpy() / 365.25
        terms = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)
        _, a, b = np.linalg.lstsq(terms, series.to_numpy(), rcond=None)[0]
        np.testing.assert_allclose(result.amplitude.sel(fine=reach), np.hypot(a, b), rtol=1e-10)
        np.testing.assert_allclose(
            result.phase.sel(fine=reach), np.arctan2(b, a) * 365.25 / (2 * np.pi) % 365.25, rtol=1e-10
        )
    np.testing.assert_allclose(result.phase, [202.6, 227.6, 117.4], atol=1.5)
    assert np.isnan(indices(daily.sel(time=daily.time.dt.month != 2)).amplitude).all()


def test_indices_are_those_of_xclim(daily):
    xclim = pytest.importorskip("xclim")
    full = daily.fillna(9.0).sel(time=slice("2001", None))
    result, air = indices(full, thresholds=[18.0]), full.assign_attrs(units="degC")
    days = xclim.indices.tx_days_above(air, "18 degC", freq="YS")
    degrees = xclim.indices.growing_degree_days(air, "0 degC", freq="YS")
    np.testing.assert_array_equal(result.days_above.isel(threshold=0), days)
    np.testing.assert_allclose(result.degree_days, degrees, rtol=1e-6)


def test_lazy_indices_are_the_same_and_computed_late(daily):
    lazy = indices(daily.chunk(time=300, fine=2))
    assert all(lazy[name].chunks for name in lazy.data_vars)
    xr.testing.assert_allclose(lazy.compute(), indices(daily))


def test_whole_numbers_are_temperatures(daily):
    whole = daily.fillna(9.0).round().astype(int)
    xr.testing.assert_equal(indices(whole), indices(whole.astype(float)))


def test_errors_are_those_on_observed_days(daily):
    rng = np.random.default_rng(1)
    prediction = daily.fillna(30.0) + rng.normal(0.3, 0.5, daily.shape)
    errors = indices(prediction, daily, thresholds=[20.0])
    for reach in (5, 6, 7):
        theirs = daily.sel(fine=reach).to_series()
        mine = prediction.sel(fine=reach).to_series().where(theirs.notna())
        pairs = zip(loop(mine, [20.0]).items(), loop(theirs, [20.0]).values(), strict=True)
        for (year, (_, week, above, degrees)), (n, week_of, above_of, degrees_of) in pairs:
            one = errors.sel(fine=reach, year=year)
            np.testing.assert_allclose(one.max_7day_mean, week - week_of, atol=1e-10)
            np.testing.assert_array_equal(one.days_above, np.subtract(above, above_of))
            np.testing.assert_allclose(one.degree_days, degrees - degrees_of, atol=1e-8)
            assert one.n == n


def test_the_error_of_the_phase_is_the_short_way_round():
    days = pd.date_range("2001-01-01", "2004-12-31")
    cycles = [
        xr.DataArray(10 + 10 * np.cos(2 * np.pi * (days.day_of_year - peak) / 365.25), {"time": days}, "time")
        for peak in (5, 360)
    ]
    np.testing.assert_allclose(indices(*cycles).phase, 10.25, atol=1e-6)


def test_a_prediction_that_lacks_an_observed_day_has_no_error(daily):
    prediction = daily.fillna(9.0).copy()
    day = daily.sel(fine=5, time="2001").dropna("time").time[0]
    prediction.loc[{"time": day, "fine": 5}] = np.nan
    errors = indices(prediction, daily)
    assert np.isnan(errors.degree_days.sel(year=2001, fine=5))
    assert np.isfinite(errors.degree_days.sel(year=2002, fine=5))
    assert np.isnan(errors.amplitude.sel(fine=5))


def test_further_dimensions_and_attributes(daily):
    members = xr.concat([daily, daily + 1], "member")
    result = indices(members)
    assert result.max_7day_mean.dims == ("member", "year", "fine")
    for array in (*result.data_vars.values(), *indices(members, daily).data_vars.values()):
        assert array.attrs["units"] in ("degC", "d", "degC d", "1")
        assert array.attrs["long_name"]
        assert array.attrs["cell_methods"].startswith("time: ")
    assert result.threshold.attrs["units"] == "degC"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda t: (t + 273.15).assign_attrs(units="K"), "convert: temperature = ", id="kelvin"),
        pytest.param(lambda t: (t + 273.15).drop_attrs(), "probably kelvin; convert: temp", id="no-units"),
        pytest.param(lambda t: t.where(t.fine > 5, np.inf), "values from .* to inf degC", id="infinite"),
        pytest.param(lambda t: t.isel(time=0), "'time'", id="no-time"),
        pytest.param(lambda t: t.isel(time=[0, 0, 1]), "duplicates", id="duplicates"),
        pytest.param(lambda t: t.isel(time=slice(None, None, 7)), "not daily", id="weekly"),
    ],
)
def test_invalid_temperatures_are_refused(daily, change, message):
    impossible = "kelvin;" in message or "inf" in message
    with pytest.raises(InvalidDatasetError if impossible else InvalidArgumentError, match=message):
        indices(change(daily))


def test_observations_along_other_reaches_are_refused(daily):
    with pytest.raises(InvalidArgumentError, match="observed has the dimension coarse, which"):
        indices(daily, daily.rename(fine="coarse"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda t: t.sel(time="2001"), "no label in common along 'time'", id="days"),
        pytest.param(
            lambda t: t.assign_coords(fine=["5", "6", "7"]), "no label .* along 'fine'", id="text-ids"
        ),
        pytest.param(lambda t: t.drop_vars("fine"), "observed has no labels along 'fine'", id="no-ids"),
        pytest.param(lambda t: xr.concat([t, t], "time"), "'time' more than once: 2000", id="twice"),
        pytest.param(lambda t: t.fillna(-9999.0), "outside -5 to 45 degC: .*-9999", id="fill"),
        pytest.param(lambda t: (t + 273.15).drop_attrs(), "outside -5 to 45 degC", id="kelvin"),
    ],
)
def test_observations_that_do_not_fit_are_refused(daily, change, message):
    kind = InvalidDatasetError if message.startswith("outside") else InvalidArgumentError
    with pytest.raises(kind, match=message):
        indices(daily.sel(time="2000"), change(daily))


def _never(*args, **options):
    raise EnoughError


def test_lazy_values_are_read_and_checked_once_they_are_needed(daily):
    with dask.config.set(scheduler=_never):
        found = indices(daily.chunk(time=90), daily.chunk(time=90))
        wrong = indices((daily + 273.15).drop_attrs().chunk(time=90))
    assert float(found.max_7day_mean.max()) == 0
    with pytest.raises(InvalidDatasetError, match="probably kelvin"):
        wrong.compute()
