"""Doubts about outlets: reaches that name none downstream although the river goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["continuations", "doubtful_outlets"]


def doubtful_outlets(
    lines: Any,
    outlets: NDArray[np.bool_],
    field: str,
    *,
    area: NDArray[np.float64] | None = None,
    minor: NDArray[np.bool_] | None = None,
) -> str:
    """Say which outlets end where another line begins.

    Shapes: `outlets` (reaches,).
    """
    end, begin = continuations(lines)
    doubt = outlets[end]
    if minor is not None:
        doubt &= ~minor[begin]
    if area is not None:
        doubt &= ~(area[begin] < area[end])
    if not doubt.any():
        return ""
    ids = lines.index.to_numpy()
    pairs = zip(ids[end[doubt]], ids[begin[doubt]], strict=True)
    told = shorten(f"{one} -> {other}" for one, other in pairs)
    return (
        f"{np.unique(end[doubt]).size} reaches have no {field} and are outlets, although another line begins "
        f"where theirs ends: {told}; give their {field} if they flow on"
    )


def continuations(lines: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the lines that begin exactly where another ends."""
    shapely = require("shapely", "river geometry")
    ends = [shapely.get_coordinates(shapely.get_point(lines.to_numpy(), place)) for place in (0, -1)]
    whole = np.flatnonzero(shapely.get_type_id(lines.to_numpy()) == shapely.GeometryType.LINESTRING)
    first, last = (pd.DataFrame(point, columns=["x", "y"]).assign(line=whole) for point in ends)
    pairs = last.merge(first, on=["x", "y"], suffixes=("_end", "_begin"))
    pairs = pairs[pairs["line_end"] != pairs["line_begin"]]
    return pairs["line_end"].to_numpy(np.int64), pairs["line_begin"].to_numpy(np.int64)
