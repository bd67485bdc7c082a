from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmsgl.simulate import fao56 as weather

celsius = st.floats(-40.0, 45.0)


@pytest.mark.parametrize(
    ("day", "lat", "expected"),
    [
        pytest.param(246, -20.0, 32.2, id="FAO-56 example 8"),
        pytest.param(105, 13 + 44 / 60, 38.06, id="FAO-56 example 17"),
        pytest.param(187, 50.8, 41.09, id="FAO-56 example 18"),
    ],
)
def test_extraterrestrial_radiation(day, lat, expected):
    assert float(weather.extraterrestrial_radiation(day, lat)) == pytest.approx(expected, abs=0.06)


def test_extraterrestrial_radiation_in_the_polar_night_and_day():
    assert float(weather.extraterrestrial_radiation(355, 80.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(weather.extraterrestrial_radiation(172, 80.0)) > 40.0


def test_clear_sky_radiation():  # FAO-56 example 18
    assert float(weather.clear_sky_radiation(41.09, 100.0)) == pytest.approx(30.90, abs=0.01)


@pytest.mark.parametrize(
    ("cover", "factor"), [(0.0, 1.0), (0.5, 1 - 0.75 * 0.5**3.4), (1.0, 0.25), (1.2, 0.25), (-0.1, 1.0)]
)
def test_cloud_factor(cover, factor):
    assert float(weather.cloud_factor(cover)) == pytest.approx(factor)


def test_diurnal_radiation():  # FAO-56 example 15
    assert float(weather.diurnal_radiation(40.6, 200.0, 14.8, 26.6)) == pytest.approx(22.3, abs=0.05)


@given(low=celsius, spread=st.floats(0.0, 40.0), top=st.floats(0.0, 45.0))
def test_diurnal_radiation_never_exceeds_a_clear_sky(low, spread, top):
    value = weather.diurnal_radiation(top, 300.0, low, low + spread)
    assert 0.0 <= value <= weather.clear_sky_radiation(top, 300.0) + 1e-9


def test_hargreaves():  # FAO-56 example 20; Ra of example 15
    assert float(weather.hargreaves_evapotranspiration(14.8, 26.6, 40.6)) == pytest.approx(5.0, abs=0.05)


def test_hargreaves_is_never_negative():
    assert float(weather.hargreaves_evapotranspiration(-35.0, -20.0, 20.0)) == 0.0


@pytest.mark.parametrize(("temperature", "expected"), [(24.5, 3.075), (15.0, 1.705), (0.0, 0.6108)])
def test_saturation_vapour_pressure(temperature, expected):  # FAO-56 example 3
    assert float(weather.saturation_vapour_pressure(temperature)) == pytest.approx(expected, abs=5e-4)


@given(temperature=celsius, depression=st.floats(-2.0, 40.0))
def test_relative_humidity(temperature, depression):
    value = float(weather.relative_humidity(temperature, temperature - depression))
    assert 0.0 < value <= 100.0
    if depression <= 0.0:
        assert value == 100.0


def test_relative_humidity_halves_with_the_vapour_pressure():
    temperatures = np.linspace(-20.0, 40.0, 4001)
    pressure = weather.saturation_vapour_pressure(temperatures)
    dew_point = np.interp(0.5 * weather.saturation_vapour_pressure(30.0), pressure, temperatures)
    assert float(weather.relative_humidity(30.0, dew_point)) == pytest.approx(50.0, abs=1e-3)
