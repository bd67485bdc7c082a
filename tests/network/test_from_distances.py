"""Topology from distances, against shortest paths of networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import NetworkError
from xmsgl.network.from_distances import downstream_from_distance

FAR = np.inf


def distances(downstream: list[int], length: list[float]) -> np.ndarray:
    """What igraph gives the makers of the matrices: an edge weighs the length of the reach it enters."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(downstream)))
    graph.add_weighted_edges_from((i, j, length[j]) for i, j in enumerate(downstream) if j >= 0)
    table = np.full((len(downstream), len(downstream)), FAR)
    for start, ways in nx.all_pairs_dijkstra_path_length(graph):
        for end, metres in ways.items():
            table[start, end] = metres
    return table


@st.composite
def rivers(draw):
    n = draw(st.integers(1, 12))
    below = [draw(st.integers(-1, i - 1)) for i in range(n)]
    place = draw(st.permutations(range(n)))
    downstream = [0] * n
    for i, j in enumerate(below):
        downstream[place[i]] = place[j] if j >= 0 else -1
    return downstream, draw(st.lists(st.floats(1.0, 5e4), min_size=n, max_size=n))


@settings(max_examples=60, deadline=None)
@given(rivers())
def test_finds_the_river_behind_the_distances(river):
    downstream, length = river
    table, ids = distances(downstream, length), np.arange(len(downstream)) + 100
    assert downstream_from_distance(ids, table).tolist() == downstream
    assert downstream_from_distance(ids, table.T, kind="upstream").tolist() == downstream
    both = np.where(np.isinf(table) & np.isfinite(table.T), -table.T, table)
    assert downstream_from_distance(ids, both, kind="updown").tolist() == downstream


GOOD = np.array([[0, 20, 50], [FAR, 0, 30], [FAR, FAR, 0]])


def changed(*changes: tuple[int, int, float]) -> np.ndarray:
    table = GOOD.copy()
    for row, column, value in changes:
        table[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "kind", "words"),
    [
        pytest.param(GOOD[:2, :2], "downstream", ["shape (2, 2)", "3 names"], id="shape"),
        pytest.param(changed((1, 0, 20.0)), "downstream", ["both ways", "7 and 8"], id="symmetric"),
        pytest.param(changed((0, 2, 20.0)), "downstream", ["divide", "7"], id="two next ones"),
        pytest.param(changed((0, 2, 55.0)), "downstream", ["through 8", "9"], id="does not add up"),
        pytest.param(changed((0, 2, FAR)), "downstream", ["through 8", "9"], id="a way that is missing"),
        pytest.param(changed((0, 1, np.nan)), "downstream", ["missing"], id="NaN"),
        pytest.param(changed((0, 1, -20.0)), "downstream", ["below 0"], id="negative"),
        pytest.param(changed((1, 1, 5.0)), "downstream", ["to itself"], id="diagonal"),
        pytest.param(changed((0, 1, 0.0)), "downstream", ["different segments is 0"], id="two in one place"),
        pytest.param(GOOD, "updown", ["antisymmetric"], id="not mirrored"),
        pytest.param(
            changed((1, 0, -21.0), (2, 0, -50.0), (2, 1, -30.0)), "updown", ["antisymmetric"], id="21 for 20"
        ),
    ],
)
def test_refuses_what_contradicts_itself(table, kind, words):
    with pytest.raises(NetworkError) as caught:
        downstream_from_distance(np.array([7, 8, 9]), table, kind=kind)
    assert [word for word in words if word not in str(caught.value)] == []
