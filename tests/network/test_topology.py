"""Topology against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import CycleError, NetworkError
from xmsgl.network import _loops, topology

drawn = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize(
    ("ids", "below"),
    [
        pytest.param([5, 6, 7], [7, 7, 0], id="integers, 0 at the outlet"),
        pytest.param(np.array([5, 6, 7], np.int32), [7.0, 7.0, np.nan], id="NaN at the outlet"),
        pytest.param(["a", "b", "c"], ["c", "c", ""], id="strings, empty at the outlet"),
        pytest.param(["a", "b", "c"], ["c", "c", None], id="strings, None at the outlet"),
        pytest.param(
            np.array(["a", "b", "c"], object), np.array(["c", "c", np.nan], object), id="objects, NaN"
        ),
        pytest.param([5, 6, 7], np.array([7, 7, None], object), id="integer objects, None"),
        pytest.param([-5, -6, -7], [-7, -7, 0], id="negative ids"),
        pytest.param(
            [2**53 + 1, 2**53 + 2, 2**53 + 3], [2**53 + 3, 2**53 + 3, 0], id="ids beyond float precision"
        ),
    ],
)
def test_link(ids, below):
    found = topology.link(ids, below)
    assert found.tolist() == [2, 2, -1]
    assert found.dtype == np.int64


def test_link_of_outlets_only_takes_any_marker():
    assert topology.link(["a", "b"], [0, 0]).tolist() == [-1, -1]
    assert topology.link([], []).tolist() == []


@pytest.mark.parametrize(
    ("ids", "below", "words"),
    [
        pytest.param([1, 2], [2, 9], ["unknown", "9 (below 2)"], id="unknown id"),
        pytest.param([1, 2], [2, -1], ["unknown", "-1 (below 2)"], id="a negative number is no outlet"),
        pytest.param([1, 2, 3], [2, 2, 0], ["into themselves", "2"], id="self-loop"),
        pytest.param([4, 4, 5], [5, 5, 0], ["duplicated", "4"], id="duplicated id"),
        pytest.param([0, 2], [2, 0], ["positions 0"], id="0 as an id"),
        pytest.param(["a", ""], ["", ""], ["positions 1"], id="empty id"),
        pytest.param([1, 2, 3], [3, 0], ["3 reach ids", "2 downstream"], id="lengths differ"),
        pytest.param([[1, 2]], [[2, 0]], ["shape (1, 2)"], id="two dimensions"),
        pytest.param([1, 2], ["2", ""], ["integers", "text"], id="kinds differ"),
        pytest.param([1.5, 2], [2, 0], ["1.5", "exact integers"], id="fractions"),
        pytest.param(np.array([1, "b"], object), [0, 0], ["mix", "int and str"], id="mixed types"),
        pytest.param(np.array([1j]), [0], ["complex"], id="complex"),
    ],
)
def test_link_refuses(ids, below, words):
    with pytest.raises(NetworkError) as caught:
        topology.link(ids, below)
    for word in words:
        assert word in str(caught.value)


def test_link_lists_all_faults_and_says_what_it_links():
    with pytest.raises(NetworkError, match=r"duplicated segment ids 4.*unknown.*9.*themselves: 7"):
        topology.link([4, 4, 7, 8], [0, 0, 7, 9], what="segment")


@drawn
@given(data=st.data())
def test_order_puts_each_reach_after_its_inflows(data, forests):
    downstream, _ = data.draw(forests)
    order = topology.topological_order(downstream)
    rank = np.argsort(order)
    assert sorted(order) == list(range(downstream.size))
    inner = downstream >= 0
    assert (rank[inner] < rank[downstream[inner]]).all()


@drawn
@given(data=st.data())
def test_cycles(data, as_networkx):
    n = data.draw(st.integers(1, 15))
    downstream = np.array(data.draw(st.lists(st.integers(-1, n - 1), min_size=n, max_size=n)))
    expected = {frozenset(cycle) for cycle in nx.simple_cycles(as_networkx(downstream))}
    found = topology.find_cycles(downstream)
    assert {frozenset(cycle.tolist()) for cycle in found} == expected
    assert len(found) == len(expected)
    for cycle in found:
        assert (downstream[cycle] == np.roll(cycle, -1)).all()
    if expected:
        with pytest.raises(CycleError):
            topology.topological_order(downstream)


def test_cycle_error_names_the_ids():
    with pytest.raises(CycleError, match="ids 30 -> 40 -> 50 -> 30"):
        topology.topological_order([2, 2, 3, 4, 2], ids=[10, 20, 30, 40, 50])
    with pytest.raises(CycleError, match="positions 0 -> 1 -> 0"):
        topology.accumulate([1, 0], [1.0, 1.0])
    with pytest.raises(CycleError, match=r"90 more"):
        topology.topological_order(np.roll(np.arange(100), -1))


@drawn
@given(data=st.data())
def test_accumulation_and_upstream_masks(data, forests, as_networkx):
    downstream, length = data.draw(forests)
    graph = as_networkx(downstream)
    single = topology.accumulate(downstream, length)
    double = topology.accumulate(downstream, np.stack([length, np.ones_like(length)], axis=1))
    for i in range(downstream.size):
        above = sorted(nx.ancestors(graph, i) | {i})
        assert single[i] == length[above].sum()
        assert double[i].tolist() == [length[above].sum(), len(above)]
        assert np.flatnonzero(topology.upstream_of(downstream, i)).tolist() == above


@drawn
@given(data=st.data())
def test_distances_and_hops_to_the_outlet(data, forests, as_networkx):
    downstream, length = data.draw(forests)
    graph = as_networkx(downstream, length)
    metres, hops = topology.distance_to_outlet(downstream, length), topology.hops_to_outlet(downstream)
    for i in range(downstream.size):
        (outlet,) = (j for j in nx.descendants(graph, i) | {i} if downstream[j] < 0)
        assert metres[i] == nx.dijkstra_path_length(graph, i, outlet)
        assert hops[i] == nx.shortest_path_length(graph, i, outlet)


@drawn
@given(data=st.data())
def test_strahler(data, forests, as_networkx):
    downstream, _ = data.draw(forests)
    graph = as_networkx(downstream)

    def recursive(i: int) -> int:
        above = sorted((recursive(j) for j in graph.predecessors(i)), reverse=True)
        if not above:
            return 1
        return above[0] + 1 if above[1:2] == above[:1] else above[0]

    assert topology.strahler(downstream).tolist() == [recursive(i) for i in range(downstream.size)]


def test_growing_areas_are_at_least_those_that_flow_in():
    rng = np.random.default_rng(5)
    downstream = np.array([-1, *(int(rng.integers(i)) for i in range(1, 60))])
    area = rng.uniform(1, 9, 60)

    def expected(reach):
        return max(area[reach], sum(expected(other) for other in np.flatnonzero(downstream == reach)))

    grown = topology.growing(downstream, area)
    np.testing.assert_allclose(grown, [expected(reach) for reach in range(60)], rtol=1e-12)
    np.testing.assert_array_equal(topology.growing(downstream, grown), grown)


def test_accumulate_leaves_its_input_alone():
    values = np.ones(3)
    topology.accumulate([1, 2, -1], values)
    assert values.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param(lambda: topology.topological_order([0.0, 1.0]), "float64", id="floats"),
        pytest.param(lambda: topology.topological_order([[1, -1]]), r"\(1, 2\)", id="two dimensions"),
        pytest.param(lambda: topology.topological_order([1, 2]), r"2 \(at 1\)", id="beyond the end"),
        pytest.param(lambda: topology.strahler([1, -2]), r"-2 \(at 1\)", id="below -1"),
        pytest.param(lambda: topology.accumulate([1, -1], [1.0]), r"\(1,\)", id="too few values"),
        pytest.param(lambda: topology.accumulate([1, -1], 1.0), r"\(\)", id="one value"),
        pytest.param(lambda: topology.distance_to_outlet([1, -1], [1.0]), r"\(1,\)", id="too few lengths"),
        pytest.param(lambda: topology.distance_to_outlet([1, -1], [1, 0]), r"0.0 \(at 1\)", id="no length"),
        pytest.param(lambda: topology.distance_to_outlet([-1], [np.nan]), "nan", id="NaN length"),
        pytest.param(lambda: topology.upstream_of([1, -1], 2), "position 2", id="no such reach"),
        pytest.param(lambda: topology.upstream_of([1, -1], -1), "position -1", id="negative position"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(NetworkError, match=words):
        call()


@drawn
@given(data=st.data())
def test_first_selected_agrees_with_walking(data, forests):
    downstream, _ = data.draw(forests)
    n = len(downstream)
    selected = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    expected = []
    for reach in range(n):
        while reach >= 0 and not selected[reach]:
            reach = int(downstream[reach])
        expected.append(reach)
    assert topology.first_selected(downstream, selected).tolist() == expected


@pytest.mark.parametrize(
    ("downstream", "selected", "error", "words"),
    [
        pytest.param([1, 0], [False, False], CycleError, "circle", id="cycle"),
        pytest.param([1, -1], [True], NetworkError, "for each of the 2 reaches", id="shape"),
    ],
)
def test_first_selected_refuses(downstream, selected, error, words):
    with pytest.raises(error, match=words):
        topology.first_selected(downstream, selected)


def test_empty_network():
    assert topology.topological_order([]).tolist() == []
    assert topology.accumulate([], []).tolist() == []


@drawn
@given(data=st.data())
def test_compiled_and_plain_python_agree(data, forests):
    downstream, length = data.draw(forests)
    order, placed = _loops.order_downstream(downstream)
    plain, plainly = _loops.order_downstream.py_func(downstream)
    assert order.tolist() == plain.tolist()
    assert placed == plainly
    for name, extra in (("accumulate_upstream", (length,)), ("strahler_order", ())):
        loop = getattr(_loops, name)
        np.testing.assert_array_equal(
            loop(downstream, order, *extra), loop.py_func(downstream, order, *extra)
        )
