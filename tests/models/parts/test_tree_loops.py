"""The compiled loop over trees against the same function in plain Python, and against trees by hand."""

from __future__ import annotations

import numpy as np

from xmsgl.models.parts.tree_loops import add_trees

# x0 <= 1 ? 10 : (x1 <= 0 ? 20 : 30), missing x0 to the left and missing x1 to the right; then 0.5.
NODES = {
    "roots": np.array([0, 5, 6]),
    "feature": np.array([0, -1, 1, -1, -1, -1], np.int32),
    "threshold": np.array([1.0, 0, 0, 0, 0, 0]),
    "left": np.array([1, 0, 3, 0, 0, 0], np.int32),
    "right": np.array([2, 0, 4, 0, 0, 0], np.int32),
    "missing_left": np.array([True, False, False, False, False, False]),
    "value": np.array([0, 10.0, 0, 20.0, 30.0, 0.5]),
}


def test_leaves_are_those_found_by_hand():
    nan = np.nan
    rows = np.array([[1, 5], [1.5, 0], [1.5, 0.1], [nan, 5], [2, nan]], np.float32)
    out = np.full(5, 100.0)
    add_trees(rows, out, *NODES.values())
    np.testing.assert_array_equal(out, [110.5, 120.5, 130.5, 110.5, 130.5])


def test_it_is_the_plain_loop():
    rows = np.random.default_rng(0).normal(0.5, 1, (700, 2)).astype(np.float32)
    compiled, plain = np.zeros(700), np.zeros(700)
    add_trees(rows, compiled, *NODES.values())
    add_trees.py_func(rows, plain, *NODES.values())
    np.testing.assert_array_equal(compiled, plain)
    assert set(plain) == {10.5, 20.5, 30.5}
