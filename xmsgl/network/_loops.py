"""Compiled loops over river networks, imported late so that importing the package does not import Numba.

They take int64 positions with -1 at an outlet and check nothing. The tests compare each with the same
function in plain Python (``function.py_func``).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def compiled(function: Function) -> Function:
    """Compile a loop with Numba, cached on disk, keeping its type."""
    return cast("Function", njit(cache=True)(function))


@compiled
def order_downstream(downstream: Ints) -> tuple[Ints, int]:
    """Order reaches by Kahn's algorithm; return the order and how many reaches it could place."""
    n = downstream.size
    waiting = np.zeros(n, np.int64)
    for i in range(n):
        if downstream[i] >= 0:
            waiting[downstream[i]] += 1
    order = np.empty(n, np.int64)
    placed = 0
    for i in range(n):
        if waiting[i] == 0:
            order[placed] = i
            placed += 1
    done = 0
    while done < placed:
        j = downstream[order[done]]
        done += 1
        if j >= 0:
            waiting[j] -= 1
            if waiting[j] == 0:
                order[placed] = j
                placed += 1
    return order, placed


@compiled
def accumulate_downstream(downstream: Ints, order: Ints, total: Floats) -> None:
    """Add each row of ``total`` (n, k) to the one downstream, headwaters first, in place."""
    for k in range(order.size):
        i = order[k]
        j = downstream[i]
        if j >= 0:
            for c in range(total.shape[1]):
                total[j, c] += total[i, c]


@compiled
def raise_downstream(downstream: Ints, order: Ints, inflow: Floats, total: Floats) -> None:
    """Raise each of ``total`` (n,) to the sum of those upstream of it, in place; ``inflow`` starts as 0."""
    for k in range(order.size):
        i = order[k]
        total[i] = max(total[i], inflow[i])
        if downstream[i] >= 0:
            inflow[downstream[i]] += total[i]


@compiled
def accumulate_upstream(downstream: Ints, order: Ints, entered: Floats) -> Floats:
    """Sum ``entered`` over every reach entered on the way to the outlet."""
    total = np.zeros(downstream.size, np.float64)
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        j = downstream[i]
        if j >= 0:
            total[i] = total[j] + entered[j]
    return total


@compiled
def strahler_order(downstream: Ints, order: Ints) -> Ints:
    """Compute Strahler's stream order."""
    stream = np.ones(downstream.size, np.int64)
    highest = np.zeros(downstream.size, np.int64)
    times = np.zeros(downstream.size, np.int64)
    for k in range(order.size):
        i = order[k]
        if highest[i] > 0:
            stream[i] = highest[i] + 1 if times[i] > 1 else highest[i]
        j = downstream[i]
        if j >= 0:
            if stream[i] > highest[j]:
                highest[j] = stream[i]
                times[j] = 1
            elif stream[i] == highest[j]:
                times[j] += 1
    return stream


@compiled
def mask_upstream(downstream: Ints, order: Ints, position: int) -> NDArray[np.bool_]:
    """Mark a reach and all that drains into it."""
    mask = np.zeros(downstream.size, np.bool_)
    mask[position] = True
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        j = downstream[i]
        if j >= 0 and mask[j]:
            mask[i] = True
    return mask


@compiled
def walk_downstream(
    downstream: Ints,
    length: Floats,
    hops: int,
    limit: float,
    up: bool,
    down: bool,
    write: bool,
    cursor: Ints,
    source: NDArray[Any],
    metres: Floats,
    signed: NDArray[np.int32],
) -> None:
    """Find the neighbours of each reach upstream and/or downstream within so many hops and metres.

    Advances ``cursor`` by the number found in each row, and writes their position, distance and signed hops
    when ``write``. Hops are positive where the source lies downstream of the row's reach, negative upstream.
    """
    for i in range(downstream.size):
        j = downstream[i]
        distance = 0.0
        steps = 0
        while j >= 0:
            steps += 1
            distance += length[j]
            if steps > hops or distance > limit:
                break
            if down:
                if write:
                    k = cursor[i]
                    source[k], metres[k], signed[k] = j, distance, steps
                cursor[i] += 1
            if up:
                if write:
                    k = cursor[j]
                    source[k], metres[k], signed[k] = i, distance, -steps
                cursor[j] += 1
            j = downstream[j]


@compiled
def nearest_upstream(
    offset: Ints,
    inflow: Ints,
    rank: Ints,
    place: Ints,
    length: Floats,
    nearest: int,
    hops: int,
    limit: float,
    write: bool,
    cursor: Ints,
    source: NDArray[Any],
    metres: Floats,
    signed: NDArray[np.int32],
) -> None:
    """Search upstream of each reach, nearest first; equal distances are ordered by hops, then by rank.

    ``place`` has the position of each rank. Advances ``cursor`` by the number found, and writes them when
    ``write``.
    """
    for target in range(offset.size - 1):
        heap = [(0.0, np.int64(0), rank[target])]
        found = -1  # the target itself comes first and is not counted
        while len(heap) > 0 and found < nearest:
            distance, steps, order = heapq.heappop(heap)
            i = place[order]
            found += 1
            if found > 0:
                if write:
                    k = cursor[target]
                    source[k], metres[k], signed[k] = i, distance, -steps
                cursor[target] += 1
            farther = distance + length[i]
            if steps < hops and farther <= limit:
                for k in range(offset[i], offset[i + 1]):
                    heapq.heappush(heap, (farther, steps + 1, rank[inflow[k]]))


@compiled
def sort_rows(offset: Ints, source: NDArray[Any], metres: Floats, signed: NDArray[np.int32]) -> None:
    """Sort each row by source, in place; most rows are short, and insertion sort is fastest for them."""
    for row in range(offset.size - 1):
        start, stop = offset[row], offset[row + 1]
        if stop - start > 64:
            order = np.argsort(source[start:stop])
            source[start:stop] = source[start:stop][order]
            metres[start:stop] = metres[start:stop][order]
            signed[start:stop] = signed[start:stop][order]
            continue
        for k in range(start + 1, stop):
            a, b, c = source[k], metres[k], signed[k]
            m = k - 1
            while m >= start and source[m] > a:
                source[m + 1], metres[m + 1], signed[m + 1] = source[m], metres[m], signed[m]
                m -= 1
            source[m + 1], metres[m + 1], signed[m + 1] = a, b, c


@compiled
def normalise_rows(offset: Ints, weight: Floats) -> None:
    """Divide each row by its sum, in place."""
    for row in range(offset.size - 1):
        total = 0.0
        for k in range(offset[row], offset[row + 1]):
            total += weight[k]
        for k in range(offset[row], offset[row + 1]):
            weight[k] /= total


@compiled
def numbered(downstream: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Assign numbers from 1 on, so that what drains into a reach follows it without a gap; and count these.

    The second array has the number of reaches that drain through each, itself included.
    """
    n = downstream.size
    size = np.ones(n, np.int64)
    for k in range(n):
        i = order[k]
        if downstream[i] >= 0:
            size[downstream[i]] += size[i]
    number = np.empty(n, np.int64)
    unused = np.empty(n, np.int64)  # next number to give to a reach that flows into this one
    start = 1
    for k in range(n - 1, -1, -1):
        i = order[k]
        j = downstream[i]
        if j < 0:
            number[i] = start
            start += size[i]
        else:
            number[i] = unused[j]
            unused[j] += size[i]
        unused[i] = number[i] + 1
    return number, size


@compiled
def drains_through(downstream: Ints, order: Ints, gate: Ints) -> NDArray[np.bool_]:
    """Tell whether each reach ``i`` drains through the reach ``gate[i]``, without following the river."""
    number, size = numbered(downstream, order)
    through = np.empty(downstream.size, np.bool_)
    for i in range(downstream.size):
        g = gate[i]
        through[i] = number[g] <= number[i] < number[g] + size[g]
    return through


@compiled
def walk_to_segments(
    downstream: Ints,
    length: Floats,
    segment: Ints,
    drains: Ints,
    limit: float,
    write: bool,
    cursor: Ints,
    column: NDArray[Any],
    metres: Floats,
    below: NDArray[np.bool_],
) -> None:
    """Connect reaches with the outlet reaches of other segments, upstream and downstream.

    ``drains`` is the segment a reach is the outlet reach of, or -1. Advances ``cursor`` by the
    number found in each row, and writes them when ``write``.
    """
    for i in range(downstream.size):
        j = downstream[i]
        distance = 0.0
        while j >= 0:
            distance += length[j]
            if distance > limit:
                break
            if drains[j] >= 0 and drains[j] != segment[i]:
                if write:
                    k = cursor[i]
                    column[k], metres[k], below[k] = drains[j], distance, True
                cursor[i] += 1
            if drains[i] >= 0 and drains[i] != segment[j]:
                if write:
                    k = cursor[j]
                    column[k], metres[k], below[k] = drains[i], distance, False
                cursor[j] += 1
            j = downstream[j]


@compiled
def preorder(downstream: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Return the numbers of :func:`numbered`, and by number that of the reach downstream, 0 at outlets."""
    number, _ = numbered(downstream, order)
    below = np.zeros(downstream.size + 1, np.int64)
    for i in range(downstream.size):
        if downstream[i] >= 0:
            below[number[i]] = number[downstream[i]]
    return number, below


@compiled
def distance_of_pairs(
    number: Ints,
    others: Ints,
    lowest: NDArray[np.int32],
    middle: Floats,
    top: Floats,
    metres: NDArray[np.float32],
    connected: NDArray[np.bool_],
) -> None:
    """Write distances along the river (reach, other), and whether one lies downstream of the other.

    Reaches are given by their numbers of :func:`preorder`; ``lowest[k, p]`` is the least number downstream of
    the ``2 ** k`` reaches from number ``p`` on, ``middle`` and ``top`` are distances to the outlet.
    """
    for i in range(number.size):
        for j in range(others.size):
            first, last = min(number[i], others[j]), max(number[i], others[j])
            meet = first
            if first < last:
                level = 0
                while 2 ** (level + 1) <= last - first:
                    level += 1
                meet = min(lowest[level, first + 1], lowest[level, last - 2**level + 1])
            connected[i, j] = meet == first
            if meet == 0:
                metres[i, j] = np.inf
            elif meet == first:
                metres[i, j] = abs(middle[last] - middle[first])
            else:
                metres[i, j] = (middle[first] - top[meet]) + (middle[last] - top[meet])
