"""Units of the dataset convention: expected units, spellings and conversions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import InvalidDatasetError

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = [
    "Conversion",
    "advice",
    "conversion",
    "converted",
    "expected_units",
    "in_degrees",
    "in_units",
    "need_units",
    "same_units",
    "steps_of_degc",
    "tidy_units",
]

# whole spellings, compared in lower case without blanks, dots and underscores
_WORDS = {
    "degC": "c degc degreec degreesc celsius degcelsius degreecelsius degreescelsius °c ºc ℃ centigrade",
    "K": "k kelvin degk degreek degreeskelvin degreekelvin °k",
    "degF": "f degf degreef degreesf fahrenheit degfahrenheit degreefahrenheit degreesfahrenheit °f ºf",
    "1": "1 - none dimensionless unitless fraction ratio",
    "%": "% percent pct percentage",
    "km2": "sqkm",
    "mi2": "sqmi",
    "degree": "deg degree degrees",
    "rad": "rad radian radians",
    "m3 s-1": "cms cumecs",
    "ft3 s-1": "cfs",
    "langley d-1": "ly/day langley/day langleys/day ly/d ly langley langleys calcm-2d-1 cal/cm2/day",
}
_WHOLE = {word: unit for unit, words in _WORDS.items() for word in words.split()}

# single tokens of a product such as "mm/day"
_TOKENS = {
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "L": "l liter liters litre litres",
    "mi": "mi mile miles",
    "d": "d day days",
    "h": "h hr hour hours",
    "s": "s sec second seconds",
    "W": "w watt watts",
    "J": "j joule joules",
    "kJ": "kj kilojoule kilojoules",
    "MJ": "mj megajoule megajoules",
    "kW": "kw kilowatt kilowatts",
    "Wh": "wh",
    "kWh": "kwh",
    "kg": "kg kilogram kilograms",
    "ha": "ha hectare hectares",
    "acre": "acre acres",
}
_TOKEN = {word: unit for unit, words in _TOKENS.items() for word in words.split()}

_BASES = {
    "precipitation": "mm d-1",
    "potential_evapotranspiration": "mm d-1",
    "solar_radiation": "W m-2",
    "relative_humidity": "%",
    "slope": "1",
    "elevation": "m",
    "width": "m",
    "length": "m",
    "drainage_area": "km2",
    "stream_order": "1",
    "discharge": "m3 s-1",
}

_M_PER_FT = 0.3048
_KM2_PER_ACRE = 0.0040468564224
_J_PER_LANGLEY = 41840.0  # a square metre: 1 thermochemical calorie a square centimetre
_S_PER_D = 86400.0


@dataclass(frozen=True)
class Conversion:
    """A conversion of units, as code and as a function."""

    formula: str  # Python, with {} in place of the values and NumPy as np
    apply: Callable[[Any], Any]  # the same for numbers and arrays of any kind


def _times(factor: float) -> Conversion:
    # a float, because small integers times an integer could overflow
    return Conversion(f"{{}} * {_written(factor)}", lambda values: values * float(factor))


def _over(divisor: float) -> Conversion:
    return Conversion(f"{{}} / {_written(divisor)}", lambda values: values / divisor)


def _minus(offset: float) -> Conversion:
    return Conversion(f"{{}} - {_written(offset)}", lambda values: values - offset)


def _written(number: float) -> str:
    """Write a number as a float, without rounding errors in its last digits."""
    return repr(float(f"{number:.15g}"))


_SAME = Conversion("{}", lambda values: values)
# unit found, unit expected
_CONVERSIONS = {
    ("K", "degC"): _minus(273.15),
    ("degF", "degC"): Conversion("({} - 32.0) / 1.8", lambda values: (values - 32.0) / 1.8),
    ("km", "m"): _times(1000),
    ("cm", "m"): _over(100),
    ("mm", "m"): _over(1000),
    ("ft", "m"): _times(_M_PER_FT),
    ("mi", "m"): _times(_M_PER_FT * 5280),
    ("yd", "m"): _times(_M_PER_FT * 3),
    ("m km-1", "1"): _over(1000),
    ("ft mi-1", "1"): _over(5280),
    ("degree", "1"): Conversion(
        "np.tan(np.deg2rad({} * 1.0))", lambda values: np.tan(np.deg2rad(values * 1.0))
    ),
    ("rad", "degree"): Conversion("np.rad2deg({})", np.rad2deg),
    ("m2", "km2"): _over(1e6),
    ("ha", "km2"): _over(100),
    ("acre", "km2"): _times(_KM2_PER_ACRE),
    ("mi2", "km2"): _times((_M_PER_FT * 5280) ** 2 / 1e6),
    ("ft2", "km2"): _times(_M_PER_FT**2 / 1e6),
    ("in d-1", "mm d-1"): _times(25.4),
    ("cm d-1", "mm d-1"): _times(10),
    ("m d-1", "mm d-1"): _times(1000),
    ("m h-1", "mm d-1"): _times(24000),
    ("mm h-1", "mm d-1"): _times(24),
    ("m s-1", "mm d-1"): _times(86.4e6),
    ("mm s-1", "mm d-1"): _times(_S_PER_D),
    ("kg m-2 s-1", "mm d-1"): _times(_S_PER_D),
    ("kg d-1 m-2", "mm d-1"): _SAME,
    # sums without a time are daily sums
    ("mm", "mm d-1"): _SAME,
    ("cm", "mm d-1"): _times(10),
    ("m", "mm d-1"): _times(1000),
    ("in", "mm d-1"): _times(25.4),
    ("kg m-2", "mm d-1"): _SAME,
    ("J m-2", "W m-2"): _over(_S_PER_D),
    ("kJ m-2", "W m-2"): _over(86.4),
    ("MJ m-2", "W m-2"): _over(0.0864),
    ("J d-1 m-2", "W m-2"): _over(_S_PER_D),
    ("kJ d-1 m-2", "W m-2"): _over(86.4),
    ("MJ d-1 m-2", "W m-2"): _over(0.0864),
    ("MJ h-1 m-2", "W m-2"): _over(0.0036),
    ("Wh d-1 m-2", "W m-2"): _over(24),
    ("kWh d-1 m-2", "W m-2"): _over(0.024),
    ("kW m-2", "W m-2"): _times(1000),
    ("langley d-1", "W m-2"): _times(_J_PER_LANGLEY / _S_PER_D),
    ("%", "1"): _over(100),
    ("1", "%"): _times(100),
    ("ft3 s-1", "m3 s-1"): _times(_M_PER_FT**3),
    ("L s-1", "m3 s-1"): _over(1000),
    ("m3 d-1", "m3 s-1"): _over(_S_PER_D),
}


def expected_units(base: str) -> str | None:
    """Return the units that the convention expects for a base name."""
    if "temperature" in base or "dew_point" in base:
        return "degC"
    return _BASES.get(base)


def tidy_units(units: str) -> str:
    """Return the standard spelling of units."""
    text = (
        units.strip().translate(str.maketrans("⁻\u2212²³¹·⋅", "--231  ")).replace("**", "").replace("^", "")
    )
    whole = re.sub(r"[\s_.]|(?<=[a-z])\bper\b", "", text.lower())
    if whole in _WHOLE:
        return _WHOLE[whole]
    text = re.sub(r"\b(?:square|sq) ([a-z]+)", r"\g<1>2", re.sub(r"\bper\b", "/", text.lower()))
    powers: dict[str, int] = {}
    sign = 1
    for word, power in re.findall(r"(/|[^\W\d_]+)(-?\d{1,9})?", text):
        if word == "/":
            sign = -1
            continue
        unit = _TOKEN.get(word, word)
        powers[unit] = powers.get(unit, 0) + sign * int(power or 1)
    if not powers:
        return units.strip()
    order = sorted(powers, key=lambda unit: (powers[unit] < 0, unit.lower()))
    parts = [unit if powers[unit] == 1 else f"{unit}{powers[unit]}" for unit in order if powers[unit]]
    return " ".join(parts) or "1"


def same_units(first: str, second: str) -> bool:
    """Tell whether two spellings mean the same units."""
    return tidy_units(first) == tidy_units(second)


def steps_of_degc(units: str) -> bool:
    """Tell whether a difference has the same number in these units as in degC."""
    return tidy_units(units) in ("degC", "K")


def in_degrees(units: object) -> bool:
    """Tell whether units of a latitude or longitude may be degrees: they are spelt in many ways."""
    return tidy_units(str(units or "")) not in {"rad", "m", "km", "ft"}


def need_units(array: xr.DataArray, expected: str) -> None:
    """Refuse an array in other units; without the attribute it counts as in the expected ones."""
    found = str(array.attrs.get("units", expected))
    if not same_units(found, expected):
        name = str(array.name)
        raise InvalidDatasetError(
            [f"{name} is in {found}, not in {expected}; {advice(name, found, expected)}"]
        )


def in_units(array: xr.DataArray, expected: str) -> xr.DataArray:
    """Return an array in the expected units; without the attribute it counts as in them."""
    found = array.attrs.get("units", expected)
    known = conversion(found, expected) if isinstance(found, str) else None
    if known is None:
        need_units(array, expected)  # refuses them
        return array
    if known is _SAME:
        return array
    exact = array.astype(np.result_type(array.dtype, np.float32))
    converted: xr.DataArray = known.apply(exact)
    return converted.rename(array.name).assign_attrs({**array.attrs, "units": expected})


def conversion(found: str, expected: str) -> Conversion | None:
    """Look up the conversion to units of the convention; factors from NIST Special Publication 811 (2008).

    Sums without a time, such as ``"mm"`` of precipitation, are daily sums.
    """
    tidy = tidy_units(found)
    return _SAME if tidy == expected else _CONVERSIONS.get((tidy, expected))


def advice(name: str, found: str, expected: str) -> str:
    """Write how to convert a variable to the expected units."""
    variable = f'ds["{name}"]'
    code = converted(variable, found, expected)
    return f"convert: {code}" if code else f'convert it, then {variable}.attrs["units"] = "{expected}"'


def converted(variable: str, found: str, expected: str) -> str | None:
    """Write code that converts an array to the expected units; None for an unknown conversion."""
    known = conversion(found, tidy_units(expected))
    if known is None:
        return None
    return f'{variable} = ({known.formula.format(variable)}).assign_attrs(units="{expected}")'
