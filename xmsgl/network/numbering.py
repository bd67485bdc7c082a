"""Numberings of nodes that keep neighbours close together in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import reverse_cuthill_mckee

__all__ = ["close_order", "mean_spread"]

Ints = NDArray[np.int64]


def mean_spread(operator: Any) -> float:
    """Return the mean difference between the numbers of a node and of those it reads, operator (n, n)."""
    entries = sp.coo_array(operator)
    row, column = entries.coords
    return float(np.abs(row.astype(np.int64) - column).mean()) if entries.nnz else 0.0


def close_order(operator: Any, near: float = 512.0) -> Ints:
    """Order nodes so that neighbours have close numbers, unless they have already: (n, n) -> (n,).

    A dataset may list its reaches in any order. Values of neighbours with close numbers are still in the
    processor's cache; others come from memory, which is slower.
    """
    n = operator.shape[0]
    if n < 2 or mean_spread(operator) <= near:
        return np.arange(n, dtype=np.int64)
    pattern = sp.csr_array(operator)
    both_ways = sp.csr_array(pattern + pattern.T)
    return reverse_cuthill_mckee(both_ways, symmetric_mode=True).astype(np.int64)
