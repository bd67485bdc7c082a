"""In which order to number nodes so that those that read one another lie close together in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import reverse_cuthill_mckee

__all__ = ["close_order", "mean_spread"]

Ints = NDArray[np.int64]


def mean_spread(operator: Any) -> float:
    """Return how far apart in the numbering a node and what it reads are, on average.

    Shapes: `operator` (n, n).
    """
    entries = sp.coo_array(operator)
    row, column = entries.coords
    return float(np.abs(row.astype(np.int64) - column).mean()) if entries.nnz else 0.0


def close_order(operator: Any, near: float = 512.0) -> Ints:
    """Order nodes so that what reads one another is close, unless it is already.

    A dataset may list its reaches in any order. What a reach takes from its neighbours comes from the
    processor's cache where they have just been computed, and from memory where they are far off.

    Shapes: `operator` (n, n), returns (n,).
    """
    n = operator.shape[0]
    if n < 2 or mean_spread(operator) <= near:
        return np.arange(n, dtype=np.int64)
    pattern = sp.csr_array(operator)
    both_ways = sp.csr_array(pattern + pattern.T)
    return reverse_cuthill_mckee(both_ways, symmetric_mode=True).astype(np.int64)
