"""Places of further sensors, against trying every one with dense linear algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.reconstruct.test_given import COVARIANCE, make_river, plain_distances
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UncalibratedModelError
from xmsgl.evaluate import mask_labels, next_sensors
from xmsgl.evaluate.placement import _greedy
from xmsgl.models.file.model import Model
from xmsgl.training.train import train


def mean_variance(river, places, covariance):
    """Mean variance of all reaches, weighted by length, given sensors at some places."""
    d, w = plain_distances(river)
    chord = np.linalg.norm(river.place[:, None] - river.place, axis=2)
    land = 2 * 6_371_000 * np.arcsin(chord / 2)
    total = np.zeros(d.shape)
    for part in (covariance.slow, covariance.fast):
        space = part.along_river * w * np.exp(-d / covariance.river)
        space += part.across_land * np.exp(-land / covariance.land)
        total += part.variance * (space + (1 - part.along_river - part.across_land) * np.eye(len(d)))
    inner = total[np.ix_(places, places)] + covariance.noise * np.eye(len(places))
    variance = np.diag(total) - np.einsum("ij,ji->i", total[:, places], np.linalg.solve(inner, total[places]))
    return variance @ river.length / river.length.sum()


@pytest.mark.parametrize("seed", range(4))
def test_each_is_the_best_of_all(seed):
    river = make_river(24, seed, coordinates=True)
    sensors, places = np.array([2, 9]), np.array([0, 5, 11, 14, 17, 20, 23])
    chosen, before, after = _greedy(river, COVARIANCE, sensors, places, 4)
    assert before == pytest.approx(np.sqrt(mean_variance(river, sensors, COVARIANCE)), abs=1e-4)
    known = list(sensors)
    for reach, deviation in zip(chosen, after, strict=True):
        left = [place for place in places if place not in known]
        each = {place: mean_variance(river, [*known, place], COVARIANCE) for place in left}
        assert reach == min(each, key=each.get)
        assert deviation == pytest.approx(np.sqrt(each[reach]), abs=1e-4)
        known.append(reach)


@pytest.fixture(scope="module")
def model(river_once, small_fits):
    trained = train(river_once, "trees", validation="folds:2", iterations=3, progress=False)
    return Model(
        replace(trained.spec, errors={"ungauged": COVARIANCE, "gauged": COVARIANCE}), trained.weights
    )


def test_segments_without_a_sensor_are_the_candidates(river, model):
    few = mask_labels(river, segments=river.coarse.values[[1, 3]])
    found = next_sensors(few, model, 2)
    segments = river.coarse_segment.sel(fine=found.reach.values).values
    assert set(segments.tolist()) == set(river.coarse.values[[1, 3]].tolist())
    assert found.deviation.attrs["deviation_before"] > found.deviation[0] > found.deviation[1]


def test_candidates_given(river, model):
    ids = river.fine.values[[2, 5]]
    found = next_sensors(river, model, 2, candidates=ids)
    assert set(found.reach.values.tolist()) == set(ids.tolist())


@pytest.mark.parametrize(
    ("n", "candidates", "said"), [(3, [2, 5], "to the number of candidates, 2"), (1, None, "0; got")]
)
def test_too_many(river, model, n, candidates, said):
    ids = None if candidates is None else river.fine.values[candidates]
    with pytest.raises(InvalidArgumentError, match=said):
        next_sensors(river, model, n, candidates=ids)


def test_unknown_candidates(river, model):
    with pytest.raises(InvalidArgumentError, match="-5 are not among"):
        next_sensors(river, model, candidates=[-5])


def test_fill_values_are_no_sensors(river, model):
    fine = "water_temperature_fine"
    with pytest.raises(InvalidDatasetError, match="-9999"):
        next_sensors(river.assign({fine: river[fine].fillna(-9999)}), model)


def test_a_candidate_given_twice(river, model):
    with pytest.raises(InvalidArgumentError, match="given twice"):
        next_sensors(river, model, candidates=river.fine.values[[2, 5, 2]])


def test_a_model_without_covariance(river, model):
    plain = Model(replace(model.spec, errors={}), model.weights)
    with pytest.raises(UncalibratedModelError, match="folds"):
        next_sensors(river, plain)
