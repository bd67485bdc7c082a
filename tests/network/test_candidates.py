"""The nearest nodes, against SciPy's shortest paths over all pairs and against distances along a river."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from xmsgl.errors import InvalidArgumentError
from xmsgl.network import candidates
from xmsgl.network.candidates import nearest_nodes
from xmsgl.network.graph import RiverGraph
from xmsgl.network.parts import closure


def forest(n=80, seed=0, **choices):
    """Make random trees of reaches 500 m or 1 km long, so that many are equally far."""
    rng = np.random.default_rng(seed)
    downstream = np.array([rng.integers(max(0, i - 6), i) if i % 37 else -1 for i in range(n)])
    return RiverGraph.build(np.arange(n), downstream, rng.choice([500.0, 1_000.0], n), **choices)


def all_pairs(matrix):
    dense = matrix.toarray()
    largest = dense.max(1, keepdims=True)
    with np.errstate(divide="ignore"):
        length = np.log(largest / dense)
    # SciPy takes a zero for no edge
    return dijkstra(sp.csr_array(np.where(np.isfinite(length), np.maximum(length, 1e-300), 0)))


@pytest.mark.parametrize(
    "choices", [{}, {"hops": 1}, {"direction": "upstream"}, {"kernel": "gaussian"}], ids=str
)
@pytest.mark.parametrize("k", [1, 4, 200])
def test_they_are_those_of_shortest_paths(k, choices, monkeypatch):
    monkeypatch.setattr(candidates, "_ROWS", 7)
    operator = forest(**choices).operator
    found, away = nearest_nodes(operator, k), all_pairs(operator)
    for i, row in enumerate(away):
        reached = np.sort(row[np.isfinite(row)])
        expected = np.flatnonzero(row <= reached[: k + 1][-1] + 1e-9)
        np.testing.assert_array_equal(found[[i]].indices, expected)
        np.testing.assert_allclose(found[[i]].data, row[expected], atol=1e-9)


def test_distances_are_those_along_the_river():
    """From the source of a chain: the lengths of the reaches between, in units of the kernel's 10 km."""
    length = np.array([3_000.0, 1_000.0, 4_000.0, 2_000.0, 5_000.0])
    graph = RiverGraph.build(range(5), [1, 2, 3, 4, -1], length, hops=1)
    near = nearest_nodes(graph.operator, 4)
    np.testing.assert_allclose(near[[0]].data, np.cumsum([0, *length[1:]]) / 10_000, atol=1e-9)


def test_branches_find_each_other_over_the_reach_below():
    graph = RiverGraph.build(range(3), [2, 2, -1], [1_000.0] * 3)
    assert graph.operator[0, 1] == 0.0
    assert list(nearest_nodes(graph.operator, 2)[[0]].indices) == [0, 1, 2]


def test_the_order_of_nodes_does_not_matter():
    operator = forest().operator
    order = np.random.default_rng(1).permutation(80)
    found, moved = nearest_nodes(operator, 5), nearest_nodes(operator[order][:, order], 5)
    np.testing.assert_allclose(moved.toarray(), found[order][:, order].toarray(), atol=1e-9)
    assert moved.nnz == found.nnz > 6 * 80  # more than five where several are equally far


def test_a_part_has_the_nearest_of_the_whole():
    operator = forest(direction="upstream").operator
    none = sp.csr_array((80, 1))
    kept = closure(sp.csr_array((1, 1)), operator, none, none, coarse_nodes=[], fine_nodes=[3, 45]).fine
    assert 2 < len(kept) < 80
    part = nearest_nodes(operator[kept][:, kept], 4)
    np.testing.assert_array_equal(part.toarray(), nearest_nodes(operator, 4)[kept][:, kept].toarray())


@pytest.mark.parametrize("n", [0, 1])
def test_a_node_alone_finds_itself(n):
    found = nearest_nodes(sp.csr_array((n, n)), 3)  # not even its own weight
    np.testing.assert_array_equal(found.toarray(), np.zeros((n, n)))
    assert found.nnz == n


@pytest.mark.parametrize(("shape", "k"), [((3, 3), 0), ((2, 3), 1)])
def test_what_does_not_fit_is_refused(shape, k):
    with pytest.raises(InvalidArgumentError, match="k must be at least 1 and the operator square"):
        nearest_nodes(sp.csr_array(shape), k)
