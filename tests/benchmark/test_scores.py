"""Pairs and scores, against plain loops over reach-days."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.benchmark.protocols import make_split
from xmsgl.benchmark.runs import Run
from xmsgl.benchmark.scores import GROUPS, pair_up, score_pairs
from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.rivers import stream_orders


@pytest.fixture
def split(tiny):
    return make_split(Run("tiny", "temporal", "msgl", 1.0, 0, 0))


@pytest.fixture
def prediction(tiny):
    rng = np.random.default_rng(5)
    truth = tiny["true_temperature_fine"]
    return truth + rng.normal(0.5, 1.0, truth.shape)


@pytest.fixture
def pairs(prediction, split):
    return pair_up(prediction, split)


def test_pairs_are_the_observed_test_days(tiny, prediction, pairs):
    observed = tiny["water_temperature_fine"].sel(time=slice("2003-10-01", None))
    expected = [
        (
            reach,
            day,
            np.float32(observed.sel(fine=reach, time=day)),
            np.float32(prediction.sel(fine=reach, time=day)),
        )
        for reach in observed["fine"].values
        for day in observed["time"].values
        if np.isfinite(observed.sel(fine=reach, time=day))
    ]
    assert len(expected) > 40
    for column, values in zip(
        ("reach", "day", "observed", "predicted"), zip(*expected, strict=True), strict=True
    ):
        np.testing.assert_array_equal(pairs[column], values)
    assert pairs["predicted"].dtype == np.float32


def test_the_order_of_the_prediction_does_not_matter(prediction, split, pairs):
    shuffled = prediction.isel(time=slice(None, None, -1), fine=np.random.default_rng(0).permutation(12))
    pd.testing.assert_frame_equal(pair_up(shuffled.transpose(), split), pairs)
    pd.testing.assert_frame_equal(pair_up(prediction.chunk(time=90), split), pairs)


def rmse(rows):
    return np.sqrt(np.mean((rows["predicted"].astype(float) - rows["observed"].astype(float)) ** 2))


def value(scores, group, metric, member=""):
    (row,) = scores.query("group == @group and metric == @metric and member == @member").itertuples()
    return row.value, row.n


def test_scores_of_all_and_of_groups(tiny, pairs):
    scores = score_pairs(pairs)
    assert set(scores["group"]) == set(GROUPS)
    assert value(scores, "all", "rmse") == (pytest.approx(rmse(pairs)), len(pairs))
    for month, rows in pairs.groupby(pairs["day"].dt.month):
        assert value(scores, "month", "rmse", str(month)) == (pytest.approx(rmse(rows)), len(rows))
    for reach, rows in pairs.groupby("reach"):
        assert value(scores, "reach", "rmse", str(reach)) == (pytest.approx(rmse(rows)), len(rows))
    order = dict(zip(tiny["fine"].values, stream_orders(tiny, "fine"), strict=True))
    for member, rows in pairs.groupby(pairs["reach"].map(order)):
        assert value(scores, "stream_order", "rmse", str(member)) == (pytest.approx(rmse(rows)), len(rows))


def test_n_counts_the_reach_days_of_each_metric(pairs):
    scores = score_pairs(pairs)
    hot = pairs[pairs["observed"] >= np.quantile(pairs["observed"].astype(float), 0.9)]
    assert value(scores, "all", "rmse_hot") == (pytest.approx(rmse(hot)), len(hot))


def test_a_prediction_with_nan_is_refused(pairs):
    pairs.loc[3, "predicted"] = np.nan
    with pytest.raises(InvalidArgumentError, match="not finite"):
        score_pairs(pairs)


def test_reaches_may_have_names(pairs):
    scores = score_pairs(pairs.assign(reach="r" + pairs["reach"].astype(str)))
    assert value(scores, "all", "rmse") == value(score_pairs(pairs), "all", "rmse")


def test_a_prediction_that_misses_a_reach_is_refused(prediction, split):
    with pytest.raises(KeyError):
        pair_up(prediction.isel(fine=slice(0, 3)), split)


def test_stream_orders_belong_to_the_reaches(split, tiny):
    full = xr.DataArray(stream_orders(tiny, "fine"), {"fine": tiny["fine"]}, "fine")
    xr.testing.assert_equal(split.stream_order.drop_attrs(), full.sel(fine=split.observed["fine"]))


def test_segments_are_those_of_the_crosswalk(tiny, pairs):
    segment = dict(zip(tiny["fine"].values, tiny["coarse_segment"].values, strict=True))
    np.testing.assert_array_equal(pairs["segment"], pairs["reach"].map(segment))
    scores = score_pairs(pairs)
    for member, rows in pairs.groupby("segment"):
        assert value(scores, "segment", "rmse", str(member)) == (pytest.approx(rmse(rows)), len(rows))
