"""The random weather has the climate of a humid temperate basin."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.simulate import Weather, random_weather
from xmsgl.simulate.fao56 import WATTS, extraterrestrial_radiation
from xmsgl.simulate.weather import LAPSE_RATE

DAY = np.tile(np.arange(1, 366), 20)
ELEVATION = np.array([0.0, 0.0, 500.0, 1000.0])
PLACE = np.array([[0.0, 0.0], [3.0, 0.0], [60.0, 0.0], [0.0, 90.0]])


@pytest.fixture(scope="module")
def weather() -> Weather:
    return random_weather(DAY, elevation=ELEVATION, place=PLACE, rng=np.random.default_rng(0))


def test_mean_amplitude_and_lapse_rate(weather: Weather) -> None:
    mean = weather.air_temperature.mean(axis=0)
    assert mean[0] == pytest.approx(11.5, abs=0.6)
    assert mean[3] - mean[0] == pytest.approx(1000 * LAPSE_RATE, abs=0.3)
    by_day = weather.air_temperature[:, 0].reshape(20, 365).mean(axis=0)
    wave = 2 * np.abs((by_day * np.exp(-2j * np.pi * np.arange(365) / 365)).mean())
    assert wave == pytest.approx(12.5, abs=1.0)


def test_days_remember_and_neighbours_agree(weather: Weather) -> None:
    season = weather.air_temperature.reshape(20, 365, 4).mean(axis=0)
    anomaly = (weather.air_temperature.reshape(20, 365, 4) - season).reshape(-1, 4)
    near, far = np.corrcoef(anomaly.T)[0, [1, 3]]
    assert np.corrcoef(anomaly[1:, 0], anomaly[:-1, 0])[0, 1] == pytest.approx(0.72, abs=0.06)
    assert near > 0.98 > far > 0.8


def test_every_variable_is_in_its_range(weather: Weather) -> None:
    assert all(np.isfinite(values).all() for values in weather)
    assert (weather.air_temperature_min < weather.air_temperature).all()
    assert (weather.air_temperature < weather.air_temperature_max).all()
    np.testing.assert_allclose(
        weather.air_temperature, 0.5 * (weather.air_temperature_min + weather.air_temperature_max)
    )
    assert weather.air_temperature.min() > -45
    assert (weather.precipitation >= 0).all()
    assert (weather.potential_evapotranspiration >= 0).all()
    assert ((weather.relative_humidity >= 5) & (weather.relative_humidity <= 100)).all()
    assert ((weather.cloud_cover >= 0) & (weather.cloud_cover <= 1)).all()
    top = WATTS * extraterrestrial_radiation(DAY, 41.0)[:, None]
    assert (
        (weather.solar_radiation > 0) & (weather.solar_radiation <= 0.7501 * top)
    ).all()  # constants differ


def test_a_humid_temperate_climate(weather: Weather) -> None:
    assert 900 < 365.25 * weather.precipitation[:, 0].mean() < 1400
    assert 0.25 < (weather.precipitation[:, 0] > 0).mean() < 0.45
    assert 500 < 365.25 * weather.potential_evapotranspiration[:, 0].mean() < 1300
    assert 130 < weather.solar_radiation.mean() < 200
    assert 60 < weather.relative_humidity.mean() < 80


def test_wet_spells_last(weather: Weather) -> None:
    wet = weather.precipitation[:, 0] > 0
    assert wet[1:][wet[:-1]].mean() == pytest.approx(0.50, abs=0.03)
    assert wet[1:][~wet[:-1]].mean() == pytest.approx(0.27, abs=0.02)


def test_rain_dims_the_sun(weather: Weather) -> None:
    clear = weather.solar_radiation[:, 0] / WATTS * extraterrestrial_radiation(DAY, 41.0)
    wet = weather.precipitation[:, 0] > 0
    assert clear[wet].mean() < clear[~wet].mean() - 0.1


def test_radiation_of_the_textbook() -> None:
    """FAO 56, annex 2, table 2.6 (MJ m-2 d-1): 40 degrees north, 15th of each month."""
    day = np.array([15, 105, 196, 288])
    table = np.array([15.0, 34.7, 40.6, 23.1]) / 0.0864
    np.testing.assert_allclose(WATTS * extraterrestrial_radiation(day, 40.0), table, rtol=0.03)
