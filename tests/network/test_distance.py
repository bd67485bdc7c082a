"""Distances along the river against networkx, and against two walks to where they meet."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import CycleError, InvalidArgumentError, NetworkError
from xmsgl.network import _loops
from xmsgl.network.distance import RiverDistances, river_distance


def by_networkx(downstream, length):
    """The river as pipes between junctions; a reach's middle cuts its pipe in two."""
    graph = nx.Graph()
    for i, below in enumerate(downstream):
        mouth = ("junction above", int(below)) if below >= 0 else ("outlet of", i)
        graph.add_edge(("junction above", i), ("middle", i), weight=length[i] / 2)
        graph.add_edge(("middle", i), mouth, weight=length[i] / 2)
    found = {}
    for i in range(len(downstream)):
        for (what, j), metres in nx.single_source_dijkstra_path_length(graph, ("middle", i)).items():
            if what == "middle" and j != i:
                found[i, j] = metres
    return found


def by_walking(downstream, length, a, b):
    """Both walk downstream; the way of either to the first reach that both come to, half at the ends."""

    def way(i):
        path, metres = {i: 0.0}, length[i] / 2
        while downstream[i] >= 0:
            i = int(downstream[i])
            path[i] = metres
            metres += length[i]
        return path

    first, second = way(a), way(b)
    both = [i for i in first if i in second]
    if not both:
        return None
    meeting = both[0]
    total = first[meeting] + second[meeting]
    return total + length[meeting] / 2 if meeting in (a, b) else total


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(), limit=st.sampled_from([300.0, 1000.0, 3000.0, np.inf]), block=st.sampled_from([1, 2**22])
)
def test_against_networkx_and_a_walk(data, forests, limit, block):
    downstream, length = data.draw(forests)
    n = downstream.size
    sources = np.array(data.draw(st.lists(st.integers(0, n - 1), unique=True)), np.int64)
    found = river_distance(downstream, length, sources, limit=limit)
    assert found.shape == (n, sources.size)
    entries = found.tocoo()
    stored = {
        (int(i), int(sources[k])): float(metres)
        for i, k, metres in zip(*entries.coords, entries.data, strict=True)
    }
    assert len(stored) == entries.nnz
    exact = by_networkx(downstream, length)
    assert stored == {(i, j): m for (i, j), m in exact.items() if j in sources and m <= limit}
    for (i, j), metres in stored.items():
        assert metres == by_walking(downstream, length, i, j)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_pairs_of_reaches_against_networkx(data, forests):
    downstream, length = data.draw(forests)
    n, exact = downstream.size, by_networkx(downstream, length)
    reaches = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1)), np.int64)
    flow = nx.DiGraph((i, int(below)) for i, below in enumerate(downstream) if below >= 0)
    flow.add_nodes_from(range(n))
    metres, connected = RiverDistances.of(downstream, length).between(reaches, np.arange(n))
    for row, i in enumerate(reaches):
        expected = [0.0 if i == j else exact.get((i, j), np.inf) for j in range(n)]
        np.testing.assert_allclose(metres[row], expected, rtol=1e-6)
        along = {i} | nx.descendants(flow, i) | nx.ancestors(flow, i)
        assert set(np.flatnonzero(connected[row])) == along


def test_the_compiled_loops_are_as_in_python(five):
    downstream, length = five
    distances = RiverDistances.of(downstream, length)
    number, _ = _loops.preorder.py_func(downstream, _loops.order_downstream(downstream)[0])
    np.testing.assert_array_equal(number, distances.number)
    metres, connected = np.empty((5, 5), np.float32), np.empty((5, 5), np.bool_)
    known = distances.lowest, distances.middle, distances.top
    _loops.distance_of_pairs.py_func(number, number, *known, metres, connected)
    for plain, found in zip((metres, connected), distances.between(np.arange(5), np.arange(5)), strict=True):
        np.testing.assert_array_equal(plain, found)


def test_all_reaches_by_default(five):
    everything = river_distance(*five, limit=np.inf).toarray()
    np.testing.assert_array_equal(everything, everything.T)
    assert everything[0].tolist() == [0, 1500, 2000, 5500, 10000]


def test_a_continent_stays_sparse():
    n = 20_000
    found = river_distance(np.arange(n) - 1, np.full(n, 1000.0), np.arange(0, n, 100), limit=3000)
    assert found.nnz == 6 * n // 100 - 3  # three to each side; the last stretch above the outlet lacks them
    assert found.data.max() == 3000


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), True, "far"])
def test_refuses_a_limit(five, limit):
    with pytest.raises(InvalidArgumentError, match="above 0 m"):
        river_distance(*five, limit=limit)


def test_refuses_networks_that_are_not_rivers(five):
    downstream, length = five
    with pytest.raises(CycleError):
        river_distance([1, 0], [1.0, 1.0], limit=1)
    with pytest.raises(NetworkError, match="no reaches at positions 5, -1"):
        river_distance(downstream, length, [0, 5, -1], limit=1)
    with pytest.raises(NetworkError):
        river_distance(downstream, length * 0, limit=1)
