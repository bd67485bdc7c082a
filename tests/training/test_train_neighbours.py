"""Training with features of neighbours: kept in the model, and found again without labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from tests.small import FEATURES, QUICK, same
from xmsgl.errors import ExtrapolationWarning, InvalidArgumentError
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours, fit_neighbours
from xmsgl.inputs.validation import split_labels, without_labels
from xmsgl.models.file.model import Model, load_model
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train

LENGTHS = (5_000, 20_000)
NAMES = list(neighbour_features(LENGTHS))
SMALL = {**QUICK, "epochs": 2, "features": [*FEATURES, "neighbour_anomalies:5km", "neighbour_anomalies:20km"]}
PLAIN = {**SMALL, "features": FEATURES}
STILL = {"window": 60, "warmup": 5, "epochs": 1, "pretrain": 0, "learning_rate": 1e-12, "progress": False}


@pytest.fixture(scope="module")
def model(river_once):
    return train(river_once, "remap", **SMALL)


def fitted(ds, scales=("coarse",), window=60):
    """The anomalies of a dataset without the labels of the days that training keeps for validation."""
    split = split_labels(ds, scales, window=window, validation=0.15, seed=0)
    assert 0 < split.validation.sum() < 300
    return fit_neighbours(without_labels(ds, split), LENGTHS)


def test_the_model_keeps_lengths_and_anomalies(river_once, model):
    assert model.spec.neighbours == fitted(river_once)
    assert [feature.name for feature in model.spec.features] == [*FEATURES, *NAMES]
    assert not any(feature.dynamic for feature in model.spec.features[2:])
    assert "5 observed segments" in repr(model)


def test_they_stand_where_they_are_named(river_once):
    features = ["neighbour_anomalies:5km", "drivers", "slope"]
    model = train(river_once, "remap", **{**SMALL, "features": features, "epochs": 1})
    labels = [feature.label for feature in model.spec.features]
    assert labels[:5] == [*NAMES[:4], "air_temperature"]
    assert labels[-1] == "slope"


@pytest.mark.parametrize("method", ["remap", "msgl"])
def test_it_is_training_on_a_dataset_that_has_them(river_once, method):
    """Bit for bit the weights of a training on the same attributes, given by hand."""
    known = fitted(river_once, ("coarse",) if method == "remap" else ("coarse", "fine"))
    by_hand = assign_neighbours(river_once, known)
    given = train(by_hand, method, **{**SMALL, "features": [*FEATURES, *NAMES]})
    asked = train(river_once, method, **SMALL)
    assert same(given, asked)
    assert given.spec.scaling == asked.spec.scaling
    np.testing.assert_array_equal(downscale(by_hand, given), downscale(river_once, asked))


def test_without_lengths_a_model_has_none(river_once):
    plain = train(river_once, "remap", **PLAIN)
    assert "neighbours" not in plain.spec.to_dict()
    assert "neighbours" not in plain.facts()


def test_a_prediction_needs_no_labels(river_once, model, tmp_path):
    expected = downscale(river_once, model)
    bare = river_once.drop_vars(["water_temperature_coarse", "water_temperature_fine"])
    np.testing.assert_array_equal(downscale(bare, model), expected)
    again = load_model(model.save(tmp_path / "river.safetensors"))
    assert again.spec == model.spec
    assert again.sha256 == model.sha256
    np.testing.assert_array_equal(downscale(bare, again), expected)


def test_labels_of_the_predicted_dataset_do_not_matter(river_once, model):
    label = river_once.water_temperature_coarse
    other = river_once.assign(water_temperature_coarse=(label * 0.5 + 3).assign_attrs(label.attrs))
    np.testing.assert_array_equal(downscale(other, model), downscale(river_once, model))


def test_the_order_of_segments_does_not_matter(river_once, model):
    shuffled = river_once.isel(coarse=[2, 0, 4, 1, 3])
    np.testing.assert_allclose(downscale(shuffled, model), downscale(river_once, model), atol=1e-5)


def test_lazy_equals_eager(river_once, model, refuse_to_compute):
    with refuse_to_compute():
        lazy = downscale(river_once.chunk(time=250, coarse=2, fine=5), model)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.compute(), downscale(river_once, model), atol=1e-6)


def test_another_basin_has_no_known_neighbours(river_once, model):
    """All features are 0."""
    there = river_once.assign_coords(coarse=river_once.coarse + 1000)
    for name in ("downstream_coarse", "coarse_segment"):
        there[name] = there[name].where(there[name] == 0, there[name] + 1000)
    with pytest.warns(ExtrapolationWarning, match="none of the 5 segments"):
        far = downscale(there, model)
    assert np.isfinite(far).all()
    silent = replace(model.spec.neighbours, days=(0, 0, 0, 0, 0))
    by_hand = Model(replace(model.spec, neighbours=silent), model.weights)
    np.testing.assert_array_equal(far, downscale(river_once, by_hand))


@pytest.mark.parametrize("gone", ["missing", "masked"])
def test_without_coarse_labels_it_says_so(river_once, gone):
    label = river_once.water_temperature_coarse
    ds = river_once.drop_vars(label.name)
    if gone == "masked":
        ds = ds.assign({label.name: (label * np.nan).assign_attrs(label.attrs)})
    with pytest.raises(InvalidArgumentError, match="neighbour anomalies need labels of segments"):
        train(ds, "fine-only", **SMALL)


def test_without_coarse_labels_outside_the_validation_days_it_says_so(river_once):
    late = river_once.time >= np.datetime64("2003-06-01")
    label = river_once.water_temperature_coarse
    ds = river_once.assign({label.name: label.where(late)})
    with pytest.raises(InvalidArgumentError, match="neighbour anomalies need labels of segments"):
        train(ds, "fine-only", validation="2003-06-01/..", **SMALL)


def test_lengths_are_checked_before_anything_else():
    with pytest.raises(InvalidArgumentError, match="give a length along the river, as in"):
        train(xr.Dataset(), "msgl", features=["default", "neighbour_anomalies:5000"])


# ----------------------------------------------------------------- beginning with another model


def test_a_model_that_goes_on_keeps_them(river_once, model):
    for features in (["default"], SMALL["features"], [*FEATURES, *NAMES]):
        again = train(river_once, "remap", start=model, features=features, **STILL)
        assert again.spec.neighbours == model.spec.neighbours
        assert again.spec.features == model.spec.features


def test_in_another_basin_its_lengths_hold_and_its_labels_count(two_rivers, model):
    again = train(two_rivers, "remap", start=model, **STILL)
    assert again.spec.neighbours == fitted(two_rivers)
    assert again.spec.scaling == model.spec.scaling


def test_where_no_segment_is_observed_the_old_anomalies_hold(river_once, model):
    bare = river_once.drop_vars("water_temperature_coarse")
    again = train(bare, "msgl", start=model, **STILL)
    assert again.spec.neighbours == model.spec.neighbours


@pytest.mark.parametrize(
    ("features", "has"),
    [(FEATURES, "none"), (SMALL["features"], "neighbour_anomalies:5km, neighbour_anomalies:20km")],
    ids=["none", "others"],
)
def test_other_lengths_than_its_own_are_refused(river_once, features, has):
    first = train(river_once, "remap", **{**SMALL, "features": features, "epochs": 1})
    message = rf"those of the model to start with \({has}\); leave features out"
    with pytest.raises(InvalidArgumentError, match=message):
        train(river_once, "remap", start=first, features=[*FEATURES, "neighbour_anomalies:7km"], **STILL)


def test_training_can_be_resumed(river_once, tmp_path, model):
    path = tmp_path / "training.ckpt"
    train(river_once, "remap", checkpoint=path, **SMALL)
    again = train(river_once, "remap", resume=path, **SMALL)
    assert same(again, model)
