"""Errors at sensors, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reconstruct.test_given import make_river
from xmsgl.reconstruct.given import Errors, join_days
from xmsgl.reconstruct.sensors import sensor_errors


@pytest.mark.parametrize("seed", range(5))
def test_errors_by_a_plain_loop(seed):
    river = make_river(20, seed, coordinates=False)
    rng = np.random.default_rng(seed)
    segments = river.segment.max() + 2  # one without reaches
    fine = np.where(rng.random((30, 20)) < 0.1, rng.normal(10, 3, (30, 20)), np.nan).astype(np.float32)
    coarse = np.where(rng.random((30, segments)) < 0.5, rng.normal(10, 3, (30, segments)), np.nan).astype(
        np.float32
    )
    predicted = rng.normal(10, 3, (30, 20)).astype(np.float32)
    found = sensor_errors(fine, coarse, predicted, river)

    expected = {}
    for t in range(30):
        for s in range(segments):
            reaches = np.flatnonzero(river.segment == s)
            seen = [r for r in reaches if np.isfinite(fine[t, r])]
            for r in seen:
                expected[t, r] = fine[t, r] - predicted[t, r]
            if not seen and reaches.size and np.isfinite(coarse[t, s]):
                below = [r for r in reaches if river.downstream[r] not in reaches]
                assert found.reach.size
                (outlet,) = below if len(below) == 1 else [nearest_outlet(river, below)]
                expected[t, outlet] = coarse[t, s] - predicted[t, reaches].mean()
    day, sensor = np.nonzero(np.isfinite(found.values))
    assert {(t, found.reach[k]) for t, k in zip(day, sensor, strict=True)} == set(expected)
    for t, k in zip(day, sensor, strict=True):
        assert found.values[t, k] == pytest.approx(expected[t, found.reach[k]], abs=1e-5)


def nearest_outlet(river, reaches):
    """The reach with the shortest way to its outlet."""

    def way(reach):
        metres = 0.0
        while (reach := int(river.downstream[reach])) >= 0:
            metres += river.length[reach]
        return metres

    return min(reversed(reaches), key=way)


def test_days_are_joined():
    parts = [
        Errors(np.array([[1.0, 2.0]], np.float32), np.array([3, 7])),
        Errors(np.zeros((2, 0), np.float32), np.zeros(0, int)),
    ]
    parts.append(Errors(np.array([[5.0]], np.float32), np.array([4])))
    joined = join_days(parts)
    nan = np.nan
    assert joined.reach.tolist() == [3, 4, 7]
    np.testing.assert_array_equal(joined.values, [[1, nan, 2], [nan] * 3, [nan] * 3, [nan, 5, nan]])
