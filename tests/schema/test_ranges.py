"""Ranges hold what real rivers have, and refuse what files hold by mistake."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from xmsgl.schema.ranges import fill_like, likely_cause, physical_range
from xmsgl.schema.units import conversion, expected_units

# quantity: extremes that were measured, in the units of the convention
RECORDS = {
    "air_temperature": [-62.0, 47.0],
    "air_temperature_min": [-67.7, 43.0],  # Oymyakon 1933; Khasab 2017
    "air_temperature_max": [-62.0, 56.7],  # Death Valley 1913
    "dew_point": [-85.0, 35.0],
    "water_temperature": [-1.9, 41.0],
    "simulated_temperature": [0.0, 38.0],
    "precipitation": [0.0, 1825.0],
    "potential_evapotranspiration": [-0.4, 22.0],
    "solar_radiation": [-3.0, 800.0],
    "relative_humidity": [0.4, 105.0],
    "slope": [0.0, 1.8],
    "elevation": [-430.0, 8849.0],
    "width": [0.1, 220e3],
    "length": [1.6, 6.6e6],
    "drainage_area": [0.0009, 6.9e6],
    "stream_order": [1.0, 12.0],
    "discharge": [-5e4, 3.7e5],
    "lat": [-55.0, 82.0],
    "lon": [-179.9, 359.9],
}


@pytest.mark.parametrize("base", RECORDS)
def test_records_are_inside(base):
    low, high = physical_range(base)
    assert low <= min(RECORDS[base])
    assert max(RECORDS[base]) <= high


@pytest.mark.parametrize("base", sorted(set(RECORDS) - {"stream_order", "discharge", "width", "lon"}))
@pytest.mark.parametrize("fill", [-9999.0, -9998.0, -999.0, 1e20, 1e30, 9.96921e36])
def test_fill_values_are_outside(base, fill):
    low, high = physical_range(base)
    assert not low <= fill <= high
    assert likely_cause(base, min(fill, 1.0), max(fill, 1.0), 1.0).what == "fill values"


def test_the_documented_table_is_that_of_the_code():
    page = (Path(__file__).parents[2] / "docs" / "data-model.md").read_text(encoding="utf-8")
    table = page.split("### Physical ranges")[1].split("## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == 16
    for names, low, high, units in rows:
        limits = tuple(
            float(end.replace(",", "").replace("above", "").replace("\N{MINUS SIGN}", "-"))
            for end in (low, high)
        )
        for base in re.findall(r"`(\w+)\*?`", names):
            assert physical_range(base) == limits, base
            assert units.strip(" `") in {expected_units(base), "degrees"}


def test_other_names_have_no_range():
    assert physical_range("soil_moisture") is None
    assert likely_cause("soil_moisture", -200.0, 5000.0, 10.0) is None
    assert likely_cause("soil_moisture", -9999.0, 0.4, 0.2).what == "fill values"


def test_fill_values_in_single_precision():
    values = np.array([-9999.9, -999.9, 1e20, -9998, 4.0], dtype=np.float32)
    assert fill_like(values).tolist() == [True, True, True, True, False]
    assert not fill_like([np.nan, np.inf, -998.0, 9999.0]).any()


# a temperate year and a desert summer: (quantity, least, greatest, median), right as they are
RIGHT = [
    ("air_temperature_coarse", -25.0, 32.0, 10.7),
    ("air_temperature_coarse", 30.0, 46.0, 42.5),  # Death Valley, July 2018
    ("air_temperature_max_coarse", 40.0, 54.0, 49.0),
    ("water_temperature_fine", 29.0, 35.0, 33.0),
    ("water_temperature_fine", 2.3, 39.0, 37.4),  # in degF water would be ice
    ("relative_humidity_coarse", 2.0, 60.0, 20.0),
    ("length_fine", 1.6, 18e3, 860.0),
    ("length_coarse", 47.0, 36e3, 8560.0),
    ("slope_coarse", 2e-6, 0.19, 0.0018),
    ("slope_fine", 0.05, 1.2, 0.3),  # torrents
    ("elevation_fine", 100.0, 8800.0, 5500.0),
    ("drainage_area_fine", 0.1, 6.9e6, 100.0),
]


@pytest.mark.parametrize("extent", RIGHT, ids=[f"{row[0]}-{row[3]:g}" for row in RIGHT])
def test_what_is_right_has_no_cause(extent):
    assert likely_cause(*extent) is None


# the same quantities in units they are often delivered in
WRONG = [
    ("air_temperature_coarse", 248.0, 305.0, 284.0, "K"),
    ("water_temperature_fine", 273.0, 304.0, 283.0, "K"),
    ("air_temperature_coarse", -13.0, 90.0, 51.0, "degF"),
    ("air_temperature_max_coarse", -4.0, 101.0, 62.0, "degF"),
    ("water_temperature_fine", 32.0, 88.0, 53.0, "degF"),
    ("relative_humidity_coarse", 0.2, 1.0, 0.65, "1"),
    ("slope_coarse", 0.0002, 18.5, 1.2, "%"),
    ("length_fine", 0.0016, 18.2, 0.93, "km"),
    ("length_coarse", 0.047, 36.6, 8.56, "km"),
    ("drainage_area_fine", 900.0, 3.07e10, 7.7e6, "m2"),
    ("elevation_fine", 0.0, 80e3, 8500.0, "cm"),
    ("solar_radiation_coarse", 2.3e6, 3.2e7, 1.3e7, "J d-1 m-2"),
]


@pytest.mark.parametrize("case", WRONG, ids=[f"{row[0]}-{row[4]}" for row in WRONG])
def test_units_are_guessed_and_can_be_converted(case):
    name, low, high, middle, units = case
    cause = likely_cause(name, low, high, middle)
    assert cause.units == units
    base = name.rsplit("_", 1)[0]
    apply = conversion(units, expected_units(base)).apply
    limits = physical_range(base)
    assert limits[0] <= apply(low) <= apply(high) <= limits[1]
    assert likely_cause(name, apply(low), apply(high), apply(middle)) is None


def test_a_converted_fill_value_is_below_absolute_zero():
    cause = likely_cause("air_temperature", -9999 - 273.15, 20.0, 8.0)
    assert "absolute zero" in cause.what
    assert cause.units is None


def test_unusual_codes_count_only_where_no_value_can_be():
    assert likely_cause("precipitation", -99.0, 30.0, 2.0).what == "fill values"
    assert likely_cause("air_temperature", -40.0, 9999.9, 8.0).what == "fill values"
    assert likely_cause("solar_radiation", -9.0, 300.0, 150.0) is None
