"""Scores of distributions against closed forms and plain loops."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate import coverage, crps, pinball, score

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def field(values, **more):
    """Values (time, fine) with labels; further dimensions in front."""
    days = pd.date_range("2001-10-01", periods=np.shape(values)[-2])
    ids = np.arange(11, 11 + np.shape(values)[-1])
    return xr.DataArray(
        values, {**more, "time": days, "fine": ids}, (*more, "time", "fine"), attrs={"units": "degC"}
    )


def simulated(days=300, reaches=20, seed=0, gaps=0.5):
    """Normal temperatures of known mean and deviation, half of them observed."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(5, 20, (days, reaches))
    deviation = rng.uniform(0.5, 2, (days, reaches))
    truth = mean + deviation * rng.standard_normal(mean.shape)
    observed = np.where(rng.random(mean.shape) < gaps, np.nan, truth)
    return mean, deviation, field(observed)


def normal_quantiles(mean, deviation, probabilities):
    z = scipy.stats.norm.ppf(probabilities)[:, None, None]
    return field(mean + deviation * z, quantile=np.array(probabilities))


def normal_crps(mean, deviation, y):
    """The closed form of Gneiting & Raftery (2007), equation 21."""
    z = (y - mean) / deviation
    norm = scipy.stats.norm
    return deviation * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


# ------------------------------------------------------------------- CRPS


def test_crps_of_dense_quantiles_is_that_of_the_distribution():
    mean, deviation, observed = simulated()
    expected = np.nanmean(normal_crps(mean, deviation, observed.values))
    levels = (np.arange(400) + 0.5) / 400
    result = crps(normal_quantiles(mean, deviation, levels), observed)
    assert float(result.crps) == pytest.approx(expected, rel=2e-3)
    assert int(result.n) == int(observed.count())
    assert result.crps.attrs["units"] == "degC"


def test_crps_of_uneven_quantiles_weights_them():
    """Dense at one end and sparse at the other, in random order; equal weights would be wrong."""
    mean, deviation, observed = simulated(days=100)
    levels = np.concatenate([np.arange(1, 300) / 1000, np.arange(30, 100) / 100])
    quantiles = normal_quantiles(mean, deviation, np.random.default_rng(0).permutation(levels))
    expected = np.nanmean(normal_crps(mean, deviation, observed.values))
    assert float(crps(quantiles, observed).crps) == pytest.approx(expected, rel=0.01)
    alike = 2 * float(pinball(quantiles, observed).pinball.mean())
    assert abs(alike - expected) > 0.1 * expected


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("count", [2, 5])
def test_crps_of_members_is_the_double_loop(fair, count):
    rng = np.random.default_rng(count)
    members = field(rng.normal(10, 2, (count, 6, 3)), member=np.arange(count))
    observed = field(rng.normal(10, 2, (6, 3)))
    observed[2, 1] = np.nan
    values = []
    for t, r in np.argwhere(np.isfinite(observed.values)):
        x, y = members.values[:, t, r], observed.values[t, r]
        near = sum(abs(a - y) for a in x) / count
        apart = sum(abs(a - b) for a in x for b in x) / (count * (count - 1) if fair else count**2)
        values.append(near - apart / 2)
    result = crps(members.transpose("time", "member", "fine"), observed, fair=fair)
    assert float(result.crps) == pytest.approx(np.mean(values), rel=1e-12)
    assert int(result.n) == 17


def test_crps_of_many_members_approaches_the_distribution():
    mean, deviation, observed = simulated(days=60, reaches=5)
    rng = np.random.default_rng(1)
    draws = mean + deviation * rng.standard_normal((200, *mean.shape))
    expected = np.nanmean(normal_crps(mean, deviation, observed.values))
    members = field(draws, member=np.arange(200))
    assert float(crps(members, observed, fair=True).crps) == pytest.approx(expected, rel=0.01)


def test_crps_of_one_number_is_its_absolute_error():
    mean, _, observed = simulated(days=40)
    expected = float(np.abs(mean - observed).mean())
    assert float(crps(field(mean[None], member=[0]), observed).crps) == pytest.approx(expected)
    assert float(crps(field(mean[None], quantile=[0.5]), observed).crps) == pytest.approx(expected)


# --------------------------------------------------------- pinball, coverage


def test_pinball_is_the_plain_loop():
    mean, deviation, observed = simulated(days=30, reaches=4)
    quantiles = normal_quantiles(mean, deviation, LEVELS)
    result = pinball(quantiles, observed)
    for p, value in zip(LEVELS, result.pinball.values, strict=True):
        losses = []
        for q, y in zip(quantiles.sel(quantile=p).values.ravel(), observed.values.ravel(), strict=True):
            if np.isfinite(y):
                losses.append(p * (y - q) if y >= q else (1 - p) * (q - y))
        assert value == pytest.approx(np.mean(losses), rel=1e-12)
    np.testing.assert_array_equal(result["quantile"], LEVELS)


def test_the_true_quantile_has_the_least_pinball_loss():
    mean, deviation, observed = simulated(gaps=0.0)
    true = pinball(normal_quantiles(mean, deviation, LEVELS), observed).pinball
    for off in (-0.3, 0.3):
        assert (pinball(normal_quantiles(mean, deviation, LEVELS) + off, observed).pinball > true).all()


def test_coverage_of_exact_quantiles_is_nominal():
    mean, deviation, observed = simulated()
    result = coverage(normal_quantiles(mean, deviation, LEVELS), observed)
    np.testing.assert_array_equal(result.interval, [0.5, 0.9])
    n = int(observed.count())
    spread = np.sqrt(result.interval * (1 - result.interval) / n)
    assert (abs(result.coverage - result.interval) < 3 * spread).all()
    factor = 2 * scipy.stats.norm.ppf([0.75, 0.95])
    expected = factor * deviation[np.isfinite(observed.values)].mean()
    np.testing.assert_allclose(result.width, expected)
    assert int(result.n) == n
    assert {name: v.attrs["units"] for name, v in result.data_vars.items()} == {
        "coverage": "1",
        "width": "degC",
        "n": "1",
    }


@given(st.permutations(range(5)), st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_the_order_of_quantiles_days_and_dims_does_not_matter(order, seed):
    mean, deviation, observed = simulated(days=20, reaches=3, seed=seed)
    quantiles = normal_quantiles(mean, deviation, LEVELS)
    mixed = quantiles.isel(quantile=list(order), time=slice(None, None, -1)).transpose(
        "fine", "quantile", "time"
    )
    xr.testing.assert_identical(coverage(mixed, observed), coverage(quantiles, observed))
    assert float(crps(mixed, observed).crps) == pytest.approx(float(crps(quantiles, observed).crps))


# ----------------------------------------------------------------- labels


def test_probabilities_in_single_precision_keep_their_intervals():
    mean, deviation, observed = simulated(200)
    quantiles = normal_quantiles(mean, deviation, LEVELS)
    rounded = quantiles.assign_coords(quantile=np.array(LEVELS, "f4"))
    for each in (coverage, pinball, crps, score):
        xr.testing.assert_identical(each(rounded, observed), each(quantiles, observed))
    stored = quantiles.assign_coords(quantile=np.array(LEVELS, "f4").astype("f8"))
    np.testing.assert_array_equal(coverage(stored, observed).interval, coverage(quantiles, observed).interval)


def test_score_gives_the_metrics_of_the_median_and_of_the_quantiles():
    mean, deviation, observed = simulated()
    quantiles = normal_quantiles(mean, deviation, LEVELS)
    result = score(quantiles, observed)
    plain = score(field(mean), observed)
    xr.testing.assert_allclose(result[list(plain.data_vars)], plain)
    for alone in (coverage, pinball, crps):
        expected = alone(quantiles, observed).drop_vars("n")
        for name in expected.data_vars:
            xr.testing.assert_identical(result[name].variable, expected[name].variable)


def test_score_by_groups_gives_each_group_its_intervals():
    mean, deviation, observed = simulated(days=90, reaches=6)
    quantiles = normal_quantiles(mean, deviation, LEVELS)
    result = score(quantiles, observed, by="month")
    assert result.coverage.dims == ("month", "interval")
    assert result.pinball.dims == ("month", "quantile")
    for month in result.month.values:
        days = observed.time.dt.month == month
        part = coverage(quantiles.sel(time=days), observed.sel(time=days))
        np.testing.assert_allclose(result.sel(month=month).coverage, part.coverage)
        np.testing.assert_allclose(result.sel(month=month).width, part.width)


def test_each_block_of_a_lazy_prediction_is_computed_once():
    mean, deviation, observed = simulated(days=40, reaches=4)
    observed[:20] = np.nan
    quantiles = normal_quantiles(mean, deviation, LEVELS)
    computed = []

    def note(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return block

    lazy = da.map_blocks(
        note, da.from_array(quantiles.values, chunks=(5, 20, 2)), dtype=float, meta=np.zeros((0, 0, 0))
    )
    with dask.config.set(scheduler="synchronous"):
        result = score(quantiles.copy(data=lazy), observed)
    assert sorted(computed) == [(0, 1, 0), (0, 1, 1)]
    xr.testing.assert_identical(result, score(quantiles, observed))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, o: coverage(q.sel(quantile=[0.05, 0.25]), o), "make no interval"),
        (lambda q, o: coverage(q.isel(quantile=0), o), "no labelled 'quantile'"),
        (lambda q, o: pinball(q.drop_vars("quantile"), o), "no labelled 'quantile'"),
        (lambda q, o: pinball(q.assign_coords(quantile=[0, 0.1, 0.2, 0.3, 1]), o), "between 0 and 1"),
        (lambda q, o: coverage(q.assign_coords(quantile=[5, 25, 50, 75, 95]), o), "if it is in per cent"),
        (
            lambda q, o: coverage(q.assign_coords(quantile=[*"abcde"]), o),
            "quantile is .*'a'.* numbers between",
        ),
        (lambda q, o: crps(q, o, fair=True), "'member'"),
        (lambda q, o: crps(q.isel(quantile=0), o), "either 'quantile' or 'member'"),
        (lambda q, o: crps(q.rename(quantile="member").isel(member=[0]), o, fair=True), "only one"),
        (lambda q, o: score(q.sel(quantile=[0.05, 0.95]), o), "predict 0.5 too"),
        (lambda q, o: crps(q.where(q["quantile"] < 0.9), o), "not finite at"),
    ],
    ids=[
        "no-pair",
        "no-dimension",
        "no-levels",
        "no-probabilities",
        "per-cent",
        "text",
        "fair",
        "one-number",
        "one-member",
        "no-median",
        "nan",
    ],
)
def test_arrays_that_cannot_be_scored_are_refused(call, message):
    mean, deviation, observed = simulated(days=30, reaches=4)
    with pytest.raises(InvalidArgumentError, match=message):
        call(normal_quantiles(mean, deviation, LEVELS), observed)
