from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from scipy import constants

from xmsgl.schema.units import (
    _CONVERSIONS,
    advice,
    conversion,
    expected_units,
    same_units,
    tidy_units,
)

SPELLINGS = {
    "degC": ["degC", "deg_C", "deg C", "°C", "C", "celsius", "Celsius", "degree_Celsius", "degrees_celsius",
             "degrees Celsius", "degree_C", "degreeC", "DEGC", "degrees C", "℃"],
    "K": ["K", "kelvin", "Kelvin", "degK", "degree_Kelvin"],
    "degF": ["degF", "deg_F", "°F", "F", "fahrenheit", "degrees Fahrenheit"],
    "mm d-1": ["mm d-1", "mm/d", "mm/day", "mm day-1", "mm d^-1", "mm d**-1", "mm per day", "mm d⁻¹",
               "mm.d-1", "millimeters/day", "mm day^-1"],
    "W m-2": ["W m-2", "W/m2", "W/m^2", "W m^-2", "W m**-2", "watts/meter**2", "W m⁻²",
              "Watts per square meter"],
    "m": ["m", "meter", "meters", "metres", "M"],
    "1": ["1", "-", "dimensionless", "m/m", "m m-1", "fraction"],
    "%": ["%", "percent"],
    "km2": ["km2", "km^2", "km**2", "km²", "sq km", "square kilometers", "sq_km"],
    "m3 s-1": ["m3 s-1", "m3/s", "m^3/s", "m³ s⁻¹", "cms"],
    "kg m-2 s-1": ["kg m-2 s-1", "kg/m2/s", "kg m**-2 s**-1", "kg s-1 m-2"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "spelling"), [(unit, spelling) for unit, many in SPELLINGS.items() for spelling in many]
)
def test_spellings(unit, spelling):
    assert tidy_units(spelling) == unit
    assert same_units(unit, spelling)


def test_different_units_are_different():
    units = list(SPELLINGS)
    same = np.array([[same_units(a, b) for a in units] for b in units])
    np.testing.assert_array_equal(same, np.eye(len(units), dtype=bool))


@pytest.mark.parametrize("odd", ["", "???", "°", "none of your business", "3", "m/", "/", "10^6 m3"])
def test_odd_units_do_no_harm(odd):
    assert isinstance(tidy_units(odd), str)
    assert not same_units(odd, "degC")


@pytest.mark.parametrize(
    ("base", "units"),
    [("air_temperature_min", "degC"), ("water_temperature", "degC"), ("dew_point", "degC"), ("length", "m"),
     ("precipitation", "mm d-1"), ("soil_moisture", None)],
)  # fmt: skip
def test_expected_units(base, units):
    assert expected_units(base) == units


@pytest.mark.parametrize(
    ("found", "expected", "value", "converted"),
    [
        ("K", "degC", 300.0, 26.85),
        ("degF", "degC", 212.0, 100.0),
        ("km", "m", 1.5, 1500.0),
        ("ft", "m", 100.0, 30.48),
        ("inch/day", "mm d-1", 2.0, 50.8),
        ("m/hour", "mm d-1", 1e-3, 24.0),
        ("kg m-2 s-1", "mm d-1", 1e-4, 8.64),
        ("m s-1", "mm d-1", 1e-8, 0.864),
        ("MJ m-2 day-1", "W m-2", 8.64, 100.0),
        ("J m-2 d-1", "W m-2", 8.64e6, 100.0),
        ("Langley/day", "W m-2", 100.0, 48.426),  # 1 Ly = 41840 J m-2
        ("hectares", "km2", 250.0, 2.5),
        ("m^2", "km2", 2.5e6, 2.5),
        ("percent", "1", 5.0, 0.05),
        ("cfs", "m3 s-1", 100.0, 2.8316847),
        ("L/s", "m3 s-1", 1500.0, 1.5),
        ("m3/day", "m3 s-1", 86400.0, 1.0),
        ("J m**-2", "W m-2", 8.64e6, 100.0),  # sums of a day, as ERA5's become by resampling
        ("kJ m-2 day-1", "W m-2", 8640.0, 100.0),
        ("MJ/m2", "W m-2", 8.64, 100.0),
        ("MJ m-2 h-1", "W m-2", 0.36, 100.0),
        ("kWh/m2/day", "W m-2", 2.4, 100.0),
        ("kW/m2", "W m-2", 0.1, 100.0),
        ("cal/cm2/day", "W m-2", 100.0, 48.426),
        ("m", "mm d-1", 0.004, 4.0),
        ("kg m-2", "mm d-1", 4.0, 4.0),
        ("cm", "mm d-1", 0.4, 4.0),
        ("yards", "m", 10.0, 9.144),
        ("sqmi", "km2", 1.0, 2.589988),
        ("ft2", "km2", 1e9, 92.90304),
        ("m/km", "1", 4.0, 0.004),
        ("ft/mi", "1", 5.28, 0.001),
        ("degrees", "1", 45.0, 1.0),
    ],
)
def test_advice_runs_and_converts(found, expected, value, converted):
    ds = xr.Dataset({"v_coarse": ("coarse", [value], {"units": found})})
    told = advice("v_coarse", found, expected)
    assert told.startswith("convert: ")
    exec(told.removeprefix("convert: "), {"ds": ds, "np": np})
    assert ds.v_coarse.item() == pytest.approx(converted, rel=1e-5)
    assert ds.v_coarse.attrs["units"] == expected


def test_advice_without_a_known_conversion():
    assert advice("v_coarse", "furlong", "m") == 'convert it, then ds["v_coarse"].attrs["units"] = "m"'


# ------------------------------------------------------------ every row of the table

PAIRS = [pytest.param(*pair, id=" to ".join(pair)) for pair in _CONVERSIONS]
SI = {
    "m": 1.0, "km": constants.kilo, "cm": constants.centi, "mm": constants.milli, "in": constants.inch,
    "ft": constants.foot, "yd": constants.yard, "mi": constants.mile, "ha": constants.hectare,
    "acre": constants.acre, "L": constants.liter, "s": 1.0, "h": constants.hour, "d": constants.day,
    "W": 1.0, "kW": constants.kilo, "J": 1.0, "kJ": constants.kilo, "MJ": constants.mega,
    "Wh": constants.hour, "kWh": constants.kilo * constants.hour,
    "langley": constants.calorie / constants.centi**2, "kg": 1e-3,  # of water, m3
    "%": 0.01, "rad": 1.0, "degree": constants.degree,
}  # fmt: skip


def size(units):
    """One of these units in those of the SI."""
    found = 1.0
    for name, power in re.findall(r"([A-Za-z%]+)(-?\d+)?", units):
        found *= SI[name] ** int(power or 1)
    return found


def by_scipy(value, found, expected):
    if expected == "degC":
        scale = {"degF": "Fahrenheit", "K": "Kelvin"}[found]
        return constants.convert_temperature(value, scale, "Celsius")
    if found == "degree":
        return np.sin(value * constants.degree) / np.cos(value * constants.degree)
    day = 1.0 if re.search(r"(d|h|s)-1|W", found) or not re.search(r"d-1|W", expected) else constants.day
    return value * size(found) / day / size(expected)


@pytest.mark.parametrize(("found", "expected"), PAIRS)
def test_every_conversion_is_that_of_scipy(found, expected):
    assert tidy_units(found) == found, "it would never be looked up"
    assert tidy_units(expected) == expected
    values = np.array([0.25, 3.0, 37.5])
    told = conversion(found, expected)
    np.testing.assert_allclose(told.apply(values), by_scipy(values, found, expected), rtol=1e-12)


@pytest.mark.parametrize(("found", "expected"), PAIRS)
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_the_text_of_a_conversion_does_what_its_function_does(found, expected, dtype):
    values = np.array([1, 20, 45], dtype=dtype)
    told = conversion(found, expected)
    text = eval(told.formula.format("values"), {"np": np, "values": values})
    np.testing.assert_allclose(told.apply(values), text, rtol=1e-12)
    np.testing.assert_allclose(text, told.apply(values.astype(float)), rtol=1e-6)


@pytest.mark.parametrize(
    ("found", "expected", "factor"),
    [  # as NIST SP 811 and ISO 31 print them
        ("acre", "km2", 4.0468564224e-3),
        ("sqmi", "km2", 2.589988110336),
        ("cfs", "m3 s-1", 0.028316846592),
        ("ly/day", "W m-2", 0.484259259259259),
        ("miles", "m", 1609.344),
    ],
)
def test_factors_have_all_their_digits(found, expected, factor):
    assert conversion(found, expected).apply(1.0) == pytest.approx(factor, rel=1e-14)
    assert f"* {factor!r})" in advice("v_fine", found, expected)


def test_the_same_units_need_no_conversion():
    values = object()
    assert conversion("mm/day", "mm d-1").apply(values) is values
    assert conversion("furlong", "m") is None
