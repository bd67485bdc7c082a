"""The nearest nodes of every node by a graph operator, on its edges or several edges away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.pairs import index_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["nearest_nodes"]

# Rows that are searched at a time, which bounds the memory.
_ROWS = 2**15
# Distances that differ by less are equal: they are sums along paths, in any order.
_EQUAL = 1e-9


def nearest_nodes(operator: Any, k: int) -> sp.csr_array:
    """Find the `k` nearest of the nodes that each node reads, directly or over others, and their distance.

    The length of an edge is ``-log(w / w_max)``, where w_max is the largest weight of its row, that of the
    node itself; a distance is the smallest sum of lengths along a path of edges. With the exponential kernel
    it is the distance along the river in units of the kernel's length; a path from one branch to another
    leads over a reach downstream of both. All nodes found are among those that the node depends on, and
    which ones they are does not depend on the order of the nodes.

    Parameters
    ----------
    operator
        Graph operator, sparse, shape (n, n); row: reader, column: node that is read.
    k
        Number of nodes besides the node itself. Those as far away as the last are found too.

    Returns
    -------
    scipy.sparse.csr_array
        Distances, float64, shape (n, n); 0 on the diagonal, which every row has.

    Raises
    ------
    InvalidArgumentError
        If `k` is less than 1 or the operator is not square.

    Examples
    --------
    >>> chain = sp.diags_array([[0.4] * 3, [0.6] * 4], offsets=[-1, 0], shape=(4, 4))
    >>> nearest_nodes(chain, 2)[[3]].indices
    array([1, 2, 3], dtype=int32)
    """
    matrix = sp.csr_array(operator)
    n = matrix.shape[0]
    if k < 1 or matrix.shape != (n, n):
        msg = f"k must be at least 1 and the operator square, got {k} and shape {matrix.shape}"
        raise InvalidArgumentError(msg)
    found = _nearest(*_lengths(matrix), n, n, k)
    while True:
        steps = [
            _nearest(*_two_steps(found[first : first + _ROWS], found), min(_ROWS, n - first), n, k)
            for first in range(0, n, _ROWS)
        ]
        farther = sp.csr_array(sp.vstack(steps, format="csr")) if steps else found
        same = np.array_equal(found.indptr, farther.indptr) and np.array_equal(found.indices, farther.indices)
        if same and np.allclose(found.data, farther.data, rtol=0, atol=_EQUAL):
            return farther
        found = farther


def _lengths(matrix: sp.csr_array) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Return row, column and length of every edge and of every node itself."""
    n = matrix.shape[0]
    weight = np.abs(matrix.data)
    row = np.repeat(np.arange(n), np.diff(matrix.indptr))
    used = weight > 0
    row, column, weight = row[used], matrix.indices[used], weight[used]
    largest = np.zeros(n)
    np.maximum.at(largest, row, weight)
    length = np.log(largest[row] / weight)
    own = np.arange(n)
    return np.append(row, own), np.append(column, own), np.append(length, np.zeros(n))


def _two_steps(
    first: sp.csr_array, then: sp.csr_array
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Return row, column and length of every path of an entry of `first` and one of `then`."""
    count = np.diff(then.indptr)[first.indices]
    entry = np.repeat(np.arange(first.nnz), count)
    start = np.repeat(then.indptr[first.indices] - np.cumsum(count) + count, count)
    second = start + np.arange(entry.size)
    row = np.repeat(np.arange(first.shape[0]), np.diff(first.indptr))[entry]
    return row, then.indices[second], first.data[entry] + then.data[second]


def _nearest(
    row: NDArray[Any], column: NDArray[Any], length: NDArray[np.float64], rows: int, n: int, k: int
) -> sp.csr_array:
    """Keep the shortest way to each column, and in each row the `k` nearest besides the node itself."""
    order = np.lexsort((length, column, row))
    row, column, length = row[order], column[order], length[order]
    fresh = np.ones(row.size, np.bool_)
    fresh[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    row, column, length = row[fresh], column[fresh], length[fresh]
    offset = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    place = np.minimum(offset[:-1] + k, offset[1:] - 1)
    farthest = length[np.lexsort((length, row))][place]
    near = length <= farthest[row] + _EQUAL
    offset = np.concatenate([[0], np.cumsum(np.bincount(row[near], minlength=rows))])
    kind = index_dtype(int(offset[-1]), n)
    return sp.csr_array((length[near], column[near].astype(kind), offset.astype(kind)), shape=(rows, n))
