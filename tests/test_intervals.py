"""Calibrated intervals: the table against known distributions, the way from training to quantiles."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.intervals import (
    BINS,
    LEAST,
    PROBABILITIES,
    RESIDUALS,
    IntervalTable,
    apply_table,
    fit_table,
)

# ------------------------------------------------------------- the table


def test_the_table_of_a_known_distribution_is_its_quantiles():
    """Errors grow with temperature: in each bin the quantiles are those of its own normal distribution."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 20, 200_000).astype("float32")
    spread = np.floor(x / 2) / 5 + 0.5  # constant within each of the ten bins
    table = fit_table(x, x + 0.3 + spread * rng.standard_normal(x.size))
    np.testing.assert_allclose(table.temperature, np.arange(1, 20, 2), atol=0.1)
    assert table.counts == (20_000,) * BINS
    assert table.probabilities == PROBABILITIES
    for centre, row in zip(table.temperature, table.residuals, strict=True):
        width = np.floor(centre / 2) / 5 + 0.5
        expected = scipy.stats.norm.ppf(PROBABILITIES, 0.3, width)
        np.testing.assert_allclose(row, expected, atol=0.12 * width)


@pytest.mark.parametrize("n", [50, 199, 399])
def test_ranks_are_those_of_split_conformal_prediction(n):
    """Written out by the definition: the smallest k with k >= (n + 1) p, the largest with k <= (n + 1) p."""
    residual = np.random.default_rng(1).permutation(np.arange(1.0, n + 1))
    table = fit_table(np.zeros(n), residual)
    for p, value in zip(table.probabilities, table.residuals[0], strict=True):
        ranks = np.arange(1, n + 1)
        if p < 0.5:
            expected = ranks[ranks <= (n + 1) * p + 1e-9].max()
        elif p > 0.5:
            expected = ranks[ranks >= (n + 1) * p - 1e-9].min()
        else:
            expected = (n + 1) / 2
        assert value == expected
    beyond = set(PROBABILITIES) - set(table.probabilities)
    assert all((n + 1) * min(p, 1 - p) < 1 - 1e-9 for p in beyond)
    assert bool(beyond) == (n < 199)


def test_intervals_hold_as_many_new_residuals_as_they_should():
    """Averaged over many small calibrations, coverage is within the bounds of the theorem."""
    rng = np.random.default_rng(2)
    n, inside = 99, []
    for _ in range(400):
        table = fit_table(np.zeros(n), rng.standard_t(3, n))
        low, high = table.at([0.05, 0.95])[0]
        inside.append(scipy.stats.t.cdf(high, 3) - scipy.stats.t.cdf(low, 3))
    assert 0.9 - 0.003 < np.mean(inside) < 0.9 + 2 / (n + 1) + 0.003
    plain = np.quantile(rng.standard_t(3, (4000, n)), [0.05, 0.95], axis=1)
    assert np.mean(np.diff(scipy.stats.t.cdf(plain, 3), axis=0)) < 0.9 - 0.003  # what is corrected


def test_equal_predictions_share_a_bin():
    """A third of the river stands at 0 degC: no cut goes through it, and temperatures differ."""
    rng = np.random.default_rng(3)
    x = np.maximum(0, rng.uniform(-5, 10, 3000))
    table = fit_table(x, x + rng.standard_normal(x.size))
    assert table.n == 3000
    assert table.counts[0] > 900
    assert min(table.counts) >= RESIDUALS
    assert (np.diff(table.temperature) > 0).all()


@pytest.mark.parametrize(
    ("n", "bins"), [(LEAST - 1, None), (LEAST, 1), (399, 1), (400, 2), (1000, 5), (9999, 10)]
)
def test_few_residuals_make_few_bins(n, bins):
    x = np.random.default_rng(4).uniform(0, 25, n)
    table = fit_table(x, x)
    assert (table and len(table.counts)) == bins


def test_the_order_of_residuals_plays_no_part():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 15, 2000).astype(float)
    y = x + rng.standard_normal(2000)
    mixed = rng.permutation(2000)
    assert fit_table(x, y) == fit_table(x[mixed], y[mixed])


def test_a_table_survives_json():
    x = np.linspace(0, 25, 700)
    table = fit_table(x, x + np.sin(x), "coarse")
    assert IntervalTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table
    assert (table.scale, table.n) == ("coarse", 700)


# ---------------------------------------------------------- its application


def slowly(table, x, p):
    """One number, written out: residual between bins, between probabilities, and not below 0."""
    rows = [np.interp(p, table.probabilities, row) for row in table.residuals]
    return max(0.0, x + np.interp(x, table.temperature, rows))


@given(
    st.lists(st.floats(0, 40, width=32), min_size=1, max_size=30),
    st.lists(st.floats(0.005, 0.995), min_size=1, max_size=6, unique=True),
    st.integers(200, 1500),
)
@settings(max_examples=60, deadline=None)
def test_quantiles_are_ordered_and_as_written_out(temperatures, probabilities, n):
    rng = np.random.default_rng(n)
    x = rng.uniform(0, 30, n)
    table = fit_table(x, x + rng.normal(0, 1 + x / 10))
    predicted = np.array(temperatures, np.float32)
    values = apply_table(table, predicted, probabilities)
    assert values.shape == (len(probabilities), predicted.size)
    assert values.dtype == np.float32
    assert (values >= 0).all()
    assert (np.diff(values[np.argsort(probabilities)], axis=0) >= 0).all()
    for p, row in zip(probabilities, values, strict=True):
        np.testing.assert_allclose(row, [slowly(table, value, p) for value in predicted], atol=2e-5)


def test_pieces_and_shape_play_no_part():
    x = np.random.default_rng(6).uniform(0, 25, (5, 60_001)).astype("float32")
    table = fit_table(x[0], x[0] + np.cos(x[0]))
    whole = apply_table(table, x, [0.1, 0.9])
    assert whole.shape == (2, 5, 60_001)
    for k in range(5):
        np.testing.assert_array_equal(whole[:, k], apply_table(table, x[k], [0.1, 0.9]))
    assert np.isnan(apply_table(table, np.array([np.nan], np.float32), [0.5])).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([0.0, 0.5], "between 0 and 1"),
        ([1.2], "between 0 and 1"),
        ([np.nan], "between 0 and 1"),
        ([], "between 0 and 1"),
        ([0.5, 0.1, 0.5], "twice: 0.5, 0.1, 0.5"),
        ([0.01, 0.5], "0.01 are further out than 60 residuals can tell; ask for 0.025 to 0.975"),
    ],
)
def test_other_probabilities_are_refused(asked, message):
    table = fit_table(np.zeros(60), np.arange(60.0))
    with pytest.raises(InvalidArgumentError, match=message):
        table.at(asked)
