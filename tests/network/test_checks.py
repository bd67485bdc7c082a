"""Checks of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError, NetworkError
from xmsgl.network.checks import check_downstream, check_length, check_limit, check_segment


def test_downstream_becomes_int64():
    found = check_downstream(np.array([1, -1, 9, 0], np.int16)[[0, 1]])
    assert found.dtype == np.int64
    assert found.flags.c_contiguous
    assert check_downstream([]).dtype == np.int64


def test_downstream_counts_what_it_does_not_list():
    with pytest.raises(NetworkError, match=r"100 \(at 0\).* and 5 more"):
        check_downstream(np.arange(100, 110))


def test_length_becomes_float64():
    assert check_length([1, 2], 2).dtype == np.float64
    with pytest.raises(NetworkError, match=r"-3.0 \(at 1\), inf \(at 2\)"):
        check_length([1, -3, np.inf], 3)


def test_segment_without_a_known_size():
    assert check_segment([0, 1, 0], 2).tolist() == [0, 1, 0]
    with pytest.raises(NetworkError, match="one integer position for each fine reach"):
        check_segment([[0]], 2)


@pytest.mark.parametrize("segment", [[0, -1, 0], [0, 2, 0], [0, 1], [0.0, 1.0, 0.0]], ids=str)
def test_positions_that_are_none_of_a_segment(segment):
    with pytest.raises(NetworkError, match="segment"):
        check_segment(segment, 2, 3)


@pytest.mark.parametrize("length", [{}, ["x"], [[1, 2], [3]]], ids=str)
def test_lengths_that_are_no_numbers(length):
    with pytest.raises(InvalidArgumentError, match="length must be numbers"):
        check_length(length, 1)


@pytest.mark.parametrize("length", [[1.0], [[1.0, 2.0]], [1.0, 0.0], [1.0, np.nan]], ids=str)
def test_lengths_that_do_not_fit(length):
    with pytest.raises(NetworkError, match="length"):
        check_length(length, 2)


@pytest.mark.parametrize("limit", [0, -1.0, np.nan, "5", True], ids=repr)
def test_a_limit_is_a_distance_above_0(limit):
    assert check_limit(2) == 2.0
    assert check_limit(np.inf, optional=True) == np.inf
    with pytest.raises(InvalidArgumentError, match=r"above 0 m, not"):
        check_limit(limit)
    with pytest.raises(InvalidArgumentError, match=r"above 0 m, or None, not"):
        check_limit(limit, optional=True)
