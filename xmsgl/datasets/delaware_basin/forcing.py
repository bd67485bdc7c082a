"""Daily weather on the segments of the Delaware: observed in 1979-80, or by regression for decades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xmsgl.errors import DataUnavailableError, shorten
from xmsgl.readers.prms import DAILY, converter, open_parameters
from xmsgl.readers.rds import read_rds
from xmsgl.readers.response_units import average, read_daily, unit_weights
from xmsgl.readers.weather import inverse_distance, mean_of_stations
from xmsgl.simulate import fao56

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "Era5",
    "HruForcing",
    "Stations",
    "Weather",
    "fit_linear",
    "fit_temperature",
    "observed_weather",
    "predictors",
    "read_era5",
    "read_hru_forcing",
    "read_stations",
    "regressed_weather",
]

Floats = NDArray[np.float64]

_ERA5_START = "1940-01-01"
_FREEZING = 273.15
_PRISM_FITTED = ("2016-10-02", "2018-09-30")  # the next two years are left for tests


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


@dataclass(frozen=True)
class Stations:
    """Observations at Philadelphia's airport, and PRISM's air temperature at gauges."""

    philadelphia: pd.DataFrame  # by day; high and low (degC), precipitation (mm d-1)
    prism: pd.DataFrame  # degC, mean of the 24 hours that end at 12 UTC of the day; by day and gauge
    place: Floats  # latitude and longitude of the gauges, (gauge, 2)

    def at(self, name: str, time: pd.DatetimeIndex, shift: int = 0) -> Floats:
        """Return what Philadelphia observed some days after `time`."""
        days = time + pd.Timedelta(days=shift)
        values = self.philadelphia[name].reindex(days)
        if (missing := days[values.isna()]).size:
            msg = (
                f"Philadelphia has no {name} on {missing.size} of the days needed: {shorten(missing.date)}; "
                "use forcing='era5', which needs no station"
            )
            raise DataUnavailableError(msg)
        return values.to_numpy(np.float64)


def read_stations(files: Mapping[str, Path]) -> Stations:
    """Read Philadelphia's weather (degF, inch) and PRISM's air temperature at the gauges of the basin."""
    daily = pd.read_csv(files["philadelphia"], parse_dates=["date"], index_col="date")
    columns = {
        "high": ("TMAX", "tmax", "degF"),
        "low": ("TMIN", "tmin", "degF"),
        "precipitation": ("PRCP", "prcp", "in d-1"),
    }
    metric = {
        name: converter(prms, units, DAILY[prms].units)(daily[column].to_numpy(np.float64))
        for name, (column, prms, units) in columns.items()
    }
    gauges = pd.read_csv(files["gauge_names"], dtype=str).set_index("ID")["site"].str.strip("'")
    # the coordinates beside PRISM's series are those of other gauges, so take the Delaware's own
    sites = read_rds(files["sites"]).drop_duplicates("site_id").set_index("site_id")
    here = ("USGS-" + gauges)[("USGS-" + gauges).isin(sites.index)]
    prism = pd.read_csv(files["gauge_prism"], parse_dates=["Date"], index_col="Date", date_format="%m/%d/%Y")
    place = sites.loc[here.to_list(), ["latitude", "longitude"]].to_numpy(np.float64)
    prism = prism[here.index.to_list()].set_axis(here.to_list(), axis="columns")
    return Stations(pd.DataFrame(metric, daily.index), prism, place)


def predictors(era5: Era5, time: pd.DatetimeIndex, stations: Stations | None = None) -> Floats:
    """Return the predictors of minimum and maximum air temperature, (time, 10), or 16 with stations."""
    position = era5.time.get_indexer(time)
    angle = 2.0 * np.pi * time.day_of_year.to_numpy() / 365.25
    days = (-1, 0, 1)
    own = [] if stations is None else [stations.at(name, time, k) for name in ("high", "low") for k in days]
    return np.column_stack(
        [
            np.ones(len(time)),
            *(era5.temperature[position + shift] for shift in days),
            (era5.temperature - era5.dew_point)[position],
            era5.cloud_cover[position],
            *(function(k * angle) for k in (1, 2) for function in (np.cos, np.sin)),
            *own,
        ]
    )


def fit_linear(predictors: Floats, target: Floats) -> Floats:
    """Fit a linear regression of (time, coarse) on (time, predictors); return (predictors, coarse)."""
    coefficients, *_ = np.linalg.lstsq(predictors, target, rcond=None)
    return np.asarray(coefficients)


def fit_temperature(
    era5: Era5, hru: HruForcing, segments: pd.DataFrame, stations: Stations | None = None
) -> tuple[Floats, Floats]:
    """Fit minimum and maximum air temperature; return the coefficients of each, (predictors, coarse).

    With stations, a segment's daily mean is also fitted to PRISM of two years at the gauges around it, up to
    a constant. Half of a mean until 12 UTC, morning in the basin, is the maximum of the day before; the other
    half is the minimum, which falls as often on one day as on the other.
    """
    known = predictors(era5, hru.time, stations)
    if stations is None:
        return fit_linear(known, hru.low), fit_linear(known, hru.high)
    prism = stations.prism.loc[slice(*_PRISM_FITTED)]
    day = pd.DatetimeIndex(prism.index)
    today = predictors(era5, day, stations)
    before = predictors(era5, day - pd.Timedelta(days=1), stations)
    weight = inverse_distance(segments[["lat", "lon"]].to_numpy(), stations.place, 2.0)
    none, level = np.zeros_like(known), np.zeros((len(known), 1))
    rows = np.block(
        [
            [known, none, level],
            [none, known, level],
            [(before + today) / 4.0, before / 2.0, np.ones((len(day), 1))],
        ]
    )
    target = np.vstack([hru.low, hru.high, mean_of_stations(weight, prism.to_numpy(np.float64))])
    low, high, _ = np.split(fit_linear(rows, target), [known.shape[1], 2 * known.shape[1]])
    return low, high


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


def regressed_weather(
    era5: Era5,
    hru: HruForcing,
    segments: pd.DataFrame,
    start: str,
    end: str,
    stations: Stations | None = None,
) -> Weather:
    """Estimate the drivers of decades from ERA5, and from stations where given.

    Maximum and minimum air temperature come from :func:`fit_temperature`, precipitation from a linear
    regression on ERA5 and Philadelphia for each segment, scaled to its observed total. Relative humidity
    (Magnus formula) is scaled to the segment's observed mean. Solar radiation is that of a clear sky times a
    factor for the cloud cover.
    """
    time = pd.date_range(start, end, freq="D", name="time")
    wanted = predictors(era5, time, stations)
    low, high, crossed = _ordered(*(wanted @ fit for fit in fit_temperature(era5, hru, segments, stations)))
    rain, past_rain = (_precipitation(era5, days, stations) for days in (time, hru.time))
    weights = fit_linear(past_rain, hru.precipitation)
    ratio = hru.precipitation.sum(axis=0) / (past_rain @ weights).sum(axis=0)
    # ERA5's area is more humid than the basin: keep each segment's observed mean
    fit_at, at = era5.time.get_indexer(hru.time), era5.time.get_indexer(time)
    share = fao56.relative_humidity(era5.temperature, era5.dew_point)
    damp, moist = share[at][:, None], hru.humidity.mean(axis=0) / share[fit_at].mean()
    top = _top(time, segments)
    clear = fao56.clear_sky_radiation(top, segments["elevation"].to_numpy())
    cloud = fao56.cloud_factor(era5.cloud_cover[at])[:, None]
    drivers = {
        **_air(low, high),
        "precipitation": np.maximum(rain @ weights, 0.0) * ratio,
        "relative_humidity": np.minimum(damp * moist, 100.0),
        "solar_radiation": clear * cloud * fao56.WATTS,
        "potential_evapotranspiration": fao56.hargreaves_evapotranspiration(low, high, top),
    }
    return Weather(time, drivers, _counts(hru, crossed))


def _precipitation(era5: Era5, time: pd.DatetimeIndex, stations: Stations | None) -> Floats:
    """Return the precipitation of ERA5 and Philadelphia, (time, 1 or 2)."""
    own = [] if stations is None else [stations.at("precipitation", time)]
    return np.column_stack([era5.precipitation[era5.time.get_indexer(time)], *own])


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
