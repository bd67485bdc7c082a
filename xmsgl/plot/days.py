"""What a map shows of a record: a day of it, or the mean over several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["at_time"]


def at_time(da: xr.DataArray, time: Any = None) -> tuple[xr.DataArray, str]:
    """Take a day of a record, or the mean over a period, and say which.

    Parameters
    ----------
    da
        Anything with or without ``time``; if lazy, what is chosen stays lazy.
    time
        What ``da.sel(time=...)`` takes: a day, or a month (``"2010-07"``) or a slice, whose mean over the
        days that are not missing is given. May be left out where there is one day only.

    Returns
    -------
    tuple
        The array without ``time``, and a title; ``""`` for what has no time.

    Raises
    ------
    InvalidArgumentError
        No time where one is needed, one where there is none, or one that the record does not have.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-07-01", periods=3)
    >>> da = xr.DataArray([14.0, 15.0, 19.0], coords={"time": days})
    >>> day, title = at_time(da, "2001-07-02")
    >>> day.item(), title
    (15.0, '2001-07-02')
    >>> mean, title = at_time(da, "2001-07")
    >>> mean.item(), title.splitlines()
    (16.0, ['2001-07-01 to 2001-07-03', 'mean of 3 days'])
    """
    name = "the array" if da.name is None else repr(da.name)
    if "time" not in da.dims:
        if time is not None:
            msg = f"{name} does not change with time; leave time={time!r} away"
            raise InvalidArgumentError(msg)
        return da, ""
    if "time" not in da.indexes or not da.sizes["time"]:
        msg = f"{name} has {da.sizes['time']} days and needs dates of some along 'time'"
        raise InvalidArgumentError(msg)
    days = da.indexes["time"]
    span = f"{len(days):,} days, {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"
    if time is None and len(days) > 1:
        msg = f"{name} has {span}; choose time=, a day, or a month or slice to see the mean of"
        raise InvalidArgumentError(msg)
    ordered = da if days.is_monotonic_increasing else da.sortby("time")
    try:
        chosen = ordered.isel(time=0) if time is None else ordered.sel(time=time)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"time={time!r} is no day of {name}, nor a slice of days; it has {span}"
        raise InvalidArgumentError(msg) from error
    if "time" not in chosen.dims:
        return chosen, f"{chosen['time'].dt.strftime('%Y-%m-%d').item()}"
    found = chosen.indexes["time"]
    if not len(found):
        msg = f"no day of {name} lies in time={time!r}; it has {span}"
        raise InvalidArgumentError(msg)
    title = f"{found.min():%Y-%m-%d} to {found.max():%Y-%m-%d}\nmean of {len(found):,} days"
    return chosen.mean("time", keep_attrs=True), f"{found[0]:%Y-%m-%d}" if len(found) == 1 else title
