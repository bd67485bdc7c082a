"""Names and units of PRMS, SNTemp and pywatershed, and those of the convention."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from xmsgl.errors import InvalidDatasetError
from xmsgl.schema.units import conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DAILY", "STATIC", "Variable", "converter"]


class Variable(NamedTuple):
    """Name and units of a variable in the convention."""

    base: str  # without the scale
    units: str
    long_name: str


DAILY: Mapping[str, Variable] = MappingProxyType(
    {
        "tmax": Variable("air_temperature_max", "degC", "maximum air temperature of the day"),
        "tmin": Variable("air_temperature_min", "degC", "minimum air temperature of the day"),
        "prcp": Variable("precipitation", "mm d-1", "precipitation"),
        "rhavg": Variable("relative_humidity", "%", "relative humidity"),
        "swrad": Variable("solar_radiation", "W m-2", "solar radiation at the ground"),
        "potet": Variable("potential_evapotranspiration", "mm d-1", "potential evapotranspiration"),
        "seg_tave_air": Variable("air_temperature", "degC", "mean air temperature of the day"),
        # not precipitation, because snow is not included
        "seg_rain": Variable("rainfall", "mm d-1", "rainfall without snow"),
        "seg_humid": Variable("relative_humidity", "%", "relative humidity"),
        "seg_ccov": Variable("cloud_cover", "1", "fraction of the sky covered by cloud"),
        "seginc_swrad": Variable("solar_radiation", "W m-2", "solar radiation at the ground"),
        "seginc_potet": Variable("potential_evapotranspiration", "mm d-1", "potential evapotranspiration"),
        "seg_tave_water": Variable(
            "simulated_temperature", "degC", "stream temperature of the process model"
        ),
        "seg_outflow": Variable("simulated_discharge", "m3 s-1", "discharge of the process model"),
        "temp_c": Variable("water_temperature", "degC", "observed stream temperature"),
        "discharge_cms": Variable("observed_discharge", "m3 s-1", "observed discharge"),
    }
)
"""Daily variables: forcing, results of the process models, and the observations of river-dl."""

STATIC: Mapping[str, Variable] = MappingProxyType(
    {
        "seg_length": Variable("length", "m", "length along the river"),
        "seg_slope": Variable("slope", "1", "slope of the channel"),
        "seg_elev": Variable("elevation", "m", "height above sea level"),
        "seg_width": Variable("width", "m", "width of the channel"),
        "seg_cum_area": Variable("drainage_area", "km2", "area drained at the downstream end"),
    }
)
"""Attributes of segments."""

# spellings that only these models use
_SPELLED = {"decimal fraction": "1"}


def converter(name: str, found: str | None, wanted: str) -> Callable[[Any], Any]:
    """Return the function that converts a variable to the units of the convention."""
    if found is None:
        raise InvalidDatasetError([f"{name!r} does not state its units; give them: units={{'{name}': ...}}"])
    plain = found.strip().lower()
    known = conversion(_SPELLED.get(plain, plain), wanted)
    if known is None:
        fault = (
            f"{name!r} is in {found!r}, which cannot be converted to {wanted!r}; convert it and set its units"
        )
        raise InvalidDatasetError([fault])
    return known.apply
