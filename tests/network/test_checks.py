"""Checks of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import NetworkError
from xmsgl.network.checks import check_downstream, check_length, check_segment


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
