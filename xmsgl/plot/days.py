"""The day that a map shows, or the mean over several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.errors import InvalidIndexError

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["at_time", "by_day", "spin_up"]


def by_day(da: xr.DataArray) -> xr.DataArray:
    """Label a forecast by its days, instead of their number from the day of issue."""
    forecast = "lead" in da.dims and "time" in da.coords and da["time"].dims == ("lead",)
    return da.swap_dims(lead="time") if forecast else da


def at_time(da: xr.DataArray, time: Any = None) -> tuple[xr.DataArray, str]:
    """Select a day, or the mean over a period, and return it with a title."""
    da = by_day(da)
    name = "the array" if da.name is None else repr(da.name)
    if "time" not in da.dims:
        if time is not None:
            msg = f"{name} does not vary with time; leave out time={time!r}"
            raise InvalidArgumentError(msg)
        return da, ""
    if "time" not in da.indexes or not da.sizes["time"]:
        msg = f"{name} has {da.sizes['time']} days along 'time'; it needs at least one, labelled by date"
        raise InvalidArgumentError(msg)
    days = da.indexes["time"]
    span = f"{len(days):,} days, {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"
    if time is None and len(days) > 1:
        msg = f"{name} has {span}; choose a day with time=, or a month or a slice for its mean"
        raise InvalidArgumentError(msg)
    ordered = da if days.is_monotonic_increasing else da.sortby("time")
    try:
        chosen = ordered.isel(time=0) if time is None else ordered.sel(time=time)
    except (KeyError, TypeError, ValueError, InvalidIndexError) as error:
        msg = f"time={time!r} is not a day of {name} or a slice of days; it has {span}"
        raise InvalidArgumentError(msg) from error
    if "time" not in chosen.dims:
        return chosen, f"{chosen['time'].dt.strftime('%Y-%m-%d').item()}"
    found = chosen.indexes["time"]
    if not len(found):
        msg = f"no day of {name} lies in time={time!r}; it has {span}"
        raise InvalidArgumentError(msg)
    title = f"{found.min():%Y-%m-%d} to {found.max():%Y-%m-%d}\nmean of {len(found):,} days"
    return chosen.mean("time", keep_attrs=True), f"{found[0]:%Y-%m-%d}" if len(found) == 1 else title


def spin_up(da: xr.DataArray) -> tuple[np.datetime64, np.datetime64] | None:
    """Find the first day that depends on the weather before the record, and the day after the last."""
    flagged = da["time"].values[da["spin_up"].values == 1] if "spin_up" in da.coords else []
    return (min(flagged), max(flagged) + np.timedelta64(1, "D")) if len(flagged) else None
