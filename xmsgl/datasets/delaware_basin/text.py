"""Attributes of the Delaware dataset: units, names, sources, licence, limits."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from xmsgl.datasets.registry import common_attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIGITS", "DRIVER_COMMENTS", "LABEL_COMMENTS", "LIMITS", "dataset_attrs", "describe"]

_DESCRIPTIONS = {
    "downstream": ("1", "id of the next segment or reach downstream, 0 at an outlet"),
    "coarse_segment": ("1", "id of the segment the reach lies on"),
    "subsegment": ("1", "name of the sub-segment the reach lies on, a part of its segment"),
    "length": ("m", "length along the river"),
    "slope": ("1", "slope of the channel"),
    "elevation": ("m", "elevation of the segment's midpoint"),
    "width": ("m", "width of the river"),
    "drainage_area": ("km2", "area drained at the downstream end"),
    "stream_order": ("1", "Strahler stream order in NHDPlusV2; of a segment: that of its largest reach"),
    "lat": ("degrees_north", "latitude of the point half-way along"),
    "lon": ("degrees_east", "longitude of the point half-way along"),
    "huc8": ("1", "8-digit hydrologic unit"),
    "huc12": ("1", "12-digit hydrologic unit"),
    "geometry": ("1", "course of the river, simplified to about 50 m"),
    "water_temperature": ("degC", "observed daily mean stream temperature"),
    "simulated_temperature": ("degC", "daily mean stream temperature of an uncalibrated process model"),
    "air_temperature": ("degC", "daily mean air temperature, half the sum of minimum and maximum"),
    "air_temperature_min": ("degC", "daily minimum air temperature"),
    "air_temperature_max": ("degC", "daily maximum air temperature"),
    "precipitation": ("mm d-1", "precipitation"),
    "relative_humidity": ("%", "daily mean relative humidity"),
    "solar_radiation": ("W m-2", "daily mean downward solar radiation at the ground"),
    "potential_evapotranspiration": ("mm d-1", "potential evapotranspiration (Hargreaves and Samani 1985)"),
}

DIGITS: Mapping[str, int] = MappingProxyType(
    {
        "air_temperature_coarse": 2,
        "air_temperature_min_coarse": 2,
        "air_temperature_max_coarse": 2,
        "precipitation_coarse": 2,
        "relative_humidity_coarse": 1,
        "solar_radiation_coarse": 1,
        "potential_evapotranspiration_coarse": 2,
        "simulated_temperature_coarse": 2,
    }
)
"""Decimals kept in the stored dataset."""

_STATIONS = (
    "one linear regression a segment on ERA5 at 42.0-42.25 N, 75.5-75.0 W (temperature of the day and its "
    "neighbours, dew point depression, cloud cover, two harmonics of the year) and Philadelphia (minimum and "
    "maximum of the day and its neighbours), fitted to the observed forcing of 1979-80 and, up to a "
    "constant, to PRISM means of 2016-10-02 to 2018-09-30 at the gauges around the segment"
)

_REGRESSED = (
    "one linear regression a segment on ERA5 at 42.0-42.25 N, 75.5-75.0 W (temperature of the day and its "
    "neighbours, dew point depression, cloud cover, two harmonics of the year), fitted to the observed "
    "forcing of 1979-80; fitted to 1979 and tested on 1980 its median RMSE is 2.5 degC for maxima and "
    "2.0 degC for minima"
)

_ERA5_COMMENTS = {
    "air_temperature": _REGRESSED,
    "air_temperature_min": _REGRESSED,
    "air_temperature_max": _REGRESSED,
    "precipitation": (
        "ERA5 at one place, scaled to each segment's total of 1979-80; weak: its correlation with "
        "the observed daily precipitation is 0.42 to 0.74"
    ),
    "relative_humidity": (
        "Magnus formula on ERA5 temperature and dew point at one place, scaled to each segment's "
        "mean of 1979-80"
    ),
    "solar_radiation": (
        "clear sky (FAO-56 equations 21 and 37) times a factor of ERA5 cloud cover at one place "
        "(Kasten and Czeplak 1980)"
    ),
    "potential_evapotranspiration": "FAO-56 equation 52",
}

DRIVER_COMMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "observed": {
            "solar_radiation": "from the daily range of air temperature: FAO-56 equations 21, 37 and 50",
            "potential_evapotranspiration": "FAO-56 equation 52",
        },
        "era5": _ERA5_COMMENTS,
        "stations": {
            **_ERA5_COMMENTS,
            "air_temperature": _STATIONS,
            "air_temperature_min": _STATIONS,
            "air_temperature_max": _STATIONS,
            "precipitation": (
                "linear regression on ERA5 at one place and Philadelphia, scaled to each segment's total of "
                "1979-80; its correlation with the observed daily precipitation is 0.63 to 0.88"
            ),
        },
    }
)
"""How the drivers were derived, by forcing and base name."""

LABEL_COMMENTS: Mapping[str, str] = MappingProxyType(
    {
        "coarse": (
            "observations averaged over the sites of a segment; the mean of minimum and maximum where the "
            "day has no mean"
        ),
        "fine": (
            "observations of exactly one site, on the nearest main-stem reach of the site's sub-segment "
            "within 250 m; the mean of minimum and maximum where the day has no mean"
        ),
    }
)
"""How observations were assigned to each scale."""

LIMITS = (
    "Labels lie on main stems only. No day has labels on two reaches of one segment, because the published "
    "table averages the sites of a segment and day. Slope, elevation and width are not known by reach: a "
    "reach inherits those of its segment, as it does the weather. Forcings 'stations' and 'era5' are "
    "regressions, smoother than the real weather; the precipitation of 'era5' is weak."
)
"""What a user needs to know about the dataset."""

_FINE = {
    "mainstem": "reaches on the segments' own courses; links lead to the next of them downstream",
    "all": "all flowlines in the segments' catchments",
}
_FORCING = {
    "observed": "observed forcing of 765 hydrologic response units, averaged by area onto segments",
    "era5": "regression of the observed forcing on ERA5",
    "stations": "regression of the observed forcing and PRISM on ERA5 and the station of Philadelphia",
}


def describe(base: str) -> dict[str, str]:
    """Return units and long name of a variable."""
    units, name = _DESCRIPTIONS[base]
    return {"units": units, "long_name": name}


def dataset_attrs(forcing: str, fine: str) -> dict[str, str]:
    """Return the attributes of the whole dataset."""
    return {
        **common_attrs("delaware", "Stream temperature of the Delaware River Basin at two scales", LIMITS),
        "source": f"{_FORCING[forcing]}; fine scale: {_FINE[fine]}",
        "forcing": forcing,
        "fine_scale": fine,
    }
