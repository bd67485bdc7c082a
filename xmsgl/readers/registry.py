"""The registry of readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.registry import Registry
from xmsgl.util.spec import bind

__all__ = ["READERS", "Reader", "get", "names", "read", "register"]

Reader: TypeAlias = Callable[..., xr.Dataset]
"""A function of its sources, then options by keyword, such as ``scale=``. It returns a Dataset of one scale:
ids along ``coarse`` or ``fine``, and variables with names and units of the convention."""

READERS: Registry[Reader] = Registry("reader", group="xmsgl.readers")

register = READERS.register


def names() -> tuple[str, ...]:
    """Return the sorted names of the registered readers.

    Examples
    --------
    >>> import xmsgl
    >>> xmsgl.readers.names() == tuple(sorted(READERS))
    True
    """
    return tuple(READERS)


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
    bound = bind(f"reader {name!r}", get(name), *sources, **options)
    ds = get(name)(*bound.args, **bound.kwargs)
    if not isinstance(ds, xr.Dataset):  # readers of others need not be type-checked
        msg = f"the reader {name!r} must return an xarray.Dataset, not {type(ds).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return ds
