"""Compiled loops over sparse operators: what nodes read, and which are connected.

Imported late, like :mod:`xmsgl.network._loops`. A matrix comes as the three arrays of its CSR form, of
any integer types; row i reads the columns of its weights, and a weight of exactly zero reads nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmsgl.network._loops import Ints, compiled

Flags = NDArray[np.bool_]


@compiled
def mark_read(rows: Flags, offset: Any, column: Any, weight: Any, read: Flags) -> None:
    """Mark the columns that marked rows read, in place."""
    for i in range(rows.size):
        if rows[i]:
            for k in range(offset[i], offset[i + 1]):
                if weight[k] != 0:
                    read[column[k]] = True


@compiled
def mark_sources(offset: Any, column: Any, weight: Any, found: Flags) -> None:
    """Mark all that the marked nodes read, at first or any later hand, in place."""
    queue = np.empty(found.size, np.int64)
    placed = 0
    for i in range(found.size):
        if found[i]:
            queue[placed] = i
            placed += 1
    done = 0
    while done < placed:
        i = queue[done]
        done += 1
        for k in range(offset[i], offset[i + 1]):
            j = column[k]
            if weight[k] != 0 and not found[j]:
                found[j] = True
                queue[placed] = j
                placed += 1


@compiled
def find_root(parent: Ints, i: int) -> int:
    """Return the node that stands for a set of connected ones, shortening the way to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def join_read(parent: Ints, offset: Any, column: Any, weight: Any, first_row: int, first_column: int) -> None:
    """Join every row with the columns it reads, in place; their nodes count from the given ones on."""
    for i in range(offset.size - 1):
        for k in range(offset[i], offset[i + 1]):
            if weight[k] != 0:
                one = find_root(parent, first_row + i)
                other = find_root(parent, first_column + column[k])
                if one < other:
                    parent[other] = one
                else:
                    parent[one] = other


@compiled
def number_sets(parent: Ints) -> tuple[Ints, int]:
    """Give each node the number of its connected set, in the order of first nodes; and count the sets."""
    number = np.empty(parent.size, np.int64)
    count = 0
    for i in range(parent.size):
        root = find_root(parent, i)
        if root == i:  # the smallest of its set, so met first
            number[i] = count
            count += 1
        else:
            number[i] = number[root]
    return number, count


@compiled
def pack_sets(sizes: Ints, largest: int) -> Ints:
    """Give each set the number of its part: that of the set before if there is room, else the next."""
    part = np.empty(sizes.size, np.int64)
    current, filled = 0, 0
    for s in range(sizes.size):
        if s > 0 and sizes[s] > 0 and filled + sizes[s] > largest:
            current += 1
            filled = 0
        filled += sizes[s]
        part[s] = current
    return part
