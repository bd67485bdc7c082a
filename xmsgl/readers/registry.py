"""The registry of readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError

__all__ = ["READERS", "Reader", "get", "names", "read", "register"]

Reader: TypeAlias = Callable[..., xr.Dataset]
"""A function of sources, then options by keyword, such as ``scale=``, that returns a Dataset."""

ReaderType = TypeVar("ReaderType", bound=Reader)

READERS: dict[str, Reader] = {}


def register(name: str) -> Callable[[ReaderType], ReaderType]:
    """Register a reader under a name.

    A reader is a function of its sources, then options by keyword, that returns a Dataset of one scale: the
    dimension ``coarse`` or ``fine`` with ids, and variables with names and units of the convention.

    Parameters
    ----------
    name
        Name for :func:`read`.

    Returns
    -------
    callable
        A decorator that returns the function unchanged.

    Raises
    ------
    InvalidArgumentError
        The name is empty or belongs to another reader.

    Examples
    --------
    >>> import pandas as pd
    >>> @register("two-columns")
    ... def read_two_columns(frame, *, scale="fine"):
    ...     return xr.Dataset(
    ...         {f"downstream_{scale}": (scale, frame["to"], {"units": "1"})}, coords={scale: frame["id"]}
    ...     )
    >>> ds = read("two-columns", pd.DataFrame({"id": [1, 2], "to": [2, 0]}))
    >>> ds["downstream_fine"].values
    array([2, 0])
    >>> del READERS["two-columns"]
    """
    if not (isinstance(name, str) and name.strip()):  # type: ignore[redundant-expr]  # callers may be untyped
        msg = f"the name of a reader must be text, not {name!r}"
        raise InvalidArgumentError(msg)

    def add(reader: ReaderType) -> ReaderType:
        if name in READERS and READERS[name] is not reader:
            taken = getattr(READERS[name], "__qualname__", repr(READERS[name]))
            msg = f"there is already a reader {name!r} ({taken}); choose another name"
            raise InvalidArgumentError(msg)
        READERS[name] = reader
        return reader

    return add


def names() -> tuple[str, ...]:
    """Return the sorted names of the registered readers.

    Examples
    --------
    >>> import xmsgl
    >>> xmsgl.readers.names() == tuple(sorted(READERS))
    True
    """
    return tuple(sorted(READERS))


def get(name: str) -> Reader:
    """Look up a reader.

    Parameters
    ----------
    name
        One of :func:`names`.

    Returns
    -------
    callable
        The reader; its help lists the fields it needs.

    Raises
    ------
    UnknownNameError
        No reader has this name.
    """
    if name not in READERS:
        raise UnknownNameError("reader", name, READERS)
    return READERS[name]


def read(name: str, *sources: Any, **options: Any) -> xr.Dataset:
    """Read one scale with a registered reader.

    Parameters
    ----------
    name
        One of :func:`names`.
    *sources
        Paths or data frames, as the reader expects.
    **options
        The reader's options; most take ``scale="coarse"`` or ``scale="fine"``.

    Returns
    -------
    xarray.Dataset
        One scale, ready for :func:`xmsgl.combine`.

    Raises
    ------
    UnknownNameError
        No reader has this name.
    InvalidArgumentError
        The reader does not return a Dataset.
    """
    ds = get(name)(*sources, **options)
    if not isinstance(ds, xr.Dataset):  # readers of others need not be type-checked
        msg = f"the reader {name!r} must return an xarray.Dataset, not {type(ds).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return ds
