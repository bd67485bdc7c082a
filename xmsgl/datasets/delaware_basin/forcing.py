"""Daily weather on the segments of the Delaware: observed in 1979-80, or by regression on ERA5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xmsgl.readers.prms import DAILY, converter, open_parameters
from xmsgl.readers.response_units import average, read_daily, unit_weights
from xmsgl.simulate import fao56

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "Era5",
    "HruForcing",
    "Weather",
    "era5_predictors",
    "era5_weather",
    "fit_temperature",
    "observed_weather",
    "read_era5",
    "read_hru_forcing",
]

Floats = NDArray[np.float64]

_ERA5_START = "1940-01-01"
_FREEZING = 273.15


@dataclass(frozen=True)
class Weather:
    """Daily drivers on the segments."""

    time: pd.DatetimeIndex
    drivers: Mapping[str, Floats]  # by base name, (time, coarse), units as in the dataset convention
    counts: Mapping[str, int]  # of corrections, for attributes of the dataset


@dataclass(frozen=True)
class HruForcing:
    """Observed forcing, 1979-80, averaged from response units (HRU) onto segments, (time, coarse)."""

    time: pd.DatetimeIndex
    high: Floats  # maximum and minimum air temperature, degC
    low: Floats
    precipitation: Floats  # mm d-1
    humidity: Floats  # per cent
    borrowed: int  # number of segments without an HRU of their own


def read_hru_forcing(files: Mapping[str, Path], segments: pd.DataFrame) -> HruForcing:
    """Read the observed forcing and average it onto the segments."""
    parameters = open_parameters(
        files[name] for name in ("segment_parameters", "hru_parameters", "channel_parameters")
    )
    place = segments[["lat", "lon"]].to_numpy()
    weights, borrowed = unit_weights(parameters, segments.index, place)
    daily = read_daily((files[name] for name in ("tmax", "tmin", "prcp", "rhavg")), parameters)

    def onto_segments(name: str, units: str) -> Floats:
        values: Floats = average(weights, daily[name]).to_numpy()
        return np.asarray(converter(name, units, DAILY[name].units)(values))

    return HruForcing(
        pd.DatetimeIndex(daily["time"].to_numpy()),
        onto_segments("tmax", "degF"),
        onto_segments("tmin", "degF"),
        onto_segments("prcp", "in d-1"),
        onto_segments("rhavg", "%"),
        borrowed,
    )


@dataclass(frozen=True)
class Era5:
    """ERA5 means over 42.0-42.25 N, 75.5-75.0 W, daily from 1940, (time,)."""

    time: pd.DatetimeIndex
    temperature: Floats  # degC, at 2 m
    dew_point: Floats
    cloud_cover: Floats  # 0 to 1
    precipitation: Floats  # mm d-1


def read_era5(files: Mapping[str, Path]) -> Era5:
    """Read the ERA5 area means."""

    def read(name: str) -> Floats:
        with np.load(files[name], allow_pickle=False) as archive:
            return np.asarray(archive["arr"], dtype=np.float64)

    temperature = read("era5_temperature")
    return Era5(
        pd.date_range(_ERA5_START, periods=len(temperature), freq="D"),
        temperature - _FREEZING,
        read("era5_dew_point") - _FREEZING,
        read("era5_cloud_cover"),
        read("era5_precipitation") * 24.0 * 1000.0,  # m per hour
    )


def era5_predictors(era5: Era5, time: pd.DatetimeIndex) -> Floats:
    """Return the predictors of daily minimum and maximum air temperature, (time, 10)."""
    position = era5.time.get_indexer(time)
    angle = 2.0 * np.pi * time.day_of_year.to_numpy() / 365.25
    return np.column_stack(
        [
            np.ones(len(time)),
            *(era5.temperature[position + shift] for shift in (-1, 0, 1)),
            (era5.temperature - era5.dew_point)[position],
            era5.cloud_cover[position],
            *(function(k * angle) for k in (1, 2) for function in (np.cos, np.sin)),
        ]
    )


def fit_temperature(predictors: Floats, temperature: Floats) -> Floats:
    """Fit a linear regression of (time, coarse) on (time, predictors); return (predictors, coarse)."""
    coefficients, *_ = np.linalg.lstsq(predictors, temperature, rcond=None)
    return np.asarray(coefficients)


def observed_weather(hru: HruForcing, segments: pd.DataFrame) -> Weather:
    """Turn the observed forcing into the drivers of 1979-80."""
    low, high, crossed = _ordered(hru.low, hru.high)
    top = _top(hru.time, segments)
    height = segments["elevation"].to_numpy()
    drivers = {
        **_air(low, high),
        "precipitation": hru.precipitation,
        "relative_humidity": np.clip(hru.humidity, 0.0, 100.0),
        "solar_radiation": fao56.diurnal_radiation(top, height, low, high) * fao56.WATTS,
        "potential_evapotranspiration": fao56.hargreaves_evapotranspiration(low, high, top),
    }
    return Weather(hru.time, drivers, _counts(hru, crossed))


def era5_weather(era5: Era5, hru: HruForcing, segments: pd.DataFrame, start: str, end: str) -> Weather:
    """Estimate the drivers of decades from ERA5.

    Maximum and minimum air temperature come from a linear regression for each segment, fitted to the
    observed forcing. Precipitation is scaled to each segment's observed total, relative humidity (Magnus
    formula) to its observed mean. Solar radiation is that of a clear sky times a factor for the cloud cover.
    """
    time = pd.date_range(start, end, freq="D", name="time")
    known, wanted = era5_predictors(era5, hru.time), era5_predictors(era5, time)
    low, high, crossed = _ordered(
        wanted @ fit_temperature(known, hru.low), wanted @ fit_temperature(known, hru.high)
    )
    fit_at, at = era5.time.get_indexer(hru.time), era5.time.get_indexer(time)
    ratio = hru.precipitation.sum(axis=0) / era5.precipitation[fit_at].sum()
    # ERA5's area is more humid than the basin: keep each segment's observed mean
    share = fao56.relative_humidity(era5.temperature, era5.dew_point)
    damp, moist = share[at][:, None], hru.humidity.mean(axis=0) / share[fit_at].mean()
    top = _top(time, segments)
    clear = fao56.clear_sky_radiation(top, segments["elevation"].to_numpy())
    cloud = fao56.cloud_factor(era5.cloud_cover[at])[:, None]
    drivers = {
        **_air(low, high),
        "precipitation": np.maximum(era5.precipitation[at], 0.0)[:, None] * ratio,
        "relative_humidity": np.minimum(damp * moist, 100.0),
        "solar_radiation": clear * cloud * fao56.WATTS,
        "potential_evapotranspiration": fao56.hargreaves_evapotranspiration(low, high, top),
    }
    return Weather(time, drivers, _counts(hru, crossed))


def _counts(hru: HruForcing, crossed: int) -> dict[str, int]:
    return {"segments_without_own_unit": hru.borrowed, "days_with_minimum_above_maximum": crossed}


def _air(low: Floats, high: Floats) -> dict[str, Floats]:
    return {"air_temperature": (low + high) / 2.0, "air_temperature_min": low, "air_temperature_max": high}


def _ordered(low: Floats, high: Floats) -> tuple[Floats, Floats, int]:
    """Replace minima above their maxima, and these maxima, by their mean; count them."""
    crossed = low > high
    middle = (low + high) / 2.0
    return np.where(crossed, middle, low), np.where(crossed, middle, high), int(crossed.sum())


def _top(time: pd.DatetimeIndex, segments: pd.DataFrame) -> Floats:
    """Radiation at the top of the atmosphere, MJ m-2 d-1, shape (time, coarse)."""
    day = time.day_of_year.to_numpy()[:, None]
    return fao56.extraterrestrial_radiation(day, segments["lat"].to_numpy()[None, :])
