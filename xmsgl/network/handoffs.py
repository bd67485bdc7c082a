"""Where water flows from segment to segment: the fine network compared with the coarse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.network.checks import check_downstream, check_segment
from xmsgl.network.topology import accumulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

    Ints: TypeAlias = NDArray[np.int64]

__all__ = ["Handoffs", "flows_through", "handoffs", "stranded"]

# Blind side channels drain little: the 147 of the Delaware at most three reaches each.
_BLIND_SHARE = 0.1
_BLIND_REACHES = 3


@dataclass(frozen=True)
class Handoffs:
    """Positions of the reaches that flow into a reach on another segment, by where that segment lies."""

    along: NDArray[np.int64]  # downstream of their own
    against: NDArray[np.int64]  # upstream of their own, or their water comes back to their own
    aside: NDArray[np.int64]  # neither upstream nor downstream


def flows_through(downstream: ArrayLike, start: ArrayLike, gate: ArrayLike) -> NDArray[np.bool_]:
    """Tell whether water that leaves reach `start` passes reach `gate`.

    Shapes: `downstream` (n,), `start, gate` (m,), returns (m,).
    """
    down, goal = check_downstream(downstream), np.asarray(gate)
    return _passes(down, down[np.asarray(start)], lambda place, which: place == goal[which])


def _passes(down: Ints, start: Ints, matches: Callable[[Ints, Ints], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Follow the water from some positions (-1: none), and mark those from which it passes a match."""
    place, found = start.copy(), np.zeros(start.shape, dtype=np.bool_)
    moving = np.flatnonzero(place >= 0)
    while moving.size:
        found[moving] = matches(place[moving], moving)
        place[moving] = down[place[moving]]
        moving = moving[~found[moving] & (place[moving] >= 0)]
    return found


def handoffs(fine_downstream: ArrayLike, segment: ArrayLike, coarse_downstream: ArrayLike) -> Handoffs:
    """Compare where the water of reaches flows with where that of their segments does.

    Shapes: `fine_downstream` (n_fine,), `segment` (n_fine,), `coarse_downstream` (n_coarse,).
    """
    down, coarse = check_downstream(fine_downstream), check_downstream(coarse_downstream)
    place = check_segment(segment, coarse.size, down.size)
    reach = np.flatnonzero((down >= 0) & (place[down] != place))
    here, there = place[reach], place[down[reach]]
    along = flows_through(coarse, here, there)
    against = flows_through(coarse, there, here)
    rest = np.flatnonzero(~along & ~against)
    left = place[reach[rest]]
    against[rest] = _passes(down, down[reach[rest]], lambda at, which: place[at] == left[which])
    return Handoffs(reach[along], reach[against], reach[~along & ~against])


def stranded(
    fine_downstream: ArrayLike,
    segment: ArrayLike,
    coarse_downstream: ArrayLike,
    area: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Find reaches that end in mid-river, although the water of their segment flows on.

    Blind side channels are left out: they drain no other segment, at most three reaches, and less than a
    tenth of the largest area on their segment or, where areas are unknown, fewer reaches than another reach
    there.

    Shapes: `fine_downstream`, `segment`, `area` (n_fine,), `coarse_downstream` (n_coarse,).
    """
    down, coarse = check_downstream(fine_downstream), check_downstream(coarse_downstream)
    place = check_segment(segment, coarse.size, down.size)
    end = np.flatnonzero((down < 0) & (coarse[place] >= 0))
    crosses = (down >= 0) & (place[down] != place)
    goes_on = np.zeros(coarse.size, dtype=np.bool_)
    goes_on[place[crosses]] = True
    covered = np.bincount(place, minlength=coarse.size) > 0  # segments with reaches
    covered_below = _passes(coarse, coarse[place[end]], lambda at, _: covered[at])
    end = end[goes_on[place[end]] | covered_below]
    if not end.size:
        return end
    fed = accumulate(down, crosses.astype(np.float64))[end] > 0  # by another segment
    return end[fed | _drains_much(down, place, end, area)]


def _drains_much(down: Ints, place: Ints, end: Ints, area: ArrayLike | None) -> NDArray[np.bool_]:
    """Tell whether an end drains too much for a blind side channel."""
    count = accumulate(down, np.ones(down.size))
    many: NDArray[np.bool_] = count[end] > _BLIND_REACHES
    most = count[end] >= _greatest(place, count)[end]
    if area is None:
        return many | most
    size = np.asarray(area, dtype=np.float64)
    wide = size[end] >= _BLIND_SHARE * _greatest(place, size)[end]
    return many | np.where(np.isfinite(size[end]), wide, most)


def _greatest(place: Ints, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each reach the greatest value on its segment."""
    most = np.full(place.max() + 1, -np.inf)
    np.fmax.at(most, place, values)
    return most[place]
