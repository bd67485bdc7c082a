"""Observations, and errors of a model at sensors: each counts once, although it is seen at both scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.reconstruct.given import Errors
from xmsgl.schema.arrays import as_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.reconstruct.river import River

    Floats = NDArray[np.float32]

__all__ = ["observations", "sensor_errors"]


def sensor_errors(fine: Floats, coarse: Floats, predicted: Floats, river: River) -> Errors:
    """Return observed minus predicted temperature at the reaches with sensors.

    An observation of a segment counts on days without one at its reaches, at the reach furthest downstream,
    as the difference from the mean prediction of its reaches.

    Shapes: `fine` (day, reach), `coarse` (day, segment), `predicted` (day, reach).
    """
    errors = np.full(fine.shape, np.nan, np.float32)
    seen = np.isfinite(fine)
    errors[seen] = fine[seen] - predicted[seen]
    known = np.zeros(coarse.shape, np.bool_)
    day, reach = np.nonzero(seen)
    known[day, river.segment[reach]] = True
    day, place = np.nonzero(np.isfinite(coarse) & ~known)
    outlets = np.append(river.outlets, np.full(coarse.shape[1], -1))[: coarse.shape[1]]
    for k in np.unique(place):
        if outlets[k] < 0:
            continue
        days = day[place == k]
        mean = predicted[days][:, river.segment == k].mean(axis=1)
        errors[days, outlets[k]] = coarse[days, k] - mean
    reaches = np.flatnonzero(np.isfinite(errors).any(axis=0))
    return Errors(np.ascontiguousarray(errors[:, reaches]), reaches)


def observations(
    ds: xr.Dataset, observed: xr.DataArray | xr.Dataset | None, *, required: bool = True
) -> dict[str, Any]:
    """Return observations of both scales on the days and ids of a dataset, (time, node), or None."""
    if observed is None:
        given = {scale: ds[name] for scale in ("fine", "coarse") if (name := f"{schema.LABEL}_{scale}") in ds}
    elif isinstance(observed, xr.Dataset):
        found = {str(name): observed[name] for name in observed}
        given = {s: found[name] for s in ("fine", "coarse") if (name := f"{schema.LABEL}_{s}") in found}
    else:
        array = as_array(observed, "observed")
        given = {"coarse" if "coarse" in array.dims else "fine": array}
    if required and not given:
        names = f"{schema.LABEL}_fine and {schema.LABEL}_coarse"
        msg = f"there is no observation: {names} are missing; give observed="
        raise InvalidArgumentError(msg)
    return {scale: _aligned(ds, as_array(array, "observed"), scale) for scale, array in given.items()}


def _aligned(ds: xr.Dataset, array: xr.DataArray, scale: str) -> Any:
    """Return observations on the days and nodes of a dataset; refuse unknown nodes and other units."""
    units = str(array.attrs.get("units", "degC"))
    if not schema.same_units(units, "degC"):
        msg = f"the observations are in {units}, not in degC; convert them and set the attribute units"
        raise InvalidArgumentError(msg)
    if set(array.dims) != {"time", scale} or not set(array.dims) <= set(array.indexes):
        msg = f"observations must have the dimensions time and {scale} with their ids, not {array.dims}"
        raise InvalidArgumentError(msg)
    if lost := sorted(set(array.indexes[scale]) - set(ds.indexes[scale]), key=str):
        msg = f"observations of {shorten(lost)}, which are not among the ids of {scale!r}; leave them out"
        raise InvalidArgumentError(msg)
    for dim in ("time", scale):
        if not (index := array.indexes[dim]).is_unique:
            twice = shorten(index[index.duplicated()].unique())
            msg = f"there are two observations or more of {dim} {twice}; keep one of each"
            raise InvalidArgumentError(msg)
    days = ds.indexes["time"]
    if not array.indexes["time"].isin(days).any():
        msg = (
            f"no observation lies on a day of the dataset, which has days from {days[0]} to {days[-1]}; give "
            "observations of these days, daily means at the same time of day"
        )
        raise InvalidArgumentError(msg)
    times = array.indexes["time"]
    if (between := times[(times >= days[0]) & (times <= days[-1])].difference(days)).size:
        msg = (
            f"{between.size} observations lie between the days of the dataset, the first at {between[0]}; "
            "give daily means at the same time of day"
        )
        raise InvalidArgumentError(msg)
    return array.transpose("time", scale).reindex({"time": days, scale: ds.indexes[scale]}).data
