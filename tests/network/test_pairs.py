"""Neighbours against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import CycleError, InvalidArgumentError
from xmsgl.network.pairs import index_dtype, neighbours, pair_rows

drawn = settings(max_examples=60, deadline=None)


def side(graph, hops, limit, nearest, *, below):
    """(target, source) -> (distance, hops, below) on one side, by networkx; graph runs from the target."""
    found = {}
    for target in graph:
        metres = nx.single_source_dijkstra_path_length(graph, target)
        steps = nx.single_source_shortest_path_length(graph, target)
        rows = sorted((metres[s], steps[s], s) for s in metres if s != target)
        rows = [r for r in rows if (hops is None or r[1] <= hops) and (limit is None or r[0] <= limit)]
        for distance, hop, source in rows[:nearest]:
            found[target, source] = (distance, hop, below)
    return found


@drawn
@given(
    data=st.data(),
    hops=st.none() | st.integers(1, 5),
    limit=st.none() | st.sampled_from([100.0, 1000.0, 3000.0, np.inf]),
    nearest=st.none() | st.integers(1, 4),
    direction=st.sampled_from(["both", "upstream", "downstream"]),
)
def test_neighbours(data, forests, as_networkx, hops, limit, nearest, direction):
    downstream, length = data.draw(forests)
    graph = as_networkx(downstream, length)
    expected = {}
    if direction != "upstream":
        expected |= side(graph, hops, limit, nearest, below=True)
    if direction != "downstream":
        expected |= side(graph.reverse(), hops, limit, nearest, below=False)
    pairs = neighbours(downstream, length, hops=hops, limit=limit, nearest=nearest, direction=direction)
    keys = list(zip(pairs.target.tolist(), pairs.source.tolist(), strict=True))
    values = zip(pairs.distance.tolist(), pairs.hops.tolist(), pairs.downstream.tolist(), strict=True)
    assert keys == sorted(expected)
    assert dict(zip(keys, values, strict=True)) == expected


def test_long_rows_are_sorted_too():
    pairs = neighbours(np.append(np.full(150, 150), -1), np.ones(151), hops=1)
    into = pairs.target == 150
    assert pairs.source[into].tolist() == list(range(150))
    assert not pairs.downstream[into].any()


def test_types(five):
    pairs = neighbours(*five)
    assert {part.dtype.name for part in (pairs.source, pairs.target, pairs.hops)} == {"int64"}
    assert pairs.distance.dtype == np.float64
    assert pairs.downstream.dtype == bool


def test_index_dtype():
    assert index_dtype(10, 10) is np.int32
    assert index_dtype(2**31, 10) is np.int64
    assert index_dtype(10, 2**31) is np.int64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"hops": 0}, "hops.*0", id="no hops"),
        pytest.param({"hops": 2.5}, "hops.*2.5", id="fraction of a hop"),
        pytest.param({"hops": True}, "hops.*True", id="hops as a flag"),
        pytest.param({"nearest": -1}, "nearest.*-1", id="nearest below 0"),
        pytest.param({"limit": 0.0}, "limit.*0", id="no distance"),
        pytest.param({"limit": np.nan}, "limit.*nan", id="NaN distance"),
        pytest.param({"limit": "10 km"}, "limit.*10 km", id="distance as text"),
        pytest.param({"direction": "up"}, "direction.*'up'", id="unknown direction"),
    ],
)
def test_refuses(five, options, words):
    with pytest.raises(InvalidArgumentError, match=words):
        neighbours(*five, **options)


def test_a_cycle_raises_instead_of_walking_forever():
    with pytest.raises(CycleError):
        neighbours([1, 0], [1.0, 1.0])


@drawn
@given(data=st.data())
def test_each_reach_is_its_own_neighbour_where_asked_for(data, forests):
    downstream, length = data.draw(forests)
    rows, alone = (pair_rows(downstream, length, loops=loops) for loops in (True, False))
    assert np.diff(rows.offset).tolist() == (np.diff(alone.offset) + 1).tolist()
    own = rows.source == np.repeat(np.arange(len(downstream)), np.diff(rows.offset))
    assert not rows.distance[own].any()
    assert not rows.signed_hops[own].any()
    for name in ("source", "distance", "signed_hops"):
        np.testing.assert_array_equal(getattr(rows, name)[~own], getattr(alone, name))
