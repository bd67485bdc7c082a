"""Parameters of PRMS as pywatershed stores them: one netCDF file per process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

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
from xmsgl.readers.prms import STATIC, converter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Source", "open_netcdf", "open_parameters", "segment_links", "segment_table"]

Source: TypeAlias = "xr.Dataset | str | Path"
"""A netCDF file, or the Dataset opened from one."""

_DIMS = {"nsegment": "nhm_seg", "nhru": "nhm_id"}  # dimension: the variable that holds its ids
# where a file has no units or "unknown", as pywatershed has for the area
_UNITS = {"seg_length": "m", "seg_slope": "1", "seg_elev": "m", "seg_width": "m", "seg_cum_area": "acre"}


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
    except (ValueError, OSError) as error:
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
            msg = f"'tosegment' of segments {shorten(ids[far].tolist())} exceeds {ids.size}, their number"
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
    wrong = (national != targets) & ~outside
    if wrong.any():
        rows = zip(ids[wrong], targets[wrong], national[wrong], strict=True)
        pairs = shorten(f"{segment} to {one} or {other}" for segment, one, other in rows)
        msg = f"'tosegment' and 'tosegment_nhm' disagree: {pairs}; correct one of them or leave it out"
        raise NetworkError(msg)
    return downstream, int(outside.sum())
