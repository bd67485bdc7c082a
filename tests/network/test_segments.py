"""Segments of a network, against networkx and walks by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.network.segments import courses, cut_segments, longest_paths


def river(seed, n):
    """A random river: each reach flows to a later one, a few to none; positions are shuffled."""
    rng = np.random.default_rng(seed)
    down = np.array([rng.integers(i + 1, min(i + 6, n)) if i < n - 1 else -1 for i in range(n)])
    down[rng.random(n) < 0.03] = -1
    place = rng.permutation(n)
    shuffled = np.full(n, -1)
    shuffled[place] = np.where(down >= 0, place[down], -1)
    return shuffled, rng.uniform(200.0, 3000.0, n)


def graph_of(down):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(down.size))
    graph.add_edges_from((i, int(j)) for i, j in enumerate(down) if j >= 0)
    return graph


rivers = st.builds(river, st.integers(0, 10_000), st.integers(1, 60))


@settings(max_examples=40, deadline=None)
@given(rivers)
def test_longest_paths_are_those_of_networkx(given_river):
    down, length = given_river
    graph = graph_of(down)
    for i in graph:
        upstream = graph.subgraph(nx.ancestors(graph, i) | {i}).copy()
        for a, b in upstream.edges:
            upstream.edges[a, b]["weight"] = length[a]
        assert longest_paths(down, length)[i] == pytest.approx(
            nx.dag_longest_path_length(upstream, default_weight=0) + length[i]
        )


@settings(max_examples=60, deadline=None)
@given(rivers, st.floats(500.0, 20_000.0))
def test_segments_are_connected_with_one_outlet_and_join_at_confluences_of_the_trunk(given_river, target):
    down, length = given_river
    number = cut_segments(down, length, target)
    graph = graph_of(down)
    assert sorted(set(number)) == list(range(number.max() + 1))
    path = longest_paths(down, length)
    long = {i for i in graph if path[i] >= target / 2 or down[i] < 0}
    meeting = {j for j in graph if len([i for i in graph.predecessors(j) if i in long]) > 1}
    for k in set(number):
        members = set(np.flatnonzero(number == k).tolist())
        leaving = [i for i in members if down[i] < 0 or number[down[i]] != k]
        assert len(leaving) == 1
        assert nx.is_weakly_connected(graph.subgraph(members))
        # No two long rivers meet inside of a segment.
        assert not any(number[i] == k for j in meeting & members for i in graph.predecessors(j) if i in long)


@settings(max_examples=60, deadline=None)
@given(rivers, st.floats(500.0, 20_000.0), st.randoms(use_true_random=False))
def test_segments_do_not_depend_on_the_order_of_the_reaches(given_river, target, random):
    down, length = given_river
    order = np.array(random.sample(range(down.size), down.size))
    place = np.argsort(order)
    other = cut_segments(np.where(down[order] >= 0, place[down[order]], -1), length[order], target)
    pairs = set(zip(cut_segments(down, length, target)[order].tolist(), other.tolist(), strict=True))
    assert len(pairs) == other.max() + 1 == len({a for a, _ in pairs})


def test_a_chain_is_cut_into_equal_pieces():
    down = np.append(np.arange(1, 30), -1)
    number = cut_segments(down, np.full(30, 1000.0), 10_000)
    assert [int((number == k).sum()) for k in number[[29, 15, 5]]] == [10, 10, 10]


def test_a_short_tributary_belongs_to_the_segment_it_flows_into():
    #  0 - 1 - 2 - 3 - 4 (outlet), 5 flows into 2
    down = np.array([1, 2, 3, 4, -1, 2])
    length = np.array([4000.0, 4000.0, 4000.0, 4000.0, 4000.0, 900.0])
    number = cut_segments(down, length, 10_000)
    assert number[5] == number[2]
    assert len(set(number)) == 2


@settings(max_examples=40, deadline=None)
@given(rivers, st.floats(500.0, 20_000.0))
def test_a_course_is_the_longest_path_of_its_segment(given_river, target):
    down, length = given_river
    number = cut_segments(down, length, target)
    marked = courses(down, length, number)
    within = longest_paths(down, length, number)
    for k in set(number):
        members = np.flatnonzero(number == k)
        (outlet,) = [i for i in members if down[i] < 0 or number[down[i]] != k]
        assert marked[outlet]
        assert length[members][marked[members]].sum() == pytest.approx(within[outlet])
        assert within[outlet] == pytest.approx(within[members].max())
