from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.mirror import MIRROR
from xmsgl.datasets.delaware_basin.forcing import (
    era5_predictors,
    era5_weather,
    fit_temperature,
    observed_weather,
    read_era5,
)


def test_regression_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    predictors = np.column_stack([np.ones(300), rng.normal(size=(300, 4))])
    target = predictors @ rng.normal(size=(5, 3)) + rng.normal(size=(300, 3))
    model = linear_model.LinearRegression(fit_intercept=False).fit(predictors, target)
    np.testing.assert_allclose(fit_temperature(predictors, target), model.coef_.T)


@pytest.fixture(scope="module")
def era5(files):
    return read_era5(files)


@pytest.fixture(scope="module")
def long(era5, hru, segments):
    return era5_weather(era5, hru, segments.table, "1979-01-01", "2006-12-31")


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
        predictors, truth = era5_predictors(era5, hru.time), getattr(hru, extreme)
        fit = hru.time.year == 1979
        estimate = predictors[~fit] @ fit_temperature(predictors[fit], truth[fit])
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
