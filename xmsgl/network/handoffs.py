"""Where water goes from segment to segment: the fine network held against the coarse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.network.checks import check_downstream, check_segment
from xmsgl.network.topology import accumulate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Handoffs", "flows_through", "handoffs", "stranded"]

# Side channels that end blindly drain next to nothing: of 147 in the Delaware at most three reaches.
_BLIND_SHARE = 0.1
_BLIND_REACHES = 3


@dataclass(frozen=True)
class Handoffs:
    """Reaches that flow into a reach on another segment, by where that segment lies.

    Attributes
    ----------
    along
        Positions of those whose water goes to a segment downstream of their own, int64.
    against
        Of those whose water goes to a segment upstream of their own, or comes back to their own.
    aside
        Of all others: to a segment that is neither upstream nor downstream.
    """

    along: NDArray[np.int64]
    against: NDArray[np.int64]
    aside: NDArray[np.int64]


def flows_through(downstream: ArrayLike, start: ArrayLike, gate: ArrayLike) -> NDArray[np.bool_]:
    """Tell whether water that leaves one reach passes another.

    Shapes: `downstream` (n,), `start, gate` (m,), returns (m,).
    """
    down = check_downstream(downstream)
    place, goal = (np.asarray(values, dtype=np.int64).copy() for values in (start, gate))
    passed = np.zeros(place.shape, dtype=np.bool_)
    moving = np.arange(place.size)
    while moving.size:
        place[moving] = down[place[moving]]
        moving = moving[place[moving] >= 0]
        there = place[moving] == goal[moving]
        passed[moving[there]] = True
        moving = moving[~there]
    return passed


def handoffs(fine_downstream: ArrayLike, segment: ArrayLike, coarse_downstream: ArrayLike) -> Handoffs:
    """Compare where reaches hand their water on to with where their segments do.

    Shapes: `fine_downstream` (n_fine,), `segment` (n_fine,), `coarse_downstream` (n_coarse,).
    """
    down, coarse = check_downstream(fine_downstream), check_downstream(coarse_downstream)
    place = check_segment(segment, coarse.size, down.size)
    reach = np.flatnonzero((down >= 0) & (place[down] != place))
    here, there = place[reach], place[down[reach]]
    along = flows_through(coarse, here, there)
    against = flows_through(coarse, there, here)
    rest = np.flatnonzero(~along & ~against)
    against[rest] = _comes_back(down, place, reach[rest])
    return Handoffs(reach[along], reach[against], reach[~along & ~against])


def _comes_back(
    down: NDArray[np.int64], place: NDArray[np.int64], reach: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell whether the water of reaches that leaves their segments flows onto them again."""
    at, own = down[reach], place[reach]
    back = np.zeros(reach.shape, dtype=np.bool_)
    moving = np.arange(reach.size)
    while moving.size:
        back[moving] = place[at[moving]] == own[moving]
        at[moving] = down[at[moving]]
        moving = moving[~back[moving] & (at[moving] >= 0)]
    return back


def stranded(
    fine_downstream: ArrayLike,
    segment: ArrayLike,
    coarse_downstream: ArrayLike,
    area: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Find outlet reaches in mid-river: their water ends where that of their segment flows on.

    A side channel that ends blindly is none: it drains no other segment, at most three reaches, and less
    than a tenth of the largest area on its segment or, where areas are not known, fewer reaches than
    another one there.

    Shapes: `area` (n_fine,).
    """
    down, coarse = check_downstream(fine_downstream), check_downstream(coarse_downstream)
    place = check_segment(segment, coarse.size, down.size)
    end = np.flatnonzero((down < 0) & (coarse[place] >= 0))
    crosses = (down >= 0) & (place[down] != place)
    goes_on = np.zeros(coarse.size, dtype=np.bool_)
    goes_on[place[crosses]] = True
    end = end[goes_on[place[end]] | _covered_below(coarse, place, place[end])]
    if not end.size:
        return end
    fed = accumulate(down, crosses.astype(np.float64))[end] > 0  # by another segment
    return end[fed | _drains_much(down, place, end, area)]


def _covered_below(
    coarse: NDArray[np.int64], place: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell whether any segment downstream of some has reaches."""
    covered = np.bincount(place, minlength=coarse.size) > 0
    found, at = np.zeros(start.shape, dtype=np.bool_), coarse[start]
    moving = np.arange(start.size)
    while moving.size:
        found[moving] = covered[at[moving]]
        at[moving] = coarse[at[moving]]
        moving = moving[~found[moving] & (at[moving] >= 0)]
    return found


def _drains_much(
    down: NDArray[np.int64], place: NDArray[np.int64], end: NDArray[np.int64], area: ArrayLike | None
) -> NDArray[np.bool_]:
    count = accumulate(down, np.ones(down.size))
    many: NDArray[np.bool_] = count[end] > _BLIND_REACHES
    most = count[end] >= _greatest(place, count)[end]
    if area is None:
        return many | most
    size = np.asarray(area, dtype=np.float64)
    wide = size[end] >= _BLIND_SHARE * _greatest(place, size)[end]
    return many | np.where(np.isfinite(size[end]), wide, most)


def _greatest(place: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each reach the greatest value on its segment."""
    most = np.full(place.max() + 1, -np.inf)
    np.fmax.at(most, place, values)
    return most[place]
