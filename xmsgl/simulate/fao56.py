"""Radiation, humidity and evapotranspiration from temperature, cloud cover and location.

Numbered equations are those of Allen, R. G. et al. (1998), Crop evapotranspiration, FAO Irrigation and
Drainage Paper 56.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "clear_sky_radiation",
    "cloud_factor",
    "diurnal_radiation",
    "extraterrestrial_radiation",
    "hargreaves_evapotranspiration",
    "relative_humidity",
    "saturation_vapour_pressure",
    "sun",
]

WATTS = 1.0 / 0.0864
"""W m-2 in one MJ m-2 d-1, the unit of all radiation here."""

_SOLAR_CONSTANT = 0.0820  # MJ m-2 min-1
_DIURNAL = 0.16  # coefficient of equation 50 inland, degC-0.5
_EVAPORATION = 0.408  # mm of water evaporated by one MJ m-2


def extraterrestrial_radiation(day_of_year: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
    """Daily radiation at the top of the atmosphere (equation 21)."""
    distance, height = sun(day_of_year, lat)
    return np.asarray(24.0 * 60.0 / np.pi * _SOLAR_CONSTANT * distance * height)


def sun(day_of_year: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inverse relative distance of the sun, and its height integrated over the day (equations 21 to 25)."""
    angle = 2.0 * np.pi * np.asarray(day_of_year, dtype=np.float64) / 365.0
    latitude = np.deg2rad(np.asarray(lat, dtype=np.float64))
    distance = 1.0 + 0.033 * np.cos(angle)
    declination = 0.409 * np.sin(angle - 1.39)
    sunset = np.arccos(np.clip(-np.tan(latitude) * np.tan(declination), -1.0, 1.0))
    height = sunset * np.sin(latitude) * np.sin(declination)
    height = height + np.cos(latitude) * np.cos(declination) * np.sin(sunset)
    return np.asarray(distance), np.asarray(height)


def clear_sky_radiation(top: ArrayLike, elevation: ArrayLike) -> NDArray[np.float64]:
    """Radiation at the ground under a clear sky (equation 37)."""
    height = np.asarray(elevation, dtype=np.float64)
    return np.asarray((0.75 + 2e-5 * height) * np.asarray(top, dtype=np.float64))


def cloud_factor(cloud_cover: ArrayLike) -> NDArray[np.float64]:
    """Fraction of the clear-sky radiation under clouds (Kasten, Czeplak 1980, Solar Energy 24, 177-189)."""
    return np.asarray(1.0 - 0.75 * np.clip(np.asarray(cloud_cover, dtype=np.float64), 0.0, 1.0) ** 3.4)


def diurnal_radiation(
    top: ArrayLike, elevation: ArrayLike, low: ArrayLike, high: ArrayLike
) -> NDArray[np.float64]:
    """Radiation at the ground from the daily range of air temperature, large on clear days (equation 50)."""
    spread = np.maximum(np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64), 0.0)
    estimate = _DIURNAL * np.sqrt(spread) * np.asarray(top, dtype=np.float64)
    return np.minimum(estimate, clear_sky_radiation(top, elevation))


def hargreaves_evapotranspiration(low: ArrayLike, high: ArrayLike, top: ArrayLike) -> NDArray[np.float64]:
    """Potential evapotranspiration of grass after Hargreaves and Samani (equation 52)."""
    lowest, highest = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    middle = (lowest + highest) / 2.0
    spread = np.maximum(highest - lowest, 0.0)
    energy = _EVAPORATION * np.asarray(top, dtype=np.float64)
    return np.maximum(0.0023 * (middle + 17.8) * np.sqrt(spread) * energy, 0.0)


def saturation_vapour_pressure(temperature: ArrayLike) -> NDArray[np.float64]:
    """Saturation vapour pressure over water in kPa, by the Magnus formula (equation 11)."""
    value = np.asarray(temperature, dtype=np.float64)
    return np.asarray(0.6108 * np.exp(17.27 * value / (value + 237.3)))


def relative_humidity(temperature: ArrayLike, dew_point: ArrayLike) -> NDArray[np.float64]:
    """Relative humidity in per cent from air temperature and dew point."""
    fraction = saturation_vapour_pressure(dew_point) / saturation_vapour_pressure(temperature)
    return np.minimum(100.0 * fraction, 100.0)
