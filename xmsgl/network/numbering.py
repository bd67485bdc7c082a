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

    Parameters
    ----------
    operator
        SciPy sparse matrix (n, n); rows read columns.

    Examples
    --------
    >>> mean_spread(sp.csr_array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]]))
    0.8
    """
    entries = sp.coo_array(operator)
    row, column = entries.coords
    return float(np.abs(row.astype(np.int64) - column).mean()) if entries.nnz else 0.0


def close_order(operator: Any, near: float = 512.0) -> Ints:
    """Order nodes so that what reads one another is close, unless it is already.

    A dataset may list its reaches in any order. What a reach takes from its neighbours comes from the
    processor's cache where they have just been computed, and from memory where they are far off.

    Parameters
    ----------
    operator
        SciPy sparse matrix (n, n); rows read columns.
    near
        Mean distance in the numbering up to which the order is kept.

    Returns
    -------
    numpy.ndarray
        int64 positions (n,), by the reverse algorithm of Cuthill and McKee (1969); in order if nothing is
        to be gained.

    Examples
    --------
    >>> chain = sp.csr_array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.5, 0.5, 1.0]])  # 0 - 2 - 1
    >>> close_order(chain, near=0).tolist()
    [1, 2, 0]
    """
    n = operator.shape[0]
    if n < 2 or mean_spread(operator) <= near:
        return np.arange(n, dtype=np.int64)
    pattern = sp.csr_array(operator)
    both_ways = sp.csr_array(pattern + pattern.T)
    return reverse_cuthill_mckee(both_ways, symmetric_mode=True).astype(np.int64)
