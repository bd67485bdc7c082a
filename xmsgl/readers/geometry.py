"""River lines: their midpoints, and the short text form in which datasets keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["EQUAL_AREA", "GEOMETRY_ATTRS", "encode_lines", "merged_lines", "midpoints"]

EQUAL_AREA = "EPSG:5070"
"""Projection in metres of the NHM segments; both scales are measured in it."""

GEOMETRY_ATTRS = {"units": "1", "encoding_format": "hex WKB", "crs": "EPSG:4326"}
_TOLERANCE = 50.0  # m; less than a pixel on a map of the basin
_GRID = 1e-5  # degrees, about 1 m


def merged_lines(frame: Any, by: str, ids: ArrayLike) -> Any:
    """Join the lines of one id to one."""
    return frame.dissolve(by).geometry.line_merge().reindex(ids)


def midpoints(lines: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the point half-way along each line.

    Shapes: returns (lines,).
    """
    # Measured in the projection that both scales are matched in, along lines of full detail;
    # schema_geometry.half_way is for the lines in degrees, simplified, that a dataset keeps.
    middle = lines.to_crs(EQUAL_AREA).interpolate(0.5, normalized=True).to_crs("EPSG:4326")
    return middle.y.to_numpy(), middle.x.to_numpy()


def encode_lines(lines: Any) -> NDArray[np.object_]:
    """Simplify lines to about 50 m, drop heights, write each as hexadecimal well-known binary.

    Text survives netCDF and Zarr alike; ``shapely.from_wkb`` reads it.

    Shapes: returns (lines,).
    """
    shapely = require("shapely", "river geometry")
    simple = lines.to_crs(EQUAL_AREA).simplify(_TOLERANCE).to_crs("EPSG:4326")
    # "pointwise" rounds and keeps every line a line, even one shorter than the grid
    rounded = shapely.set_precision(shapely.force_2d(simple.to_numpy()), _GRID, mode="pointwise")
    encoded: Sequence[str] = shapely.to_wkb(rounded, hex=True)
    return np.array([text.upper() for text in encoded], dtype=object)
