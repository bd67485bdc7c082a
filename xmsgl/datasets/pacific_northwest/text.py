"""Attributes of the datasets of the Willamette and the Yakima: names, sources, licence, limits."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from xmsgl.datasets.registry import common_attrs
from xmsgl.schema.names import scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIGITS", "LIMITS", "dataset_attrs", "describe"]

_NAMES = {
    "air_temperature": "daily mean air temperature, half the sum of minimum and maximum",
    "air_temperature_min": "daily minimum air temperature",
    "air_temperature_max": "daily maximum air temperature",
    "precipitation": "precipitation",
    "clear_sky_radiation": "daily mean downward solar radiation under a clear sky",
    "solar_radiation": "daily mean downward solar radiation at the ground",
    "potential_evapotranspiration": "potential evapotranspiration",
    "elevation": "elevation half-way along the reach; of a segment: the mean of its reaches",
}

DIGITS: Mapping[str, int] = MappingProxyType(
    {f"{base}_coarse": 1 if "radiation" in base else 2 for base in _NAMES if base != "elevation"}
)
"""Decimals kept in the stored dataset."""

_PRISM = (
    "PRISM at 36 gauges, interpolated by inverse squared distance with a lapse rate of 6.5 degC per km; "
    "a day of PRISM ends at 12 UTC, 4 in the morning of the day shown, so that it is mostly the day before"
)
_GSOD = (
    "stations Yakima (321 m) and Ellensburg (533 m), by inverse squared distance with a lapse rate of "
    "6.5 degC per km"
)
_ROUNDED = "rounded to 0.01 in the source, and so 0 on most large rivers"
_COMMENTS = {
    "willamette": {
        "air_temperature_coarse": _PRISM,
        "elevation_fine": "lowest elevation of the catchment plus half of slope times length",
        "slope_fine": _ROUNDED,
        "dam_storage_fine": "National Inventory of Dams (2010), from acre-feet",
    },
    "yakima": {
        **dict.fromkeys((f"air_temperature{end}_coarse" for end in ("", "_min", "_max")), _GSOD),
        "precipitation_coarse": "stations Yakima and Ellensburg, in the valley; the mountains receive more",
        "elevation_fine": (
            "by least squares from the slopes, which are rounded to 0.01, and the altitudes of gauges; at "
            "gauges left out of the fit the median error is 7 m and the RMSE 47 m"
        ),
        "slope_fine": _ROUNDED,
    },
}

_BOTH = (
    "Segments are merged reaches, not those of a published coarse network. Reaches of the source without a "
    "line are left out, and links lead across them. Slopes are rounded to 0.01."
)
LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "willamette": (
            "About ten of the 36 gauges lie just below dams, where water temperature hardly follows the "
            "air. Air temperature is the only weather observed in all four years. A day of PRISM ends at 12 "
            f"UTC. {_BOTH}"
        ),
        "yakima": (
            "Six of the 19 gauges lie on drains of irrigated land, and the flow of the rivers is regulated. "
            "Gauge 12510500 is on the nearest reach of the Yakima with a line, 1.5 km upstream. The weather "
            "is that of two stations in the valley: none is in the mountains, where temperature depends on "
            "the lapse rate and precipitation is too low. Most observations are from 2005 and 2006, and none "
            f"from after September 2008. Elevations are estimated. {_BOTH}"
        ),
    }
)
"""What a user needs to know about each dataset."""

_SOURCE = {
    "willamette": "NHDPlusV2 flowlines; USGS water temperature and PRISM air temperature at 36 gauges",
    "yakima": "NHDPlusV2 flowlines; USGS water temperature at 19 gauges; weather of two stations (NOAA GSOD)",
}


def describe(basin: str, name: str) -> dict[str, str]:
    """Return long name and comment of a variable, as far as the readers do not give them."""
    base, _ = scale_of(name)
    found = {"long_name": _NAMES[base]} if base in _NAMES else {}
    return found | ({"comment": _COMMENTS[basin][name]} if name in _COMMENTS[basin] else {})


def dataset_attrs(basin: str) -> dict[str, str]:
    """Return the attributes of the whole dataset."""
    title = f"Stream temperature of the {basin.title()} River Basin at two scales"
    return {**common_attrs(basin, title, LIMITS[basin]), "source": _SOURCE[basin]}
