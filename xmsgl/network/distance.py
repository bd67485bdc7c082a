"""Distances along the river: upstream, downstream and across confluences.

Unlike :mod:`xmsgl.network.pairs`, which follows the water, this includes the other branch of a confluence:
neighbouring streams share rock, springs, shade and elevation whatever the direction of flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmsgl.errors import NetworkError, shorten
from xmsgl.network.checks import check_downstream, check_length, check_limit
from xmsgl.network.topology import distance_to_outlet, inflows, topological_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike

__all__ = ["RiverDistances", "river_distance"]

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
# Paths so far: number of the source, reach arrived at, distance to its middle (m).
_Walks: TypeAlias = tuple[Ints, Ints, Floats]


def river_distance(
    downstream: ArrayLike, length: ArrayLike, sources: ArrayLike | None = None, *, limit: float
) -> Any:
    """Measure the distance along the river between the middles of reaches, up to a limit.

    It is half of both reaches and all that lies between them. Branches meet at the upper end of the reach
    downstream. Reaches of different basins are infinitely far apart.

    Shapes: `downstream` (n,), `length` (n,), `sources` (m,), returns sparse (n, m).
    """
    check_limit(limit)
    down = check_downstream(downstream)
    half = check_length(length, down.size) / 2
    topological_order(down)  # with a cycle the loops below would never end
    begin = np.arange(down.size) if sources is None else np.asarray(sources, dtype=np.int64)
    if (lost := begin[(begin < 0) | (begin >= down.size)]).size:
        msg = f"there are no reaches at positions {shorten(lost.tolist())}; the network has {down.size}"
        raise NetworkError(msg)
    source, reach, metres = _joined(_walks(down, half, begin, limit))
    found = sp.csr_array((metres, (reach, source)), shape=(down.size, begin.size))
    found.sort_indices()
    return found


def _walks(down: Ints, half: Floats, begin: Ints, limit: float) -> Iterator[_Walks]:
    """Follow the river from all sources at once, one reach at a time, and yield the reaches arrived at.

    First downstream, noting where paths turn upstream: into the reaches above a source and the other
    branches of each confluence below it; then upstream from there. Rivers are trees, so that each reach is
    reached once.
    """
    first, order = inflows(down)

    def above(reach: Ints) -> tuple[Ints, Ints]:
        """Find the reaches that flow into the given ones: number of the given one, position of the other."""
        count = first[reach + 1] - first[reach]
        row = np.repeat(np.arange(reach.size), count)
        return row, order[first[reach][row] + np.arange(row.size) - (np.cumsum(count) - count)[row]]

    source, reach, metres = np.arange(begin.size), begin, np.zeros(begin.size)
    row, branch = above(reach)
    turns: list[_Walks] = [(row, branch, half[reach[row]] + half[branch])]
    while source.size:
        source, reach, metres = _select((source, reach, metres), down[reach] >= 0)
        to_end, below = metres + half[reach], down[reach]
        row, branch = above(below)
        turns.append(_select((source[row], branch, to_end[row] + half[branch]), branch != reach[row]))
        source, reach, metres = _within((source, below, to_end + half[below]), limit)
        yield source, reach, metres
    source, reach, metres = _within(_joined(turns), limit)
    while source.size:
        yield source, reach, metres
        row, branch = above(reach)
        further = source[row], branch, metres[row] + half[reach[row]] + half[branch]
        source, reach, metres = _within(further, limit)


def _joined(parts: Iterable[_Walks]) -> _Walks:
    none: _Walks = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    source, reach, metres = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    return source, reach, metres


def _select(walks: _Walks, some: NDArray[np.bool_]) -> _Walks:
    source, reach, metres = walks
    return source[some], reach[some], metres[some]


def _within(walks: _Walks, limit: float) -> _Walks:
    return _select(walks, walks[2] <= limit)


@dataclass(frozen=True, eq=False)
class RiverDistances:
    """Distances along the river between any reaches, as :func:`river_distance`, a pair in constant time [1]_.

    References
    ----------
    .. [1] Bender & Farach-Colton (2000), The LCA problem revisited, doi:10.1007/10719839_9.
    """

    number: Ints  # of each reach: those that drain into it have the next ones, from 1 on
    lowest: NDArray[np.int32]  # least number downstream of 2 ** k reaches from a number on, (k, number)
    middle: Floats  # distance from the middle of a reach to the outlet, m, by number
    top: Floats  # the same from its upper end

    @classmethod
    def of(cls, downstream: ArrayLike, length: ArrayLike) -> RiverDistances:
        """Assign the numbers."""
        from xmsgl.network import _loops

        down = check_downstream(downstream)
        metres = check_length(length, down.size)
        number, below = _loops.preorder(down, topological_order(down))
        levels = [below.astype(np.int32)]
        while 2 ** len(levels) <= down.size:
            half, last = 2 ** (len(levels) - 1), levels[-1]
            levels.append(np.append(np.minimum(last[:-half], last[half:]), np.zeros(half, np.int32)))
        to_outlet, by_number = distance_to_outlet(down, metres), np.zeros((2, down.size + 1))
        by_number[:, number] = to_outlet + metres / 2, to_outlet + metres
        return cls(number, np.array(levels), *by_number)

    def between(self, reaches: Ints, others: Ints) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the distances, m, infinite to another basin, and whether one drains into the other.

        Shapes: `reaches` (n,), `others` (m,), returns two (n, m).
        """
        from xmsgl.network import _loops

        shape = reaches.size, others.size
        metres, connected = np.empty(shape, np.float32), np.empty(shape, np.bool_)
        own, other = self.number[reaches], self.number[others]
        _loops.distance_of_pairs(own, other, self.lowest, self.middle, self.top, metres, connected)
        return metres, connected
