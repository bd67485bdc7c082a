"""Names of the dataset convention: which variable plays which role, at which scale.

Nothing here looks at daily values; see :mod:`xmsgl.schema.rivers` for the door to all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = [
    "CROSSWALK",
    "LABEL",
    "PLACE",
    "PROCESS_COARSE",
    "TOPOLOGY",
    "id_values",
    "positions",
    "scale_of",
]

LABEL = "water_temperature"
#: A process model's temperature of the segments.
PROCESS_COARSE = "simulated_temperature_coarse"
CROSSWALK = "coarse_segment"

TOPOLOGY = {"downstream", "length"}
PLACE = {"lat", "lon", "latitude", "longitude", "x", "y", "geometry"}


def scale_of(name: Hashable) -> tuple[str, Scale | None]:
    """Split a variable's name into base name and scale."""
    text = str(name)
    for scale in SCALES:
        if text.endswith(f"_{scale}") and len(text) > len(scale) + 1:
            return text[: -len(scale) - 1], scale
    return text, None


def id_values(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Bring ids to one of two kinds: int64 with 0 for "none", or text with "" for "none".

    Files keep ids as floats with NaN or as objects with None; this undoes it.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        whole = np.where(np.isnan(array), 0.0, array)
        # beyond 2**53 a float no longer tells one whole number from the next
        exact = (whole == np.rint(whole)) & (np.abs(whole) < 2.0**53)
        return whole.astype(np.int64) if exact.all() else array
    if array.dtype.kind in "US":
        return array.astype(str)
    flat = array.astype(object).ravel()
    missing = np.array([bool(pd.isna(value)) for value in flat], dtype=bool)
    present = flat[~missing]
    if all(isinstance(value, str) for value in present) and present.size:
        return np.where(missing, "", flat).astype(str).reshape(array.shape)
    if all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in present):
        return np.where(missing, 0, flat).astype(np.int64).reshape(array.shape)
    return array


def positions(ids: npt.ArrayLike, wanted: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Find ids by value.

    Shapes: `ids` (n,), `wanted` (m,), returns (m,).
    """
    known, sought = id_values(ids), id_values(wanted)
    # pandas would call 1 and "1" different anyway; numbers against text must not be cast
    if known.dtype.kind != sought.dtype.kind:
        return np.full(sought.shape, -1, dtype=np.int64)
    return np.asarray(pd.Index(known).get_indexer(pd.Index(sought)), dtype=np.int64)
