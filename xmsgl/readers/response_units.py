"""Weather of hydrologic response units (HRU), averaged onto the segments they drain to."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse

from xmsgl.errors import InvalidDatasetError, NetworkError, shorten
from xmsgl.readers.cbh import read_cbh
from xmsgl.readers.prms import DAILY, Source, open_netcdf
from xmsgl.schema.names import positions

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["average", "hru_weights", "read_daily", "unit_weights"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

# possible dimensions of units and segments, and those of the parameter files
_PLACES = {
    "nhm_id": "nhru",
    "nhru": "nhru",
    "hruid": "nhru",
    "nhm_seg": "nsegment",
    "nsegment": "nsegment",
    "seg_id_nat": "nsegment",
}
_IDS = {"nhru": "nhm_id", "nsegment": "nhm_seg"}


def hru_weights(
    area: Floats, segment: NDArray[np.int64], hru_place: Floats, segment_place: Floats
) -> tuple[sparse.csr_array, int]:
    """Build the operator (coarse, hru) of area-weighted means, and count segments without a unit.

    Shapes: `area` and `segment` (hru,), `hru_place` (hru, 2), `segment_place` (coarse, 2); degrees. A segment
    without a unit takes the nearest one.
    """
    used = segment >= 0
    n = len(segment_place)
    total = np.bincount(segment[used], weights=area[used], minlength=n)
    alone = np.flatnonzero(total == 0)
    shrink = np.array([1.0, np.cos(np.deg2rad(segment_place[:, 0].mean()))])
    apart = ((segment_place[alone, None] - hru_place[None]) * shrink) ** 2
    nearest = apart.sum(axis=2).argmin(axis=1)
    rows = np.concatenate([segment[used], alone])
    columns = np.concatenate([np.flatnonzero(used), nearest])
    values = np.concatenate([area[used] / total[segment[used]], np.ones(len(alone))])
    return sparse.csr_array((values, (rows, columns)), shape=(n, len(area))), len(alone)


def unit_weights(
    parameters: xr.Dataset, segments: pd.Index[int], place: Floats | None
) -> tuple[sparse.csr_array, int]:
    """Build the operator (coarse, nhru) of :func:`hru_weights` from parameter files; `place` (coarse, 2)."""
    needed = ("hru_area", "hru_segment", "hru_lat", "hru_lon")
    if missing := [name for name in needed if name not in parameters]:
        fault = f"averaging units onto segments needs {', '.join(missing)}; add the parameter file with them"
        raise InvalidDatasetError([fault])
    # hru_segment counts the segments of the parameter file from 1; 0 means none
    known = segments.get_indexer(pd.Index(parameters["nhm_seg"].to_numpy()))
    number = parameters["hru_segment"].to_numpy().astype(np.int64)
    if (far := number > known.size).any():
        numbers = shorten(np.unique(number[far]).tolist())
        msg = f"'hru_segment' exceeds the number of segments, {known.size}: {numbers}"
        raise NetworkError(msg)
    owner = np.where(number > 0, known[np.maximum(number, 1) - 1], -1)
    centre = np.stack([parameters[name].to_numpy() for name in ("hru_lat", "hru_lon")], axis=1)
    alone = np.setdiff1d(np.arange(len(segments)), owner)
    if place is None:
        if alone.size:
            msg = (
                f"{alone.size} segments have no unit: {shorten(segments[alone].tolist())}. "
                "Give fabric=, the lines of the segments, so that they can take the nearest unit"
            )
            raise NetworkError(msg)
        place = np.zeros((len(segments), 2))
    return hru_weights(parameters["hru_area"].to_numpy(), owner, centre, place)


def average(weights: sparse.csr_array, values: xr.DataArray) -> xr.DataArray:
    """Average values (time, nhru) onto segments (time, nsegment)."""

    def onto_segments(units: NDArray[np.floating]) -> Floats:
        averaged: Floats = (weights @ units.T.astype(np.float64)).T
        return averaged

    averaged: xr.DataArray = xr.apply_ufunc(
        onto_segments,
        values,
        input_core_dims=[["nhru"]],
        output_core_dims=[["nsegment"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"nsegment": weights.shape[0]}, "allow_rechunk": True},
        keep_attrs=True,
    )
    return averaged


def read_daily(sources: Iterable[Source], parameters: xr.Dataset) -> xr.Dataset:
    """Read daily series (time, nhru) or (time, nsegment), in the order of the parameter files."""
    found: dict[str, xr.DataArray] = {}
    time: pd.DatetimeIndex | None = None
    for source in sources:
        ds, what = _open(source)
        known = [str(name) for name in ds.data_vars if str(name) in DAILY]
        if not known:
            fault = f"{what} has none of {', '.join(DAILY)}; it has {shorten(ds.data_vars, 40)}"
            raise InvalidDatasetError([fault])
        for name in known:
            if name in found:
                fault = f"{name!r} is in several files, among them {what}; give one of them"
                raise InvalidDatasetError([fault])
            array = _placed(ds[name], parameters, what)
            days = array.indexes["time"]
            if time is not None and not days.equals(time):
                fault = f"{what} does not have the same days as the other files; cut them to one period"
                raise InvalidDatasetError([fault])
            time, found[name] = days, array
    return xr.Dataset(found)


def _open(source: Source) -> tuple[xr.Dataset, str]:
    if isinstance(source, str | Path) and Path(source).suffix.lower() == ".cbh":
        name, time, values = read_cbh(Path(source))
        return xr.Dataset({name: (("time", "nhru"), values)}, coords={"time": time}), Path(source).name
    what = Path(source).name if isinstance(source, str | Path) else "a Dataset"
    return open_netcdf(source), what


def _placed(array: xr.DataArray, parameters: xr.Dataset, what: str) -> xr.DataArray:
    """Bring a series to (time, nhru) or (time, nsegment), in the order of the parameter files."""
    days = [name for name in array.dims if isinstance(array.indexes.get(name), pd.DatetimeIndex)]
    others = [str(name) for name in array.dims if name not in days]
    if len(days) != 1 or len(others) != 1 or others[0] not in _PLACES:
        fault = (
            f"{array.name!r} of {what} must have the dimensions days and one of {', '.join(_PLACES)}; it has "
            f"{', '.join(map(str, array.dims))}"
        )
        raise InvalidDatasetError([fault])
    (theirs,), ours = others, _PLACES[others[0]]
    array = array.rename({days[0]: "time"}).transpose("time", theirs)
    ids = parameters[_IDS[ours]].to_numpy() if _IDS[ours] in parameters else None
    own = next((array[name].to_numpy() for name in (_IDS[ours], theirs) if name in array.coords), None)
    array = array.reset_coords(drop=True).drop_vars(theirs, errors="ignore").rename({theirs: ours})
    if ids is None:
        fault = f"the parameter files have no {_IDS[ours]!r}, which {what} needs"
        raise InvalidDatasetError([fault])
    if own is None:  # a file without ids: the columns are in the order of the parameter files
        if array.sizes[ours] != ids.size:
            fault = f"{what} has {array.sizes[ours]} columns, the parameter files have {ids.size} {ours}"
            raise InvalidDatasetError([fault])
        return array
    where = positions(own, ids)
    if (where < 0).any():
        raise InvalidDatasetError([f"{what} lacks {ours} {shorten(ids[where < 0].tolist())}"])
    if (more := len(own) - len(where)) > 0:
        logger.info("%d of %d %s of %s are not in the parameter files", more, len(own), ours, what)
    return array if np.array_equal(where, np.arange(len(own))) else array.isel({ours: where})
