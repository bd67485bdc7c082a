"""Where reaches lie: lines on the map, from geometries, points and topology, or the topology alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidDatasetError
from xmsgl.network.topology import accumulate, distance_to_outlet, hops_to_outlet, inflows, link
from xmsgl.schema.geometry import half_way, pieces, read_geometry

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DISTANCE", "SCHEMATIC", "Lines", "lines", "tree"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

SCHEMATIC = "schematic: no coordinates in the dataset"
DISTANCE = "distance from the outlet [reaches]"
_FLATTEST = 1 / 3  # shorter side of a map over its longer one; a straight river would leave no area
_MARGIN = 1.08
_SMALLEST = 1e-3  # degrees


@dataclass(frozen=True)
class Lines:
    """Lines on a map, and the position of the reach each belongs to; a reach may have several lines."""

    paths: list[Floats]  # longitude and latitude, (n, 2) each
    reach: Ints
    schematic: bool = False  # drawn from the topology, in reaches instead of degrees

    def bounds(self) -> tuple[Floats, Floats]:
        """Find the south-western and the north-eastern corner of the lines, longitude and latitude each."""
        places = np.concatenate(self.paths)
        return places.min(axis=0), places.max(axis=0)

    def frame(self) -> tuple[Floats, Floats]:
        """Find the corners of a map of the lines: with a margin, and wide and high enough to be read."""
        low, high = self.bounds()
        ground = np.array([self.shrink(), 1.0])
        size = (high - low) * ground
        size = _MARGIN * np.maximum(size, max(_FLATTEST * size.max(), _SMALLEST)) / ground
        return (low + high - size) / 2, (low + high + size) / 2

    def shrink(self) -> float:
        """Length of a degree of longitude over one of latitude: the cosine of the middle latitude."""
        if self.schematic:
            return 1.0
        (_, south), (_, north) = self.bounds()
        return float(np.cos(np.deg2rad((south + north) / 2)))

    def shape(self) -> float:
        """Width of the map over its height, on the ground."""
        low, high = self.frame()
        east, north = high - low
        return float(self.shrink() * east / north)

    def middles(self, n: int) -> Floats:
        """Find longitude and latitude halfway along each of n reaches, (n, 2); NaN without a line."""
        return half_way(self.paths, self.reach, n)

    def part(self, which: Ints) -> Lines:
        """Keep some of the lines, in the order given."""
        return replace(self, paths=[self.paths[k] for k in which], reach=self.reach[which])


def lines(ds: xr.Dataset, scale: str) -> Lines:
    """Find the lines of all reaches of a scale; a schematic tree if the dataset has no coordinates."""
    given = [name for name in ("geometry", "lat", "lon", "downstream") if f"{name}_{scale}" in ds.variables]
    if "geometry" in given:
        found = Lines(*pieces(read_geometry(ds, scale)))
    elif given == ["downstream"]:
        found = _schematic(link(ds[scale].values, ds[f"downstream_{scale}"].values))
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


def tree(downstream: Ints) -> Floats:
    """Place each reach of a network (n,) in a tree without crossings, (n, 2), as wide as it is high."""
    # Upwards the reaches to the outlet; across the middle of the headwaters above, which lie side by side.
    # Headwaters of different reaches never mix, so no two reaches share a place and no links cross.
    hops = hops_to_outlet(downstream)
    headwater = np.bincount(downstream[downstream >= 0], minlength=downstream.size) == 0
    width = accumulate(downstream, headwater)
    _, order = inflows(downstream)  # reaches with the same downstream one side by side
    to, before = downstream[order], np.cumsum(width[order]) - width[order]
    left = np.empty(downstream.size)
    left[order] = before - before[np.searchsorted(to, to)]
    # Summed along the way to the outlet; distances must be positive, so 1 is added and taken away.
    left += distance_to_outlet(downstream, left + 1) - hops
    across = left + (width - 1) / 2
    return np.column_stack([across * (hops.max(initial=0) + 1) / across.max(initial=1.0), hops + 1.0])


def _schematic(downstream: Ints) -> Lines:
    start = tree(downstream)
    outlet = np.column_stack([start[:, 0], np.zeros(len(start))])
    end = np.where((downstream < 0)[:, None], outlet, start[downstream])
    return Lines(list(np.stack([start, end], axis=1)), np.arange(len(start)), schematic=True)


def _from_points(east: Floats, north: Floats, downstream: Ints) -> Lines:
    points = np.column_stack([east, north]).astype(np.float64)
    to = np.where(downstream < 0, np.arange(len(points)), downstream)
    pairs = np.stack([points, points[to]], axis=1)
    (drawn,) = np.nonzero(np.isfinite(pairs).all(axis=(1, 2)))
    return Lines(list(pairs[drawn]), drawn.astype(np.int64))
