"""PRMS, SNTemp and pywatershed: names and units of their variables, and their parameter files (netCDF)."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import (
    DataUnavailableError,
    InvalidArgumentError,
    InvalidDatasetError,
    NetworkError,
    shorten,
)
from xmsgl.network.topology import link, topological_order
from xmsgl.schema.units import conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "DAILY",
    "STATIC",
    "Source",
    "Variable",
    "converter",
    "open_netcdf",
    "open_parameters",
    "segment_links",
    "segment_table",
]

Source: TypeAlias = "xr.Dataset | str | Path"
"""A netCDF file, or the Dataset opened from one."""


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

_SPELLED = {"decimal fraction": "1"}  # units that only these models write
_DIMS = {"nsegment": "nhm_seg", "nhru": "nhm_id"}  # dimension: the variable that holds its ids
# where a file has no units or "unknown", as pywatershed has for the area
_UNITS = {"seg_length": "m", "seg_slope": "1", "seg_elev": "m", "seg_width": "m", "seg_cum_area": "acre"}


def converter(name: str, found: Any, wanted: str) -> Callable[[Any], Any]:
    """Return the function that converts a variable to the units of the convention."""
    if not isinstance(found, str):
        raise InvalidDatasetError([f"{name!r} does not state its units; give them: units={{'{name}': ...}}"])
    plain = found.strip().lower()
    known = conversion(_SPELLED.get(plain, plain), wanted)
    if known is None:
        fault = (
            f"{name!r} is in {found!r}, which cannot be converted to {wanted!r}; convert it and set its units"
        )
        raise InvalidDatasetError([fault])
    return known.apply


def open_netcdf(source: Source) -> xr.Dataset:
    """Read a netCDF file into memory; return a Dataset unchanged."""
    if isinstance(source, xr.Dataset):
        return source
    if not isinstance(source, str | Path):  # callers need not be type-checked
        msg = f"a netCDF file must be a path or a Dataset, not {type(source).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    if not Path(source).is_file():
        msg = f"there is no file {source}"
        raise DataUnavailableError(msg)
    try:
        return xr.load_dataset(source)
    except (ValueError, OSError, RuntimeError) as error:
        msg = f"{source} cannot be read as netCDF: {error}"
        raise InvalidArgumentError(msg) from error


def open_parameters(sources: Source | Iterable[Source]) -> xr.Dataset:
    """Join the parameter files of a model."""
    listed = [sources] if isinstance(sources, xr.Dataset | str | Path) else list(sources)
    found: dict[str, xr.Variable] = {}
    for source in listed:
        for name, variable in open_netcdf(source).variables.items():
            if not set(variable.dims) <= set(_DIMS) or not variable.dims:
                continue
            former = found.setdefault(str(name), variable)
            if not former.equals(variable):
                fault = f"the parameter files disagree on {name!r}; give the files of one model"
                raise InvalidDatasetError([fault])
    if "nhm_seg" not in found:
        has = shorten(found, 40)
        fault = f"the parameter files have no 'nhm_seg', the ids of the segments; they have {has}"
        raise InvalidDatasetError([fault])
    try:
        return xr.Dataset(found).set_coords([name for name in _DIMS.values() if name in found])
    except ValueError as error:
        fault = f"the parameter files do not belong to one model: {error}"
        raise InvalidDatasetError([fault]) from error


def segment_table(parameters: xr.Dataset) -> pd.DataFrame:
    """Return the attributes of the segments with the names and units of the convention."""
    columns = {}
    for theirs, ours in STATIC.items():
        if theirs in parameters:
            stated = parameters[theirs].attrs.get("units")
            units = stated if stated not in (None, "unknown", "none") else _UNITS[theirs]
            values = parameters[theirs].to_numpy().astype(np.float64)
            columns[ours.base] = converter(theirs, units, ours.units)(values)
    return pd.DataFrame(columns, index=pd.Index(parameters["nhm_seg"].to_numpy(), name="nhm_seg"))


def segment_links(parameters: xr.Dataset) -> tuple[NDArray[np.int64], int]:
    """Return the position downstream of each segment (nsegment,), and how many links leave the files."""
    ids = parameters["nhm_seg"].to_numpy().astype(np.int64)
    known = {
        name: parameters[name].to_numpy().astype(np.int64)
        for name in ("tosegment", "tosegment_nhm")
        if name in parameters
    }
    if not known:
        msg = "the parameter files have neither 'tosegment' nor 'tosegment_nhm'; add parameters_dis_seg.nc"
        raise NetworkError(msg)
    if "tosegment" in known:
        step = known["tosegment"]
        if (far := step > ids.size).any():
            wrong = shorten(ids[far].tolist())
            msg = f"'tosegment' exceeds the number of segments, {ids.size}, at segments {wrong}"
            raise NetworkError(msg)
        targets = np.where(step > 0, ids[step - 1], 0)
    else:
        targets = known["tosegment_nhm"]
    downstream = link(ids, targets, what="segment")
    topological_order(downstream)
    if len(known) < 2:
        return downstream, 0
    national = known["tosegment_nhm"]
    outside = (targets == 0) & (national != 0) & ~np.isin(national, ids)
    differ = (national != targets) & ~outside
    if differ.any():
        rows = zip(ids[differ], targets[differ], national[differ], strict=True)
        pairs = shorten(f"{segment} to {one} or {other}" for segment, one, other in rows)
        msg = f"'tosegment' and 'tosegment_nhm' disagree: {pairs}; correct one of them or leave it out"
        raise NetworkError(msg)
    return downstream, int(outside.sum())
