"""The benchmark of reconstruction: what is hidden is not used, and it is what the accessor returns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("sklearn")

from benchmarks.reconstruction import (
    Basin,
    draw_gaps,
    hidden_of,
    persistence,
    predict,
    reconstructed,
    same_day,
)
from xmsgl.evaluate import mask_labels
from xmsgl.reconstruct import reconstruct
from xmsgl.reconstruct.given import Errors
from xmsgl.reconstruct.river import River
from xmsgl.training.train import train

DAYS = 300  # from which the years are those of the test


@pytest.fixture(scope="module")
def basin(river_once):
    learned = mask_labels(river_once, segments=river_once.coarse.values[[2]])  # the others have gauges
    model = train(learned, "trees", validation="folds:2", iterations=8, progress=False)
    rng = np.random.default_rng(0)
    fine = np.full((river_once.sizes["time"], 12), np.nan, np.float32)
    fine[:, [1, 4, 7, 9, 11]] = rng.normal(10, 3, (len(fine), 5))
    coarse = np.full((len(fine), 5), np.nan, np.float32)
    mean, own = predict(river_once, model)
    test = np.arange(len(fine)) >= DAYS
    # Four segments are too few for an interval of 90 %.
    return Basin(River.of(river_once), fine, coarse, mean, own, test, model, interval=(0.4, 0.6))


def with_marks(basin, hidden, segment_hidden):
    """The same basin with other observations where they are hidden, at both scales."""
    fine = np.where(hidden & np.isfinite(basin.fine), basin.fine + 50, basin.fine)
    coarse = np.where(segment_hidden, 99.0, basin.coarse)
    return replace(basin, fine=fine.astype(np.float32), coarse=coarse.astype(np.float32))


@pytest.mark.parametrize("case", ["spatial-0", "gaps-30", "sensors-50"])
def test_hidden_observations_change_nothing(basin, case):
    if case == "spatial-0":
        basin = replace(basin, test=np.isin(np.arange(12), [3, 4, 9]))
    reports, scored = hidden_of(case, basin)
    day, reach = np.nonzero(scored)
    assert day.size > 20
    until = np.full(day.size, len(scored) - 1)
    found = []
    for own in (basin, with_marks(basin, ~reports[:, basin.river.segment], ~reports)):
        rules = same_day(own, own.errors(reports), reach, day).values()
        found.append([*reconstructed(own, reports, reach, day, until), *rules])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_forecast_sees_nothing_after_its_issue(basin):
    reports, scored = hidden_of("forecast-3", basin)
    day, reach = (each[::10] for each in np.nonzero(scored))
    assert ((day - 3) % 7 == 0).all()
    for d, r in zip(day, reach, strict=True):
        late = np.zeros_like(scored)
        late[d - 2 :] = True
        asked = np.array([r]), np.array([d]), np.array([d - 3])
        found = []
        for own in (basin, with_marks(basin, late, np.zeros_like(reports))):
            rule = persistence(own, own.errors(reports), *asked, both=False)
            found.append([*reconstructed(own, reports, *asked), rule])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", ["smooth", "filter"])
def test_it_is_what_the_accessor_returns(basin, river_once, mode):
    basin = replace(basin, test=np.isin(np.arange(12), [3, 4, 9]))
    reports, scored = hidden_of("spatial-0", basin)
    day, reach = np.nonzero(scored)
    until = np.full(day.size, len(scored) - 1) if mode == "smooth" else day
    mean, _, bounds = reconstructed(basin, reports, reach, day, until)
    fine = np.where(reports[:, basin.river.segment], basin.fine, np.nan)
    observed = xr.DataArray(fine, {"time": river_once.time, "fine": river_once.fine}, ("time", "fine"))
    found = reconstruct(river_once, basin.model, observed=observed, mode=mode)
    expected = basin.predicted[day, reach] + np.array([mean, *bounds])
    np.testing.assert_allclose(np.maximum(expected[0], 0), found.values[day, reach], atol=1e-4)
    between = reconstruct(river_once, basin.model, observed=observed, mode=mode, quantiles=[0.4, 0.6])
    np.testing.assert_allclose(np.maximum(expected[1:], 0), between.values[:, day, reach], atol=1e-4)


def test_gaps_lie_in_the_test_years_between_observations():
    rng = np.random.default_rng(1)
    seen = rng.random((2000, 40)) < 0.9
    seen[:, 5] = False
    test = np.arange(2000) >= 700
    gap = draw_gaps(seen, test, 30, seed=3)
    assert not gap[~test].any()
    assert not gap[:, 5].any()
    assert 0.15 < gap[test].mean() < 0.3
    runs = np.diff(np.pad(gap, ((1, 1), (0, 0))).astype(int), axis=0)
    starts, stops = (np.argwhere(sign == runs.T) for sign in (1, -1))
    assert ((stops - starts)[:, 1] == 30).all()


def test_simple_rules_by_hand(basin):
    """Two sensors 1.5 and 4 km from a reach, by a river of reaches of 1 km."""
    length = np.full(6, 1000.0)
    line = River(np.array([1, 2, 3, 4, 5, -1]), length, np.arange(1.0, 7.0), np.arange(6), None)
    values = np.full((4, 2), np.nan, np.float32)
    values[1], values[2] = [2.0, -1.0], [4.0, np.nan]
    errors = Errors(values, np.array([0, 4]))
    small = replace(
        basin, river=line, own=np.zeros((4, 6), np.float32), test=np.array([False, False, False, True])
    )
    found = same_day(small, errors, np.array([1, 1, 1]), np.array([0, 1, 2]))
    np.testing.assert_allclose(found["distance"], [np.inf, 1000, 1000])
    np.testing.assert_allclose(found["nearest gauge"], [0, 2, 4])
    np.testing.assert_allclose(found["inverse distance"], [0, (2 / 1 - 1 / 9) / (1 + 1 / 9), 4])
    # One pair of successive days in the years of training: damping 4 / 2 = 2.
    late = persistence(small, errors, np.array([0, 4, 2]), np.full(3, 3), np.full(3, 2), both=False)
    np.testing.assert_allclose(late, [4 * 2, -1 * 4, 0])
