"""Days in tables: dates, ISO text, or text in a format that the caller gives; never guessed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.frames import rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_date_format", "read_days"]

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?(?P<zone> ?(?:Z|[+-]\d{2}:?\d{2}))?"
)
_SERIAL = re.compile(r"\d{5}")  # 1927 to 2173 as serial numbers of a spreadsheet
_FIELD = re.compile(r"%([A-Za-z])")
# tried on times that are not ISO, only to suggest the formats that fit all of them
_DATES = (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d %b %Y",
    "%d-%b-%Y",
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_YEARS = (1678, 2261)  # whole years that datetime64[ns] can represent


def check_date_format(date_format: str | None) -> None:
    """Refuse a format without year, month and day."""
    if date_format is None:
        return
    known = set(_FIELD.findall(date_format)) if isinstance(date_format, str) else set()  # type: ignore[redundant-expr]
    day = "j" in known or ("d" in known and known & set("mbB"))
    if not day or not known & set("Yy") or known & set("zZ"):
        msg = (
            "date_format must contain year, month and day but no time zone, such as '%d/%m/%Y' or '%Y%m%d', "
            f"not {date_format!r}"
        )
        raise InvalidArgumentError(msg)
    try:
        pd.to_datetime("", format=date_format, errors="coerce")
    except ValueError as error:
        msg = f"date_format {date_format!r} cannot be used: {error}; give one such as '%d/%m/%Y'"
        raise InvalidArgumentError(msg) from error


def read_days(
    column: pd.Series[Any], what: str, *, header: str, id_header: str, date_format: str | None = None
) -> pd.DatetimeIndex:
    """Read the days of a table."""
    check_date_format(date_format)
    if column.empty:
        msg = f"{what} has no rows; leave the table out"
        raise InvalidArgumentError(msg)
    missing = column.astype("string").str.strip().fillna("").eq("").to_numpy(dtype=bool)
    if missing.any():
        rows = rows_of(missing, column.index)
        msg = f"{what} has {int(missing.sum())} rows without a time: {rows}; give their days or drop them"
        raise InvalidArgumentError(msg)
    used_format = None
    if pd.api.types.is_datetime64_any_dtype(column):
        times = pd.DatetimeIndex(column)
        if times.tz is not None:
            _refuse_zone(what, str(times.tz), header)
    else:
        times, used_format = _parse(column, what, header, date_format)
    outside = (times.year < _YEARS[0]) | (times.year > _YEARS[1])
    if outside.any():
        years = f"between {_YEARS[0]} and {_YEARS[1]}"
        msg = f"the times of {what} must lie {years}; {_first(column, outside)}; correct them"
        raise InvalidArgumentError(msg)
    hours = times != times.normalize()
    if hours.any():
        argument = "" if used_format is None else f", format={used_format!r}"
        msg = (
            f"the times of {what} must be days, at midnight; {_first(column, hours)}. "
            "Average to daily means first, in the opened table: "
            f"frame[{header!r}] = pd.to_datetime(frame[{header!r}]{argument}).dt.floor('D'); "
            f"frame = frame.groupby([{id_header!r}, {header!r}], as_index=False).mean(numeric_only=True)"
        )
        raise InvalidArgumentError(msg)
    return times.as_unit("ns").rename(None)


def _refuse_zone(what: str, zone: str, header: str) -> None:
    msg = (
        f"the times of {what} have a time zone ({zone}); give days without one: "
        f"frame[{header!r}] = pd.to_datetime(frame[{header!r}]).dt.tz_localize(None)"
    )
    raise InvalidArgumentError(msg)


def _first(column: pd.Series[Any], wrong: NDArray[Any]) -> str:
    """Name the first wrong row and its value."""
    first = int(wrong.argmax())
    return f"{rows_of(wrong[: first + 1], column.index)} has {str(column.iloc[first])!r}"


def _parse(
    column: pd.Series[Any], what: str, header: str, date_format: str | None
) -> tuple[pd.DatetimeIndex, str | None]:
    """Return the times, and the format they were read in; None for ISO."""
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype("int64")  # 20010131.0 was written 20010131
    text = column.astype("string").str.strip()
    matches = [_ISO.fullmatch(value) for value in text]
    for match in matches:
        if match and match["zone"]:
            _refuse_zone(what, match["zone"].strip(), header)
    if date_format is not None and not (times := _try(text, date_format)).hasnans:
        return times, date_format
    iso = np.array([match is not None for match in matches])
    if iso.all():  # also if the other table of a basin needs date_format
        times = _try(text, "ISO8601")
        if times.hasnans:
            first = _first(column, np.asarray(times.isna()))
            msg = f"the times of {what} must be dates that exist; {first}; correct them"
            raise InvalidArgumentError(msg)
        return times, None
    wrong = ~iso if date_format is None else np.asarray(_try(text, date_format).isna())
    form = "as 2001-01-31 (ISO)" if date_format is None else f"as date_format={date_format!r}"
    msg = f"the times of {what} must be written {form}; {_first(column, wrong)}. {_advice(text, header)}"
    raise InvalidArgumentError(msg)


def _try(text: pd.Series[Any], date_format: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(text, format=date_format, errors="coerce"))


def _advice(text: pd.Series[Any], header: str) -> str:
    """Name all formats that fit all of the times; only the caller can choose among several."""
    seen = pd.Series(text.unique())
    fits = [day + clock for clock in _CLOCKS for day in _DATES if not _try(seen, day + clock).hasnans]
    if fits:
        formats = " or ".join(f'date_format="{fit}"' for fit in fits)
        return f"Give their format: {formats}" + (" (all of these fit)" if len(fits) > 1 else "")
    if seen.str.fullmatch(_SERIAL.pattern).all():
        dates = f"pd.to_datetime(frame[{header!r}].astype(int), unit='D', origin='1899-12-30')"
        return f"They look like the serial numbers of a spreadsheet: frame[{header!r}] = {dates}"
    return 'Write all of them in one format and give it, for example date_format="%d/%m/%Y"'
