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

    Parameters
    ----------
    lines
        geopandas.GeoSeries of lines in the direction of flow, indexed by the ids of the reaches.
    outlets
        Which reaches name none downstream, shape (reaches,).
    field
        What the file calls the id downstream.
    area
        Drainage areas, NaN where unknown: a reach that drains less is none downstream. Default None: unknown.
    minor
        Which reaches are minor paths, into which no main path leads. Default None: unknown.

    Returns
    -------
    str
        A warning; empty where there is no doubt.

    Examples
    --------
    >>> import geopandas, shapely
    >>> lines = geopandas.GeoSeries(
    ...     [shapely.LineString([(0, 0), (1, 1)]), shapely.LineString([(1, 1), (2, 2)])], index=[7, 8])
    >>> doubtful_outlets(lines, np.array([True, True]), "tocomid")[:41]
    '1 reaches have no tocomid and are outlets'
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
    """Find the lines that begin exactly where another ends.

    Parameters
    ----------
    lines
        geopandas.GeoSeries of lines in the direction of flow; those of several parts are passed over.

    Returns
    -------
    end, begin : numpy.ndarray
        Positions of the line that ends and of the one that begins there, one pair each.

    Examples
    --------
    >>> import geopandas, shapely
    >>> continuations(geopandas.GeoSeries([shapely.LineString([(1, 1), (2, 2)]),
    ...                                    shapely.LineString([(0, 0), (1, 1)])]))
    (array([1]), array([0]))
    """
    shapely = require("shapely", "river geometry")
    ends = [shapely.get_coordinates(shapely.get_point(lines.to_numpy(), place)) for place in (0, -1)]
    whole = np.flatnonzero(shapely.get_type_id(lines.to_numpy()) == shapely.GeometryType.LINESTRING)
    first, last = (pd.DataFrame(point, columns=["x", "y"]).assign(line=whole) for point in ends)
    pairs = last.merge(first, on=["x", "y"], suffixes=("_end", "_begin"))
    pairs = pairs[pairs["line_end"] != pairs["line_begin"]]
    return pairs["line_end"].to_numpy(np.int64), pairs["line_begin"].to_numpy(np.int64)
