"""Plain tables: one of the reaches, one of their days, for rivers that no other reader knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.network.topology import link, topological_order
from xmsgl.readers.days import check_date_format, read_days
from xmsgl.readers.frames import Source, measures, name_of, open_frame, whole_numbers
from xmsgl.readers.registry import register
from xmsgl.schema.combine import combine
from xmsgl.schema.names import CROSSWALK, positions, scale_of
from xmsgl.schema.tree import period
from xmsgl.schema.units import expected_units, same_units
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from xmsgl.util.scales import Scale

__all__ = ["Pair", "read_csv", "read_csv_basin"]

Pair: TypeAlias = "Source | tuple[Source, Source]"
"""A table of reaches, or it and a table of their days."""

_HEADER = re.compile(r"^\s*(?P<name>.*?)\s*(?:[\[(](?P<units>[^\])]*)[\])])?\s*$")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.0+)?")  # a whole number as people and programs write it
_UNIT = re.compile(r"(^|_)huc\d*(_|$)")  # hydrologic units begin with zeros
_OBVIOUS = {"stream_order": "1", "lat": "degrees_north", "lon": "degrees_east"}


@dataclass(frozen=True)
class _Meaning:
    """What the columns of one scale's tables mean, and which of the caller's words were needed for that."""

    scale: Scale
    names: Mapping[str, str]
    units: Mapping[str, str]
    date_format: str | None
    used: set[tuple[str, str]] = field(default_factory=set)

    def split(self, header: str) -> tuple[str, str | None]:
        """Split a header into our base name and the units it states."""
        found = _HEADER.match(header)
        name, units = (header, None) if found is None else (found["name"], found["units"])
        for ours, theirs in self.names.items():
            if theirs in (header, name) and scale_of(ours)[1] in (None, self.scale):
                self.used.add(("names", ours))
                return self.base(ours), units
        name = {self.scale: "id", "date": "time"}.get(name, name)
        return self.base(name), units

    def base(self, name: str) -> str:
        base, scale = scale_of(name)
        if scale is not None and scale != self.scale:
            msg = (
                f"{name!r} is of the other scale; a table holds one scale, here {self.scale!r}: "
                f"call it {base!r} if it is of this one, else drop it"
            )
            raise InvalidArgumentError(msg)
        return base

    def unit(self, base: str, stated: str | None, what: str) -> str | None:
        """Return the units of a variable, None where nobody says."""
        key = f"{base}_{self.scale}" if f"{base}_{self.scale}" in self.units else base
        given = self.units.get(key)
        self.used.add(("units", key))
        if stated is not None and given is not None and not same_units(stated, given):
            msg = (
                f"{base} of {what} is in {stated!r} by its header and in {given!r} by units=; "
                f"correct the header, or leave {key!r} out of units="
            )
            raise InvalidArgumentError(msg)
        return stated or given or ("1" if _UNIT.search(base) else _OBVIOUS.get(base))

    def is_text(self, header: str) -> bool:
        base = self.split(header)[0]
        return base in ("id", "time", "downstream", CROSSWALK) or _UNIT.search(base) is not None


@register("csv")
def read_csv(
    reaches: Source,
    daily: Source | None = None,
    *,
    scale: Scale = "fine",
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    date_format: str | None = None,
) -> xr.Dataset:
    """Read one scale from a table of reaches and a table of their days.

    ===========  ==================  =====================================================================
    table        column              contents
    ===========  ==================  =====================================================================
    `reaches`    id                  one row a reach; whole numbers, or text (then also with leading zeros)
    `reaches`    downstream          id of the next reach; empty or 0 at an outlet
    `reaches`    length              above 0, with its units: ``length [m]``
    `reaches`    any other           a static attribute, or text; ``lat``, ``lon``; ``coarse_segment``
    `daily`      id, time (or date)  one row a reach and day, in any order; rows may be missing
    `daily`      any other           a daily variable: ``air_temperature [degC]``
    ===========  ==================  =====================================================================

    Headers are names of the convention (``water_temperature``, ``slope``, ...) without the scale, with
    their units in brackets. Nothing is converted, and units are never guessed; only stream_order, lat, lon
    and text need none. Days and reaches without a row are NaN, and the days run without gaps from the
    first to the last. A reach has one link,
    so divergences must be resolved in the table. A link to an id that is not there is a fault: in a plain
    table it is more often a slip than the edge of the region. Times are dates or ISO text (2001-01-31, or
    with 00:00); anything else needs `date_format`, for 01/02/2001 may be in January or in February.

    Parameters
    ----------
    reaches
        Path of a CSV or Parquet file, or a DataFrame.
    daily
        The same, for the daily variables. Default None: there are none.
    scale
        ``"coarse"`` or ``"fine"``.
    names
        Our names to theirs, where headers differ: ``{"id": "comid", "air_temperature": "tave"}``.
    units
        Units by our names, for headers without brackets: ``{"length": "m"}``.
    date_format
        How the times are written that are not ISO, with year, month and day, as for
        ``datetime.strptime``: ``"%d/%m/%Y"``, or ``"%Y%m%d"`` for 20010131.

    Returns
    -------
    xarray.Dataset
        Dimension `scale` with the ids in the order of `reaches`, and ``time`` where `daily` is given;
        nothing is lazy.

    Raises
    ------
    DataUnavailableError
        There is no such file.
    InvalidArgumentError
        Columns or units are missing, values are no numbers or no days, a reach has a day twice, or the
        days are of unknown reaches.
    NetworkError
        Ids are missing or repeated, or links point nowhere.
    CycleError
        Water would flow in a circle.

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
    _refuse_needless(date_format, daily)
    ds = _read(reaches, daily, meaning)
    _refuse_unused(meaning, meaning.used)
    return ds


@register("csv-basin")
def read_csv_basin(
    coarse: Pair,
    fine: Pair,
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    date_format: str | None = None,
) -> xr.Dataset:
    """Read a whole dataset from two pairs of tables and a column that joins them.

    Parameters
    ----------
    coarse
        Table of segments, or ``(segments, daily)``, as :func:`read_csv` takes them.
    fine
        The same for the reaches. Their table needs the column ``coarse_segment``: the id of the segment
        each reach lies on.
    names, units
        As of :func:`read_csv`. They hold for both scales, or for one: ``{"id_fine": "comid"}``.
    date_format
        As of :func:`read_csv`, for both tables of days; ISO is understood beside it.

    Returns
    -------
    xarray.Dataset
        Both scales, joined with :func:`xmsgl.combine` on the days of the weather: labels never shorten it.
        Not validated yet.

    Raises
    ------
    InvalidArgumentError, NetworkError, CycleError, DataUnavailableError
        As of :func:`read_csv`, and if ``coarse_segment`` is missing.
    InvalidDatasetError
        A reach lies on a segment that is not there, or the two have no day in common.

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
    above = _meaning("coarse", names, units, date_format, both=True)
    below = _meaning("fine", names, units, date_format, both=True)
    segments, reaches = _pair(coarse, "coarse"), _pair(fine, "fine")
    _refuse_needless(date_format, segments[1], reaches[1])
    upper = _read(*segments, above)
    text = upper.indexes["coarse"].to_numpy().dtype.kind not in "iu"
    lower = _read(*reaches, below, text_segments=text)
    _refuse_unused(above, above.used | below.used)
    if CROSSWALK not in lower:
        msg = (
            f"{name_of(reaches[0])} has no column {CROSSWALK}: the id of the segment each reach lies on; "
            f'add it, or say what it is called: names={{"{CROSSWALK}": "<their name>"}}'
        )
        raise InvalidArgumentError(msg)
    source = f"{upper.attrs['source']}, {lower.attrs['source']}"
    return combine(upper, lower, lower[CROSSWALK]).assign_attrs(source=source)


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
    if scale not in SCALES:
        msg = f"scale must be 'coarse' or 'fine', not {scale!r}"
        raise InvalidArgumentError(msg)
    for given in (names or {}, units or {}):
        other = [name for name in given if scale_of(name)[1] not in (None, scale)]
        if other and not both:
            msg = f"{shorten(other)} is of the other scale; this table holds {scale!r}: leave it out"
            raise InvalidArgumentError(msg)
    check_date_format(date_format)
    return _Meaning(scale, names or {}, units or {}, date_format)


def _refuse_needless(date_format: str | None, *daily: Source | None) -> None:
    if date_format is not None and all(table is None for table in daily):
        msg = "date_format= is for the table of the days, and there is none; leave it out"
        raise InvalidArgumentError(msg)


def _refuse_unused(meaning: _Meaning, used: set[tuple[str, str]]) -> None:
    """Refuse words of the caller that met no column: they are slips."""
    for argument, given in (("names", meaning.names), ("units", meaning.units)):
        lost = [f"{ours!r}: {theirs!r}" for ours, theirs in given.items() if (argument, ours) not in used]
        if lost:
            msg = f"{argument}={{{', '.join(lost)}}} fits no column; correct or leave it out"
            raise InvalidArgumentError(msg)


def _read(
    reaches: Source, daily: Source | None, meaning: _Meaning, *, text_segments: bool | None = None
) -> xr.Dataset:
    scale = meaning.scale
    statics, units, _ = _columns(reaches, meaning, ("id", "downstream", "length"))
    source = name_of(reaches) if daily is None else f"{name_of(reaches)}, {name_of(daily)}"
    what = name_of(reaches)
    ids = _ids(statics["id"], f"id of {what}", text=None, optional=False)
    text = ids.dtype.kind == "U"
    below = _ids(statics["downstream"], f"downstream of {what}", text=text, optional=True)
    topological_order(link(ids, below, what="segment" if scale == "coarse" else "reach"), ids=ids)
    variables: dict[str, Any] = {
        f"downstream_{scale}": (scale, below, {"units": "1", "long_name": "id of the next reach downstream"})
    }
    for base in statics.columns.difference(["id", "downstream"], sort=False):
        if base == CROSSWALK:
            owner = _ids(statics[base], f"{base} of {what}", text=text_segments, optional=True)
            attrs = {"units": "1", "long_name": "id of the coarse segment the reach lies on"}
            variables[base] = scale, owner, attrs
        else:
            variables[f"{base}_{scale}"] = scale, *_static(statics[base], units[base], f"{base} of {what}")
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
    """Return a table under our base names, the units of what is measured in it, and the headers."""
    what = name_of(source)
    frame = open_frame(source, text=meaning.is_text)
    split = [meaning.split(str(header)) for header in frame.columns]
    bases = [base for base, _ in split]
    lost = [name for name in needed if name not in bases]
    if lost:
        ways = ", ".join(f'"{name}": "<their name>"' for name in lost)
        msg = (
            f"{what} lacks {', '.join(lost)} among {shorten(frame.columns, 40)}; "
            f"add what is missing, or say what it is called: names={{{ways}}}"
        )
        raise InvalidArgumentError(msg)
    twice = sorted({base for base in bases if bases.count(base) > 1})
    if twice:
        msg = f"{what} has several columns for {shorten(twice)}; keep one of each"
        raise InvalidArgumentError(msg)
    headers = dict(zip(bases, map(str, frame.columns), strict=True))
    frame = frame.set_axis(bases, axis="columns")
    units, silent = {}, []
    for base, stated in split:
        if base in ("id", "time", "downstream", CROSSWALK):
            continue
        unit = "1" if _is_words(frame[base]) else meaning.unit(base, stated, what)
        if unit is None:
            silent.append(base)
        else:
            units[base] = unit
    if silent:
        raise InvalidArgumentError(_without_units(silent, headers, meaning.scale, what))
    return frame, units, headers


def _without_units(silent: list[str], headers: Mapping[str, str], scale: Scale, what: str) -> str:
    known = {base: expected_units(base) or "<units>" for base in silent}
    written = ", ".join(f'"{headers[base]} [{unit}]"' for base, unit in known.items())
    given = ", ".join(f'"{base}_{scale}": "{unit}"' for base, unit in known.items())
    return (
        f"{what} does not say the units of {shorten(silent, 20)}; "
        f"write them into the headers ({written}) or give units={{{given}}}"
    )


def _is_words(column: pd.Series[Any]) -> bool:
    """Whether a column is text throughout, such as names, and not numbers with a slip among them."""
    kept = column.dropna()
    if kept.empty or pd.api.types.is_numeric_dtype(kept):
        return False
    return (
        not pd.to_numeric(kept, errors="coerce").notna().any() or _UNIT.search(str(column.name)) is not None
    )


def _ids(column: pd.Series[Any], what: str, *, text: bool | None, optional: bool) -> NDArray[Any]:
    """Read ids as whole numbers or as text; None: as text unless all are whole numbers."""
    written = column.dropna()
    if text is None:
        text = not (
            pd.api.types.is_numeric_dtype(column) or written.astype(str).str.fullmatch(_NUMBER.pattern).all()
        )
    if not text:
        return whole_numbers(column, what, optional=optional)
    if pd.api.types.is_numeric_dtype(column) and len(written):
        msg = f"{what} are numbers ({shorten(written, 3)}) where the ids they refer to are text; use one kind"
        raise InvalidArgumentError(msg)
    return column.astype(object).where(column.notna(), "").astype(str).str.strip().to_numpy(dtype=str)


def _static(column: pd.Series[Any], unit: str, what: str) -> tuple[NDArray[Any], dict[str, str]]:
    attrs = {"units": unit, "long_name": str(column.name).replace("_", " ")}
    if _is_words(column):
        return column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=str), attrs
    return measures(column, what, fills=()), attrs


def _daily(source: Source, meaning: _Meaning, ids: NDArray[Any]) -> tuple[pd.DatetimeIndex, dict[str, Any]]:
    """Return the days and, by name, the daily variables as (dims, values, attrs)."""
    what = name_of(source)
    table, units, headers = _columns(source, meaning, ("id", "time"))
    moments = read_days(
        table["time"],
        what,
        header=headers["time"],
        id_header=headers["id"],
        date_format=meaning.date_format,
    )
    keys = _ids(table["id"], f"id of {what}", text=ids.dtype.kind == "U", optional=False)
    place = positions(ids, keys)
    if (place < 0).any():
        lost = shorten(pd.unique(keys[place < 0]))
        msg = f"{what} has days of ids that the other table lacks: {lost}; add them there, or drop these rows"
        raise InvalidArgumentError(msg)
    time = pd.date_range(moments.min(), moments.max(), freq="D", unit="ns")
    day = time.get_indexer(moments)
    twice = pd.Series(day * len(ids) + place).duplicated().to_numpy()
    if twice.any():
        told = shorten(f"{keys[n]} on {moments[n]:%Y-%m-%d}" for n in np.flatnonzero(twice).tolist())
        msg = f"{what} has ids and days more than once: {told}; keep one row of each"
        raise InvalidArgumentError(msg)
    found = {}
    for base, unit in units.items():
        values = np.full((len(time), len(ids)), np.nan)
        values[day, place] = measures(table[base], f"{base} of {what}", fills=())
        attrs = {"units": unit, "long_name": base.replace("_", " ")}
        found[f"{base}_{meaning.scale}"] = ("time", meaning.scale), values, attrs
    return time, found
