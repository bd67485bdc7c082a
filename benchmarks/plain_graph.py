"""The operator of a river graph by general libraries, for comparison with the compiled loops."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse as sp

__all__ = ["networkx_operator", "numpy_operator"]


def networkx_operator(
    ids: Any, downstream_ids: Any, length: Any, *, hops: int, scale: float
) -> tuple[list[int], Any, sp.csr_array]:
    """Sort, accumulate and weight a river network with networkx, reach by reach.

    Parameters
    ----------
    ids, downstream_ids, length
        The network; 0 at outlets, lengths in m.
    hops
        Largest number of steps to a neighbour, upstream or downstream.
    scale
        Length scale of the exponential kernel (m).

    Returns
    -------
    tuple
        Reaches in topological order (ids), length of river upstream of each, operator.
    """
    own, below, metres = ids.tolist(), downstream_ids.tolist(), length.tolist()
    river = nx.DiGraph()
    river.add_nodes_from(own)
    river.add_edges_from((i, j) for i, j in zip(own, below, strict=True) if j)
    size = dict(zip(own, metres, strict=True))
    place = {reach: position for position, reach in enumerate(own)}
    order = list(nx.topological_sort(river))
    total = dict(size)
    for reach in order:
        for following in river.successors(reach):
            total[following] += total[reach]
    target, source, weight = [], [], []
    for reach in own:
        path, distance = reach, 0.0
        for path in nx.single_source_shortest_path_length(river, reach, cutoff=hops):
            distance += size[path] if path != reach else 0.0
            pair = place[reach], place[path]
            near = np.exp(-distance / scale)
            target.append(pair[0])
            source.append(pair[1])
            weight.append(near)
            if path != reach:
                target.append(pair[1])
                source.append(pair[0])
                weight.append(near)
    count = len(own)
    matrix = sp.csr_array((weight, (target, source)), shape=(count, count))
    operator = sp.csr_array(matrix.multiply(1 / matrix.sum(axis=1)[:, None]))
    return order, np.array([total[reach] for reach in own]), operator


def numpy_operator(ids: Any, downstream_ids: Any, length: Any, *, hops: int, scale: float) -> sp.csr_array:
    """Weight a river network with whole arrays in NumPy and SciPy, one step downstream at a time.

    Parameters
    ----------
    ids, downstream_ids, length, hops, scale
        As in :func:`networkx_operator`.

    Returns
    -------
    scipy.sparse.csr_array
        The operator.
    """
    order = np.argsort(ids)
    downstream = np.where(
        downstream_ids > 0, order[np.searchsorted(ids[order], downstream_ids) % ids.size], -1
    )
    every = np.arange(ids.size)
    start, here, distance = every, every, np.zeros(ids.size)
    targets, sources, weights = [every], [every], [np.ones(ids.size)]
    for _ in range(hops):
        inner = downstream[here] >= 0
        start, here, distance = start[inner], downstream[here[inner]], distance[inner]
        distance = distance + length[here]
        near = np.exp(-distance / scale)
        targets += [start, here]
        sources += [here, start]
        weights += [near, near]
    pairs = (np.concatenate(targets), np.concatenate(sources))
    matrix = sp.csr_array((np.concatenate(weights), pairs), shape=(ids.size, ids.size))
    matrix.data /= np.repeat(matrix.sum(axis=1), np.diff(matrix.indptr))
    return matrix
