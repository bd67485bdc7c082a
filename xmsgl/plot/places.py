"""Where reaches lie: lines on the map, from geometries or from points and topology."""

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
    """Lines on a map, and the position of the reach each belongs to; a reach may have several lines."""

    paths: list[Floats]  # longitude and latitude, (n, 2) each
    reach: npt.NDArray[np.int64]

    def bounds(self) -> tuple[Floats, Floats]:
        """Find the south-western and the north-eastern corner, longitude and latitude each."""
        places = np.concatenate(self.paths)
        return places.min(axis=0), places.max(axis=0)

    def shrink(self) -> float:
        """Length of a degree of longitude over one of latitude: the cosine of the middle latitude."""
        (_, south), (_, north) = self.bounds()
        return float(np.cos(np.deg2rad((south + north) / 2)))

    def shape(self) -> float:
        """Width of the map over its height, on the ground."""
        low, high = self.bounds()
        east, north = np.maximum(high - low, 1e-6)
        return float(self.shrink() * east / north)

    def middles(self, n: int) -> Floats:
        """Find longitude and latitude halfway along each of n reaches, (n, 2); NaN without a line."""
        return half_way(self.paths, self.reach, n)

    def part(self, which: npt.NDArray[np.int64]) -> Lines:
        """Keep some of the lines, in the order given."""
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
                f"the dataset does not say where the reaches lie: geometry_{scale} is missing, and so is "
                f"{', '.join(missing)}; add the geometry (hexadecimal WKB) or the others (degrees, ids)"
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
