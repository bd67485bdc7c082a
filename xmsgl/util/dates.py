"""Days as a user gives them: text or dates of any library, for one day, a month or a year."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.plain import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["day_range", "day_ranges", "one_day"]

_ISO = re.compile(r"(?P<date>\d{8}|\d{4}(?:-\d{2}(?:-\d{2})?)?)(?:[T ](?P<clock>.+))?")
_MIDNIGHT = re.compile(r"00:00(:00(\.0+)?)?")
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_UNCLEAR = re.compile(r"\d{1,2}[-./]\d{1,2}[-./]\d{4}")


def one_day(value: Any, what: str) -> np.datetime64:
    """Read a single day, text such as "2021-04-01" or a date of any library, as datetime64[D].

    A month or a year, a time of day, a time zone and dates not written yyyy-mm-dd or yyyymmdd are refused;
    `what` names the argument in the message.
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
    date, clock = re.sub(r"(\d{4})(\d{2})(\d{2})", r"\1-\2-\3", found["date"]), found["clock"]
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
