"""Random daily weather over a basin, correlated in time and space."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmsgl.simulate import fao56

__all__ = ["LAPSE_RATE", "Weather", "random_weather"]

Floats = NDArray[np.float64]

LAPSE_RATE = -0.0065  # change of air temperature with elevation, K m-1
_SOLAR_CONSTANT = 1366.7  # W m-2
_LATITUDE = 41.0
_MEAN, _AMPLITUDE = 11.5, 12.5  # of the annual cycle of air temperature at sea level, degC


class Weather(NamedTuple):
    """Daily weather, each (time, place)."""

    air_temperature: Floats  # degC, as minimum and maximum
    air_temperature_min: Floats
    air_temperature_max: Floats
    precipitation: Floats  # mm d-1
    potential_evapotranspiration: Floats  # mm d-1
    relative_humidity: Floats  # %
    solar_radiation: Floats  # W m-2
    cloud_cover: Floats  # 0 to 1


def random_weather(
    day_of_year: NDArray[np.number], *, elevation: Floats, place: Floats, rng: np.random.Generator
) -> Weather:
    """Draw the weather of a humid temperate basin.

    Shapes: `day_of_year` (time,), `elevation` (place,), `place` (place, 2).

    References
    ----------
    Richardson, C. W. (1981). Stochastic simulation of daily precipitation, temperature, and solar
    radiation. Water Resources Research 17(1), 182-190.

    Kasten, F., Czeplak, G. (1980). Solar and terrestrial radiation dependent on the amount and type of
    cloud. Solar Energy 24(2), 177-189.

    Hargreaves, G. H., Samani, Z. A. (1985). Reference crop evapotranspiration from temperature. Applied
    Engineering in Agriculture 1(2), 96-99.
    """
    day = np.asarray(day_of_year, dtype=np.float64)
    days, n = day.size, len(elevation)
    near = _near(place)
    season = np.sin(2.0 * np.pi * (day - 112.0) / 365.25)
    wet = _spells(days, rng)
    cloud = np.clip(
        (0.38 + 0.42 * wet + 0.22 * _autoregressive(days, 0.3, rng))[:, None]
        + 0.08 * (rng.normal(size=(days, n)) @ near),
        0.0,
        1.0,
    )
    # weather varies more in winter than in summer
    spread = 3.8 - 1.2 * season
    local = 0.6 * (_autoregressive((days, n), 0.5, rng) @ near)
    slow = 0.8 * _autoregressive(days, 0.985, rng)
    anomaly = spread * _autoregressive(days, 0.72, rng) + slow - 1.2 * season * (wet - 0.35)
    air = _MEAN + (_AMPLITUDE * season + anomaly)[:, None] + local + LAPSE_RATE * elevation
    span = np.maximum(2.0, 13.5 - 9.0 * cloud + 1.2 * rng.normal(size=(days, 1)))
    low, high = air - 0.5 * span, air + 0.5 * span
    amount = rng.gamma(0.75, 11.0, (days, 1)) * np.exp(0.35 * (rng.normal(size=(days, n)) @ near))
    rain = np.where(wet[:, None] > 0.0, amount * (1.0 + 0.0006 * elevation), 0.0)
    distance, height = fao56.sun(day, _LATITUDE)
    top = np.asarray(_SOLAR_CONSTANT / np.pi * distance * height)[:, None]
    sun = 0.75 * top * (1.0 - 0.75 * cloud**3.4)
    dew = low - 1.0 - 2.0 * (1.0 - cloud)
    humidity = np.clip(100.0 * _saturation(dew) / _saturation(air), 5.0, 100.0)
    evaporation = np.maximum(0.0, 0.0023 * (top * 0.0864 / 2.45) * (air + 17.8) * np.sqrt(span))
    return Weather(air, low, high, rain, evaporation, humidity, sun, cloud)


def _saturation(temperature: Floats) -> Floats:
    """Vapour pressure over water (hPa)."""
    return np.asarray(6.112 * np.exp(17.62 * temperature / (243.12 + temperature)))


def _near(place: Floats) -> Floats:
    """Matrix that turns independent noise into noise of unit variance, correlated within about 40 km."""
    gap = np.hypot(*(place[:, None, :] - place[None, :, :]).transpose(2, 0, 1))
    weight = np.exp(-gap / 20.0)
    return np.asarray(weight / np.sqrt((weight**2).sum(axis=0)))


def _autoregressive(shape: int | tuple[int, int], memory: float, rng: np.random.Generator) -> Floats:
    """First-order autoregressive noise of unit variance along the first axis."""
    noise = rng.normal(size=shape)
    fresh = np.sqrt(1.0 - memory**2)
    for day in range(1, len(noise)):
        noise[day] = memory * noise[day - 1] + fresh * noise[day]
    return noise


def _spells(days: int, rng: np.random.Generator) -> Floats:
    """Wet (1) and dry (0) days: the probability of a wet day is 0.50 after a wet and 0.27 after a dry day."""
    draws = rng.random(days)
    wet = np.zeros(days)
    for day in range(days):
        wet[day] = draws[day] < (0.50 if day and wet[day - 1] else 0.27)
    return wet
