"""The registry of readers: from a file or frame of another project to one scale of the convention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError

__all__ = ["READERS", "Reader", "get", "names", "read", "register"]

Reader: TypeAlias = Callable[..., xr.Dataset]
"""What reads: its sources first, then options by keyword, ``scale=`` among them; returns a Dataset."""

ReaderType = TypeVar("ReaderType", bound=Reader)

READERS: dict[str, Reader] = {}
"""The registered readers by name."""


def register(name: str) -> Callable[[ReaderType], ReaderType]:
    """Register a reader under a name.

    A reader is a function. Its sources come first, its options by keyword, and it returns an
    :class:`xarray.Dataset` of one scale: the dimension ``coarse`` or ``fine`` with ids, variables named as
    in the convention, with the scale's suffix, ``units`` and ``long_name``.

    Parameters
    ----------
    name
        What users will call it.

    Returns
    -------
    callable
        A decorator that leaves the function as it is.

    Raises
    ------
    InvalidArgumentError
        If the name is empty or another reader has it already.

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
            msg = f"there is a reader {name!r} already ({taken}); choose another name"
            raise InvalidArgumentError(msg)
        READERS[name] = reader
        return reader

    return add


def names() -> tuple[str, ...]:
    """Name the readers there are, those of the package and those registered since.

    Returns
    -------
    tuple of str
        Sorted; each can be given to :func:`read` and :func:`get`.

    Examples
    --------
    >>> import xmsgl
    >>> xmsgl.readers.names() == tuple(sorted(READERS))
    True
    """
    return tuple(sorted(READERS))


def get(name: str) -> Reader:
    """Look up a reader.

    Its help says which fields it needs, in which units, and what it does with divergences.

    Parameters
    ----------
    name
        One of :func:`names`.

    Returns
    -------
    callable
        The reader.

    Raises
    ------
    UnknownNameError
        If no reader has this name.

    Examples
    --------
    >>> get("fax")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    xmsgl.errors.UnknownNameError: unknown reader 'fax'; known: ...
    """
    if name not in READERS:
        raise UnknownNameError("reader", name, READERS)
    return READERS[name]


def read(name: str, *sources: Any, **options: Any) -> xr.Dataset:
    """Read one scale with the reader of this name.

    Parameters
    ----------
    name
        One of :func:`names`.
    *sources
        What the reader reads: paths, data frames.
    **options
        The reader's options; most take ``scale="coarse"`` or ``scale="fine"``.

    Returns
    -------
    xarray.Dataset
        What the reader returns, ready for :func:`xmsgl.combine`.

    Raises
    ------
    UnknownNameError
        If no reader has this name.
    InvalidArgumentError
        If the reader returns anything but a Dataset.

    See Also
    --------
    get : the reader itself, for its help.
    """
    reader = get(name)
    ds = reader(*sources, **options)
    if not isinstance(ds, xr.Dataset):  # readers of others need not be type-checked
        msg = f"the reader {name!r} must return an xarray.Dataset, not {type(ds).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return ds
