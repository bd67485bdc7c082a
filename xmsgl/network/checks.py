"""What the functions on river networks check before they trust their arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import NetworkError, shorten

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["check_downstream", "check_length", "check_segment", "id_keys", "kind_of"]


def id_keys(values: ArrayLike, what: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Bring ids to int64 or str, and say which are missing.

    Shapes: `values` (n,).
    """
    array = np.asarray(values)
    if array.ndim != 1:
        msg = f"{what} ids have shape {array.shape}; a one-dimensional array is needed"
        raise NetworkError(msg)
    if array.dtype.kind in "OT":
        array = _homogeneous(array, what)
    if array.dtype.kind in "iu":
        return array.astype(np.int64), array == 0
    if array.dtype.kind == "f":
        absent = np.isnan(array) | (array == 0)
        whole = np.where(absent, 0, array)
        broken = (whole != np.rint(whole)) | (np.abs(whole) > 2**53)
        if broken.any():
            msg = f"{what} ids {shorten(whole[broken])} are not exact integers; store ids as integers"
            raise NetworkError(msg)
        return whole.astype(np.int64), absent
    if array.dtype.kind in "US":
        text = array.astype(np.str_)
        return text, text == ""
    msg = f"{what} ids have dtype {array.dtype}; use integers or strings"
    raise NetworkError(msg)


def _homogeneous(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Give an array of Python objects the dtype its values have."""
    items = [None if item is None or (isinstance(item, float) and item != item) else item for item in array]
    present = [item for item in items if item is not None and not (isinstance(item, str) and item == "")]
    if all(isinstance(item, str) for item in present):
        return np.array(["" if item is None else item for item in items], dtype=np.str_)
    if all(isinstance(item, (int, np.integer, float, np.floating)) for item in present):
        return np.array([0 if item is None or item == "" else item for item in items])
    kinds = shorten(sorted({type(item).__name__ for item in present}))
    msg = f"{what} ids mix the types {kinds}; use integers or strings"
    raise NetworkError(msg)


def kind_of(keys: NDArray[Any]) -> str:
    """Name the kind of ids for a message."""
    return "strings" if keys.dtype.kind == "U" else "integers"


def check_downstream(downstream: ArrayLike) -> NDArray[np.int64]:
    """Check an array of downstream positions and bring it to int64.

    Shapes: `downstream` (n,).
    """
    array = np.asarray(downstream)
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        msg = (
            f"downstream has shape {array.shape} and dtype {array.dtype}; "
            "a one-dimensional array of integer positions is needed (see xmsgl.network.topology.link)"
        )
        raise NetworkError(msg)
    outside = np.flatnonzero((array < -1) | (array >= array.size))
    if outside.size:
        found = shorten(f"{array[i]} (at {i})" for i in outside)
        msg = f"downstream points outside -1 .. {array.size - 1}: {found}; give positions, not ids"
        raise NetworkError(msg)
    return np.ascontiguousarray(array, dtype=np.int64)


def check_length(length: ArrayLike, n: int) -> NDArray[np.float64]:
    """Check reach lengths and bring them to float64.

    Shapes: `length` (n,).
    """
    array = np.ascontiguousarray(length, dtype=np.float64)
    if array.shape != (n,):
        msg = f"length has shape {array.shape}; one length (m) for each of the {n} reaches is needed"
        raise NetworkError(msg)
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if bad.size:
        found = shorten(f"{array[i]} (at {i})" for i in bad)
        msg = f"reach lengths must be finite and above 0 m, found {found}"
        raise NetworkError(msg)
    return array


def check_segment(segment: ArrayLike, n_coarse: int, n_fine: int | None = None) -> NDArray[np.int64]:
    """Check the positions of coarse segments and bring them to int64.

    Shapes: `segment` (n_fine,), returns (n_fine,).
    """
    place = np.asarray(segment)
    if place.size == 0 and place.ndim == 1:
        place = place.astype(np.int64)
    if place.ndim != 1 or place.dtype.kind not in "iu" or n_fine not in (None, place.size):
        need = "one integer position for each fine reach" if n_fine is None else f"{n_fine} integer positions"
        msg = f"segment has shape {place.shape} and dtype {place.dtype}; {need} is needed"
        raise NetworkError(msg)
    lost = np.flatnonzero((place < 0) | (place >= n_coarse))
    if lost.size:
        found = shorten(f"{place[i]} (at {i})" for i in lost)
        msg = f"segment points outside 0 .. {n_coarse - 1}: {found}; put every fine reach on a segment"
        raise NetworkError(msg)
    return np.ascontiguousarray(place, dtype=np.int64)
