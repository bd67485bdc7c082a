"""Days as tables hold them: dates, ISO text, or text in a format that the caller states; never guessed."""

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
_SERIAL = re.compile(r"\d{5}")  # 1927 to 2173, as spreadsheets count days
_FIELD = re.compile(r"%([A-Za-z])")
# tried on times that are not ISO, only to name a format that fits all of them
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
_YEARS = (1678, 2261)  # those that datetime64[ns] holds whole


def check_date_format(date_format: str | None) -> None:
    """Refuse a format that does not say the year, the month and the day."""
    if date_format is None:
        return
    known = set(_FIELD.findall(date_format)) if isinstance(date_format, str) else set()  # type: ignore[redundant-expr]
    day = "j" in known or ("d" in known and known & set("mbB"))
    if day and known & set("Yy") and not known & set("zZ"):
        try:
            pd.to_datetime("", format=date_format, errors="coerce")
        except ValueError as error:
            msg = f"date_format {date_format!r} cannot be used: {error}; give one such as '%d/%m/%Y'"
            raise InvalidArgumentError(msg) from error
        return
    msg = (
        "date_format must say year, month and day and no zone, such as '%d/%m/%Y' or '%Y%m%d', "
        f"not {date_format!r}"
    )
    raise InvalidArgumentError(msg)


def read_days(
    column: pd.Series[Any], what: str, *, header: str, id_header: str, date_format: str | None = None
) -> pd.DatetimeIndex:
    """Read the days of a table."""
    check_date_format(date_format)
    if column.empty:
        msg = f"{what} has no rows; leave the table out"
        raise InvalidArgumentError(msg)
    _refuse_missing(column, what)
    stated = None
    if pd.api.types.is_datetime64_any_dtype(column):
        moments = pd.DatetimeIndex(column)
        if moments.tz is not None:
            _refuse_zone(what, str(moments.tz), header)
    else:
        moments, stated = _parsed(column, what, header, date_format)
    far = (moments.year < _YEARS[0]) | (moments.year > _YEARS[1])
    if far.any():
        msg = (
            f"the times of {what} must lie in {_YEARS[0]} to {_YEARS[1]}; {_found(column, far)}; correct them"
        )
        raise InvalidArgumentError(msg)
    off = moments != moments.normalize()
    if off.any():
        _refuse_hours(what, _found(column, off), header, id_header, stated)
    return moments.as_unit("ns").rename(None)


def _refuse_hours(what: str, found: str, header: str, id_header: str, stated: str | None) -> None:
    written = "" if stated is None else f", format={stated!r}"
    msg = (
        f"the times of {what} must be days, at midnight; {found}. Average to daily means first: "
        f"frame[{header!r}] = pd.to_datetime(frame[{header!r}]{written}).dt.floor('D'); "
        f"frame = frame.groupby([{id_header!r}, {header!r}], as_index=False).mean()"
    )
    raise InvalidArgumentError(msg)


def _refuse_missing(column: pd.Series[Any], what: str) -> None:
    missing = column.astype("string").str.strip().fillna("").eq("").to_numpy(dtype=bool)
    if missing.any():
        where = rows_of(missing)
        msg = f"{what} has {int(missing.sum())} rows without a time: {where}; give their days or drop them"
        raise InvalidArgumentError(msg)


def _refuse_zone(what: str, zone: str, header: str) -> None:
    msg = (
        f"the times of {what} have a zone ({zone}); give days without one: "
        f"frame[{header!r}] = pd.to_datetime(frame[{header!r}]).dt.tz_localize(None)"
    )
    raise InvalidArgumentError(msg)


def _found(column: pd.Series[Any], wrong: NDArray[Any]) -> str:
    """Name the first row and its value."""
    first = int(wrong.argmax())
    return f"{rows_of(wrong[: first + 1])} has {str(column.iloc[first])!r}"


def _written(column: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype("int64")  # 20010131.0 was written 20010131
    return column.astype("string").str.strip()


def _parsed(
    column: pd.Series[Any], what: str, header: str, date_format: str | None
) -> tuple[pd.DatetimeIndex, str | None]:
    """Return the moments, and the format they were read in; None for ISO."""
    text = _written(column)
    zones = text.map(_zone).to_numpy(dtype=str)
    if (zones != "").any():
        _refuse_zone(what, zones[zones != ""][0], header)
    if date_format is not None and not (moments := _try(text, date_format)).hasnans:
        return moments, date_format
    iso = text.str.fullmatch(_ISO.pattern).to_numpy(dtype=bool)
    if iso.all():  # ISO is no guess, whatever the other table of a basin needs
        moments = _try(text, "ISO8601")
        if moments.hasnans:
            found = _found(column, np.asarray(moments.isna()))
            msg = f"the times of {what} must be days of the calendar; {found}; correct them"
            raise InvalidArgumentError(msg)
        return moments, None
    wrong = ~iso if date_format is None else np.asarray(_try(text, date_format).isna())
    way = "as 2001-01-31 (ISO)" if date_format is None else f"as date_format={date_format!r} says"
    msg = f"the times of {what} must be written {way}; {_found(column, wrong)}. {_way_out(text, header)}"
    raise InvalidArgumentError(msg)


def _zone(written: str) -> str:
    found = _ISO.fullmatch(written)
    return (found["zone"] or "").strip() if found else ""


def _try(text: pd.Series[Any], date_format: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(text, format=date_format, errors="coerce"))


def _way_out(text: pd.Series[Any], header: str) -> str:
    """Name the formats that fit all of the times; which of several is meant only their owner knows."""
    seen = pd.Series(text.unique())
    fits = [day + clock for clock in _CLOCKS for day in _DATES if not _try(seen, day + clock).hasnans]
    if fits:
        ways = " or ".join(f'date_format="{fit}"' for fit in fits)
        return f"Say how they are written: {ways}" + ("; all of these fit" if len(fits) > 1 else "")
    if seen.str.fullmatch(_SERIAL.pattern).all():
        dates = f"pd.to_datetime(frame[{header!r}].astype(int), unit='D', origin='1899-12-30')"
        return f"They look like the serial numbers of a spreadsheet: frame[{header!r}] = {dates}"
    return 'Write all of them alike and say how, for example date_format="%d/%m/%Y"'
