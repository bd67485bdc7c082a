"""Segments of a river network: connected groups of reaches with one outlet each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xmsgl.network.checks import check_downstream, check_length
from xmsgl.network.topology import topological_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["courses", "cut_segments", "longest_paths"]

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


def longest_paths(downstream: ArrayLike, length: ArrayLike, segment: ArrayLike | None = None) -> Floats:
    """Measure the longest path from each reach's end up to a headwater, within its segment if given, (n,)."""
    down = check_downstream(downstream)
    path = check_length(length, down.size).copy()
    group = np.zeros(down.size, np.int64) if segment is None else np.asarray(segment)
    own = path.copy()
    for i in topological_order(down):
        j = down[i]
        if j >= 0 and group[i] == group[j]:
            path[j] = max(path[j], own[j] + path[i])
    return path


def cut_segments(downstream: ArrayLike, length: ArrayLike, target: float) -> Ints:
    """Divide a network into segments of about a given length; return their numbers from 0, (n,).

    The trunk consists of the reaches whose longest path upstream is at least half of `target`, of the
    outlets, and of the path from there to the headwater. Between its confluences the trunk is cut into equal
    pieces of about `target`; a reach belongs to the piece in which its middle lies. All other reaches belong
    to the segment they drain to.
    """
    down = check_downstream(downstream)
    size = check_length(length, down.size)
    path, upwards = longest_paths(down, size), topological_order(down)[::-1]
    trunk = (path >= target / 2) | (down < 0)
    inflows = np.bincount(down[trunk & (down >= 0)], minlength=down.size)
    main = _main_inflows(down, path, down >= 0)
    for i in upwards[~trunk[upwards]]:
        j = down[i]
        if trunk[j] and inflows[j] == 0 and main[j] == i:
            trunk[i] = True
    inflows = np.bincount(down[trunk & (down >= 0)], minlength=down.size)
    chain, middle = np.full(down.size, -1, np.int64), np.zeros(down.size)
    for i in upwards[trunk[upwards]]:
        j = down[i]
        if j >= 0 and inflows[j] == 1:
            chain[i] = chain[j]
            middle[i] = middle[j] + (size[j] + size[i]) / 2
        else:
            chain[i], middle[i] = i, size[i] / 2
    total = np.bincount(chain[trunk], weights=size[trunk], minlength=down.size)
    pieces = np.maximum(1, np.rint(total / target))
    number = np.full(down.size, -1, np.int64)
    own = chain[trunk]
    piece = np.minimum(middle[trunk] / total[own] * pieces[own], pieces[own] - 1).astype(np.int64)
    number[trunk] = np.unique(np.column_stack([own, piece]), axis=0, return_inverse=True)[1].reshape(-1)
    for i in upwards:
        if number[i] < 0:
            number[i] = number[down[i]]
    return number


def _main_inflows(down: Ints, path: Floats, some: NDArray[np.bool_]) -> Ints:
    """Return the inflow of each reach, among some, with the longest path; -1: none, ties to the first."""
    main = np.full(down.size, -1, np.int64)
    for i in np.flatnonzero(some):
        j = down[i]
        if main[j] < 0 or path[i] > path[main[j]]:
            main[j] = i
    return main


def courses(downstream: ArrayLike, length: ArrayLike, segment: ArrayLike) -> NDArray[np.bool_]:
    """Mark the reaches (n,) on the course of each segment: its longest path, from its outlet upwards."""
    down, group = check_downstream(downstream), np.asarray(segment)
    inside = (down >= 0) & (group[down] == group)
    main = _main_inflows(down, longest_paths(down, length, group), inside)
    marked: NDArray[np.bool_] = ~inside
    for i in np.flatnonzero(~inside):
        while (i := main[i]) >= 0:
            marked[i] = True
    return marked
