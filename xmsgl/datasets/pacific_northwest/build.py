"""Build the datasets of the Willamette and the Yakima from the fetched files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.datasets.pacific_northwest import text
from xmsgl.datasets.pacific_northwest.elevation import elevation_along
from xmsgl.datasets.pacific_northwest.flowlines import read_network
from xmsgl.datasets.pacific_northwest.sites import DATE_FORMAT, willamette_gauges, yakima_gauges
from xmsgl.datasets.pacific_northwest.weather import willamette_weather, yakima_weather
from xmsgl.network.topology import link
from xmsgl.readers.coarsen import coarsen
from xmsgl.readers.sites import PlacedSites, place_sites

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import xarray as xr

__all__ = ["build_willamette", "build_yakima"]

_KIONA = 1600.0  # m; the Yakima has no line at gauge 12510500; all others are within 150 m of their reach
_ON_THE_RIVER = 150.0  # m, largest distance of a gauge whose altitude counts


def build_willamette(files: Mapping[str, Path], *, report: Callable[[str], object]) -> xr.Dataset:
    """Build the Willamette, reporting each step."""
    report("river network")
    fine = read_network(files, "willamette")
    report("labels")
    sites, water = willamette_gauges(files)
    placed = place_sites(sites, water, fine, date_format=DATE_FORMAT)
    days = pd.date_range("2016-10-01", "2020-09-30", name="time")
    ds = _two_scales(fine, placed, sites, days)
    report("weather")
    ds = ds.merge(willamette_weather(files, sites, ds))
    report("writing")
    return _described(ds, "willamette")


def build_yakima(files: Mapping[str, Path], *, report: Callable[[str], object]) -> xr.Dataset:
    """Build the Yakima, reporting each step."""
    report("river network")
    fine = read_network(files, "yakima")
    report("labels")
    days = pd.date_range("2004-01-01", "2008-12-31", name="time")
    sites, water = yakima_gauges(files, days)
    placed = place_sites(sites, water, fine, max_distance=_KIONA)
    fine["elevation_fine"] = _elevation(fine, placed.report, sites)
    ds = _two_scales(fine, placed, sites, days)
    report("weather")
    ds = ds.merge(yakima_weather(files, ds))
    report("writing")
    return _described(ds, "yakima")


def _elevation(fine: xr.Dataset, report: pd.DataFrame, sites: pd.DataFrame) -> xr.DataArray:
    """Estimate the elevation of reaches, which is in none of the files."""
    altitude = sites.set_index("site")["elevation"].reindex(report.index)
    near = (report["distance"] <= _ON_THE_RIVER) & altitude.notna()
    ids = fine.indexes["fine"]
    values = elevation_along(
        link(ids, fine["downstream_fine"].to_numpy()),
        fine["length_fine"].to_numpy(),
        fine["slope_fine"].to_numpy(),
        ids.get_indexer(pd.Index(report.loc[near, "reach"])),
        altitude[near].to_numpy(),
    )
    attrs = {"units": "m", "gauges_with_altitude": int(near.sum())}
    return fine["slope_fine"].copy(data=values).assign_attrs(attrs)


def _two_scales(
    fine: xr.Dataset, placed: PlacedSites, sites: pd.DataFrame, days: pd.DatetimeIndex
) -> xr.Dataset:
    """Add labels and the names of gauges to the reaches, and make the segments."""
    used = placed.report[placed.report["days"] > 0]
    labels = placed.labels.reindex(time=days).assign_attrs(
        placed.labels.attrs, gauges=len(used), largest_distance_m=round(float(used["distance"].max()))
    )
    names = (sites["site"] + " " + sites["name"]).set_axis(sites["site"])[used.index]
    on = names.groupby(used["reach"].to_numpy()).agg("; ".join)
    gauge = on.reindex(fine.indexes["fine"]).fillna("").to_numpy(dtype=object)
    named = fine.assign(
        water_temperature_fine=labels,
        gauge_fine=("fine", gauge, {"units": "1", "long_name": "number and name of the gauge, if any"}),
    )
    return coarsen(named)


def _described(ds: xr.Dataset, basin: str) -> xr.Dataset:
    """Add the attributes; store daily values as float32."""
    daily = {name: values for name, values in ds.data_vars.items() if values.dims == ("time", "coarse")}
    ds = ds.assign({name: values.astype(np.float32) for name, values in daily.items()})
    for name, variable in ds.data_vars.items():
        variable.attrs |= text.describe(basin, str(name))
    ds["time"].attrs |= {"long_name": "day", "standard_name": "time"}
    return ds.assign_attrs(text.dataset_attrs(basin))
