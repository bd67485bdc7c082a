"""Plain tables: one of the reaches and one of their daily values, for any river."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, nearest, shorten
from xmsgl.network.topology import link, topological_order
from xmsgl.readers.days import check_date_format, read_days
from xmsgl.readers.frames import Source, check_choice, measures, name_of, open_frame, texts, whole_numbers
from xmsgl.readers.registry import register
from xmsgl.schema.combine import combine
from xmsgl.schema.names import CROSSWALK, positions, scale_of
from xmsgl.schema.ranges import BASES, check_names
from xmsgl.schema.tree import period
from xmsgl.schema.units import expected_units, same_units
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from xmsgl.util.scales import Scale

__all__ = ["Pair", "read_csv", "read_csv_basin"]

Pair: TypeAlias = "Source | tuple[Source, Source]"
"""A table of reaches, or that and a table of daily values."""

_HEADER = re.compile(r"^\s*(?P<name>.*?)\s*(?:[\[(](?P<units>[^\])]*)[\])])?\s*$")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.0+)?")  # a whole number, without leading zeros
_UNIT = re.compile(r"(^|_)huc\d*(_|$)")  # codes of hydrologic units may begin with zeros
_KNOWN = {"id", "time", "downstream", CROSSWALK, *BASES}  # in capitals, too
_OBVIOUS = {"stream_order": "1", "lat": "degrees_north", "lon": "degrees_east"}


@dataclass(frozen=True)
class _Meaning:
    """How the columns of one scale's tables are read."""

    scale: Scale
    names: Mapping[str, str]
    units: Mapping[str, str]
    date_format: str | None
    used: set[tuple[str, str]] = field(default_factory=set)  # entries of names and units that fit a column
    seen: set[str] = field(default_factory=set)  # headers and names of the columns, for hints

    def split(self, header: str) -> tuple[str, str | None]:
        """Split a header into base name and units."""
        found = _HEADER.match(header)
        name, units = (header, None) if found is None else (found["name"], found["units"])
        self.seen.update((header, name))
        for ours, theirs in self.names.items():
            if theirs in (header, name) and scale_of(ours)[1] in (None, self.scale):
                self.used.add(("names", ours))
                return self.base(ours), units
        small = {self.scale: "id", "date": "time"}.get(name.lower(), name.lower())
        known = scale_of(small)[0] in _KNOWN or expected_units(small) or _UNIT.search(small)
        return self.base(small if known else name), units

    def base(self, name: str) -> str:
        base, scale = scale_of(name)
        if scale is not None and scale != self.scale:
            msg = (
                f"{name!r} belongs to the other scale, and a table has one scale, here {self.scale!r}: "
                f"call it {base!r} if it belongs to this one, else drop it"
            )
            raise InvalidArgumentError(msg)
        return base

    def unit(self, base: str, stated: str | None, what: str) -> str | None:
        """Return the units of a variable, None if they are not given."""
        key = f"{base}_{self.scale}" if f"{base}_{self.scale}" in self.units else base
        given = self.units.get(key)
        self.used.add(("units", key))
        if stated is not None and given is not None and not same_units(stated, given):
            msg = (
                f"{base} of {what} is in {stated!r} by its header but in {given!r} by units=; "
                f"correct the header, or leave {key!r} out of units="
            )
            raise InvalidArgumentError(msg)
        return stated or given or ("1" if _UNIT.search(base) else _OBVIOUS.get(base))

    def is_text(self, header: str) -> bool:
        base = self.split(header)[0]
        return base in ("id", "time", "downstream", CROSSWALK) or _UNIT.search(base) is not None


@register("csv")
@checked
def read_csv(
    reaches: Source,
    daily: Source | None = None,
    *,
    scale: Scale = "fine",
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    date_format: str | None = None,
) -> xr.Dataset:
    """Read one scale from a table of reaches and a table of daily values.

    ===========  ==================  =====================================================================
    table        column              contents
    ===========  ==================  =====================================================================
    `reaches`    id                  one row per reach; whole numbers, or text, also with leading zeros
    `reaches`    downstream          id of the next reach; empty or 0 at an outlet
    `reaches`    length              above 0, with its units: ``length [m]``
    `reaches`    any other           a static attribute, or text; ``lat``, ``lon``; ``coarse_segment``
    `daily`      id, time (or date)  one row per reach and day, in any order; rows may be missing
    `daily`      any other           a daily variable: ``air_temperature [degC]``
    ===========  ==================  =====================================================================

    Headers are names of the convention without the scale, in any case, with their units in brackets. Text
    files have commas, semicolons or tabs and are UTF-8 or Latin-1. Nothing is converted, and units are never
    guessed; only stream_order, lat, lon and text need none. Days and reaches without a row are NaN; the days
    run without gaps from the first to the last. Each reach has one link, so divergences must be resolved in
    the table. Times are dates or ISO text (2001-01-31, or with 00:00); anything else needs `date_format`,
    because 01/02/2001 may be in January or in February.

    Parameters
    ----------
    reaches
        Path of a CSV or Parquet file, or a DataFrame.
    daily
        The same for the daily variables, if any.
    scale
        ``"coarse"`` or ``"fine"``.
    names
        Headers by names of the convention, where they differ: ``{"id": "comid"}``.
    units
        Units by names of the convention, for headers without brackets: ``{"length": "m"}``.
    date_format
        Format of times that are not ISO, as for ``datetime.strptime``: ``"%Y%m%d"`` for 20010131.

    Returns
    -------
    xarray.Dataset
        In the order of `reaches`, with ``time`` if `daily` is given; nothing is lazy.

    Raises
    ------
    DataUnavailableError
        A file does not exist.
    InvalidArgumentError
        Columns or units are missing, values are not numbers or dates, a reach has a day twice, or daily
        values have an unknown id.
    NetworkError
        Ids are missing or repeated, or a link leads to an unknown id.
    CycleError
        The links form a cycle.

    Examples
    --------
    >>> import pandas as pd
    >>> reaches = pd.DataFrame({"id": [1, 2], "downstream": [2, 0], "length [m]": [900.0, 400.0]})
    >>> daily = pd.DataFrame({"id": [1, 2, 1], "date": ["2001-01-01", "2001-01-01", "2001-01-03"],
    ...     "water_temperature [degC]": [3.5, 4.0, 3.0]})
    >>> read_csv(reaches, daily)["water_temperature_fine"].values
    array([[3.5, 4. ],
           [nan, nan],
           [3. , nan]])
    """
    meaning = _meaning(scale, names, units, date_format)
    _check_date_format_needed(date_format, daily)
    ds = _read(reaches, daily, meaning)
    _check_all_used(meaning, meaning)
    return ds


@register("csv-basin")
@checked
def read_csv_basin(
    coarse: Pair,
    fine: Pair,
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    date_format: str | None = None,
) -> xr.Dataset:
    """Read a dataset of both scales from two pairs of tables, joined by a column.

    Parameters
    ----------
    coarse
        Table of segments, or ``(segments, daily)``, as in :func:`read_csv`.
    fine
        The same for the reaches, with the id of the segment of each in the column ``coarse_segment``.
    names, units
        As in :func:`read_csv`, for both scales, or with a suffix for one: ``{"id_fine": "comid"}``.
    date_format
        As in :func:`read_csv`, for both daily tables; each may also have ISO dates.

    Returns
    -------
    xarray.Dataset
        Both scales, joined with :func:`xmsgl.combine` on the days of the weather; not validated yet.

    Raises
    ------
    InvalidArgumentError, NetworkError, CycleError, DataUnavailableError
        As in :func:`read_csv`, and if ``coarse_segment`` is missing.
    InvalidDatasetError
        A reach lies on an unknown segment, or the scales have no day in common.

    Warns
    -----
    DataLossWarning
        Labels on days without weather, or weather that one scale lacks, are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> segments = pd.DataFrame({"id": [7, 8], "downstream": [8, 0], "length": [9.0, 12.0]})
    >>> reaches = pd.DataFrame({"id": ["a", "b", "c"], "downstream": ["b", "c", ""],
    ...     "length": [5.0, 4.0, 12.0], "coarse_segment": [7, 7, 8]})
    >>> ds = read_csv_basin(segments, reaches, units={"length": "m"})
    >>> ds["coarse_segment"].values
    array([7, 7, 8])
    """
    coarse_meaning = _meaning("coarse", names, units, date_format, both=True)
    fine_meaning = _meaning("fine", names, units, date_format, both=True)
    coarse_tables, fine_tables = _pair(coarse, "coarse"), _pair(fine, "fine")
    _check_date_format_needed(date_format, coarse_tables[1], fine_tables[1])
    segments = _read(*coarse_tables, coarse_meaning)
    text = segments.indexes["coarse"].to_numpy().dtype.kind not in "iu"
    reaches = _read(*fine_tables, fine_meaning, text_segments=text)
    _check_all_used(coarse_meaning, fine_meaning)
    if CROSSWALK not in reaches:
        msg = (
            f"{name_of(fine_tables[0])} has no column {CROSSWALK}, the id of the segment each reach lies on; "
            f'add it, or give its header: names={{"{CROSSWALK}": "<header>"}}'
        )
        raise InvalidArgumentError(msg)
    source = f"{segments.attrs['source']}, {reaches.attrs['source']}"
    return combine(segments, reaches, reaches[CROSSWALK]).assign_attrs(source=source)


def _pair(tables: Pair, scale: str) -> tuple[Source, Source | None]:
    if not isinstance(tables, tuple):
        return tables, None
    if len(tables) != 2:  # callers need not be type-checked
        msg = f"{scale} must be a table or two, (reaches, daily), not {len(tables)}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return tables[0], tables[1]


def _meaning(
    scale: Scale,
    names: Mapping[str, str] | None,
    units: Mapping[str, str] | None,
    date_format: str | None,
    *,
    both: bool = False,
) -> _Meaning:
    check_choice("scale", scale, SCALES)
    other = [name for name in [*(names or {}), *(units or {})] if scale_of(name)[1] not in (None, scale)]
    if other and not both:
        msg = f"{shorten(other)} belongs to the other scale, and this table has {scale!r}: leave it out"
        raise InvalidArgumentError(msg)
    check_date_format(date_format)
    return _Meaning(scale, names or {}, units or {}, date_format)


def _check_date_format_needed(date_format: str | None, *daily: Source | None) -> None:
    if date_format is not None and all(table is None for table in daily):
        msg = "date_format= is for a table of daily values, and there is none; leave it out"
        raise InvalidArgumentError(msg)


def _check_all_used(meaning: _Meaning, other: _Meaning) -> None:
    """Refuse entries of names and units that fit no column of one or two scales."""
    used, seen = meaning.used | other.used, meaning.seen | other.seen
    for argument, given in (("names", meaning.names), ("units", meaning.units)):
        unused = {ours: theirs for ours, theirs in given.items() if (argument, ours) not in used}
        if unused:
            written = ", ".join(f"{ours!r}: {theirs!r}" for ours, theirs in unused.items())
            wanted = unused.values() if argument == "names" else unused
            near = [near for name in wanted if (near := nearest(str(name), sorted(seen)))]
            hint = f"did you mean {shorten(map(repr, near))}? Otherwise correct" if near else "correct"
            msg = f"{argument}={{{written}}} fits no column; {hint} or leave it out"
            raise InvalidArgumentError(msg)


def _read(
    reaches: Source, daily: Source | None, meaning: _Meaning, *, text_segments: bool | None = None
) -> xr.Dataset:
    scale = meaning.scale
    statics, units, _ = _columns(reaches, meaning, ("id", "downstream", "length"))
    what = name_of(reaches)
    if "time" in statics:
        msg = f"{what} has a column of days; a table of reaches has one row per reach: give days as daily="
        raise InvalidArgumentError(msg)
    source = what if daily is None else f"{what}, {name_of(daily)}"
    ids = _ids(statics["id"], f"id of {what}", text=None, optional=False)
    text = ids.dtype.kind == "U"
    below = _ids(statics["downstream"], f"downstream of {what}", text=text, optional=True)
    topological_order(link(ids, below, what="segment" if scale == "coarse" else "reach"), ids=ids)
    variables: dict[str, Any] = {
        f"downstream_{scale}": (scale, below, {"units": "1", "long_name": "id of the next reach downstream"})
    }
    for base in statics.columns.difference(["id", "downstream"], sort=False):
        column, label = statics[base], f"{base} of {what}"
        if base == CROSSWALK:
            owner = _ids(column, label, text=text_segments, optional=True)
            attrs = {"units": "1", "long_name": "id of the coarse segment the reach lies on"}
            variables[base] = scale, owner, attrs
        else:
            values = texts(column).to_numpy(str) if _is_text(column) else measures(column, label, fills=())
            attrs = {"units": units[base], "long_name": base.replace("_", " ")}
            variables[f"{base}_{scale}"] = scale, values, attrs
    coords: dict[str, Any] = {scale: (scale, ids, {"units": "1", "long_name": f"id of the {scale} reach"})}
    if daily is not None:
        time, days = _daily(daily, meaning, ids)
        coords["time"] = ("time", time, {"long_name": "day", "standard_name": "time"})
        variables |= days
    ds = xr.Dataset(variables, coords=coords, attrs={"source": source})
    span = f", {period(ds.indexes['time'])}" if daily is not None else ""
    return stamp(ds, f"read {len(ids)} {'segments' if scale == 'coarse' else 'reaches'} of {source}{span}")


def _columns(
    source: Source, meaning: _Meaning, needed: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, str], dict[str, str]]:
    """Return a table with base names as columns, and by base name the units and the headers."""
    what = name_of(source)
    frame = open_frame(source, text=meaning.is_text)
    split = [meaning.split(str(header)) for header in frame.columns]
    bases = [base for base, _ in split]
    if missing := [name for name in needed if name not in bases]:
        near = {name: nearest(name, map(str, frame.columns), 0.75) for name in missing}
        names = ", ".join(f'"{name}": "{near[name] or "<header>"}"' for name in missing)
        msg = (
            f"{what} lacks {', '.join(missing)}; its columns are {shorten(frame.columns, 40)}; "
            f"add what is missing, or give its header: names={{{names}}}"
        )
        raise InvalidArgumentError(msg)
    check_names(bases, what)
    if repeated := sorted({base for base in bases if bases.count(base) > 1}):
        msg = f"{what} has several columns for {shorten(repeated)}; keep one of each"
        raise InvalidArgumentError(msg)
    headers = dict(zip(bases, map(str, frame.columns), strict=True))
    frame = frame.set_axis(bases, axis="columns")
    units, unknown = {}, []
    for base, stated in split:
        if base in ("id", "time", "downstream", CROSSWALK):
            continue
        unit = "1" if _is_text(frame[base]) else meaning.unit(base, stated, what)
        if unit is None:
            unknown.append(base)
        else:
            units[base] = unit
    if unknown:
        examples = {base: expected_units(base) or "<units>" for base in unknown}
        in_headers = ", ".join(f'"{headers[base]} [{unit}]"' for base, unit in examples.items())
        argument = ", ".join(f'"{base}_{meaning.scale}": "{unit}"' for base, unit in examples.items())
        msg = (
            f"{what} does not give the units of {shorten(unknown, 20)}; "
            f"write them in the headers ({in_headers}) or give units={{{argument}}}"
        )
        raise InvalidArgumentError(msg)
    return frame, units, headers


def _is_text(column: pd.Series[Any]) -> bool:
    """Whether all values of a column are text, such as names; one number makes text a fault."""
    values = column.dropna()
    if values.empty or pd.api.types.is_numeric_dtype(values):
        return False
    coded = _UNIT.search(str(column.name)) is not None
    return coded or not pd.to_numeric(values, errors="coerce").notna().any()


def _ids(column: pd.Series[Any], what: str, *, text: bool | None, optional: bool) -> NDArray[Any]:
    """Read ids as whole numbers or as text; None: as text unless all are whole numbers."""
    values, numeric = column.dropna(), pd.api.types.is_numeric_dtype(column)
    if text is None:
        text = not (numeric or values.astype(str).str.fullmatch(_NUMBER.pattern).all())
    if not text:
        return whole_numbers(column, what, optional=optional)
    if numeric and len(values):
        msg = f"{what} are numbers ({shorten(values, 3)}) but the ids they refer to are text; use one kind"
        raise InvalidArgumentError(msg)
    return texts(column).to_numpy(dtype=str)


def _daily(source: Source, meaning: _Meaning, ids: NDArray[Any]) -> tuple[pd.DatetimeIndex, dict[str, Any]]:
    """Return the days and, by name, the daily variables as (dims, values, attrs)."""
    what = name_of(source)
    table, units, headers = _columns(source, meaning, ("id", "time"))
    date_format, header = meaning.date_format, headers["time"]
    days = read_days(table["time"], what, header=header, id_header=headers["id"], date_format=date_format)
    keys = _ids(table["id"], f"id of {what}", text=ids.dtype.kind == "U", optional=False)
    place = positions(ids, keys)
    if (place < 0).any():
        unknown = shorten(pd.unique(keys[place < 0]))
        msg = f"{what} has ids that the other table lacks: {unknown}; add them there, or drop these rows"
        raise InvalidArgumentError(msg)
    time = pd.date_range(days.min(), days.max(), freq="D", unit="ns")
    day = time.get_indexer(days)
    repeated = np.flatnonzero(pd.Series(day * len(ids) + place).duplicated())
    if repeated.size:
        pairs = shorten(f"{keys[row]} on {days[row]:%Y-%m-%d}" for row in repeated.tolist())
        msg = f"{what} has ids and days more than once: {pairs}; keep one row of each"
        raise InvalidArgumentError(msg)
    found = {}
    for base, unit in units.items():
        values = np.full((len(time), len(ids)), np.nan)
        values[day, place] = measures(table[base], f"{base} of {what}", fills=())
        attrs = {"units": unit, "long_name": base.replace("_", " ")}
        found[f"{base}_{meaning.scale}"] = ("time", meaning.scale), values, attrs
    return time, found
