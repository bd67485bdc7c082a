"""Physical ranges of quantities in rivers, and probable causes of values outside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, nearest, shorten
from xmsgl.schema.advice import counted
from xmsgl.schema.names import scale_of
from xmsgl.schema.units import converted, expected_units

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

__all__ = [
    "BASES",
    "Cause",
    "Range",
    "check_names",
    "fill_like",
    "impossible",
    "is_code",
    "likely_cause",
    "physical_range",
    "refuse_impossible_water",
    "refuse_unlike_water",
]

Range = tuple[float, float]

# Ranges in the units of the convention, wide enough for any river: values outside are errors of the file.
# Weather records: World Meteorological Organization, archive of extremes, wmo.asu.edu.
_RANGES: dict[str, Range] = {
    "precipitation": (-0.5, 2000.0),  # 1825 mm on a day at La Reunion; packed files round below 0
    "potential_evapotranspiration": (-20.0, 60.0),  # below 0 where dew or frost forms
    "solar_radiation": (-30.0, 1500.0),  # solar constant 1361; instruments lose heat at night
    "relative_humidity": (-1.0, 120.0),  # air above ice can be supersaturated
    "slope": (0.0, 3.0),  # waterfalls; rivers do not flow uphill
    "elevation": (-500.0, 9000.0),  # Dead Sea -430, Mount Everest 8849
    "width": (0.0, 250e3),  # mouth of the Rio de la Plata 220 km
    "length": (0.0, 7e6),  # all of the Nile or the Amazon
    "drainage_area": (0.0, 7.5e6),  # Amazon 6.9e6
    "stream_order": (0.0, 1e7),  # Strahler's is at most 12, Shreve's counts all sources
    "discharge": (-1e6, 1e6),  # below 0 where tides run upstream; floods of the Amazon 3e5
    "lat": (-90.0, 90.0),
    "latitude": (-90.0, 90.0),
    "lon": (-180.0, 360.0),  # some count from 0 to 360
    "longitude": (-180.0, 360.0),
}
_STATES = ("water_temperature", "simulated_temperature", "true_temperature", "observed_temperature")
_WATER: Range = (-5.0, 45.0)  # supercooled water -2, hot springs aside the warmest rivers about 40
_FAR: Range = (-50.0, 100.0)  # faulty sensors and poor models stay within it; kelvin and fill values do not
_AIR: Range = (-80.0, 60.0)  # Oymyakon -67.7, Death Valley 56.7
_DEW: Range = (-100.0, 45.0)  # dew point 35 on the Persian Gulf; dry polar air below its own temperature
_ANY_TEMPERATURE: Range = (-100.0, 120.0)  # of soil, rock and springs

# The highest mean of a whole record, degC; in degF temperate rivers have 50 and more.
# Death Valley in its hottest month: mean 42.5, mean maximum 49, mean minimum 36. First match wins.
_WARMEST = {
    "air_temperature_max": 52.0,
    "air_temperature_min": 40.0,
    "air_temperature": 44.0,
    "dew_point": 35.0,
    **dict.fromkeys(_STATES, 36.0),
}
BASES = (*_RANGES, *_WARMEST)
"""Base names of variables of the convention."""

_KELVIN: Range = (173.15, 373.15)
_FAHRENHEIT_HIGH = 140.0  # 60 degC
_ABSOLUTE_ZERO = -273.15
_FREEZING = 28.0  # degF, of sea water; no river is colder

# Missing values written as numbers. Those of netCDF (9.97e36), GRIB and models (1e20, 1e30) are above HUGE.
HUGE = 1e15
_CODES = (-999.0, -999.9, -9998.0, -9999.0, -9999.9, -99999.0, -999999.0, -9999999.0, -32767.0, -32768.0)
# Only where the value is impossible for the quantity.
_OTHER_CODES = (-9.0, -9.99, -99.0, -99.9, -99.99, -999.99, *(-code for code in _CODES), 99.99, 999.99)


@dataclass(frozen=True)
class Cause:
    """What values outside a physical range probably are."""

    what: str  # in words, after "probably"
    units: str | None = None  # the probable units; None for fill values, which must be masked


_FILL = Cause("fill values")


def physical_range(base: str) -> Range | None:
    """Return the least and the greatest value a quantity can have, in the units of the convention."""
    if "dew_point" in base:
        return _DEW
    if base.startswith(_STATES):
        return _WATER
    if "temperature" in base:
        return _AIR if base.startswith("air_temperature") else _ANY_TEMPERATURE
    return _RANGES.get(base)


def impossible(values: npt.NDArray[np.floating[Any]], base: str) -> npt.NDArray[np.bool_]:
    """Mark values that a quantity cannot have, in the units of the convention; NaN is a missing one."""
    low, high = physical_range(base) or (-HUGE, HUGE)
    return (values < low) | (values > high)


def refuse_impossible_water(values: npt.NDArray[np.floating[Any]], what: str) -> None:
    """Refuse temperatures of water outside the physical range; NaN is a missing one."""
    low, high = _WATER
    wrong = values[impossible(values, _STATES[0])]
    if wrong.size:
        some = shorten(np.unique(wrong.round(2)).tolist())
        count = counted(wrong.size, "observed temperature", "observed temperatures")
        fault = (
            f"{what}: {count} outside {low:g} to {high:g} degC: {some}; set those that are missing to NaN, "
            "or convert the units; ds.msgl.validate() says where they are"
        )
        raise InvalidDatasetError([fault])


def refuse_unlike_water(values: npt.NDArray[Any], what: str) -> None:
    """Refuse what no water has and no model of it predicts, such as kelvin or fill values; NaN is missing."""
    low, high = _FAR
    if not ((values < low) | (values > high)).any():
        return
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    cure = "set missing values to NaN, or convert the units"
    if _KELVIN[0] <= low and high <= _KELVIN[1]:
        cure = f"probably kelvin; convert: {converted(what, 'K', 'degC')}"
    fault = f"{what} has values from {low:g} to {high:g} degC, which water cannot have; {cure}"
    raise InvalidDatasetError([fault])


def fill_like(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mark fill values of any quantity: -999, -9998, -9999, 1e20, 9.97e36."""
    found = np.asarray(values, dtype=np.float64)
    return (np.isfinite(found) & (np.abs(found) >= HUGE)) | _among(found, _CODES)


def _among(values: npt.ArrayLike, codes: tuple[float, ...]) -> npt.NDArray[np.bool_]:
    """Compare with codes in both precisions, because float32 rounds -999.9."""
    return np.isin(values, [*codes, *np.array(codes, dtype=np.float32).astype(np.float64)])


def is_code(value: float) -> bool:
    """Tell whether an impossible value is a common code for a missing one."""
    return bool(_among(np.float64(value), (*_CODES, *_OTHER_CODES)) or abs(value) >= HUGE)


def likely_cause(name: str, low: float, high: float, middle: float) -> Cause | None:
    """Infer from the range of a variable what is wrong with it as a whole."""
    if np.any(fill_like([low, high])):
        return _FILL
    base, scale = scale_of(name)
    allowed = physical_range(base)
    if allowed is None:
        return None
    outside = [end for end in (low, high) if not allowed[0] <= end <= allowed[1]]
    if any(is_code(end) for end in outside):
        return _FILL
    if "temperature" in base or "dew_point" in base:
        return _of_temperature(base, low, high, middle)
    return _of_others(base, scale, high, middle)


def _of_temperature(base: str, low: float, high: float, middle: float) -> Cause | None:
    if low <= _ABSOLUTE_ZERO:
        return Cause("fill values after a conversion of units, because they are below absolute zero")
    if _KELVIN[0] <= low and high <= _KELVIN[1]:
        return Cause("kelvin", "K")
    warmest = next((most for start, most in _WARMEST.items() if base.startswith(start)), np.inf)
    coldest = _FREEZING if base.startswith(_STATES) else -np.inf
    if middle > warmest and low >= coldest and high <= _FAHRENHEIT_HIGH:
        return Cause("degrees Fahrenheit", "degF")
    return None


def _of_others(base: str, scale: Any, high: float, middle: float) -> Cause | None:
    """Infer the units of quantities other than temperature."""
    if base == "relative_humidity" and 0 < high <= 1.5:
        return Cause("a fraction", "1")
    if base == "slope" and middle > 0.5:
        return Cause("per cent", "%")
    # coarse segments are some kilometres long, fine reaches seldom less than a hundred metres
    if base == "length" and 0 < middle < (50.0 if scale == "coarse" else 5.0):
        return Cause("kilometres", "km")
    if base == "drainage_area" and high > _RANGES[base][1]:
        return Cause("square metres", "m2")
    if base == "elevation" and high > _RANGES[base][1]:
        return Cause("centimetres", "cm") if high > 30e3 else Cause("feet", "ft")
    if base == "solar_radiation" and high > _RANGES[base][1]:
        return Cause("joules a day", "J d-1 m-2") if high > 100e3 else Cause("kilojoules a day", "kJ d-1 m-2")
    return None


def check_names(bases: Iterable[str], what: str) -> None:
    """Refuse names of variables that are misspelt names of the convention."""
    for base in bases:
        near = nearest(base, BASES, 0.88)
        # a longer name with all of the other one in it, such as bwidth, is a variable of its own
        if near and near not in base.lower() and not expected_units(base):
            msg = f"{what} has {base!r}; did you mean {near!r}? Correct the name, or drop the column"
            raise InvalidArgumentError(msg)
