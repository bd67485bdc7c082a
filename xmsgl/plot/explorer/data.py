"""What the explorer page holds: daily temperatures as small whole numbers, and simplified lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xmsgl.plot.places import Lines

__all__ = ["Layer", "Paths", "Ruler", "ruler", "simplify"]

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

_GAP = np.iinfo(np.uint16).max  # the code of a missing value
_FINEST = 0.001  # degC; finer steps would only store noise
_DOTS = 4000  # of the longer side of the map: sharp on a large screen, and zoomed in a few times


@dataclass(frozen=True)
class Ruler:
    """How temperatures become whole numbers and back: ``value = low + step * code``.

    Attributes
    ----------
    low
        The temperature of code 0.
    step
        Between one code and the next; 0.001 unless the temperatures span more than 65.
    gap
        The code of a missing value.
    """

    low: float
    step: float
    gap: int = int(_GAP)

    def encode(self, values: Floats) -> npt.NDArray[np.uint16]:
        """Write temperatures as codes of two bytes, at most half a step off."""
        codes = np.rint((values.astype(np.float64) - self.low) / self.step)
        return np.where(np.isfinite(codes), codes, self.gap).astype(np.uint16)


@dataclass(frozen=True)
class Layer:
    """Daily values of some reaches; several reaches may share those of their segment.

    Attributes
    ----------
    values
        (rows, days); NaN where there are none.
    rows
        int32, one a reach of the page: its row of `values`, -1 where it has none.
    """

    values: Floats
    rows: npt.NDArray[np.int32]

    @classmethod
    def of(cls, values: Floats, places: npt.NDArray[np.integer[Any]]) -> Layer:
        """Make a layer of the rows that hold anything.

        Shapes: `values` (all rows, days).
        """
        (kept,) = np.nonzero(np.isfinite(values).any(axis=1))
        where = np.full(len(values) + 1, -1, dtype=np.int32)  # the last one answers -1
        where[kept] = np.arange(len(kept))
        return cls(values[kept], where[places])

    def of_reach(self, reach: int) -> Floats:
        """Give the series of a reach, (days,); NaN where it has none."""
        row = self.rows[reach]
        return self.values[row] if row >= 0 else np.full(self.values.shape[1], np.nan)

    def of_day(self, day: int) -> Floats:
        """Give the values of a day, one a reach of the page; NaN where it has none."""
        return np.where(self.rows >= 0, self.values[self.rows, day], np.nan)


def ruler(layers: Mapping[str, Layer]) -> Ruler:
    """Find the finest ruler of a round step that reaches from the lowest to the highest value."""
    low = min(float(np.nanmin(layer.values)) for layer in layers.values() if layer.values.size)
    high = max(float(np.nanmax(layer.values)) for layer in layers.values() if layer.values.size)
    needed = (high - low) / (_GAP - 1)
    return Ruler(low, _FINEST if needed <= _FINEST else float(10.0 ** np.ceil(np.log10(needed))))


@dataclass(frozen=True)
class Paths:
    """Lines as the page draws them, large rivers last.

    Attributes
    ----------
    east, north
        float32 degrees, one array a line.
    reach
        int32, one a line: position of its reach.
    order
        Stream order of that reach.
    """

    east: list[npt.NDArray[np.float32]]
    north: list[npt.NDArray[np.float32]]
    reach: npt.NDArray[np.int32]
    order: npt.NDArray[np.int64]


def simplify(found: Lines, orders: npt.NDArray[np.int64]) -> Paths:
    """Leave out the bends that a screen can not show."""
    order = np.argsort(orders[found.reach], kind="stable")
    paths = [found.paths[k] for k in order]
    if any(len(path) > 2 for path in paths):
        shapely = require("shapely", "drawing geometries", extra="explore")
        tolerance = np.ptp(np.concatenate(paths), axis=0).max() / _DOTS
        shapes = shapely.linestrings(
            np.concatenate(paths), indices=np.repeat(np.arange(len(paths)), [len(path) for path in paths])
        )
        # Rivers may cross each other on a map; a check that they do not would cost much and help nobody.
        plain = shapely.simplify(shapes, tolerance, preserve_topology=False)
        paths = [shapely.get_coordinates(shape) for shape in plain]
    return Paths(
        [path[:, 0].astype(np.float32) for path in paths],
        [path[:, 1].astype(np.float32) for path in paths],
        found.reach[order].astype(np.int32),
        orders[found.reach[order]],
    )
