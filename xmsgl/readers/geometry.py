"""River lines: midpoints, the text form in which datasets keep them, and outlets where a line goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "EQUAL_AREA",
    "GEOMETRY_ATTRS",
    "check_lines",
    "continuations",
    "doubtful_outlets",
    "encode_lines",
    "merged_lines",
    "midpoints",
    "place_variables",
]

EQUAL_AREA = "EPSG:5070"
"""Projection in metres of the NHM segments, in which both scales are measured."""

GEOMETRY_ATTRS = {"units": "1", "encoding_format": "hex WKB", "crs": "EPSG:4326"}
_TOLERANCE = 50.0  # m; less than a pixel on a map of the basin
_GRID = 1e-5  # degrees, about 1 m


def check_lines(lines: Any, ids: Any, what: str) -> None:
    """Refuse lines without a coordinate system, and geometries that are missing or not lines."""
    if lines.crs is None:
        msg = (
            f"the lines of {what} have no coordinate system; set it in the frame, for longitude and latitude "
            'in NAD83 with frame.set_crs("EPSG:4269")'
        )
        raise InvalidArgumentError(msg)
    wrong = (~lines.geom_type.isin(["LineString", "MultiLineString"]) | lines.is_empty).to_numpy()
    if wrong.any():
        msg = (
            f"{wrong.sum()} of the {len(wrong)} geometries of {what} are missing or are not lines: "
            f"{shorten(ids[wrong])}; give their lines or drop these rows"
        )
        raise InvalidArgumentError(msg)


def merged_lines(frame: Any, by: str, ids: ArrayLike) -> Any:
    """Join all lines with the same id into one."""
    return frame.dissolve(by).geometry.line_merge().reindex(ids)


def midpoints(lines: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and longitude of the point half-way along each line, both (lines,)."""
    # from the detailed lines in metres; schema.geometry.half_way takes the simplified ones of a dataset
    middle = lines.to_crs(EQUAL_AREA).interpolate(0.5, normalized=True).to_crs("EPSG:4326")
    return middle.y.to_numpy(), middle.x.to_numpy()


def encode_lines(lines: Any) -> NDArray[np.object_]:
    """Simplify lines to about 50 m, drop heights and write hexadecimal well-known binary (lines,)."""
    shapely = require("shapely", "river geometry")
    simple = lines.to_crs(EQUAL_AREA).simplify(_TOLERANCE).to_crs("EPSG:4326")
    # "pointwise" rounds and keeps every line a line, even one shorter than the grid
    rounded = shapely.set_precision(shapely.force_2d(simple.to_numpy()), _GRID, mode="pointwise")
    return np.array([text.upper() for text in shapely.to_wkb(rounded, hex=True)], dtype=object)


def place_variables(lines: Any, scale: str) -> dict[str, Any]:
    """Return latitude, longitude and geometry of lines as variables of a dataset."""
    lat, lon = midpoints(lines)
    north = {"units": "degrees_north", "long_name": "latitude half-way along the line"}
    east = {"units": "degrees_east", "long_name": "longitude half-way along the line"}
    return {
        f"lat_{scale}": (scale, lat, north),
        f"lon_{scale}": (scale, lon, east),
        f"geometry_{scale}": (scale, encode_lines(lines), {**GEOMETRY_ATTRS, "long_name": "river line"}),
    }


def doubtful_outlets(
    lines: Any,
    outlets: NDArray[np.bool_],
    field: str,
    *,
    area: NDArray[np.float64] | None = None,
    minor: NDArray[np.bool_] | None = None,
) -> str:
    """Name the outlets (reaches,) that end where another line begins; empty if there are none."""
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
    return (
        f"{np.unique(end[doubt]).size} reaches have no {field} and are outlets, although another line begins "
        f"where theirs ends: {shorten(f'{one} -> {other}' for one, other in pairs)}; "
        f"give their {field} if they flow on"
    )


def continuations(lines: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find pairs of lines, the second of which begins exactly where the first ends; both (pairs,)."""
    shapely = require("shapely", "river geometry")
    ends = [shapely.get_coordinates(shapely.get_point(lines.to_numpy(), place)) for place in (0, -1)]
    whole = np.flatnonzero(shapely.get_type_id(lines.to_numpy()) == shapely.GeometryType.LINESTRING)
    first, last = (pd.DataFrame(point, columns=["x", "y"]).assign(line=whole) for point in ends)
    pairs = last.merge(first, on=["x", "y"], suffixes=("_end", "_begin"))
    pairs = pairs[pairs["line_end"] != pairs["line_begin"]]
    return pairs["line_end"].to_numpy(np.int64), pairs["line_begin"].to_numpy(np.int64)
