"""Operators that carry a field from coarse segments to fine reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from xmsgl.network.checks import check_downstream, check_length, check_limit, check_segment
from xmsgl.network.kernels import Kernel, get_kernel, kernel_weights
from xmsgl.network.pairs import index_dtype
from xmsgl.network.topology import accumulate, distance_to_outlet, topological_order

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["interpolation_operator", "outlet_reaches", "remap_operator"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def remap_operator(segment: ArrayLike, n_coarse: int) -> sp.csr_array:
    """Build R (n_fine, n_coarse), which gives each fine reach the value of the segment it lies on."""
    place = check_segment(segment, n_coarse)
    index = index_dtype(place.size, n_coarse)
    offset = np.arange(place.size + 1, dtype=index)
    return sp.csr_array((np.ones(place.size), place.astype(index), offset), shape=(place.size, n_coarse))


def outlet_reaches(
    fine_downstream: ArrayLike, fine_length: ArrayLike, segment: ArrayLike, n_coarse: int
) -> Ints:
    """Find the outlet reach of each segment, where its water leaves it; -1 for segments without reaches.

    Of the reaches whose downstream reach is not on the same segment, it is the one with the greatest
    length of river upstream; of equals, the first. Arrays are (n_fine,), the result (n_coarse,).
    """
    down = check_downstream(fine_downstream)
    metres = check_length(fine_length, down.size)
    place = check_segment(segment, n_coarse, down.size)
    leaves = np.flatnonzero((down < 0) | (place[down] != place))
    river = accumulate(down, metres)[leaves]
    order = np.lexsort((leaves, -river, place[leaves]))
    found, first = np.unique(place[leaves][order], return_index=True)
    outlet = np.full(n_coarse, -1, np.int64)
    outlet[found] = leaves[order[first]]
    return outlet


def interpolation_operator(
    fine_downstream: ArrayLike,
    fine_length: ArrayLike,
    segment: ArrayLike,
    n_coarse: int,
    *,
    kernel: str | Kernel | Mapping[str, Any] | None = None,
    limit: float | None = None,
) -> sp.csr_array:
    """Build M (n_fine, n_coarse), which interpolates a coarse field to fine reaches along the river.

    A reach takes values from its own segment and from every segment whose outlet reach lies upstream or
    downstream of it, weighted by the kernel of the distance to that outlet reach. The own segment's outlet
    reach has distance 0 and weight 1, and so has a reach that does not flow through it. Where all weights
    of a row vanish, the own segment has all the weight. Rows sum to 1. Arrays are (n_fine,).
    """
    from xmsgl.network import _loops

    shape = get_kernel(kernel)
    farthest = check_limit(shape.range_m if limit is None else limit, optional=True)
    outlet = outlet_reaches(fine_downstream, fine_length, segment, n_coarse)
    down = check_downstream(fine_downstream)
    metres = check_length(fine_length, down.size)
    place = check_segment(segment, n_coarse, down.size)
    drains = np.full(down.size, -1, np.int64)
    drains[outlet[outlet >= 0]] = np.flatnonzero(outlet >= 0)
    walk = (down, metres, place, drains, farthest)

    counts = np.ones(down.size, np.int64)  # the own segment
    empty = np.empty(0)
    _loops.walk_to_segments(*walk, False, counts, empty.astype(np.int32), empty, empty.astype(np.bool_))
    offset = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    total = int(offset[-1])
    index = index_dtype(total, n_coarse)
    column, distance, below = np.empty(total, index), np.empty(total), np.ones(total, np.bool_)
    own = offset[:-1].copy()
    column[own] = place
    gate = outlet[place]
    way = distance_to_outlet(down, metres)
    through = _loops.drains_through(down, topological_order(down), gate)
    distance[own] = np.where(through, way - way[gate], 0.0)
    _loops.walk_to_segments(*walk, True, own + 1, column, distance, below)

    weight = kernel_weights(shape, distance, below)
    lost = np.add.reduceat(weight, own) < 1e-290 if down.size else np.zeros(0, np.bool_)
    weight[own[lost]] = 1.0  # so far from every outlet reach that all weights vanish
    _loops.normalise_rows(offset, weight)
    operator = sp.csr_array((weight, column, offset.astype(index)), shape=(down.size, n_coarse))
    operator.sort_indices()
    return operator
