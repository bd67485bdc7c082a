"""Where reaches lie: along the river and across land, as correlations of an error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.network.distance import RiverDistances
from xmsgl.network.topology import accumulate, distance_to_outlet, growing
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
    area: Floats  # drainage area, or the length of all reaches upstream where that is unknown; see `of`
    segment: Ints  # position of the coarse segment
    place: Floats | None  # unit vectors of the places, (reach, 3); None without coordinates

    @classmethod
    def of(cls, ds: xr.Dataset) -> River:
        """Read the river of a dataset.

        The correlations along a river are a valid covariance only where no drainage area is less than the sum
        of those that flow in (Ver Hoef and Peterson 2010, doi:10.1198/jasa.2009.ap08248). NHDPlus has such
        areas, below the minor channels around an island for instance; they are raised to that sum.
        """
        _, downstream, length = topology(ds, "fine")
        segment = segment_positions(ds)
        upstream = accumulate(downstream, length)
        area = _own(ds, "drainage_area_fine")
        lat, lon = (_place(ds, name, segment) for name in ("lat", "lon"))
        place = None
        if lat is not None and lon is not None:
            phi, lam = np.radians(lat), np.radians(lon)
            place = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
        area = upstream if area is None or (area <= 0).any() else growing(downstream, area)
        return cls(downstream, length, area, segment, place)

    @property
    def outlets(self) -> Ints:
        """Position of the most downstream reach of each segment that has reaches, (segment,); -1: none."""
        to_outlet = distance_to_outlet(self.downstream, self.length)
        last = np.full(self.segment.max() + 1, -1)
        order = np.argsort(-to_outlet, kind="stable")
        last[self.segment[order]] = order  # the last one written is the nearest to the outlet
        return last

    @cached_property
    def distances(self) -> RiverDistances:
        """Distances along the river."""
        return RiverDistances.of(self.downstream, self.length)

    def apart(self, reaches: Ints, sources: Ints) -> Apart:
        """Measure how far some reaches are from others."""
        river, connected = self.distances.between(reaches, sources)
        ratio = self.area[reaches][:, None] / self.area[sources]
        water = np.sqrt(np.minimum(ratio, 1 / ratio, where=connected, out=np.zeros(ratio.shape)))
        if self.place is None:
            return Apart(river, water.astype(np.float32), river)
        cosine = np.clip(self.place[reaches] @ self.place[sources].T, -1.0, 1.0)
        return Apart(river, water.astype(np.float32), (_EARTH * np.arccos(cosine)).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Apart:
    """How far reaches are from sources, each (reach, source)."""

    river: NDArray[np.float32]  # m along the river; infinite in another basin
    water: NDArray[np.float32]  # root of the ratio of the drainage areas on one flow path, else 0
    land: NDArray[np.float32]  # m across land, or along the river where coordinates are unknown

    def correlations(self, covariance: ErrorCovariance) -> tuple[Floats, Floats]:
        """Return the correlation along the river and across land, (reach, source)."""
        river = self.water * np.exp(-self.river / covariance.river)
        return river.astype(np.float64), np.exp(-self.land / covariance.land).astype(np.float64)


def _own(ds: xr.Dataset, name: str) -> Floats | None:
    """Read an attribute of the reaches; None if it is missing or incomplete."""
    values = np.asarray(ds[name].values, np.float64) if name in ds.variables else None
    return values if values is not None and np.isfinite(values).all() else None


def _place(ds: xr.Dataset, name: str, segment: Ints) -> Floats | None:
    """Read a coordinate of the reaches, or of their segments, degrees; None if it is incomplete."""
    own, of_segment = _own(ds, f"{name}_fine"), _own(ds, f"{name}_coarse")
    return own if own is not None or of_segment is None else of_segment[segment]
