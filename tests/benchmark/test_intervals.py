"""Intervals in the tables: against scipy, on pairs whose segments differ in their errors."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from xmsgl.benchmark.intervals import rmse_intervals
from xmsgl.benchmark.report import markdown_sections
from xmsgl.benchmark.scores import score_pairs

SEGMENTS = 20


def pairs_of(seed, bias=0.0, segments=SEGMENTS):
    """Two reaches a segment, which share the error of the segment; `seed` draws that of the days."""
    shared = np.random.default_rng(0).normal(0, 1, segments)
    shared -= shared.mean()
    rng = np.random.default_rng(seed)
    days = np.arange(2 * segments) % 7 + 5
    reach = np.repeat(np.arange(2 * segments), days)
    frame = pd.DataFrame({"reach": reach, "segment": reach // 2 + 100, "stream_order": np.int16(1)})
    frame["day"] = pd.Timestamp("2003-10-01") + pd.to_timedelta(frame.groupby("reach").cumcount(), unit="D")
    frame["observed"] = (np.arange(len(frame)) % 17).astype(np.float32)
    error = shared[reach // 2] + rng.normal(bias, 0.5, reach.size)
    return frame.assign(predicted=(frame["observed"] + error).astype(np.float32))


def scores_of(runs):
    """The scores of runs: a list of label, run and pairs."""
    columns = {"dataset": "d", "data": "{}", "protocol": "temporal", "degrade": "{}", "fraction": 1.0}
    frames = [score_pairs(pairs).assign(label=label, run=run, **columns) for label, run, pairs in runs]
    return pd.concat(frames, ignore_index=True)


def sums(pairs):
    squares = (pairs["predicted"].astype(float) - pairs["observed"].astype(float)) ** 2
    by = squares.groupby(pairs["segment"])
    return by.sum().to_numpy(), by.count().to_numpy()


def numbers(text):
    return [float(word) for word in text.replace("(", "").replace(")", "").split() if word != "to"]


def bootstrap(statistic, *data):
    result = scipy.stats.bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        confidence_level=0.9,
        n_resamples=20_000,
        rng=np.random.default_rng(5),
    )
    return result.confidence_interval, 0.1 * result.standard_error + 0.001


def root(squares, days, axis):
    return np.sqrt(squares.sum(axis) / days.sum(axis))


def test_the_interval_of_the_mean_over_runs_and_the_difference_are_those_of_scipy():
    one, two, other = pairs_of(1), pairs_of(2), pairs_of(3, bias=0.4)
    found = rmse_intervals(scores_of([("a", "a0", one), ("a", "a1", two), ("b", "b0", other)]))
    (s1, n), (s2, _), (s3, _) = (sums(each) for each in (one, two, other))
    (low, high), near = bootstrap(
        lambda s1, s2, n, axis: (root(s1, n, axis) + root(s2, n, axis)) / 2, s1, s2, n
    )
    np.testing.assert_allclose(numbers(found["a"][0]), [low, high], atol=near)
    assert found["a"][1] == "-"
    (low, high), near = bootstrap(
        lambda s1, s2, s3, n, axis: root(s3, n, axis) - (root(s1, n, axis) + root(s2, n, axis)) / 2,
        s1, s2, s3, n,
    )  # fmt: skip
    difference, least, most = numbers(found["b"][1])
    every = [np.sqrt(s.sum() / n.sum()) for s in (s1, s2, s3)]
    assert difference == pytest.approx(every[2] - (every[0] + every[1]) / 2, abs=0.001)
    np.testing.assert_allclose([least, most], [low, high], atol=near)


def test_runs_on_other_reach_days_are_not_compared():
    found = rmse_intervals(scores_of([("a", "a0", pairs_of(1)), ("b", "b0", pairs_of(3, 0.4)[3:])]))
    assert len(numbers(found["b"][0])) == 2
    assert found["b"][1] == "-"


def test_few_segments_and_older_runs_have_no_interval():
    assert rmse_intervals(scores_of([("a", "a0", pairs_of(1, segments=4))])) == {}
    older = score_pairs(pairs_of(1).drop(columns="segment"))
    assert set(older["group"]) == {"all", "month", "stream_order", "reach"}
    assert rmse_intervals(older.assign(label="a", run="a0")) == {}


def test_the_table_prints_the_intervals():
    runs = [("a", "a0", pairs_of(1)), ("b", "b0", pairs_of(3, 0.4))]
    scores = scores_of(runs)
    records = [{"id": run, "wall_s": 1.0, "labels": {"fine": 5}} for _, run, _ in runs]
    page = markdown_sections(scores, json.loads(json.dumps(records)))
    head, _, first, second = [line.strip("| ").split(" | ") for line in page.splitlines() if "|" in line]
    assert head[2:5] == ["RMSE [degC]", "90 % interval", "above the best"]
    found = rmse_intervals(scores)
    assert tuple(first[3:5]) == found["a"]
    assert tuple(second[3:5]) == found["b"]
