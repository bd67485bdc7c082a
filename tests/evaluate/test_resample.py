"""Intervals from resampled segments: against scipy, and on data whose true RMSE is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate import compare, score
from xmsgl.evaluate.resample import sums


def river(seed, segments=30, days=20, shift=0.0):
    """Errors that the reaches and days of a segment share: independent days would give too narrow bounds."""
    rng = np.random.default_rng(seed)
    segment = np.repeat(np.arange(segments) + 1, 2)
    coords = {"time": pd.date_range("2001-01-01", periods=days), "fine": np.arange(segment.size)}
    shared = rng.normal(shift, 1.0, segments)[segment - 1]
    error = shared + rng.normal(0, 0.3, (days, segment.size))
    observed = xr.DataArray(rng.normal(10, 2, error.shape), coords, ("time", "fine"))
    observed = observed.where(rng.random(error.shape) < rng.uniform(0.2, 1, segment.size))
    ds = xr.Dataset({"water_temperature_fine": observed, "coarse_segment": ("fine", segment)})
    return ds, (observed.fillna(0.0) + error)


def per_segment(ds, prediction):
    squares = ((prediction - ds.water_temperature_fine) ** 2).groupby(ds.coarse_segment)
    return squares.sum(...).values, squares.count(...).values


def test_the_interval_is_that_of_scipy():
    ds, prediction = river(0)
    result = ds.msgl.evaluate(prediction, confidence=0.9)
    sums, counts = per_segment(ds, prediction)
    known = scipy.stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: np.sqrt(s.sum(axis) / n.sum(axis)),
        paired=True,
        vectorized=True,
        confidence_level=0.9,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    )
    spread = known.standard_error
    assert result.rmse_low.item() == pytest.approx(known.confidence_interval.low, abs=0.1 * spread)
    assert result.rmse_high.item() == pytest.approx(known.confidence_interval.high, abs=0.1 * spread)
    assert result.n_segments == 30


def test_the_intervals_contain_the_truth_as_often_as_they_say():
    """Of RMSE, bias and the difference of two RMSE: of 200 rivers, each with other segments."""
    inside = {"rmse": 0, "bias": 0, "rmse_difference": 0}
    truth = {"rmse": np.sqrt(0.25 + 1.0 + 0.09), "bias": 0.5}
    truth["rmse_difference"] = np.sqrt(1.0 + 1.0 + 0.09) - truth["rmse"]
    for seed in range(200):
        ds, prediction = river(seed, segments=60, days=8, shift=0.5)
        both = ds.msgl.compare({"a": prediction, "b": prediction + 0.5})
        result = ds.msgl.evaluate(prediction, confidence=0.9).assign(
            both[["rmse_difference_low", "rmse_difference_high"]].sel({"method": "b"}, drop=True)
        )
        for name, value in truth.items():
            inside[name] += bool(result[f"{name}_low"] <= value <= result[f"{name}_high"])
    assert all(160 <= count <= 194 for count in inside.values()), inside


def test_intervals_are_those_of_each_group_alone():
    ds, prediction = river(2)
    by = ds.msgl.evaluate(prediction, by={"time": xr.groupers.TimeResampler("7D")}, confidence=0.8, seed=4)
    for start in by.time.values:
        days = slice(start, start + np.timedelta64(6, "D"))
        alone = ds.msgl.evaluate(prediction.sel(time=days), confidence=0.8, seed=4)
        for name in ("rmse_low", "rmse_high", "mae_low", "bias_high", "n_segments"):
            np.testing.assert_allclose(by[name].sel(time=start), alone[name], rtol=1e-12)


def test_few_segments_have_no_interval():
    ds, prediction = river(1)
    result = ds.msgl.evaluate(prediction, by=["segment", "month"], confidence=0.9)
    assert (result.n_segments == 1).all()
    assert np.isnan(result.rmse_low).all()
    assert np.isfinite(result.rmse).all()


def test_five_segments_have_an_interval():
    ds, prediction = river(7, segments=5)
    assert np.isfinite(ds.msgl.evaluate(prediction, confidence=0.9, seed=2**32 - 1).rmse_low)
    four = {"fine": slice(8)}
    assert np.isnan(ds.isel(four).msgl.evaluate(prediction.isel(four), confidence=0.9).rmse_low)


def test_sums_over_all_over_draws_and_over_all_but_one():
    values = np.random.default_rng(3).normal(size=(2, 6))
    found = sums(values, seed=1)
    np.testing.assert_allclose(found[:, 0], values.sum(axis=1))
    np.testing.assert_allclose(found[:, -6:], [[row.sum() - one for one in row] for row in values])
    drawn = sums(np.ones(6), seed=1)[1:-6]
    np.testing.assert_array_equal(drawn, np.full(2000, 6.0))  # as many segments as there are
    each = np.array([sums(np.eye(6)[k], seed=1)[1:-6] for k in range(6)])  # how often each is drawn
    np.testing.assert_allclose(found[:, 1:-6], values @ each)


def test_the_seed_and_the_confidence_count():
    ds, prediction = river(3)
    first, again, other = (ds.msgl.evaluate(prediction, confidence=0.9, seed=seed) for seed in (0, 0, 1))
    xr.testing.assert_identical(first, again)
    assert first.rmse_low != other.rmse_low
    narrow = ds.msgl.evaluate(prediction, confidence=0.5)
    assert first.rmse_low < narrow.rmse_low < narrow.rmse < narrow.rmse_high < first.rmse_high


def test_at_the_coarse_scale_each_segment_is_its_own():
    ds, prediction = river(4)
    coarse = prediction.isel(fine=slice(None, None, 2)).rename(fine="coarse")
    labels = ds.water_temperature_fine.isel(fine=slice(None, None, 2)).rename(fine="coarse")
    alone = ds.isel(fine=slice(None, None, 2))
    result = score(coarse, labels, confidence=0.9)
    assert result.rmse_high == alone.msgl.evaluate(prediction, confidence=0.9).rmse_high


@pytest.mark.parametrize("confidence", [0, 1, 90])
def test_confidence_is_a_fraction(confidence):
    ds, prediction = river(0)
    with pytest.raises(InvalidArgumentError, match="between 0 and 1"):
        ds.msgl.evaluate(prediction, confidence=confidence)


def test_the_segments_must_be_known():
    ds, prediction = river(0)
    with pytest.raises(InvalidArgumentError, match=r"confidence=0.9 needs 'coarse_segment'; .*dataset=ds"):
        score(prediction, ds.water_temperature_fine, confidence=0.9)


def test_predictions_are_compared_on_common_days_with_the_same_draws():
    ds, prediction = river(5)
    noise = xr.zeros_like(prediction) + np.random.default_rng(0).normal(0, 0.3, prediction.shape)
    late = (prediction + noise).isel(time=slice(5, None), fine=slice(None, None, -1))
    result = ds.msgl.compare({"first": prediction, "late": late}, confidence=0.9)
    common = ds.isel(time=slice(5, None))
    assert result.n == common.water_temperature_fine.count()
    rmse = [common.msgl.evaluate(one).rmse.item() for one in (prediction, late)]
    np.testing.assert_allclose(result.rmse, rmse, rtol=1e-12)
    np.testing.assert_allclose(result.rmse_difference, [0, rmse[1] - rmse[0]], rtol=1e-9)
    pairs = [
        per_segment(common, one.reindex_like(common.water_temperature_fine)) for one in (prediction, late)
    ]
    known = scipy.stats.bootstrap(
        (pairs[0][0], pairs[1][0], pairs[0][1]),
        lambda a, b, n, axis: np.sqrt(b.sum(axis) / n.sum(axis)) - np.sqrt(a.sum(axis) / n.sum(axis)),
        paired=True,
        vectorized=True,
        confidence_level=0.9,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    )
    own = result.sel({"method": "late"})
    low, high = known.confidence_interval
    assert own.rmse_difference_low.item() == pytest.approx(low, abs=0.1 * known.standard_error)
    assert own.rmse_difference_high.item() == pytest.approx(high, abs=0.1 * known.standard_error)
    assert high - low < 0.2 * (own.rmse_high - own.rmse_low)  # paired: far narrower than either


def test_comparisons_may_be_by_group():
    ds, prediction = river(6)
    result = ds.msgl.compare({"a": prediction, "b": prediction + 1}, by="month")
    assert result.rmse_difference_low.dims == ("method", "month")
    assert result.n.dims == ("month",)
    groups = ds.time.dt.month.rename("method")
    with pytest.raises(InvalidArgumentError, match="both have a dimension method"):
        ds.msgl.compare({"a": prediction, "b": prediction + 1}, by=groups)


def test_a_comparison_needs_two_predictions():
    ds, prediction = river(0)
    with pytest.raises(InvalidArgumentError, match="at least two"):
        compare({"a": prediction}, dataset=ds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 0.9, "seed": 2**32}, "seed is 4294967296; .* below 2"),
        ({"confidence": 0.9, "seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"confidence": 0.9, "seed": 1.5}, "seed must be a whole number, not 1.5"),
        ({"confidence": [0.9]}, "confidence must be a number"),
    ],
)
def test_invalid_draws_are_refused(options, message):
    ds, prediction = river(6)
    with pytest.raises(InvalidArgumentError, match=message):
        ds.msgl.evaluate(prediction, **options)
    with pytest.raises(InvalidArgumentError, match=message):
        ds.msgl.compare({"a": prediction, "b": prediction + 1}, **options)
