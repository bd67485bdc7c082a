"""Orders of nodes: permutations that bring neighbours together."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.network.numbering import close_order, mean_spread


def chain(n):
    return sp.diags_array([np.ones(n), np.full(n - 1, 0.5)], offsets=[0, -1]).tocsr()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 12), entries=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30))
def test_every_node_has_one_place(n, entries):
    kept = [(i, j) for i, j in entries if i < n and j < n]
    rows, columns = (np.array([entry[k] for entry in kept], np.int32) for k in range(2))
    operator = sp.csr_array((np.ones(len(kept)), (rows, columns)), shape=(n, n))
    order = close_order(operator, near=-1.0)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_a_shuffled_chain_is_put_in_line():
    """Each node reads the one above only: neighbours both ways come to lie side by side."""
    shuffle = np.random.default_rng(2).permutation(3000)
    mixed = chain(3000)[shuffle][:, shuffle]
    assert mean_spread(mixed) > 400
    order = close_order(mixed, near=400)
    entries = sp.coo_array(mixed[order][:, order])
    assert np.abs(entries.coords[0] - entries.coords[1]).max() == 1


@pytest.mark.parametrize("n", [0, 1, 3000])
def test_a_good_order_is_kept(n):
    matrix = chain(n) if n > 1 else sp.csr_array((n, n))
    np.testing.assert_array_equal(close_order(matrix), np.arange(n))


def test_spread_is_a_mean_over_entries():
    matrix = sp.csr_array(np.array([[1.0, 0, 0, 2.0], [0, 0, 0, 0], [0, 0.1, 0, 0], [0, 0, 0, 1.0]]))
    assert mean_spread(matrix) == (0 + 3 + 1 + 0) / 4


@pytest.mark.parametrize("reversed_order", [False, True], ids=["ahead", "behind"])
def test_nodes_512_numbers_apart_are_close_and_513_are_not(reversed_order):
    for apart in (512, 513):
        entry = ([1.0], ([apart], [0]) if reversed_order else ([0], [apart]))
        operator = sp.csr_array(entry, shape=(600, 600))
        assert mean_spread(operator) == apart
        order = close_order(operator)
        assert (order.tolist() == list(range(600))) is (apart == 512)
        assert sorted(order.tolist()) == list(range(600))


def test_nodes_without_neighbours_have_no_spread():
    assert mean_spread(sp.csr_array((3, 3))) == 0.0
    assert close_order(sp.csr_array((3, 3)), near=0.0).tolist() == [0, 1, 2]
