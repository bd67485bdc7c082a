"""The judgement of ``make soak``: what grew after the warm-up, and what did not."""

from __future__ import annotations

import pytest

from benchmarks.soak import WARM_UP, Sample, fault

STEADY = [Sample(100, 6)] * WARM_UP


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (Sample(105, 6), ""),
        (Sample(60, 5), ""),
        (Sample(106, 6), "memory grew"),
        (Sample(100, 7), "open files grew from 6 to 7"),
    ],
)
def test_growth_after_the_warm_up_is_a_fault(last, message):
    growing = [Sample(10 * k, k) for k in range(WARM_UP - 1)]
    assert fault([*STEADY, last]).startswith(message)
    assert bool(fault([*STEADY, last])) == bool(message)
    assert fault([*growing, STEADY[-1], last]) == fault([*STEADY, last])
