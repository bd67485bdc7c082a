"""Daily weather of the Willamette and the Yakima from gauges and stations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from xmsgl.datasets.pacific_northwest.sites import DATE_FORMAT, gauge_series
from xmsgl.readers.weather import weather_from_stations
from xmsgl.simulate import fao56

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["read_gsod", "willamette_weather", "yakima_weather"]

_NO_TEMPERATURE, _NO_PRECIPITATION = 9999.0, 99.0


def willamette_weather(files: Mapping[str, Path], sites: pd.DataFrame, ds: xr.Dataset) -> xr.Dataset:
    """Interpolate the air temperature of PRISM at the gauges."""
    air = gauge_series(files, "gauge_prism", sites["site"], "air_temperature [degC]")
    weather = weather_from_stations(sites, air, ds, date_format=DATE_FORMAT)
    return weather.assign(clear_sky_radiation_coarse=_clear_sky(ds, weather))


def yakima_weather(files: Mapping[str, Path], ds: xr.Dataset) -> xr.Dataset:
    """Interpolate two stations, and compute radiation and evapotranspiration from the temperatures."""
    daily = read_gsod(path for name, path in files.items() if "_weather_" in name)
    stations = daily.drop_duplicates("station")[["station", "lat", "lon", "elevation"]]
    weather = weather_from_stations(stations, daily.drop(columns=["lat", "lon", "elevation"]), ds)
    low, high = (weather[f"air_temperature_{end}_coarse"].to_numpy() for end in ("min", "max"))
    top = _top(ds, weather)
    sun = fao56.diurnal_radiation(top, ds["elevation_coarse"].to_numpy(), low, high) * fao56.WATTS
    loss = fao56.hargreaves_evapotranspiration(low, high, top)
    return weather.assign(
        clear_sky_radiation_coarse=_clear_sky(ds, weather),
        solar_radiation_coarse=_daily(sun, "W m-2", "computed from the daily range of air temperature"),
        potential_evapotranspiration_coarse=_daily(loss, "mm d-1", "computed: Hargreaves and Samani (1985)"),
    )


def read_gsod(paths: Iterable[Path]) -> pd.DataFrame:
    """Read files of the Global Surface Summary of the Day: places and daily values with their units."""
    frame = pd.concat([pd.read_csv(path, dtype={"STATION": str}) for path in paths])
    low, high = (frame[name].where(frame[name] < _NO_TEMPERATURE) for name in ("MIN", "MAX"))
    return pd.DataFrame(
        {
            "station": frame["STATION"],
            "date": frame["DATE"],
            "lat": frame["LATITUDE"],
            "lon": frame["LONGITUDE"],
            "elevation": frame["ELEVATION"],
            "air_temperature [degF]": (low + high) / 2.0,
            "air_temperature_min [degF]": low,
            "air_temperature_max [degF]": high,
            "precipitation [in d-1]": frame["PRCP"].where(frame["PRCP"] < _NO_PRECIPITATION),
        }
    )


def _top(ds: xr.Dataset, weather: xr.Dataset) -> NDArray[np.float64]:
    """Radiation at the top of the atmosphere, MJ m-2 d-1, shape (time, coarse)."""
    day = weather["time"].dt.dayofyear.to_numpy()[:, None]
    return fao56.extraterrestrial_radiation(day, ds["lat_coarse"].to_numpy()[None, :])


def _clear_sky(ds: xr.Dataset, weather: xr.Dataset) -> xr.DataArray:
    values = fao56.clear_sky_radiation(_top(ds, weather), ds["elevation_coarse"].to_numpy()) * fao56.WATTS
    return _daily(values, "W m-2", "computed from latitude, elevation and day, without clouds")


def _daily(values: NDArray[np.float64], units: str, how: str) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "coarse"), attrs={"units": units, "comment": how})
