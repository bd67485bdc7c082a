from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.mirror import MIRROR
from xmsgl.datasets.delaware_basin.forcing import (
    Stations,
    fit_linear,
    fit_temperature,
    observed_weather,
    predictors,
    read_era5,
    read_stations,
    regressed_weather,
)
from xmsgl.errors import DataUnavailableError


def test_regression_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    known = np.column_stack([np.ones(300), rng.normal(size=(300, 4))])
    target = known @ rng.normal(size=(5, 3)) + rng.normal(size=(300, 3))
    model = linear_model.LinearRegression(fit_intercept=False).fit(known, target)
    np.testing.assert_allclose(fit_linear(known, target), model.coef_.T)


def test_a_gap_of_the_station_is_named():
    days = pd.date_range("2000-01-01", "2000-01-09")
    daily = pd.DataFrame({"high": np.arange(9.0)}, days)
    daily.loc["2000-01-05", "high"] = np.nan
    stations = Stations(daily.drop(pd.Timestamp("2000-01-07")), pd.DataFrame(), np.empty((0, 2)))
    np.testing.assert_array_equal(stations.at("high", days[1:3], 1), [2.0, 3.0])
    with pytest.raises(
        DataUnavailableError,
        match=r"no high on 3 of the days needed: 2000-01-05, 2000-01-07, 2000-01-10; use",
    ):
        stations.at("high", days, 1)


@pytest.fixture(scope="module")
def era5(files):
    return read_era5(files)


@pytest.fixture(scope="module")
def long(era5, hru, segments):
    return regressed_weather(era5, hru, segments.table, "1979-01-01", "2006-12-31")


@pytest.fixture(scope="module")
def stations(files):
    return read_stations(files)


@pytest.fixture(scope="module")
def local(era5, hru, segments, stations):
    return regressed_weather(era5, hru, segments.table, "1979-01-01", "2020-12-31", stations)


def mopex(gauge):
    """Basin means of the National Weather Service, which nothing is fitted to: P (mm), Tmax, Tmin (degC)."""
    path = next((MIRROR / "feng-ecohydro").rglob(f"{gauge}.dly"), None)
    if path is None:
        pytest.skip("the mirror has no MOPEX")
    names = ["year", "month", "day", "rain", "demand", "runoff", "high", "low"]
    table = pd.read_fwf(path, widths=[4, 2, 2, *[10] * 5], header=None, names=names)
    return table.set_index(pd.to_datetime(table[["year", "month", "day"]]))


@pytest.mark.delaware
class TestDelaware:
    def test_observed_forcing(self, hru):
        assert hru.time.equals(pd.date_range("1979-01-01", "1980-12-31"))
        assert hru.borrowed == 40
        for values in (hru.high, hru.low, hru.precipitation, hru.humidity):
            assert values.shape == (731, 456)
            assert np.isfinite(values).all()
        assert 0 < hru.low.mean() < 10 < hru.high.mean() < 20
        assert 2.5 < hru.precipitation.mean() < 4.0

    def test_observed_units_by_hand(self, hru, files, segments):
        import xarray as xr

        with (
            xr.open_dataset(files["tmax"]) as forcing,
            xr.open_dataset(files["hru_parameters"]) as parameters,
            xr.open_dataset(files["channel_parameters"]) as channel,
        ):
            segment = int(channel["nhm_seg"][channel["hru_segment"][0] - 1])
            mine = (channel["nhm_seg"].to_numpy()[channel["hru_segment"] - 1] == segment) & (
                channel["hru_segment"].to_numpy() > 0
            )
            area = parameters["hru_area"].to_numpy()[mine]
            fahrenheit = forcing["tmax"].to_numpy()[100, mine]
        expected = ((fahrenheit - 32) * 5 / 9 * area).sum() / area.sum()
        assert hru.high[100, segments.table.index.get_loc(segment)] == pytest.approx(expected, abs=1e-5)

    def test_era5_units(self, era5):
        assert era5.time[-1] == pd.Timestamp("2025-12-31")
        assert len(era5.time) == 31412
        assert 5 < era5.temperature.mean() < 12
        assert (era5.dew_point < era5.temperature + 1).all()
        assert 2 < era5.precipitation.mean() < 5

    @pytest.mark.parametrize(
        ("extreme", "rmse", "r2"), [("high", 2.52, 0.95), ("low", 2.01, 0.96)], ids=["tmax", "tmin"]
    )
    def test_regression_fitted_on_1979_tested_on_1980(self, era5, hru, extreme, rmse, r2):
        known, truth = predictors(era5, hru.time), getattr(hru, extreme)
        fit = hru.time.year == 1979
        estimate = known[~fit] @ fit_linear(known[fit], truth[fit])
        truth = truth[~fit]
        squares = ((estimate - truth) ** 2).mean(axis=0)
        assert np.median(np.sqrt(squares)) == pytest.approx(rmse, abs=0.005)
        assert np.median(1 - squares / truth.var(axis=0)) == pytest.approx(r2, abs=0.005)

    def test_against_the_driver_of_another_model(self, long, segments):
        xr = pytest.importorskip("xarray")
        pytest.importorskip("zarr")
        store = next((MIRROR / "USGS-R" / "river-dl").rglob("test_data/test_data"), None)
        if store is None:
            pytest.skip("the mirror has no store of river-dl")
        theirs = xr.open_zarr(store)["seg_tave_air"].load()
        ours = pd.DataFrame(long.drivers["air_temperature"], long.time, segments.table.index)
        error = (
            ours.loc[theirs["times_test"].to_index(), theirs["segs_test"].to_index()] - theirs.to_numpy().T
        )
        rmse = np.sqrt((error**2).mean())
        assert rmse.min() == pytest.approx(1.45, abs=0.01)
        assert rmse.max() == pytest.approx(1.57, abs=0.01)

    def test_precipitation_is_as_weak_as_announced(self, long, hru):
        estimate = long.drivers["precipitation"][: len(hru.time)]
        correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(estimate.T, hru.precipitation.T, strict=True)]
        assert min(correlation) == pytest.approx(0.42, abs=0.005)
        assert max(correlation) == pytest.approx(0.74, abs=0.005)
        np.testing.assert_allclose(estimate.sum(axis=0), hru.precipitation.sum(axis=0))

    def test_both_forcings_agree_in_the_mean(self, long, hru, segments):
        observed = observed_weather(hru, segments.table).drivers
        assert set(observed) == set(long.drivers)
        for name, tolerance in (
            ("air_temperature", 0.01),
            ("precipitation", 0.01),
            ("relative_humidity", 0.1),
            ("solar_radiation", 6.0),
            ("potential_evapotranspiration", 0.05),
        ):
            both = long.drivers[name][:731].mean(), observed[name].mean()
            assert both[0] == pytest.approx(both[1], abs=tolerance), name

    def test_bounds(self, long):
        drivers = long.drivers
        assert (drivers["air_temperature_min"] <= drivers["air_temperature"]).all()
        assert (drivers["air_temperature"] <= drivers["air_temperature_max"]).all()
        assert drivers["relative_humidity"].min() > 0
        assert drivers["relative_humidity"].max() <= 100
        assert drivers["solar_radiation"].min() > 0
        assert drivers["potential_evapotranspiration"].max() < 9
        assert all(np.isfinite(values).all() for values in drivers.values())
        assert long.counts["days_with_minimum_above_maximum"] == 0


@pytest.mark.delaware
class TestStations:
    def test_units_of_the_station(self, files, stations):
        """The raw file is in degF and inch, and complete in the years of the dataset."""
        with files["philadelphia"].open(newline="") as file:
            raw = {row["date"]: row for row in csv.DictReader(file)}
        for date in ("1979-10-01", "1999-09-16", "2021-04-08"):
            row, found = raw[date], stations.philadelphia.loc[date]
            assert found["high"] == pytest.approx((float(row["TMAX"]) - 32) / 1.8)
            assert found["low"] == pytest.approx((float(row["TMIN"]) - 32) / 1.8)
            assert found["precipitation"] == pytest.approx(float(row["PRCP"]) * 25.4, rel=1e-6)
        assert float(raw["1999-09-16"]["PRCP"]) > 5.0  # hurricane Floyd, inches
        assert stations.philadelphia["1979":"2021"].notna().all(axis=None)

    def test_gauges_of_prism(self, stations):
        """Near the coordinates of the USGS; the list beside the series has other gauges' coordinates."""
        assert stations.prism.shape == (1461, 20)
        assert stations.prism.notna().all(axis=None)
        place = dict(zip(stations.prism, stations.place.tolist(), strict=True))
        assert place["USGS-01435000"] == pytest.approx([41.89, -74.59], abs=0.001)
        assert place["USGS-01481500"] == pytest.approx([39.7695, -75.5767], abs=0.001)

    @pytest.mark.parametrize("position", [0, 300])
    def test_the_regression_of_one_segment_by_a_plain_loop(
        self, position, era5, hru, stations, segments, local
    ):
        """Rows written one by one and solved by the normal equations."""
        place = segments.table[["lat", "lon"]].to_numpy()[position]
        air = pd.DataFrame(
            {"t": era5.temperature, "dry": era5.temperature - era5.dew_point, "cloud": era5.cloud_cover},
            era5.time,
        )
        one = pd.Timedelta(days=1)

        def known(day):
            angle = 2 * np.pi * day.day_of_year / 365.25
            at = stations.philadelphia.loc
            return [
                *(1.0, air.t[day - one], air.t[day], air.t[day + one], air.dry[day], air.cloud[day]),
                *(np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)),
                *(at[day + k * one, name] for name in ("high", "low") for k in (-1, 0, 1)),
            ]

        none = [0.0] * 16
        rows, values = [], []
        for k, day in enumerate(hru.time):
            rows += [[*known(day), *none, 0.0], [*none, *known(day), 0.0]]
            values += [hru.low[k, position], hru.high[k, position]]
        a, b = np.deg2rad(place), np.deg2rad(stations.place)
        cosine = np.sin(a[0]) * np.sin(b[:, 0]) + np.cos(a[0]) * np.cos(b[:, 0]) * np.cos(a[1] - b[:, 1])
        weight = np.arccos(cosine) ** -2.0
        for day in pd.date_range("2016-10-02", "2018-09-30"):
            before, today = np.array(known(day - one)), np.array(known(day))
            rows.append([*(before + today) / 4, *before / 2, 1.0])
            values.append((stations.prism.loc[day] * weight).sum() / weight.sum())
        matrix = np.array(rows)
        scale = np.abs(matrix).max(axis=0)
        matrix = matrix / scale
        solved = np.linalg.solve(matrix.T @ matrix, matrix.T @ np.array(values)) / scale
        for date in ("1979-01-01", "1999-07-04", "2020-12-31"):
            row, at = np.array(known(pd.Timestamp(date))), local.time.get_loc(date)
            for name, part in (("min", solved[:16]), ("max", solved[16:32])):
                found = local.drivers[f"air_temperature_{name}"][at, position]
                assert found == pytest.approx(row @ part, abs=1e-5)

    def test_air_temperature_against_prism(self, files):
        """At gauges in years left out of the fit; in the south it was 1.68 without the stations."""
        weather = pytest.importorskip("benchmarks.weather")
        table = weather.table(files)
        south, north = (table.loc[part] for part in weather.PARTS)
        assert south["era5, weighted"] == pytest.approx(1.68, abs=0.01)
        assert south["stations, weighted"] == pytest.approx(0.92, abs=0.01)
        assert south["left out, weighted"] <= 0.95
        for way in ("12 UTC", "weighted"):
            assert south[f"left out, {way}"] < south[f"era5, {way}"] - 0.7
            assert north[f"left out, {way}"] < north[f"era5, {way}"]

    def test_the_years_of_the_test_do_not_enter_the_fit(self, era5, hru, segments, stations):
        later = stations.prism.copy()
        later.loc["2018-10-01":] = 1e3
        fits = [
            fit_temperature(era5, hru, segments.table, replace(stations, prism=prism))
            for prism in (stations.prism, later)
        ]
        for one, other in zip(*fits, strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize(
        ("gauge", "lat", "lon", "era5_alone", "with_station"),
        [("01423000", 42.1661, -75.1403, 0.75, 0.75), ("01445500", 40.8306, -74.9786, 0.66, 0.80)],
    )
    def test_precipitation_against_basins_never_fitted(
        self, long, local, segments, gauge, lat, lon, era5_alone, with_station
    ):
        table = segments.table
        near = int(((table["lat"] - lat) ** 2 + (table["lon"] - lon) ** 2).argmin())
        rain = mopex(gauge)["rain"]["1981-01-01":"2003-12-30"]
        found = [
            pd.Series(weather.drivers["precipitation"][:, near], weather.time).corr(rain)
            for weather in (long, local)
        ]
        assert found == pytest.approx([era5_alone, with_station], abs=0.006)

    def test_precipitation_is_as_good_as_announced(self, local, hru):
        estimate = local.drivers["precipitation"][: len(hru.time)]
        correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(estimate.T, hru.precipitation.T, strict=True)]
        assert min(correlation) == pytest.approx(0.63, abs=0.005)
        assert max(correlation) == pytest.approx(0.88, abs=0.005)
        np.testing.assert_allclose(estimate.sum(axis=0), hru.precipitation.sum(axis=0))

    def test_bounds(self, local):
        drivers = local.drivers
        assert (drivers["air_temperature_min"] <= drivers["air_temperature_max"]).all()
        assert drivers["precipitation"].min() >= 0
        assert drivers["precipitation"].max() < 250
        assert drivers["relative_humidity"].max() <= 100
        assert all(np.isfinite(values).all() for values in drivers.values())
        assert local.counts["days_with_minimum_above_maximum"] == 0
