"""R data frames from ``.rds`` files, with NumPy and pandas alone.

The readers one can install are either slow and memory-hungry on half a million rows of text (20 s and
2.6 GB) or under the AGPL; the part of the format that a data frame needs fits on a page.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = ["read_rds"]

_OPENERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ", lzma.decompress),
)
_SYMBOL, _PAIRLIST, _STRING = 1, 2, 9
_LOGICAL, _INTEGER, _REAL, _STRINGS, _LIST = 10, 13, 14, 16, 19
_NULL, _REFERENCE, _COMPACT = 254, 255, 238
_HAS_ATTRIBUTES, _HAS_TAG = 0x200, 0x400
_MISSING_INTEGER = -(2**31)


class _Vector:
    """An R vector with attributes (names, class, levels, ...)."""

    __slots__ = ("attributes", "kind", "values")

    def __init__(self, values: Any, attributes: dict[str, Any], kind: int) -> None:
        self.values, self.attributes, self.kind = values, attributes, kind


class _Reader:
    """Walks through the serialized bytes, in R's big-endian "XDR" layout."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.references: list[Any] = []

    def integer(self) -> int:
        value: int = struct.unpack_from(">i", self.data, self.at)[0]
        self.at += 4
        return value

    def array(self, kind: str) -> np.ndarray:
        count = self.integer()
        values = np.frombuffer(self.data, dtype=kind, count=count, offset=self.at)
        self.at += values.nbytes
        return values

    def text(self) -> str | None:
        size = self.integer()
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-8", errors="surrogateescape")

    def strings(self) -> np.ndarray:
        count = self.integer()
        values = np.empty(count, dtype=object)
        known: dict[bytes, str] = {}  # columns repeat few texts many times: keep one copy of each
        data, at = self.data, self.at
        for position in range(count):
            size = struct.unpack_from(">i", data, at + 4)[0]
            at += 8
            if size >= 0:
                raw = data[at : at + size]
                at += size
                text = known.get(raw)
                if text is None:
                    text = known.setdefault(raw, raw.decode("utf-8", errors="surrogateescape"))
                values[position] = text
        self.at = at
        return values

    def pairs(self, flags: int) -> list[tuple[str, Any]]:
        """Read a pairlist, for example the attributes of a vector: tags ("" if none) and values."""
        found = []
        while flags & 0xFF == _PAIRLIST:
            if flags & _HAS_ATTRIBUTES:
                self.item()
            tag = self.item() if flags & _HAS_TAG else ""
            found.append((str(tag), self.item()))
            flags = self.integer()
        if flags & 0xFF != _NULL:
            msg = f"an attribute list ends with an item of kind {flags & 0xFF}"
            raise InvalidArgumentError(msg)
        return found

    def item(self) -> Any:
        flags = self.integer()
        kind = flags & 0xFF
        if kind == _NULL:
            return None
        if kind == _REFERENCE:
            return self.references[(flags >> 8 or self.integer()) - 1]
        if kind == _SYMBOL:
            self.integer()
            name = self.text()
            self.references.append(name)
            return name
        if kind == _PAIRLIST:
            return self.pairs(flags)
        if kind == _COMPACT:
            return self.compact()
        values = self.values(kind)
        attributes = dict(self.pairs(self.integer())) if flags & _HAS_ATTRIBUTES else {}
        return _Vector(values, attributes, kind)

    def values(self, kind: int) -> Any:
        if kind in (_LOGICAL, _INTEGER):
            return self.array(">i4")
        if kind == _REAL:
            return self.array(">f8")
        if kind == _STRINGS:
            return self.strings()
        if kind == _LIST:
            return [self.item() for _ in range(self.integer())]
        msg = f"an item of R's kind {kind} at byte {self.at}; only data frames of plain columns are read"
        raise InvalidArgumentError(msg)

    def compact(self) -> Any:
        """Read R's short form of a sequence or of a wrapped vector (ALTREP)."""
        info, state, _attributes = self.item(), self.item(), self.item()
        name = str(info[0][1])
        if name == "compact_intseq":
            count, first, step = state.values
            return _Vector((first + step * np.arange(int(count))).astype(">i4"), {}, _INTEGER)
        if name.startswith("wrap_"):
            return state.values[0] if isinstance(state, _Vector) else state[0][1]
        msg = f"a vector in R's short form {name!r}; save the data frame with an older version of R"
        raise InvalidArgumentError(msg)


def read_rds(path: str | Path) -> pd.DataFrame:
    """Read an R data frame.

    Parameters
    ----------
    path
        A file written by R's ``saveRDS`` (gzip, bzip2, xz or plain).

    Returns
    -------
    pandas.DataFrame
        One column for each of the frame's: real numbers as float64; integers and logicals as pandas'
        nullable ``Int32`` and ``boolean``; text as objects, None where missing; factors as text; a list
        column as objects holding arrays; dates and times (``Date``, ``POSIXct``) as ``datetime64[ns]`` in
        UTC.

    Raises
    ------
    InvalidArgumentError
        The file is not an R file, or holds something else than a data frame of such columns.

    References
    ----------
    R Core Team, R Internals, section 1.8 "Serialization Formats".
    """
    import pandas as pd

    path = Path(path)
    data = path.read_bytes()
    for magic, expand in _OPENERS:
        if data.startswith(magic):
            data = expand(data)
            break
    if not data.startswith(b"X\n"):
        msg = f"{path} is not an R file in binary XDR layout, which saveRDS() writes"
        raise InvalidArgumentError(msg)
    reader = _Reader(data)
    reader.at = 2
    version, _writer, _oldest = reader.integer(), reader.integer(), reader.integer()
    if version == 3:
        reader.text()  # the writer's encoding; texts carry UTF-8 or ASCII
    try:
        frame = reader.item()
    except (struct.error, ValueError, IndexError) as error:
        msg = f"{path} can not be read as an R data frame: {error}"
        raise InvalidArgumentError(msg) from error
    columns = frame.values if isinstance(frame, _Vector) else None
    if not isinstance(columns, list) or "names" not in frame.attributes:
        msg = f"{path} holds no data frame"
        raise InvalidArgumentError(msg)
    names = frame.attributes["names"].values
    return pd.DataFrame({name: _column(vector) for name, vector in zip(names, columns, strict=True)})


def _column(vector: _Vector) -> Any:
    import pandas as pd

    values = vector.values
    classes = vector.attributes.get("class")
    kinds = set(classes.values) if classes is not None else set()
    if isinstance(values, list):
        column = np.empty(len(values), dtype=object)
        column[:] = [item.values if isinstance(item, _Vector) else item for item in values]
        return column
    if "factor" in kinds:
        levels = vector.attributes["levels"].values
        return np.array([None if code < 1 else levels[code - 1] for code in values], dtype=object)
    if "POSIXct" in kinds or "Date" in kinds:
        scale = 86400.0 if "Date" in kinds else 1.0
        return pd.to_datetime(values.astype(np.float64) * scale, unit="s")
    if vector.kind == _REAL:
        return values.astype(np.float64)
    if vector.kind == _STRINGS:
        return values
    missing = values == _MISSING_INTEGER
    if vector.kind == _LOGICAL:
        return pd.arrays.BooleanArray(values == 1, missing)
    return pd.arrays.IntegerArray(values.astype(np.int32), missing)
