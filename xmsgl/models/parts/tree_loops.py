"""The compiled loop over regression trees; :mod:`xmsgl.models.methods.trees` checks its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.models.cell.compiled.tiles import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add_trees"]

_BLOCK = 256  # rows that pass a tree while its nodes are in the cache


@compiled
def add_trees(
    rows: NDArray[np.float32],
    out: NDArray[np.float64],
    roots: NDArray[np.int64],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    missing_left: NDArray[np.bool_],
    value: NDArray[np.float32],
) -> None:
    """Add the value of the leaf that each row (row, feature) reaches in each tree to `out`, (row,)."""
    for first in range(0, len(rows), _BLOCK):
        for tree in range(len(roots) - 1):
            for row in range(first, min(first + _BLOCK, len(rows))):
                node: Any = roots[tree]
                while feature[node] >= 0:
                    x = rows[row, feature[node]]
                    goes_left = missing_left[node] if np.isnan(x) else x <= threshold[node]
                    node = left[node] if goes_left else right[node]
                out[row] += value[node]
