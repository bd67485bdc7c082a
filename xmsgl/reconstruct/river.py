"""Where reaches lie: along the river and across land, as correlations of an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.network.distance import river_distance
from xmsgl.network.topology import accumulate, distance_to_outlet
from xmsgl.schema.rivers import segment_positions, topology

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Apart", "River"]

_EARTH = 6_371_000.0  # m


@dataclass(frozen=True, eq=False)
class River:
    """The fine network as plain arrays."""

    downstream: Ints  # (reach,)
    length: Floats  # m
    area: Floats  # drainage area, or the length of all reaches upstream where it is unknown
    segment: Ints  # position of the coarse segment
    place: Floats | None  # unit vectors of the places, (reach, 3); None without coordinates

    @classmethod
    def of(cls, ds: xr.Dataset) -> River:
        """Read the river of a dataset."""
        _, downstream, length = topology(ds, "fine")
        segment = segment_positions(ds)
        upstream = accumulate(downstream, length)
        area = _attribute(ds, "drainage_area", segment)
        lat, lon = (_attribute(ds, name, segment) for name in ("lat", "lon"))
        place = None
        if lat is not None and lon is not None:
            phi, lam = np.radians(lat), np.radians(lon)
            place = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
        return cls(downstream, length, upstream if area is None else area, segment, place)

    @property
    def outlets(self) -> Ints:
        """Position of the most downstream reach of each segment that has reaches, (segment,); -1: none."""
        to_outlet = distance_to_outlet(self.downstream, self.length)
        last = np.full(self.segment.max() + 1, -1)
        order = np.argsort(-to_outlet, kind="stable")
        last[self.segment[order]] = order  # the last one written is the nearest to the outlet
        return last

    def apart(self, sources: Ints) -> Apart:
        """Measure how far all reaches are from some."""
        walked = river_distance(self.downstream, self.length, sources, limit=np.inf).tocoo()
        reach, source, metres = walked.row, walked.col, walked.data
        middle = distance_to_outlet(self.downstream, self.length) + self.length / 2
        difference = np.abs(middle[reach] - middle[sources[source]])
        ratio = self.area[reach] / self.area[sources[source]]
        shape = len(self.length), len(sources)
        river, water = np.full(shape, np.inf, np.float32), np.zeros(shape, np.float32)
        river[reach, source] = metres
        # On one flow path, the distance is the difference of the distances to the outlet.
        connected = np.abs(difference - metres) <= 1e-6 * metres + 0.01
        water[reach, source] = np.where(connected, np.sqrt(np.minimum(ratio, 1 / ratio)), 0.0)
        own = np.arange(len(sources))
        river[sources, own], water[sources, own] = 0.0, 1.0
        if self.place is None:
            return Apart(river, water, river)
        cosine = np.clip(self.place @ self.place[sources].T, -1.0, 1.0)
        return Apart(river, water, (_EARTH * np.arccos(cosine)).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Apart:
    """How far reaches are from sources, each (reach, source)."""

    river: NDArray[np.float32]  # m along the river; infinite in another basin
    water: NDArray[np.float32]  # root of the ratio of the drainage areas on one flow path, else 0
    land: NDArray[np.float32]  # m across land, or along the river where coordinates are unknown

    def of(self, reaches: Ints) -> Apart:
        """Return the distances of some reaches."""
        return Apart(self.river[reaches], self.water[reaches], self.land[reaches])

    def correlations(self, covariance: ErrorCovariance) -> tuple[Floats, Floats]:
        """Return the correlation along the river and across land, (reach, source)."""
        river = self.water * np.exp(-self.river / covariance.river)
        return river.astype(np.float64), np.exp(-self.land / covariance.land).astype(np.float64)


def _attribute(ds: xr.Dataset, name: str, segment: Ints) -> Floats | None:
    """Read an attribute of the reaches, or of their segments; None if it is missing or incomplete."""
    for scale in ("fine", "coarse"):
        if f"{name}_{scale}" in ds.variables:
            values = np.asarray(ds[f"{name}_{scale}"].values, np.float64)
            own = values if scale == "fine" else values[segment]
            if np.isfinite(own).all() and (name != "drainage_area" or (own > 0).all()):
                return own
    return None
