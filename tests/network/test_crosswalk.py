"""Crosswalk operators against hand computation and a plain double loop."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError, NetworkError
from xmsgl.network.crosswalk import interpolation_operator, outlet_reaches, remap_operator
from xmsgl.network.kernels import Exponential, Inverse

SEGMENT = [0, 1, 1, 2, 2]


def test_remap():
    R = remap_operator([2, 0, 2], 4)
    assert R.toarray().tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]


def test_outlet_reaches(five):
    assert outlet_reaches(*five, SEGMENT, 4).tolist() == [0, 2, 4, -1]


def test_outlet_reach_has_most_river_upstream():
    downstream, length = [1, -1, -1, -1], [5.0, 1.0, 5.9, 6.0]
    assert outlet_reaches(downstream, length, [0, 0, 0, 0], 1).tolist() == [1]  # 6 m, first of equals
    assert outlet_reaches(downstream, [5.0, 1.0, 5.9, 6.1], [0, 0, 0, 0], 1).tolist() == [3]


def test_interpolation_by_hand(five):
    """Weights 1 / (1 + km) to the outlet reaches 0, 2 and 4; the fourth segment has no reach."""
    M = interpolation_operator(*five, SEGMENT, 4, kernel=Inverse(1e3), limit=np.inf).toarray()
    weight = np.array(
        [
            [1, 1 / 4, 1 / 13, 0],
            [0, 1 / 4, 1 / 13, 0],
            [1 / 4, 1, 1 / 10, 0],
            [1 / 8, 1 / 5, 1 / 6, 0],
            [1 / 13, 1 / 10, 1, 0],
        ]
    )
    np.testing.assert_allclose(M, weight / weight.sum(axis=1, keepdims=True), rtol=1e-12)


def test_limit_spares_the_own_segment(five):
    M = interpolation_operator(*five, SEGMENT, 3, kernel=Inverse(1e3), limit=3.5e3).toarray()
    weight = np.array([[1, 1 / 4, 0], [0, 1, 0], [1 / 4, 1, 0], [0, 0, 1], [0, 0, 1]])
    weight[1] = [0, 1, 0]
    np.testing.assert_allclose(M, weight / weight.sum(axis=1, keepdims=True), rtol=1e-12)


def test_default_limit_is_five_scales(five):
    kernel = Exponential(600.0)
    by_default = interpolation_operator(*five, SEGMENT, 3, kernel=kernel)
    assert (by_default != interpolation_operator(*five, SEGMENT, 3, kernel=kernel, limit=3e3)).nnz == 0
    assert by_default.nnz < interpolation_operator(*five, SEGMENT, 3, kernel=kernel, limit=1e9).nnz


def test_reach_connected_to_no_outlet_takes_its_own_segment():
    """The second river lies on the first one's segment but never meets its outlet reach."""
    M = interpolation_operator([1, -1, -1], [9.0, 9.0, 1.0], [0, 0, 0], 2)
    assert M.toarray().tolist() == [[1, 0], [1, 0], [1, 0]]


@pytest.mark.parametrize("kernel", ["exponential", "gaussian"])
def test_weights_that_vanish_leave_the_own_segment(kernel):
    spec = {"name": kernel, "scale_m": 1.0}
    M = interpolation_operator([1, 2, -1], [1e5, 1e5, 1e5], [0, 0, 1], 2, kernel=spec, limit=np.inf)
    np.testing.assert_array_equal(M.toarray(), [[1, 0], [1, 0], [0, 1]])


def plain_interpolation(graph, downstream, length, segment, n_coarse, scale, limit):
    """Dense M, one reach and one segment at a time."""
    n = len(downstream)
    M = np.zeros((n, n_coarse))
    for s in range(n_coarse):
        on = [i for i in range(n) if segment[i] == s]
        leaving = [i for i in on if downstream[i] < 0 or segment[downstream[i]] != s]
        if not leaving:
            continue
        river = {i: sum(length[j] for j in nx.ancestors(graph, i) | {i}) for i in leaving}
        outlet = min(leaving, key=lambda i: (-river[i], i))
        for i in range(n):
            start, stop = (i, outlet) if nx.has_path(graph, i, outlet) else (outlet, i)
            if nx.has_path(graph, start, stop):
                metres = nx.dijkstra_path_length(graph, start, stop)
                if metres <= limit or segment[i] == s:
                    M[i, s] = math.exp(-metres / scale)
            elif segment[i] == s:
                M[i, s] = 1.0
    return M / M.sum(axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), limit=st.sampled_from([600.0, 2_600.0, math.inf]))
def test_interpolation_is_the_plain_double_loop(data, forests, as_networkx, limit):
    downstream, length = data.draw(forests)
    n_coarse = data.draw(st.integers(1, 6))
    drawn = st.lists(st.integers(0, n_coarse - 1), min_size=length.size, max_size=length.size)
    segment = np.array(data.draw(drawn))
    graph = as_networkx(downstream, length)
    expected = plain_interpolation(graph, downstream, length, segment, n_coarse, 2_000.0, limit)
    M = interpolation_operator(
        downstream, length, segment, n_coarse, kernel=Exponential(2_000.0), limit=limit
    )
    np.testing.assert_allclose(M.toarray(), expected, atol=1e-12)
    assert M.has_sorted_indices


@settings(max_examples=30, deadline=None)
@given(data=st.data(), kernel=st.sampled_from(["exponential", "gaussian", "inverse", "reference"]))
def test_every_row_is_finite_and_sums_to_one(data, forests, kernel):
    downstream, length = data.draw(forests)
    segment = np.array(data.draw(st.lists(st.integers(0, 4), min_size=length.size, max_size=length.size)))
    M = interpolation_operator(downstream, length, segment, 5, kernel=kernel)
    assert np.isfinite(M.data).all()
    np.testing.assert_allclose(M.sum(axis=1), 1, rtol=1e-12)
    if kernel != "reference":  # whose entries equal to the mean vanish
        assert (M.toarray()[np.arange(length.size), segment] > 0).all()


@pytest.mark.parametrize(
    ("segment", "n_coarse", "words"),
    [
        pytest.param([0, 1, 1, 2, 3], 3, r"3 \(at 4\)", id="unknown segment"),
        pytest.param([0, 1, 1, 2, -1], 3, r"-1 \(at 4\)", id="no segment"),
        pytest.param([0, 1], 3, r"\(2,\).*each of the 5 fine reaches", id="too few"),
        pytest.param([0.0, 1, 1, 2, 2], 3, "float64", id="floats"),
    ],
)
def test_refuses_segments(five, segment, n_coarse, words):
    with pytest.raises(NetworkError, match=words):
        interpolation_operator(*five, segment, n_coarse)


@pytest.mark.parametrize("limit", [0, -5.0, math.nan, "1 km"], ids=str)
def test_refuses_limits(five, limit):
    with pytest.raises(InvalidArgumentError, match="limit"):
        interpolation_operator(*five, SEGMENT, 3, limit=limit)


def test_no_reaches():
    assert remap_operator([], 3).shape == (0, 3)
    assert interpolation_operator([], [], [], 3).shape == (0, 3)
