"""Where reaches lie: their lines on the map, from geometries or from points and topology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidDatasetError
from xmsgl.network.topology import link
from xmsgl.schema.geometry import half_way, pieces, read_geometry

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Lines", "lines"]

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lines:
    """Lines on a map, degrees east and north.

    Attributes
    ----------
    paths
        One (n, 2) array of longitude and latitude a line.
    reach
        int64, one a line: position of the reach it belongs to; a reach may have several.
    """

    paths: list[Floats]
    reach: npt.NDArray[np.int64]

    def latitude(self) -> float:
        """Give the latitude of the middle of the map, degrees north."""
        north = np.concatenate([path[:, 1] for path in self.paths])
        return float(north.min() + north.max()) / 2

    def middle(self, reach: int) -> tuple[float, float]:
        """Give longitude and latitude half-way along a reach."""
        own = self.part(np.flatnonzero(self.reach == reach))
        east, north = half_way(own.paths, np.zeros_like(own.reach), 1)[0]
        return float(east), float(north)

    def middles(self, n: int) -> Floats:
        """Give longitude and latitude half-way along each of n reaches, (n, 2); NaN without a line."""
        return half_way(self.paths, self.reach, n)

    def part(self, which: npt.NDArray[np.int64]) -> Lines:
        """Keep some of the lines."""
        return Lines([self.paths[k] for k in which], self.reach[which])


def lines(ds: xr.Dataset, scale: str) -> Lines:
    """Find the lines of all reaches of a scale."""
    if f"geometry_{scale}" in ds.variables:
        found = Lines(*pieces(read_geometry(ds, scale)))
    else:
        places = [f"{name}_{scale}" for name in ("lat", "lon", "downstream")]
        missing = [name for name in places if name not in ds.variables]
        if missing:
            fault = (
                f"nothing says where the reaches lie: geometry_{scale} is missing, "
                f"and so is {', '.join(missing)}; add the one (hexadecimal WKB) or the others (degrees, ids)"
            )
            raise InvalidDatasetError([fault])
        north, east, downstream = (ds[name].values for name in places)
        found = _from_points(east, north, link(ds[scale].values, downstream))
    if not found.paths:
        raise InvalidDatasetError([f"no reach along {scale!r} has a geometry or a finite position"])
    return found


def _from_points(east: Floats, north: Floats, downstream: npt.NDArray[np.int64]) -> Lines:
    points = np.column_stack([east, north]).astype(np.float64)
    to = np.where(downstream < 0, np.arange(len(points)), downstream)
    pairs = np.stack([points, points[to]], axis=1)
    (drawn,) = np.nonzero(np.isfinite(pairs).all(axis=(1, 2)))
    return Lines(list(pairs[drawn]), drawn.astype(np.int64))
