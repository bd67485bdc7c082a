"""Days: of two datasets, joined on those with weather, that is, drivers; and those that a date stands for."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.schema.advice import counted
from xmsgl.schema.names import LABEL
from xmsgl.schema.roles import features_along
from xmsgl.util.plain import brief
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Joined", "day_range", "day_ranges", "day_spans", "join_days", "lost", "one_day", "padded"]

_ISO = re.compile(r"(?P<date>\d{4}(?:-\d{2}(?:-\d{2})?)?)(?:[T ](?P<clock>.+))?")
_MIDNIGHT = re.compile(r"00:00(:00(\.0+)?)?")
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_UNCLEAR = re.compile(r"\d{1,2}[-./]\d{1,2}[-./]\d{4}")


@dataclass(frozen=True)
class Joined:
    """Two datasets on the same days."""

    coarse: xr.Dataset  # NaN on added days
    fine: xr.Dataset
    note: str = ""  # how many days of each were joined, for the history
    losses: tuple[str, ...] = ()  # a sentence for each dataset with days that are not used


def join_days(coarse: xr.Dataset, fine: xr.Dataset) -> Joined:
    """Reindex two datasets to the days of their weather, or to all days if neither has any.

    If both have weather, it is the days they have in common. Labels and simulated states are NaN elsewhere.
    """
    if "time" not in coarse.indexes or "time" not in fine.indexes:
        return Joined(coarse, fine)
    given: dict[Scale, xr.Dataset] = {"coarse": coarse, "fine": fine}
    own = {scale: ds.indexes["time"] for scale, ds in given.items()}
    if own["coarse"].equals(own["fine"]):
        return Joined(coarse, fine)
    days, with_weather = _days(given)
    kept = {scale: int((days.get_indexer(index) >= 0).sum()) for scale, index in own.items()}
    notes = [
        f"{kept[scale]} of {len(index)} days of the {scale} dataset joined"
        for scale, index in own.items()
        if not index.equals(days)
    ]
    losses = [_loss(ds, scale, days, with_weather) for scale, ds in given.items()]
    done = {scale: padded(ds, {"time": days}) for scale, ds in given.items()}
    return Joined(done["coarse"], done["fine"], "; ".join(notes), tuple(loss for loss in losses if loss))


def _days(given: Mapping[Scale, xr.Dataset]) -> tuple[pd.Index, list[Scale]]:
    """Choose the days, and return the scales with weather."""
    own = {scale: features_along(ds, scale, {"time", scale}) for scale, ds in given.items()}
    bases = set(own["coarse"] or own["fine"])
    with_weather = [scale for scale in SCALES if bases & set(own[scale])]
    indexes = [given[scale].indexes["time"] for scale in with_weather or SCALES]
    if len(indexes) == 1:
        return indexes[0], with_weather
    both = indexes[0].intersection(indexes[1]) if with_weather else indexes[0].union(indexes[1])
    return both.sort_values(), with_weather


def _loss(ds: xr.Dataset, scale: Scale, days: pd.Index, with_weather: list[Scale]) -> str:
    """Describe the days of a dataset that are not used; empty if all are."""
    gone = lost(ds, "time", days)
    if not len(gone):
        return ""
    other = "fine" if scale == "coarse" else "coarse"
    label = ds.get(f"{LABEL}_{scale}")
    with_labels = ""
    if label is not None and label.variable._in_memory and "time" in label.dims:
        labels = int(label.sel(time=gone).notnull().sum())
        with_labels = f" with {counted(labels, 'label', 'labels')}"
    if scale in with_weather:
        why = f"the weather of the {other} dataset lacks them"
        cure = "give both the weather of the same days to keep them"
    else:
        why = f"the {other} dataset has no weather on them"
        cure = "give the weather of these days to keep them"
    what = f"{counted(len(gone), 'day', 'days')}{with_labels} of the {scale} dataset left out"
    return f"{what}, because {why}: {day_spans(gone)}; {cure}"


def lost(ds: xr.Dataset, dim: str, kept: pd.Index) -> pd.Index:
    """Return the labels along a dimension that have values and are not in `kept`."""
    outside = kept.get_indexer(ds.indexes[dim]) < 0
    index = ds.indexes[dim][outside]
    along = [array for array in ds.data_vars.values() if dim in array.dims]
    if not len(index) or not all(array.variable._in_memory for array in along):
        return index
    valued = np.zeros(len(index), dtype=bool)
    for array in along:
        part = array.isel({dim: outside})
        valued |= part.notnull().any([name for name in part.dims if name != dim]).to_numpy()
    return index[valued]


def padded(ds: xr.Dataset, indexes: Mapping[str, pd.Index]) -> xr.Dataset:
    """Reindex a dataset, without loading what is not in memory."""
    if any((ds.indexes[dim].get_indexer(index) < 0).any() for dim, index in indexes.items()):
        stored = {
            name: array.chunk("auto" if array.dtype.kind in "biufcmM" else -1)
            for name, array in ds.variables.items()
            if set(array.dims) & set(indexes) and array.chunks is None and not array._in_memory
        }
        ds = ds.assign({name: array for name, array in stored.items() if name in ds.data_vars})
        ds = ds.assign_coords({name: array for name, array in stored.items() if name in ds.coords})
    return ds.reindex(indexes)


def day_spans(days: pd.Index) -> str:
    """Write days for a message, those in a row as one span."""
    if not isinstance(days, pd.DatetimeIndex) or days.tz is not None or not (days == days.normalize()).all():
        return shorten(days)
    days = days.sort_values()
    breaks = np.flatnonzero(np.diff(days.to_numpy()) > np.timedelta64(1, "D"))
    first, last = days[[0, *(breaks + 1)]], days[[*breaks, len(days) - 1]]
    spans = [
        f"{a:%Y-%m-%d}" if a == b else f"{a:%Y-%m-%d} to {b:%Y-%m-%d}"
        for a, b in zip(first, last, strict=True)
    ]
    return shorten(spans)


def one_day(value: Any, what: str) -> np.datetime64:
    """Read a single day, text such as "2021-04-01" or a date of any library, as datetime64[D].

    A month or a year, a time of day, a time zone and dates not written yyyy-mm-dd are refused; `what` names
    the argument in the message.
    """
    first, last = day_range(value, what)
    if first != last:
        whole = "year" if (last - first).astype(int) > 31 else "month"
        msg = f"{what} must be one day, but {_iso(value)!r} is a whole {whole}; give a day, such as '{last}'"
        raise InvalidArgumentError(msg)
    return first


def day_range(value: Any, what: str) -> tuple[np.datetime64, np.datetime64]:
    """Read the first and the last day that a date stands for: "2003-04" is the month, as in `sel` of xarray.

    Other than that it accepts and refuses what :func:`one_day` does.
    """
    text = _iso(value)
    found = _ISO.fullmatch(text or "")
    if text is None or found is None:
        unclear = text is not None and _UNCLEAR.fullmatch(text)
        why = ", because its day and its month may be confused" if unclear else ""
        msg = f"{what} must be a day such as 2021-04-01 (yyyy-mm-dd), not {brief(value)}{why}"
        raise InvalidArgumentError(msg)
    date, clock = found["date"], found["clock"]
    if clock and not _MIDNIGHT.fullmatch(clock):
        extra = "time zone" if _ZONE.search(clock) else "time of day"
        msg = f"{what} {text!r} has a {extra}; give the day without it, such as '{date}'"
        raise InvalidArgumentError(msg)
    try:
        start = np.datetime64(date)  # of the unit that the text has: year, month or day
    except ValueError as error:
        msg = f"{what} {text!r} is not a date of the calendar; correct it"
        raise InvalidArgumentError(msg) from error
    return start.astype("datetime64[D]"), (start + 1).astype("datetime64[D]") - np.timedelta64(1, "D")


def day_ranges(days: Any, what: str) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Read the first and the last days that one date or several stand for, each as :func:`day_range`."""
    values = np.asarray(days) if hasattr(days, "dtype") else days
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in "YMW":
            whole = values.ravel().astype("datetime64[D]")
            if (whole == values.ravel()).all():  # not so for NaT
                return whole, whole
        values = list(values.ravel())
    several = isinstance(values, Iterable) and not isinstance(values, str)
    found = [day_range(each, what) for each in (values if several else [values])]
    first, last = np.array(found, "datetime64[D]").reshape(-1, 2).T
    return first, last


def _iso(value: Any) -> str | None:
    """Write a date of any library as ISO text; None for what is none."""
    if getattr(value, "ndim", None) == 0 and getattr(value, "dtype", np.dtype(int)).kind == "M":
        return str(np.asarray(value)[()])
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value).strip() if isinstance(value, str | pd.Period) else None
