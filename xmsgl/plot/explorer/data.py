"""Contents of the explorer page: daily temperatures as small integers, and simplified lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xmsgl.plot.places import Lines

__all__ = ["Layer", "Ruler", "ruler", "simplify"]

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

_GAP = np.iinfo(np.uint16).max  # the code of a missing value
_FINEST = 0.001  # degC; finer steps would only store noise
_PIXELS = 4000  # along the longer side of the map: sharp on a large screen, even when zoomed in


@dataclass(frozen=True)
class Ruler:
    """Scale on which temperatures are stored as integers: ``value = low + step * code``."""

    low: float
    step: float  # 0.001 unless the temperatures span more than 65
    gap: int = int(_GAP)

    def encode(self, values: Floats) -> npt.NDArray[np.uint16]:
        """Encode temperatures in two bytes each, to within half a step."""
        codes = np.rint((values.astype(np.float64) - self.low) / self.step)
        return np.where(np.isfinite(codes), codes, self.gap).astype(np.uint16)


@dataclass(frozen=True)
class Layer:
    """Daily values of some reaches; several reaches may share those of their segment."""

    values: Floats  # (rows, days), NaN where there are none
    rows: npt.NDArray[np.int32]  # the row of each reach of the page, -1 if it has none

    @classmethod
    def of(cls, values: Floats, places: npt.NDArray[np.integer[Any]]) -> Layer:
        """Make a layer of the rows (row, days) with any value, given the row of each reach."""
        (kept,) = np.nonzero(np.isfinite(values).any(axis=1))
        where = np.full(len(values) + 1, -1, dtype=np.int32)  # the last element is for row -1
        where[kept] = np.arange(len(kept))
        return cls(values[kept], where[places])

    def of_reach(self, reach: int) -> Floats:
        """Return the series of a reach, (days,), NaN where it has no values."""
        row = self.rows[reach]
        return self.values[row] if row >= 0 else np.full(self.values.shape[1], np.nan)

    def of_day(self, day: int) -> Floats:
        """Return the value of each reach of the page on a day, NaN where there is none."""
        return np.where(self.rows >= 0, self.values[self.rows, day], np.nan)


def ruler(layers: Mapping[str, Layer]) -> Ruler:
    """Choose the finest round step with which the codes cover all values."""
    low = min(float(np.nanmin(layer.values)) for layer in layers.values() if layer.values.size)
    high = max(float(np.nanmax(layer.values)) for layer in layers.values() if layer.values.size)
    needed = (high - low) / (_GAP - 1)
    return Ruler(low, _FINEST if needed <= _FINEST else float(10.0 ** np.ceil(np.log10(needed))))


def simplify(found: Lines, orders: npt.NDArray[np.int64]) -> Lines:
    """Leave out the bends that a screen cannot show, and put the largest rivers last."""
    found = found.part(np.argsort(orders[found.reach], kind="stable"))
    sizes = [len(path) for path in found.paths]
    if max(sizes) <= 2:
        return found
    shapely = require("shapely", "drawing geometries", extra="explore")
    places = np.concatenate(found.paths)
    shapes = shapely.linestrings(places, indices=np.repeat(np.arange(len(sizes)), sizes))
    tolerance = np.ptp(places, axis=0).max() / _PIXELS
    # Rivers that cross on the map do no harm, so the costly check of the topology is left out.
    plain = shapely.simplify(shapes, tolerance, preserve_topology=False)
    return replace(found, paths=[shapely.get_coordinates(shape) for shape in plain])
