"""Checks of the arrays and limits that the functions on river networks take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import InvalidArgumentError, NetworkError, shorten

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["check_downstream", "check_length", "check_limit", "check_segment"]


def check_downstream(downstream: ArrayLike) -> NDArray[np.int64]:
    """Check an array of downstream positions (n,) and bring it to int64."""
    array = np.asarray(downstream)
    need = "give one integer position for each reach (see xmsgl.network.topology.link)"
    return _positions(array, "downstream", -1, array.size, need, "give positions, not ids")


def check_segment(segment: ArrayLike, n_coarse: int, n_fine: int | None = None) -> NDArray[np.int64]:
    """Check the positions of coarse segments (n_fine,) and bring them to int64."""
    array = np.asarray(segment)
    reaches = "fine reach" if n_fine is None else f"of the {n_fine} fine reaches"
    need = f"give one integer position for each {reaches}"
    return _positions(array, "segment", 0, n_coarse, need, "put every fine reach on a segment", n_fine)


def _positions(
    array: NDArray[Any], name: str, first: int, n: int, need: str, cure: str, size: int | None = None
) -> NDArray[np.int64]:
    """Refuse what is not a one-dimensional array of positions from `first` to n - 1."""
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or size not in (None, array.size):
        msg = f"{name} has shape {array.shape} and dtype {array.dtype}; {need}"
        raise NetworkError(msg)
    outside = np.flatnonzero((array < first) | (array >= n))
    if outside.size:
        found = shorten(f"{array[i]} (at {i})" for i in outside)
        msg = f"{name} points outside {first} .. {n - 1}: {found}; {cure}"
        raise NetworkError(msg)
    return np.ascontiguousarray(array, dtype=np.int64)


def check_length(length: ArrayLike, n: int) -> NDArray[np.float64]:
    """Check reach lengths (n,) and bring them to float64."""
    try:
        array = np.ascontiguousarray(length, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"length must be numbers: {error}"
        raise InvalidArgumentError(msg) from error
    if array.shape != (n,):
        msg = f"length has shape {array.shape}; give one length (m) for each of the {n} reaches"
        raise NetworkError(msg)
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if bad.size:
        found = shorten(f"{array[i]} (at {i})" for i in bad)
        msg = f"reach lengths must be finite and above 0 m, not {found}"
        raise NetworkError(msg)
    return array


def check_limit(limit: float, *, optional: bool = False) -> float:
    """Check a greatest distance along the river (m)."""
    if isinstance(limit, str | bool) or not limit > 0:
        none = ", or None" if optional else ""
        msg = f"limit must be a distance along the river above 0 m{none}, not {limit!r}"
        raise InvalidArgumentError(msg)
    return float(limit)
