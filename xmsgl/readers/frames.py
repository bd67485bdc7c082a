"""Tables of other projects: opening files of any format, finding and reading their columns."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from xmsgl.errors import DataUnavailableError, InvalidArgumentError, XMSGLError, shorten
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "FILLS",
    "LINE",
    "Source",
    "check_choice",
    "check_found",
    "columns",
    "find_fields",
    "measures",
    "name_of",
    "open_frame",
    "rows_of",
    "texts",
    "whole_numbers",
]

Source: TypeAlias = "str | Path | pd.DataFrame"
"""A path, a pandas.DataFrame or a geopandas.GeoDataFrame."""

FILLS = (-9998.0, -9999.0)
"""Fill values of the National Hydrography Dataset Plus."""

LINE = "line of the file"
"""Name of the index of frames of text files, if each row is one line."""

_COMMA = re.compile(r"-?\d*[.,]?\d+")  # a number, perhaps with a decimal comma
_ZEROS = re.compile(r"\s*[+-]?0\d")
_PARQUET = {".parquet", ".geoparquet", ".pq"}
_TEXT = {".csv", ".txt", ".dat"}
_PACKED = {".gz", ".bz2", ".xz", ".zip", ".zst"}  # pandas unpacks these by itself


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Refuse an option that is not one of the known ones."""
    known = list(known)
    if value not in known:
        msg = f"{name} must be {' or '.join(map(repr, known))}, not {value!r}"
        raise InvalidArgumentError(msg)


def name_of(source: Source) -> str:
    """Name a source for messages and attributes."""
    return Path(source).name if isinstance(source, str | Path) else type(source).__name__


def open_frame(
    source: Source,
    *,
    layer: str | None = None,
    layered: bool = False,
    text: Callable[[str], bool] | Collection[str] = (),
) -> pd.DataFrame:
    """Open a table, with its geometry if any; `text`: columns of a text file to read as text, in any case."""
    if isinstance(source, pd.DataFrame):
        return source
    if not isinstance(source, str | Path):  # callers need not be type-checked
        msg = f"a table must be a path or a data frame, not {type(source).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    path = Path(source)
    if not path.exists():
        msg = f"there is no file {path}"
        raise DataUnavailableError(msg)
    kind = path.suffix.lower()
    try:
        if kind in _TEXT or (kind in _PACKED and Path(path.stem).suffix.lower() in _TEXT):
            return _read_csv(path, text)
        return _read_parquet(path) if kind in _PARQUET else _read_gdal(path, layer, layered)
    except XMSGLError:
        raise
    except Exception as error:  # the libraries that unpack and parse files raise many kinds
        msg = f"{path} cannot be read as {kind or 'a table'}: {error}"
        raise InvalidArgumentError(msg) from error


def _read_csv(path: Path, text: Callable[[str], bool] | Collection[str]) -> pd.DataFrame:
    chosen = text if callable(text) else lambda header: header.strip().lower() in text
    try:
        return _parse_csv(path, chosen, "utf-8")
    except UnicodeDecodeError:  # second, because any file can be read as Latin-1
        return _parse_csv(path, chosen, "latin-1")


def _parse_csv(path: Path, chosen: Callable[[str], bool], encoding: str) -> pd.DataFrame:
    """Read a text file; the separator is that of the header."""
    header = ",".join(map(str, pd.read_csv(path, nrows=0, encoding=encoding).columns))
    sep = max(",;\t", key=header.count)
    read: Any = partial(pd.read_csv, path, encoding=encoding, sep=sep, skipinitialspace=True)
    dtype = {name: str for name in read(nrows=0).columns if chosen(name)}
    frame: pd.DataFrame = read(dtype=dtype)
    for name in frame.select_dtypes(exclude="number").columns.difference(list(dtype)):
        values = frame[name].dropna().astype(str)
        commas = values[values.str.contains(",", regex=False)]
        if len(commas) and values.str.fullmatch(_COMMA.pattern).all():
            options = f"sep={sep!r}, encoding={encoding!r}, dtype=dict.fromkeys({list(dtype)}, str)"
            msg = (
                f"{name!r} of {path.name} has numbers with a comma, such as {commas.iloc[0]!r}; "
                "give the table as a frame. If it is the decimal sign: "
                f"frame = pd.read_csv({str(path)!r}, decimal=',', {options}); "
                "if it separates thousands, with thousands=',' in place of decimal=','"
            )
            raise InvalidArgumentError(msg)
    if path.suffix.lower() not in _PACKED and _count_lines(path) == len(frame) + 1:
        frame.index = pd.RangeIndex(2, len(frame) + 2, name=LINE)
    return frame


def _count_lines(path: Path) -> int:
    """Count the lines of a file, with or without an end of the last line."""
    ends, last = 0, b"\n"
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            ends, last = ends + block.count(b"\n"), block[-1:]
    return ends + (last != b"\n")


def _read_parquet(path: Path) -> pd.DataFrame:
    parquet = require("pyarrow.parquet", "reading Parquet", extra="data")
    if b"geo" in (parquet.read_schema(path).metadata or {}):
        geopandas = require("geopandas", "reading Parquet with geometry", extra="data")
        frame: pd.DataFrame = geopandas.read_parquet(path)
        return frame
    return pd.read_parquet(path)


def _read_gdal(path: Path, layer: str | None, layered: bool) -> pd.DataFrame:
    purpose = f"reading {path.suffix or path.name}"
    pyogrio = require("pyogrio", purpose, extra="geo")
    require("geopandas", purpose, extra="geo")
    layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
    if layer is None and len(layers) != 1:
        advice = f'give the frame of one: geopandas.read_file("{path}", layer="<its name>")'
        if layered:
            advice = "choose one with layer="
        msg = f"{path} has {len(layers)} layers ({shorten(layers, 20)}); {advice}"
        raise InvalidArgumentError(msg)
    if layer is not None and layer not in layers:
        msg = f"{path} has no layer {layer!r}; it has {shorten(layers, 20)}"
        raise InvalidArgumentError(msg)
    frame: pd.DataFrame = pyogrio.read_dataframe(path, layer=layer or layers[0])
    return frame


def rows_of(marked: NDArray[np.bool_], index: pd.Index[Any]) -> str:
    """Name the marked rows (rows,) of a table for a message, by their lines if the index has them."""
    rows = np.flatnonzero(marked)
    several = "s" if rows.size > 1 else ""
    if index.name == LINE:
        return f"line{several} {shorten(index[rows])} of the file"
    return f"row{several} {shorten(rows + 1)} below the header"


def find_fields(frame: pd.DataFrame, spellings: Mapping[str, Sequence[str]], what: str) -> dict[str, str]:
    """Find the column of each field, in any case; the first of its known spellings is used."""
    columns: dict[str, list[str]] = {}
    for column in frame.columns:
        columns.setdefault(str(column).lower(), []).append(str(column))
    found = {}
    for ours, theirs in spellings.items():
        spelling = next((name for name in theirs if name in columns), None)
        if spelling is None:
            continue
        if len(columns[spelling]) > 1:
            same = shorten(columns[spelling])
            msg = f"{what} has the columns {same}, which differ in case only; drop or rename one"
            raise InvalidArgumentError(msg)
        found[ours] = columns[spelling][0]
    return found


def columns(
    frame: pd.DataFrame, spellings: Mapping[str, Sequence[str]], required: Iterable[str], what: str
) -> dict[str, str]:
    """Find the column of each field, and refuse a table without the required ones."""
    found = find_fields(frame, spellings, what)
    check_found(found, required, frame, what)
    return found


def check_found(found: Mapping[str, str], required: Iterable[str], frame: pd.DataFrame, what: str) -> None:
    """Refuse a table in which required fields were not found."""
    if missing := [name for name in required if name not in found]:
        has = shorten(frame.columns, 20)
        msg = f"{what} has no column for {', '.join(missing)}; it has {has}. Rename them"
        raise InvalidArgumentError(msg)


def whole_numbers(column: pd.Series[Any], what: str, *, optional: bool = False) -> NDArray[np.int64]:
    """Read ids or node numbers stored as integers, floats or text; 0 where `optional` ones are missing."""
    empty = column.isna() | column.isin(["", *(FILLS if optional else ())])
    kept = column[~empty]
    # integers and text must not become floats, which are exact up to 2**53 only
    numbers = pd.to_numeric(kept, errors="coerce")
    wrong = numbers.isna()
    if numbers.dtype.kind == "f":
        wrong |= (numbers != np.rint(numbers)) | (numbers.abs() >= 2.0**53)
    if padded := not pd.api.types.is_numeric_dtype(kept):
        zeros = kept.astype(str).str.match(_ZEROS.pattern)
        wrong, padded = wrong | zeros, bool(zeros.any())
    if wrong.any():
        where = np.zeros(len(column), dtype=bool)
        where[np.flatnonzero(~empty)] = wrong
        found = shorten(kept[wrong].map(repr).unique())
        msg = f"{what} must be whole numbers; found {found} in {rows_of(where, column.index)}; "
        msg += "ids with leading zeros are text: write them alike in all tables" if padded else "correct them"
        raise InvalidArgumentError(msg)
    if empty.any() and not optional:
        rows = rows_of(empty.to_numpy(), column.index)
        msg = f"{what} is missing in {int(empty.sum())} rows: {rows}; drop them or give the values"
        raise InvalidArgumentError(msg)
    values = np.zeros(len(column), dtype=np.int64)
    values[~empty.to_numpy()] = numbers.to_numpy(dtype=np.int64)
    return values


def texts(column: pd.Series[Any]) -> pd.Series[str]:
    """Read text without blanks around it, empty where it is missing."""
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()


def measures(column: pd.Series[Any], what: str, *, fills: Collection[float] = FILLS) -> NDArray[np.float64]:
    """Read a measured column, with NaN for missing values."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        found, rows = shorten(map(repr, column[wrong].unique())), rows_of(wrong.to_numpy(), column.index)
        msg = f"{what} must be numbers; found {found} in {rows}; correct them"
        raise InvalidArgumentError(msg)
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    values[np.isin(values, list(fills))] = np.nan
    return values
