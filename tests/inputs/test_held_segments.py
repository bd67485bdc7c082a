"""Segments held out for validation lie together along the river."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.held_segments import draw_blocks, draw_folds, draw_segments


def forest(n, seed, outlets=2):
    rng = np.random.default_rng(seed)
    down = np.array([-1 if i < outlets else rng.integers(max(0, i - 6), i) for i in range(n)])
    order = rng.permutation(n)
    place = np.argsort(order)
    return np.where(down[order] < 0, -1, place[down[order]])


@settings(deadline=None)
@given(seed=st.integers(0, 500), n=st.integers(3, 200), share=st.floats(0.05, 0.9), known=st.floats(0.2, 1.0))
def test_the_share_of_the_gauged_segments_is_drawn(seed, n, share, known):
    down = forest(n, seed)
    gauged = np.random.default_rng(seed).random(n) < known
    gauged[:2] = True
    held = draw_segments(down, gauged, share, seed)
    assert not (held & ~gauged).any()
    assert held.sum() == min(max(1, round(share * gauged.sum())), gauged.sum() - 1)
    np.testing.assert_array_equal(held, draw_segments(down, gauged, share, seed))


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_are_held_out_together(seed):
    """In a river of 200 gauged segments, 40 drawn ones form far fewer pieces than 40 drawn singly."""
    down = forest(200, seed, outlets=1)
    held = draw_segments(down, np.ones(200, bool), 0.2, seed)
    river = nx.Graph((i, int(d)) for i, d in enumerate(down) if d >= 0)
    together = nx.number_connected_components(river.subgraph(np.flatnonzero(held).tolist()))
    singly = np.random.default_rng(seed).choice(200, 40, replace=False).tolist()
    assert together <= 12
    assert nx.number_connected_components(river.subgraph(singly)) > 1.5 * together


def test_one_gauge_cannot_be_divided():
    with pytest.raises(InvalidArgumentError, match="at least 2 segments with observations, not 1"):
        draw_segments([1, -1], [True, False], 0.5, 0)


@settings(deadline=None)
@given(seed=st.integers(0, 500), n=st.integers(8, 200), count=st.integers(2, 6), known=st.floats(0.2, 1.0))
def test_every_gauged_segment_is_in_one_fold(seed, n, count, known):
    gauged = np.random.default_rng(seed).random(n) < known
    gauged[:count] = True
    fold = draw_folds(gauged, count, seed)
    np.testing.assert_array_equal(fold >= 0, gauged)
    sizes = np.bincount(fold[gauged], minlength=count)
    assert sizes.size == count
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(fold, draw_folds(gauged, count, seed))


def test_more_folds_than_gauges():
    with pytest.raises(InvalidArgumentError, match="at least 3 segments with observations, not 2"):
        draw_folds([True, True, False], 3, 0)


@settings(deadline=None)
@given(seed=st.integers(0, 500), n=st.integers(8, 200), count=st.integers(2, 6), known=st.floats(0.2, 1.0))
def test_every_gauged_segment_is_in_one_block(seed, n, count, known):
    down, gauged = forest(n, seed), np.random.default_rng(seed).random(n) < known
    gauged[:count] = True
    fold = draw_blocks(down, gauged, count, seed)
    np.testing.assert_array_equal(fold >= 0, gauged)
    assert set(fold[gauged].tolist()) == set(range(count))
    np.testing.assert_array_equal(fold, draw_blocks(down, gauged, count, seed))


@pytest.mark.parametrize("seed", range(5))
def test_blocks_are_of_neighbours_and_of_about_equal_size(seed):
    down = forest(200, seed, outlets=1)
    fold = draw_blocks(down, np.ones(200, bool), 5, seed)
    river = nx.Graph((i, int(d)) for i, d in enumerate(down) if d >= 0)
    for number in range(5):
        own = np.flatnonzero(fold == number).tolist()
        assert 20 <= len(own) <= 60
        assert nx.number_connected_components(river.subgraph(own)) <= 8
    assert (draw_blocks(down, np.ones(200, bool), 5, seed + 1) != fold).any()


def test_a_star_has_no_groups():
    """All segments flow into one: a single group, which cannot be divided."""
    fold = draw_blocks([-1, *[0] * 9], np.ones(10, bool), 5, 0)
    assert sorted(np.bincount(fold).tolist()) == [2, 2, 2, 2, 2]
