"""The covariance that is found, on errors drawn from a known one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.reconstruct.test_given import COVARIANCE, make_river, plain_distances
from xmsgl.reconstruct import fit
from xmsgl.reconstruct.fit import fit_covariance
from xmsgl.reconstruct.given import Asked, Errors, Places, error_given


def drawn(river, reaches, days, covariance, seed):
    """Errors of all sensors and days from the whole covariance."""
    metres, water = plain_distances(river)
    d, w = metres[np.ix_(reaches, reaches)], water[np.ix_(reaches, reaches)]
    chord = np.linalg.norm(river.place[reaches][:, None] - river.place[reaches], axis=2)
    land = 2 * 6_371_000 * np.arcsin(chord / 2)
    lag = np.abs(np.arange(days)[:, None] - np.arange(days))
    rng = np.random.default_rng(seed)
    errors = np.sqrt(covariance.noise) * rng.normal(size=(days, len(reaches)))
    for part in (covariance.slow, covariance.fast):
        space = part.along_river * w * np.exp(-d / covariance.river) + part.across_land * np.exp(
            -land / covariance.land
        )
        space += (1 - part.along_river - part.across_land) * np.eye(len(reaches))
        roots = [
            np.linalg.cholesky(each + 1e-9 * np.eye(len(each))) for each in (np.exp(-lag / part.days), space)
        ]
        errors += np.sqrt(part.variance) * roots[0] @ rng.normal(size=errors.shape) @ roots[1].T
    return errors.astype(np.float32)


@pytest.fixture(scope="module")
def case():
    river = make_river(60, 11, coordinates=True)
    reaches = np.sort(np.random.default_rng(0).choice(60, 40, replace=False))
    values = drawn(river, reaches, 900, COVARIANCE, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_SAMPLE", 1500)  # enough for this river, and sooner done
        return river, Errors(values, reaches), fit_covariance(Errors(values, reaches), river)


def left_out(case, covariance):
    """RMSE and mean square of the standardised error where the segment of a sensor is hidden."""
    river, errors, _ = case
    segment = river.segment[errors.reach]
    day, k = (each.ravel() for each in np.meshgrid(np.arange(5, 900, 30), np.arange(len(errors.reach))))
    asked = Asked(errors.reach[k], day, np.full(day.size, 899), segment[k], np.full(day.size, -1))
    mean, deviation = error_given(errors, asked, Places.of(river, errors.reach, errors.reach), covariance)
    error = errors.values[day, k] - mean
    return np.sqrt(np.mean(error**2)), np.mean((error / deviation) ** 2)


def test_it_predicts_as_well_as_the_true_one(case):
    best, _ = left_out(case, COVARIANCE)
    found, standard = left_out(case, case[2])
    blind, _ = left_out(case, replace(COVARIANCE, river=10.0, land=10.0))
    assert best < 0.9 * blind
    assert found < best + 0.25 * (blind - best)
    assert standard == pytest.approx(1, abs=0.2)


def test_it_is_near_the_true_one(case):
    found = case[2]
    total = COVARIANCE.slow.variance + COVARIANCE.fast.variance
    assert found.slow.variance + found.fast.variance == pytest.approx(total, rel=0.35)
    assert found.fast.days < 6 < 20 < found.slow.days
    assert found.noise < 0.3
    along = [each.slow.along_river * each.slow.variance for each in (found, COVARIANCE)]
    assert along[0] == pytest.approx(along[1], rel=0.5)


def test_the_standardised_errors_are_nearly_normal(case):
    """Twenty segments leave room for an unseen one, so that the outer quantiles are wider."""
    low, middle, high = case[2].spread.at([0.1, 0.5, 0.9]).mean(axis=0)
    assert abs(middle) < 0.3
    assert 1.1 < -low < 2.3
    assert 1.1 < high < 2.3


def test_too_few_errors_have_no_covariance():
    river = make_river(9, 0, coordinates=True)
    assert fit_covariance(Errors(np.zeros((10, 2), np.float32), np.array([0, 5])), river) is None
    assert fit_covariance(Errors(np.zeros((100, 2), np.float32), np.array([0, 1])), river) is None
