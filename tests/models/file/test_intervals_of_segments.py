"""Intervals from held-out segments: exact coverage of a new one, by counting; ranks by a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.intervals import IntervalTable, fit_table
from xmsgl.util.plain import read_plain


def table_of(residuals, segment):
    predicted = np.full(len(residuals), 8.0)
    return fit_table(predicted, predicted + residuals, "fine", segment)


def by_counting(residuals, segment, p):
    """Walk through the sorted residuals until their weight, with an unseen segment outside, reaches p."""
    if p < 0.5:
        return -by_counting(-residuals, segment, 1 - p)
    segments, counts = np.unique(segment, return_counts=True)
    own = {s: 1 / (len(segments) + 1) / n for s, n in zip(segments, counts, strict=True)}
    reached = 0.0
    for value, where in sorted(zip(residuals, segment, strict=True)):
        reached += own[where]
        if reached >= p - 1e-12:
            return value
    return None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [0.1, 0.25, 0.75, 0.9])
def test_quantiles_are_those_of_a_plain_loop(seed, p):
    draw = np.random.default_rng(seed)
    segment = draw.integers(0, 15, 180)
    residuals = draw.normal(size=180) + draw.normal(size=15)[segment]
    found = table_of(residuals, segment).at([p])[0, 0]
    assert found == pytest.approx(by_counting(residuals, segment, p))


def test_a_new_segment_is_covered_as_often_as_promised():
    """Records of very different length; without segments the coverage is that of the longest."""
    draw = np.random.default_rng(0)
    covered = {True: [], False: []}
    for _ in range(400):
        days = draw.integers(3, 120, 30)
        segment = np.repeat(np.arange(30), days)
        residuals = draw.normal(size=30)[segment] + 0.3 * draw.normal(size=segment.size)
        new = draw.normal() + 0.3 * draw.normal(size=50)
        for whole, values in covered.items():
            low, high = table_of(residuals, segment if whole else None).at([0.05, 0.95])[0]
            values.append(np.mean((low <= new) & (new <= high)))
    assert 0.89 < np.mean(covered[True]) < 0.96
    assert np.mean(covered[False]) < np.mean(covered[True]) - 0.02


def test_few_segments_have_no_outer_quantiles():
    table = table_of(np.arange(100.0), np.arange(100) % 9)
    assert table.segments == 9
    assert table.probabilities[0] > 0.1
    with pytest.raises(InvalidArgumentError, match=r"from 9 held-out segments.*more validation segments"):
        table.at([0.05])
    assert read_plain(IntervalTable, dict(vars(table)), "intervals") == table


def test_segments_of_one_day_each_are_days():
    residuals = np.random.default_rng(1).normal(size=399)
    days, segments = table_of(residuals, None), table_of(residuals, np.arange(399))
    asked = [0.05, 0.25, 0.75, 0.95]
    np.testing.assert_allclose(days.at(asked), segments.at(asked))
