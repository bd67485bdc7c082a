"""Tables of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.network.describe import Spread, neighbour_rule, text_block


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        pytest.param([0.25, 0.5], ["0.25", "0.375", "0.5"], id="fractions"),
        pytest.param([1, 2], ["1", "1.5", "2"], id="integers"),
        pytest.param([1234.56, 1e6], ["1,235", "500,617", "1,000,000"], id="thousands"),
        pytest.param([], ["-", "-", "-"], id="nothing"),
    ],
)
def test_spread(values, cells):
    assert Spread.of(np.array(values)).cells() == cells


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((None, None, None, "both"), "all on the flow path, upstream and downstream", id="all"),
        pytest.param((3, None, None, "upstream"), "up to 3 hops, upstream only", id="hops"),
        pytest.param((1, None, None, "upstream"), "up to 1 hop, upstream only", id="one hop"),
        pytest.param(
            (None, np.finfo(float).max, None, "downstream"), "all on the flow path, downstream only", id="inf"
        ),
        pytest.param(
            (None, 5e3, 2, "both"), "within 5,000 m, the nearest 2, upstream and downstream", id="limit"
        ),
    ],
)
def test_rule(arguments, words):
    assert neighbour_rule(*arguments) == words


def test_columns_line_up():
    lines = text_block(
        "t", [("a", "x")], [("long label", Spread(1, 2, 3)), ("b", Spread(4, 5, 6))]
    ).splitlines()
    assert len({len(line) for line in lines[2:]}) == 1
    assert lines[1].index("x") == lines[0].index("t") + 2 + len("long label") + 2
