"""Whether two networks are the same: ids, links and lengths."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from xmsgl.network.known import KnownSegments
from xmsgl.util.plain import read_plain

CHAIN = KnownSegments.of(np.arange(1, 21), np.append(np.arange(2, 21), 0), np.linspace(900.0, 30_000.0, 20))


def changed(**columns):
    """The chain with some values put in other places."""
    values = {name: list(getattr(CHAIN, name)) for name in ("ids", "downstream", "length")}
    for name, few in columns.items():
        for place, value in few.items():
            values[name][place] = value
    return KnownSegments(*(tuple(values[name]) for name in ("ids", "downstream", "length")))


def test_a_network_recognises_itself_whatever_the_order():
    order = np.random.default_rng(1).permutation(20)
    ids, below, length = (np.array(column)[order] for column in (CHAIN.ids, CHAIN.downstream, CHAIN.length))
    assert CHAIN.recognise(KnownSegments.of(ids, below, length)).all()


def test_parts_and_larger_networks_are_recognised_where_they_are_the_same():
    part = KnownSegments((5, 6, 7), (6, 7, 0), CHAIN.length[4:7])  # cut at 7
    assert CHAIN.recognise(part).all()
    larger = KnownSegments((*CHAIN.ids, 99), (*CHAIN.downstream, 1), (*CHAIN.length, 50.0))
    assert CHAIN.recognise(larger).tolist() == [True] * 20 + [False]


@pytest.mark.parametrize(
    ("columns", "same"),
    [
        ({"length": {3: CHAIN.length[3] * 1.005}}, 20),
        ({"length": {3: CHAIN.length[3] * 1.02}}, 19),
        ({"downstream": {3: 19}}, 19),
        ({"downstream": {3: 0}}, 20),
        ({"length": dict.fromkeys(range(2), 777.0)}, 18),
        ({"length": dict.fromkeys(range(3), 777.0)}, 0),
    ],
    ids=["rounded", "length", "link", "cut", "few", "too-many"],
)
def test_what_differs(columns, same):
    assert CHAIN.recognise(changed(**columns)).sum() == same


def test_equal_ids_of_another_basin_are_not_recognised():
    other = KnownSegments.of(np.arange(1, 11), np.append(np.arange(2, 11), 0), np.full(10, 10_000.0))
    assert not CHAIN.recognise(other).any()
    assert not CHAIN.recognise(KnownSegments(("1", "2"), ("2", ""), CHAIN.length[:2])).any()


def test_joined_keeps_its_own():
    other = KnownSegments((20, 21), (0, 20), (5.0, 6.0))
    both = CHAIN.joined(other)
    assert both.ids == (*CHAIN.ids, 21)
    assert both.length == (*CHAIN.length, 6.0)
    assert both.downstream == (*CHAIN.downstream, 20)


def test_round_trip():
    assert read_plain(KnownSegments, asdict(CHAIN), "network") == CHAIN


def test_lengths_are_kept_to_a_decimetre():
    assert KnownSegments.of(np.array([1, 2]), np.array([2, 0]), np.array([12.34, 7.66])).length == (12.3, 7.7)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        CHAIN.recognise(KnownSegments((1, 2), (2, 0), CHAIN.length[:1]))
