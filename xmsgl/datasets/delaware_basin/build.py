"""Build the Delaware dataset from the fetched files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import pandas as pd
import xarray as xr
from dask.delayed import delayed

from xmsgl.datasets.delaware_basin import text
from xmsgl.datasets.delaware_basin.forcing import (
    observed_weather,
    read_era5,
    read_hru_forcing,
    read_stations,
    regressed_weather,
)
from xmsgl.datasets.delaware_basin.labels import coarse_labels, fine_labels, read_observations, snap_sites
from xmsgl.datasets.delaware_basin.reaches import (
    dominant_unit,
    fill_drainage_area,
    read_crosswalk,
    read_flowlines,
    segment_orders,
    select_reaches,
)
from xmsgl.datasets.delaware_basin.segments import read_segments
from xmsgl.readers.geometry import GEOMETRY_ATTRS
from xmsgl.simulate.hydrology import discharge
from xmsgl.simulate.process import stream_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from xmsgl.datasets.delaware_basin.forcing import Weather
    from xmsgl.datasets.delaware_basin.labels import Labels
    from xmsgl.datasets.delaware_basin.reaches import Reaches
    from xmsgl.datasets.delaware_basin.segments import Segments

__all__ = ["PERIODS", "build", "simulate"]

_DECADES = ("1979-10-01", "2021-04-08")
PERIODS = {"observed": ("1979-01-01", "1980-12-31"), "era5": _DECADES, "stations": _DECADES}
"""First and last day of each forcing."""

_BLOCK_DAYS = 732  # one chunk of the store
_STATIC = ("slope", "elevation", "width", "drainage_area", "stream_order", "length", "lat", "lon")


def build(
    files: Mapping[str, Path], *, forcing: str, fine: str, report: Callable[[str], object]
) -> xr.Dataset:
    """Build the dataset, reporting each step."""
    report("river network")
    segments = read_segments(files)
    flowlines, crosswalk = read_flowlines(files["reaches"]), read_crosswalk(files["crosswalk"])
    main_stem = select_reaches(flowlines, crosswalk, "mainstem")
    reaches = main_stem if fine == "mainstem" else select_reaches(flowlines, crosswalk, fine)
    area, filled = fill_drainage_area(segments.table, main_stem.table)
    table = segments.table.assign(
        drainage_area=area,
        stream_order=segment_orders(segments.table, main_stem.table),
        huc8=dominant_unit(main_stem.table, "huc8", segments.table.index),
        huc12=dominant_unit(main_stem.table, "huc12", segments.table.index),
    )
    report("labels")
    observations = read_observations(files["observations"])
    labels = {
        "coarse": coarse_labels(observations, segments.segment_of),
        "fine": fine_labels(observations, snap_sites(files["sites"], flowlines, crosswalk)),
    }
    report("weather")
    hru = read_hru_forcing(files, table)
    start, end = PERIODS[forcing]
    if forcing == "observed":
        drivers = observed_weather(hru, table)
    else:
        stations = read_stations(files) if forcing == "stations" else None
        drivers = regressed_weather(read_era5(files), hru, table, start, end, stations)
    report("process model")
    simulated = simulate(segments, np.asarray(area, np.float64), drivers)
    report("writing")
    ds = xr.Dataset(coords=_coordinates(drivers.time, table.index, reaches.table.index))
    ds = ds.assign(_coarse(segments, table, filled)).assign(_fine(reaches))
    ds = ds.assign(_drivers(drivers, forcing))
    ds["simulated_temperature_coarse"] = _variable(("time", "coarse"), simulated, "simulated_temperature")
    for scale, found in labels.items():
        ds[f"water_temperature_{scale}"] = _label(found, ds[scale].to_numpy(), drivers.time, scale)
    return ds.assign_attrs(text.dataset_attrs(forcing, fine))


def simulate(segments: Segments, area: NDArray[np.float64], weather: Weather) -> NDArray[np.float32]:
    """Run the uncalibrated process model on segments with drainage areas (coarse,); return (time, coarse)."""
    table, drivers = segments.table, weather.drivers
    runoff = discharge(
        segments.downstream,
        drainage_area=area,
        precipitation=drivers["precipitation"],
        air_temperature=drivers["air_temperature"],
    )
    return stream_temperature(
        segments.downstream,
        length=table["length"].to_numpy(),
        width=table["width"].to_numpy(),
        slope=table["slope"].to_numpy(),
        air_temperature=drivers["air_temperature"].astype(np.float32),
        solar_radiation=drivers["solar_radiation"].astype(np.float32),
        relative_humidity=drivers["relative_humidity"].astype(np.float32),
        discharge=runoff.discharge,
    ).astype(np.float32)


def _coordinates(time: pd.DatetimeIndex, coarse: pd.Index[int], fine: pd.Index[int]) -> dict[str, Any]:
    return {
        "time": ("time", time.to_numpy(), {"long_name": "day", "standard_name": "time"}),
        "coarse": ("coarse", coarse.to_numpy(np.int64), {"long_name": "NHM segment id", "units": "1"}),
        "fine": ("fine", fine.to_numpy(np.int64), {"long_name": "NHDPlusV2 COMID", "units": "1"}),
    }


def _variable(dims: tuple[str, ...], values: Any, base: str, **attrs: Any) -> xr.DataArray:
    return xr.DataArray(values, dims=dims, attrs={**text.describe(base), **attrs})


def _coarse(segments: Segments, table: pd.DataFrame, filled: list[int]) -> dict[str, xr.DataArray]:
    dims = ("coarse",)
    found = {
        "downstream_coarse": _variable(dims, table["to_segment"].to_numpy(np.int64), "downstream"),
        **{f"{name}_coarse": _variable(dims, table[name].to_numpy(np.float64), name) for name in _STATIC},
        **{f"{name}_coarse": _variable(dims, table[name].to_numpy(), name) for name in ("huc8", "huc12")},
        "geometry_coarse": _variable(dims, table["geometry"].to_numpy(), "geometry", **GEOMETRY_ATTRS),
    }
    found["drainage_area_coarse"].attrs["comment"] = (
        f"segments without area in the model, filled from their reaches: {', '.join(map(str, filled))}"
    )
    found["downstream_coarse"].attrs["outlets"] = int((segments.downstream < 0).sum())
    return found


def _fine(reaches: Reaches) -> dict[str, xr.DataArray]:
    dims, table = ("fine",), reaches.table
    names = ("subsegment", "huc8", "huc12")
    numbers = ("drainage_area", "stream_order", "length", "lat", "lon")
    return {
        "downstream_fine": _variable(
            dims, table["to_reach"].to_numpy(np.int64), "downstream", **reaches.counts
        ),
        "coarse_segment": _variable(dims, table["segment"].to_numpy(np.int64), "coarse_segment"),
        **{f"{name}_fine": _variable(dims, table[name].to_numpy(np.float64), name) for name in numbers},
        **{f"{name}_fine": _variable(dims, table[name].to_numpy(), name) for name in names},
        "geometry_fine": _variable(dims, table["geometry"].to_numpy(), "geometry", **GEOMETRY_ATTRS),
    }


def _drivers(weather: Weather, forcing: str) -> dict[str, xr.DataArray]:
    comments = text.DRIVER_COMMENTS[forcing]
    found = {}
    for base, values in weather.drivers.items():
        attrs = {"comment": comments[base]} if base in comments else {}
        found[f"{base}_coarse"] = _variable(
            ("time", "coarse"), values.astype(np.float32), base, **attrs, **weather.counts
        )
    return found


def _label(labels: Labels, ids: NDArray[np.int64], time: pd.DatetimeIndex, scale: str) -> xr.DataArray:
    """Put labels into a lazy array (time, id), which would be 100 to 1000 times larger in memory."""
    table = labels.table
    row = time.get_indexer(pd.DatetimeIndex(table["time"]))
    column = pd.Index(ids).get_indexer(pd.Index(table["id"]))
    inside = (row >= 0) & (column >= 0)
    table = table[inside].assign(row=row[inside], column=column[inside]).sort_values("row")
    edges = np.unique(np.arange(0, len(time) + _BLOCK_DAYS, _BLOCK_DAYS).clip(max=len(time)))
    cuts = np.searchsorted(table["row"], edges)
    blocks = []
    for first, last, begin, end in zip(edges[:-1], edges[1:], cuts[:-1], cuts[1:], strict=True):
        part = table.iloc[begin:end]
        spots = (part["row"].to_numpy() - first, part["column"].to_numpy())
        values = part["temperature"].to_numpy(np.float32)
        shape = (int(last - first), len(ids))
        block = delayed(_scatter)(spots, values, shape)
        blocks.append(dask.array.from_delayed(block, shape, dtype=np.float32))
    counts = {
        **{f"source_{name}": count for name, count in labels.counts.items()},
        "labels_in_period": len(table),
        "labels_outside_period_or_network": int((~inside).sum()),
    }
    return _variable(
        ("time", scale),
        dask.array.concatenate(blocks, axis=0),
        "water_temperature",
        comment=text.LABEL_COMMENTS[scale],
        **counts,
    )


def _scatter(
    spots: tuple[NDArray[np.int64], NDArray[np.int64]], values: NDArray[np.float32], shape: tuple[int, int]
) -> NDArray[np.float32]:
    field = np.full(shape, np.nan, dtype=np.float32)
    field[spots] = values
    return field
