"""The error left at a gauge regressed on others: a plain loop, a planted pair, days with nothing to add."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tests.reconstruct.test_given import COVARIANCE, find, make_river
from xmsgl.models.file.covariance import Companions
from xmsgl.reconstruct.companions import Accompanied, fit_companions
from xmsgl.reconstruct.given import Asked, Errors

N, DAYS = 20, 1200
REACHES = np.array([1, 4, 7, 10, 13, 16])
TWINS = (0, 5)  # sensors with a common error that distances do not explain


@pytest.fixture(scope="module")
def river():
    return make_river(N, 3, coordinates=True)


@pytest.fixture(scope="module")
def errors():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.5, (DAYS, REACHES.size))
    values[:, list(TWINS)] += rng.normal(0, 1.5, (DAYS, 1))
    values[rng.random(values.shape) < 0.1] = np.nan
    return Errors(values.astype(np.float32), REACHES)


@pytest.fixture(scope="module")
def covariance(river, errors):
    return replace(COVARIANCE, companions=fit_companions(errors, river, COVARIANCE, range(N)))


@pytest.fixture(scope="module")
def accompanied(river, covariance):
    return Accompanied.of(river, covariance, range(N))


def hidden_days(river, errors, sensor, gap=20):
    """The kriged error at a sensor that does not report around its days, and what was observed."""
    day = np.flatnonzero(np.isfinite(errors.values[:, sensor]))
    reach, last = np.full(day.size, REACHES[sensor]), np.full(day.size, DAYS - 1)
    asked = Asked(reach, day, last, river.segment[reach], np.full(day.size, gap))
    return asked, *find(river, errors, asked), errors.values[day, sensor]


def test_a_twin_far_away_is_found_and_lowers_the_error(river, errors, covariance, accompanied):
    for own, other in (TWINS, TWINS[::-1]):
        asked, mean, deviation, observed = hidden_days(river, errors, own)
        better, narrower = accompanied.add(errors, asked, covariance, mean, deviation)
        assert covariance.companions[own].others[0] == REACHES[other]
        known = np.isfinite(errors.values[asked.day, other])
        before, after = np.std((observed - mean)[known]), np.std((observed - better)[known])
        assert after < 0.75 * before
        assert (narrower <= deviation).all()
        standard = (observed - better) / narrower
        assert 0.5 < np.std(standard[known]) < 1.5


def test_it_is_a_ridge_regression_where_all_report(river):
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (DAYS, REACHES.size)).astype(np.float32)
    errors = Errors(values, REACHES)
    fitted = replace(COVARIANCE, companions=fit_companions(errors, river, COVARIANCE, range(N)))
    one = fitted.companions[2]
    size = len(one.products)
    moments = np.zeros((size, size))
    moments[np.tril_indices(size)] = one.moments
    moments += np.tril(moments, -1).T
    # Rows whose second moments are these, and targets with these products.
    rows = np.linalg.cholesky(moments + 1e-9 * np.eye(size)).T
    scaled = rows / np.sqrt(np.diag(moments))
    target = np.linalg.solve(rows.T, one.products)
    slope = Ridge(alpha=0.3, fit_intercept=False, solver="cholesky").fit(scaled, target).coef_
    asked, mean, deviation, _ = hidden_days(river, errors, 2)
    better, _ = Accompanied.of(river, fitted, range(N)).add(errors, asked, fitted, mean, deviation)
    columns = np.searchsorted(REACHES, one.others)
    seen = np.column_stack([mean, errors.values[asked.day][:, columns]])
    left = deviation.astype("f8") ** 2 - COVARIANCE.noise
    share = np.minimum(left / (0.3 * (COVARIANCE.slow.variance + COVARIANCE.fast.variance)), 1)
    expected = mean + share * (seen @ (slope / np.sqrt(np.diag(moments))))
    np.testing.assert_allclose(better, expected, atol=2e-4)


def test_where_the_gauge_reports_little_is_added(river, errors, covariance, accompanied):
    day = np.flatnonzero(np.isfinite(errors.values).all(axis=1))
    none, reach = np.full(day.size, -1), np.full(day.size, REACHES[0])
    asked = Asked(reach, day, np.full(day.size, DAYS - 1), none, none)
    mean, deviation = find(river, errors, asked)
    better, _ = accompanied.add(errors, asked, covariance, mean, deviation)
    hidden, far, wide, _ = hidden_days(river, errors, 0)
    added = accompanied.add(errors, hidden, covariance, far, wide)[0] - far
    assert np.abs(better - mean).max() < 0.2 * np.abs(added).max()


def test_days_after_the_issue_and_other_places_are_left_alone(river, errors, covariance, accompanied):
    day = np.arange(50, 80)
    none = np.full(day.size, -1)
    for reach, until in ((REACHES[0], 40), (19, DAYS - 1)):
        asked = Asked(np.full(day.size, reach), day, np.full(day.size, until), none, none)
        mean, deviation = find(river, errors, asked)
        same = accompanied.add(errors, asked, covariance, mean, deviation)
        np.testing.assert_array_equal(same[0], mean)
        np.testing.assert_array_equal(same[1], deviation)


def test_a_reach_of_the_segment_follows_its_gauge_less(river, accompanied):
    gauge = int(REACHES[2])
    others = np.flatnonzero((river.segment == river.segment[gauge]) & (np.arange(N) != gauge))
    assert accompanied.common[gauge] == 1
    assert others.size == 2
    assert ((accompanied.common[others] > 0) & (accompanied.common[others] < 1)).all()
    assert (accompanied.gauge[others] == accompanied.gauge[gauge]).all()


def test_order_and_absence_of_gauges(river, errors, covariance, accompanied):
    """Sensors in a river with other ids are unknown; missing ones change nothing but their own part."""
    asked, mean, deviation, _ = hidden_days(river, errors, 0)
    unknown = Accompanied.of(river, covariance, [f"r{k}" for k in range(N)])
    np.testing.assert_array_equal(unknown.add(errors, asked, covariance, mean, deviation)[0], mean)
    fewer = Errors(np.ascontiguousarray(errors.values[:, :5]), REACHES[:5])
    blank = errors.values.copy()
    blank[:, 5] = np.nan
    expected = accompanied.add(Errors(blank, REACHES), asked, covariance, mean, deviation)
    found = accompanied.add(fewer, asked, covariance, mean, deviation)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_short_records_are_not_regressed(river, errors):
    short = Errors(errors.values[:364], errors.reach)
    assert fit_companions(short, river, COVARIANCE, range(N)) == ()
    assert isinstance(fit_companions(errors, river, COVARIANCE, range(N))[0], Companions)
