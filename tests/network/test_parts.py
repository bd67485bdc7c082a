"""What depends on what in a two-scale network: against networkx and against sizes counted by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError, NetworkError
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.network.parts import Group, Part, closure, independent_parts, pieces

drawn = settings(max_examples=60, deadline=None)


def sparse(rng, rows, columns, density):
    """A random operator in which some stored weights are zero."""
    stored = rng.random((rows, columns)) < density
    matrix = sp.csr_array(np.where(stored, rng.random((rows, columns)), 0.0))
    matrix.data[rng.random(matrix.nnz) < 0.3] = 0.0
    return matrix


@st.composite
def networks(draw):
    """Random operators (A coarse, A fine, M, R), sparse enough to fall apart."""
    n_coarse, n_fine = draw(st.integers(1, 8)), draw(st.integers(1, 14))
    density = draw(st.sampled_from([0.02, 0.08, 0.2]))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    shapes = (n_coarse, n_coarse), (n_fine, n_fine), (n_fine, n_coarse), (n_fine, n_coarse)
    return tuple(sparse(rng, *shape, density) for shape in shapes)


def as_networkx(a_coarse, a_fine, m, r):
    """Who reads whom: an edge from the reader to the read."""
    graph = nx.DiGraph()
    graph.add_nodes_from(("coarse", i) for i in range(a_coarse.shape[0]))
    graph.add_nodes_from(("fine", i) for i in range(a_fine.shape[0]))
    scales = (
        ("coarse", "coarse", a_coarse),
        ("fine", "fine", a_fine),
        ("fine", "coarse", m),
        ("fine", "coarse", r),
    )
    for reader, read, matrix in scales:
        dense = matrix.toarray()
        graph.add_edges_from(
            ((reader, int(i)), (read, int(j))) for i, j in zip(*dense.nonzero(), strict=True)
        )
    return graph


def nodes_of(part):
    return {("coarse", i) for i in part.coarse.tolist()} | {("fine", i) for i in part.fine.tolist()}


# ------------------------------------------------------------------- closure


@drawn
@given(network=networks(), data=st.data())
def test_closure_is_all_that_networkx_can_reach(network, data):
    graph = as_networkx(*network)
    start = data.draw(st.sets(st.sampled_from(sorted(graph))))
    asked = {scale: [i for which, i in start if which == scale] for scale in ("coarse", "fine")}
    part = closure(*network, coarse_nodes=asked["coarse"], fine_nodes=asked["fine"])
    assert nodes_of(part) == start.union(*(nx.descendants(graph, node) for node in start))
    assert all(positions.dtype == np.int64 and (np.diff(positions) > 0).all() for positions in part)


@pytest.mark.parametrize(
    ("direction", "coarse", "fine"),
    [
        pytest.param("upstream", [0, 1], [0, 1, 2], id="upstream"),
        pytest.param("downstream", [1, 2], [2, 3, 4], id="downstream"),
        pytest.param("both", [0, 1, 2], [0, 1, 2, 3, 4], id="both"),
    ],
)
def test_closure_on_a_river_by_hand(five, direction, coarse, fine):
    """Reaches 0 and 1 join in 2, then 3, then 4; segments 0, 1 and 2; what is asked lies in the middle."""
    downstream, length = five
    settings_ = {"hops": 1, "direction": direction}
    graphs = RiverGraphs.build(
        RiverGraph.build([1, 2, 3], [1, 2, -1], [1e3, 5e3, 9e3], scale="coarse", **settings_),
        RiverGraph.build(range(1, 6), downstream, length, **settings_),
        [0, 1, 1, 2, 2],
        limit=1.0,  # reaches take from their own segment alone
    )
    remap = graphs.remap
    part = closure(
        graphs.coarse.operator, graphs.fine.operator, remap, remap, coarse_nodes=[], fine_nodes=[2]
    )
    assert part.coarse.tolist() == coarse
    assert part.fine.tolist() == fine


def test_nothing_asked_nothing_kept():
    eye = sp.eye_array(3)
    part = closure(eye, eye, eye, eye, coarse_nodes=[], fine_nodes=[])
    assert part.coarse.size == part.fine.size == 0


def test_zero_weights_carry_nothing_and_opposite_ones_do_not_cancel():
    one = sp.csr_array(np.eye(1))
    stored_zero = sp.csr_array((np.array([0.0]), np.array([0]), np.array([0, 1])), (1, 1))
    part = closure(one, one, stored_zero, stored_zero, coarse_nodes=[], fine_nodes=[0])
    assert part.coarse.tolist() == []
    part = closure(one, one, one, -one, coarse_nodes=[], fine_nodes=[0])
    assert part.coarse.tolist() == [0]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"coarse_nodes": [2], "fine_nodes": []}, "coarse nodes 2 do not exist; positions run from 0 to 1"),
        ({"coarse_nodes": [], "fine_nodes": [0, -1]}, "fine nodes -1 do not exist"),
    ],
    ids=["beyond", "negative"],
)
def test_positions_that_do_not_exist_are_refused(nodes, message):
    coarse, fine, across = sp.eye_array(2), sp.eye_array(3), sp.csr_array((3, 2))
    with pytest.raises(InvalidArgumentError, match=message):
        closure(coarse, fine, across, across, **nodes)


@pytest.mark.parametrize("wrong", ["coarse", "fine", "interpolation", "remap"])
def test_operators_that_do_not_fit_are_named(wrong):
    operators = {
        "coarse": sp.csr_array((2, 2)),
        "fine": sp.csr_array((3, 3)),
        "interpolation": sp.csr_array((3, 2)),
        "remap": sp.csr_array((3, 2)),
    }
    rows = operators[wrong].shape[0]
    operators[wrong] = sp.csr_array((rows, 9))
    with pytest.raises(NetworkError, match=rf"the {wrong} operator has shape \({rows}, 9\)"):
        closure(**operators, coarse_nodes=[], fine_nodes=[])
    with pytest.raises(NetworkError, match=f"the {wrong} operator"):
        independent_parts(**operators, largest=1)


# --------------------------------------------------------------------- parts


@drawn
@given(network=networks(), largest=st.integers(1, 16))
def test_parts_are_whole_components_of_networkx(network, largest):
    graph = as_networkx(*network)
    parts = independent_parts(*network, largest=largest)
    for scale, n in enumerate((network[0].shape[0], network[1].shape[0])):
        every = np.concatenate([part[scale] for part in parts])
        assert sorted(every.tolist()) == list(range(n))  # each node once, none lost
    components = list(nx.weakly_connected_components(graph))
    for component in components:
        assert sum(component <= nodes_of(part) for part in parts) == 1
    for part in parts:
        assert all(positions.dtype == np.int64 and (np.diff(positions) > 0).all() for positions in part)
        basins = [c for c in components if c <= nodes_of(part) and any(scale == "fine" for scale, _ in c)]
        assert part.fine.size <= largest or len(basins) == 1
        assert part.fine.size or len(parts) == 1


@drawn
@given(network=networks(), largest=st.integers(1, 16))
def test_parts_follow_the_first_reaches_and_are_filled(network, largest):
    """Plain next-fit over the components of networkx, in the order of their first reaches."""
    graph = as_networkx(*network)
    reaches = [
        sorted(i for scale, i in component if scale == "fine")
        for component in nx.weakly_connected_components(graph)
    ]
    expected: list[list[int]] = []
    for basin in sorted(filter(None, reaches)):
        if expected and len(expected[-1]) + len(basin) <= largest:
            expected[-1] += basin
        else:
            expected.append(list(basin))
    found = [part.fine.tolist() for part in independent_parts(*network, largest=largest)]
    assert found == [sorted(group) for group in expected]


def test_segments_without_reaches_are_not_lost():
    eye, remap = sp.eye_array(4), sp.csr_array(np.eye(2, 4, 1))  # reaches on segments 1 and 2
    parts = independent_parts(eye, sp.eye_array(2), remap, remap, largest=1)
    assert [part.coarse.tolist() for part in parts] == [[1], [0, 2, 3]]
    parts = independent_parts(
        eye, sp.csr_array((0, 0)), sp.csr_array((0, 4)), sp.csr_array((0, 4)), largest=1
    )
    assert [tuple(map(list, part)) for part in parts] == [([0, 1, 2, 3], [])]


def test_a_basin_too_large_is_a_part_of_its_own():
    chain = sp.diags_array([np.ones(5), np.array([0.0, 1, 1, 0])], offsets=[0, 1]).tocsr()  # 0 | 1 2 3 | 4
    parts = independent_parts(
        sp.csr_array((0, 0)), chain, sp.csr_array((5, 0)), sp.csr_array((5, 0)), largest=2
    )
    assert [part.fine.tolist() for part in parts] == [[0], [1, 2, 3], [4]]


def test_no_nodes_no_parts():
    nothing = sp.csr_array((0, 0))
    assert independent_parts(nothing, nothing, nothing, nothing, largest=3) == []


def test_a_part_without_room_is_refused():
    eye = sp.eye_array(1)
    with pytest.raises(InvalidArgumentError, match="largest must be at least 1 reach per part, got 0"):
        independent_parts(eye, eye, eye, eye, largest=0)


@drawn
@given(data=st.data(), largest=st.integers(1, 12))
def test_pieces_are_stretches_of_the_river(data, forests, as_networkx, largest):
    down, _ = data.draw(forests)
    n = down.size
    owner = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=30)), np.int64)
    segments = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
    part = Part(segments, np.flatnonzero(np.isin(owner, segments)))
    found = pieces(down, owner, part, largest=largest)
    for whole, own in zip(part, zip(*found, strict=True), strict=True):
        assert sorted(np.concatenate(own).tolist()) == whole.tolist()
        assert all(nodes.tolist() == sorted(nodes.tolist()) for nodes in own)
    number = {s: k for k, piece in enumerate(found) for s in piece.coarse.tolist()}
    for k, piece in enumerate(found):
        assert all(number[s] == k for s in owner[piece.fine].tolist())
        assert piece.fine.size <= largest or np.unique(owner[piece.fine]).size == 1
        if k:
            assert found[k - 1].fine.size + piece.fine.size > largest
    river = as_networkx(down).subgraph(segments.tolist())
    for segment in river:
        basin = nx.ancestors(river, segment)
        inside = [number[s] for s in basin] + [number[segment]]
        assert min(inside) == number[segment]
        others = {number[s] for s in river if s not in basin and s != segment}
        assert not others & set(range(min(inside) + 1, max(inside)))


def test_a_part_without_nodes_is_one_piece_without_nodes():
    nothing = Part(np.zeros(0, np.int64), np.zeros(0, np.int64))
    (piece,) = pieces([1, -1], [0, 1], nothing, largest=3)
    assert (piece.coarse.size, piece.fine.size) == (0, 0)


def test_a_group_that_reads_more_than_it_keeps_is_cut():
    one, two = (Part(np.arange(n), np.arange(n)) for n in (1, 2))
    assert not Group(two, two).cut
    assert Group(one, two).cut
    assert Group(Part(two.coarse, one.fine), two).cut
    assert Group(Part(one.coarse, two.fine), two).cut
