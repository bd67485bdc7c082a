"""Hand-offs between segments against plain walks along the river."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.network.handoffs import flows_through, handoffs, stranded

# two segments flow into a third, three reaches on each: 0 1 2 | 3 4 5 | 6 7 8
COARSE = [2, 2, -1]
FINE = [1, 2, 6, 4, 5, 6, 7, 8, -1]
SEGMENT = [0, 0, 0, 1, 1, 1, 2, 2, 2]


def changed(values, **at):
    return [at.get(f"r{k}", value) for k, value in enumerate(values)]


@st.composite
def rivers(draw):
    """A random forest: every reach flows to one of a lower number, or nowhere."""
    n = draw(st.integers(1, 25))
    return np.array([draw(st.integers(-1, k - 1)) for k in range(n)])


def graph(downstream):
    found = nx.DiGraph()
    found.add_nodes_from(range(len(downstream)))
    found.add_edges_from((k, int(to)) for k, to in enumerate(downstream) if to >= 0)
    return found


@settings(max_examples=60, deadline=None)
@given(rivers())
def test_flows_through(downstream):
    n, river = len(downstream), graph(downstream)
    start, gate = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    plain = [b in nx.descendants(river, a) for a, b in zip(start.tolist(), gate.tolist(), strict=True)]
    assert flows_through(downstream, start, gate).tolist() == plain


@settings(max_examples=100, deadline=None)
@given(rivers(), rivers(), st.randoms(use_true_random=False))
def test_every_handoff_by_a_plain_walk(fine, coarse, random):
    segment = np.array([random.randrange(len(coarse)) for _ in fine])
    below = {k: nx.descendants(graph(coarse), k) for k in range(len(coarse))}
    kinds = {"along": [], "against": [], "aside": []}
    for reach, to in enumerate(fine.tolist()):
        here, there = int(segment[reach]), int(segment[to])
        if to < 0 or here == there:
            continue
        later = {int(segment[k]) for k in nx.descendants(graph(fine), to)}
        if there in below[here]:
            kinds["along"].append(reach)
        elif here in below[there] or here in later:
            kinds["against"].append(reach)
        else:
            kinds["aside"].append(reach)
    found = handoffs(fine, segment, coarse)
    assert {kind: getattr(found, kind).tolist() for kind in kinds} == kinds


@pytest.mark.parametrize(
    ("segment", "against", "aside"),
    [
        (SEGMENT, [], []),
        (changed(SEGMENT, r1=2), [1], []),  # 0 -> 2 -> 0: up again
        (changed(SEGMENT, r1=1), [0], [1]),  # 0 -> 1 -> 0: leaves its segment and comes back
        (changed(SEGMENT, r7=0), [6], []),
        (changed(SEGMENT, r2=1), [], [1]),  # the last reach lies on a neighbour, and goes where both go
    ],
)
def test_single_mistakes(segment, against, aside):
    found = handoffs(FINE, segment, COARSE)
    assert found.against.tolist() == against
    assert found.aside.tolist() == aside


def test_a_skipped_segment_is_along():
    assert handoffs([1, -1], [0, 2], [1, 2, -1]).along.tolist() == [0]


@pytest.mark.parametrize("area", [None, [1.0, 2, 3, 1, 2, 3, 7, 8, 9]], ids=["counts", "areas"])
@pytest.mark.parametrize("reach", [1, 2, 4, 5, 6, 7])
def test_broken_main_stem(area, reach):
    assert stranded(changed(FINE, **{f"r{reach}": -1}), SEGMENT, COARSE, area).tolist() == (
        [] if SEGMENT[reach] == 2 else [reach]
    )


def test_the_first_reach_of_a_headwater_needs_areas():
    broken = changed(FINE, r0=-1)
    assert stranded(broken, SEGMENT, COARSE).tolist() == []
    assert stranded(broken, SEGMENT, COARSE, [1.0, 2, 3, 1, 2, 3, 7, 8, 9]).tolist() == [0]
    assert stranded(broken, SEGMENT, COARSE, [np.nan, 2, 3, 1, 2, 3, 7, 8, 9]).tolist() == []


def test_water_of_another_segment_may_not_end():
    coarse, segment = [1, 2, -1], [0, 1, 1, 1, 1, 2]
    fine = [1, -1, 3, 4, 5, -1]  # reach 1 takes the water of segment 0 and keeps it
    assert stranded(fine, segment, coarse).tolist() == [1]


def test_a_blind_side_channel_passes():
    fine, segment = [*FINE, -1, 9], [*SEGMENT, 1, 1]  # 10 -> 9 -> nowhere, on segment 1
    assert stranded(fine, segment, COARSE).tolist() == []
    assert stranded(fine, segment, COARSE, [1, 2, 30, 1, 2, 30, 70, 80, 90, 2.9, 0.1]).tolist() == []
    assert stranded(fine, segment, COARSE, [1, 2, 30, 1, 2, 30, 70, 80, 90, 3.1, 0.1]).tolist() == [9]


def test_a_fine_network_may_end_before_the_coarse_one():
    assert stranded([1, -1], [0, 0], [1, 2, -1]).tolist() == []
    assert stranded([1, -1, -1], [0, 0, 2], [1, 2, -1]).tolist() == [1]


def test_outlets_of_the_coarse_network_are_right():
    assert stranded(FINE, SEGMENT, COARSE).tolist() == []
    assert stranded([-1, -1], [0, 1], [-1, -1]).tolist() == []


def test_a_segment_flows_on_where_one_of_its_reaches_does():
    """The segment below has no reaches; a long dead end counts because another reach leaves the segment."""
    fine, coarse, segment = [1, 2, 3, -1, 5, -1], [1, -1, -1], [0, 0, 0, 0, 0, 2]
    assert stranded(fine, segment, coarse).tolist() == [3]
    assert stranded(changed(fine, r4=-1), segment, coarse).tolist() == []
