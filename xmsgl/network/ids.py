"""Ids of segments and reaches: integers or text, with 0 or empty text for "none"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["id_values", "is_missing", "kind_of", "missing", "other_kind"]


def is_missing(value: object) -> bool:
    """Tell whether a Python object stands for a missing value: None, NaN, NaT or pandas.NA."""
    same: object = value == value  # False for NaN and NaT; for pandas.NA it is pandas.NA
    return value is None or not isinstance(same, bool | np.bool_) or not same


def id_values(values: ArrayLike) -> NDArray[Any]:
    """Bring ids to int64 with 0 for "none" or to text with "" for "none"; leave what is neither as it is.

    Files store ids as floats with NaN or as objects with None.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        whole = np.where(np.isnan(array), 0.0, array)
        # beyond 2**53 neighbouring integers share one float
        exact = (whole == np.rint(whole)) & (np.abs(whole) < 2.0**53)
        return whole.astype(np.int64) if exact.all() else array
    if array.dtype.kind in "US":
        return array.astype(str)
    if array.dtype.kind not in "OT":
        return array
    flat = array.astype(object).ravel()
    absent = np.array([is_missing(value) for value in flat], dtype=bool)
    if not absent.all() and all(isinstance(value, str) for value in flat[~absent]):
        return np.where(absent, "", flat).astype(str).reshape(array.shape)
    filled = [0 if gone or value == "" else value for value, gone in zip(flat, absent, strict=True)]
    numbers = int | float | np.integer | np.floating
    if all(isinstance(value, numbers) and not isinstance(value, bool) for value in filled):
        held = np.array(filled, dtype=None if filled else np.int64).reshape(array.shape)
        return id_values(held) if held.dtype.kind in "iuf" else array
    return array


def missing(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which ids, as :func:`id_values` returns them, mean "none"."""
    if ids.dtype.kind not in "iU":
        return np.zeros(ids.shape, dtype=bool)
    return np.asarray(ids == ("" if ids.dtype.kind == "U" else 0))


def kind_of(values: NDArray[Any]) -> str:
    """Name the kind of ids for a message."""
    names = {"i": "integers", "u": "integers", "f": "floating-point numbers", "U": "text", "M": "dates"}
    if values.dtype.kind in names:
        return names[values.dtype.kind]
    kinds = sorted({type(value).__name__ for value in values.ravel()})
    if len(kinds) > 1:
        return f"a mix of {' and '.join(kinds)}"
    return f"{kinds[0] if kinds else 'object'} values"


def other_kind(given: Any, known: Any) -> str:
    """Say, to end an error message, that some ids are text and others numbers; empty if they are not."""
    mine, theirs = (kind_of(id_values(each)) for each in (given, known))
    if mine == theirs or "text" not in (mine, theirs):
        return ""
    return f"; the former are {mine}, the latter {theirs}: convert one of them"
