"""Standards of the two scales: one for both or each its own, and what that means in degrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.small import FEATURES, QUICK
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.validation import split_labels, write_validation
from xmsgl.models.file.model import Model
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train

SCALES = ("coarse", "fine")
SUMMER = slice("2002-06-01", "2002-08-31")
SMALL = {**QUICK, "epochs": 2, "features": FEATURES}
OWN = {**SMALL, "scaling": "own"}


@pytest.fixture
def apart(river):
    """The river with segments so much warmer that no moment of one scale passes for the other's."""
    name = "water_temperature_coarse"
    river[name] = (0.5 * river[name] + 20).assign_attrs(river[name].attrs)
    return river.isel(time=slice(0, 365))


def prepare(ds, features, *, scales=SCALES, validation=None, window=90):
    days = split_labels(ds, scales, window=window, validation=write_validation(validation), seed=0)
    arguments = {"window": window, "warmup": 0, "split": days, "batch": 1, "seed": 0}
    return TrainingData(ds, choose_features(ds, features), scales=scales, own_scaling=True, **arguments)


# -------------------------------------------------------------- by hand


def test_each_scale_has_the_moments_of_its_own_training_days(apart):
    """Computed with NumPy from the dataset: rain as a logarithm, slope as a root, what reaches inherit."""
    ds = apart
    names = ["precipitation", "slope", "drainage_area"]
    scaling = prepare(ds, names, validation=SUMMER).scaling
    seen = ds["water_temperature_coarse"].notnull().any("coarse")
    seen |= ds["water_temperature_fine"].notnull().any("fine")
    days = (seen & ~ds.time.isin(ds.sel(time=SUMMER).time)).values
    assert 0 < days.sum() < 300
    segment = np.searchsorted(ds["coarse"].values, ds["coarse_segment"].values)
    rain = np.log1p(ds["precipitation_coarse"].values[days].astype(float))
    slope = np.sqrt(ds["slope_coarse"].values)
    columns = {
        "coarse": (rain, slope, np.log1p(ds["drainage_area_coarse"].values)),
        "fine": (rain[:, segment], slope[segment], np.log1p(ds["drainage_area_fine"].values)),
    }
    for scale in SCALES:
        labels = ds[f"water_temperature_{scale}"].values[days].astype(float)
        found = scaling[scale]
        np.testing.assert_allclose(found.mean, [np.mean(c) for c in columns[scale]], rtol=1e-4)
        np.testing.assert_allclose(found.deviation, [np.std(c) for c in columns[scale]], rtol=1e-4)
        np.testing.assert_allclose(found.label_mean, np.nanmean(labels), rtol=1e-5)
        np.testing.assert_allclose(found.label_deviation, np.nanstd(labels), rtol=1e-5)
    assert scaling["coarse"].label_mean > scaling["fine"].label_mean + 10


def test_batches_are_standardised_with_the_moments_of_their_scale(apart):
    data = prepare(apart, ["air_temperature", "drainage_area"], window=365)
    (batch,) = data.training_batches(1)
    rows, place, fixed = batch.inputs["fine"]
    inputs = {"coarse": batch.inputs["coarse"], "fine": rows[:, place] + fixed[:, None]}
    for scale in SCALES:
        labels = batch.labels[scale]
        columns = inputs[scale][data.training_days].astype(float)
        for values in (labels[np.isfinite(labels)].astype(float), columns[..., 0], columns[..., 1]):
            assert values.mean() == pytest.approx(0, abs=1e-4)
            assert values.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_without_labels_takes_the_label_moments_of_the_other(apart, scale):
    (other,) = set(SCALES) - {scale}
    ds = apart.drop_vars(f"water_temperature_{scale}")
    for scales in (SCALES, (other,)):
        scaling = prepare(ds, ["air_temperature", "drainage_area"], scales=scales).scaling
        assert scaling[scale].label_mean == scaling[other].label_mean
        assert scaling[scale].label_deviation == scaling[other].label_deviation
        assert scaling[scale].mean != scaling[other].mean


# ------------------------------------------------------------ in degrees


def test_validation_and_prediction_are_in_degrees_of_the_right_scale(apart):
    """What the loop says of the fine task is the error of the downscaled temperature on those days."""
    # Windows of a year begin and end alike in training and prediction.
    settings = {**OWN, "window": 365, "validation": SUMMER, "keep": "last", "anchored": False}
    model = train(apart, "msgl", **settings)
    predicted = downscale(apart, model, device="cpu").sel(time=SUMMER)
    error = predicted - apart["water_temperature_fine"].sel(time=SUMMER)
    assert float(predicted.min()) > 0  # or ice would hide what the network said
    assert model.history["validation_fine"][-1] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-4)


def test_what_remap_predicts_is_a_coarse_temperature(apart):
    settings = {**OWN, "window": 365, "epochs": 3, "validation": SUMMER, "keep": "last"}
    model = train(apart, "remap", **settings)
    predicted = downscale(apart, model, device="cpu").sel(time=SUMMER)
    first = [apart["coarse_segment"].values.tolist().index(i) for i in apart["coarse"].values]
    error = predicted.values[:, first] - apart["water_temperature_coarse"].sel(time=SUMMER).values
    assert model.history["validation_coarse"][-1] == pytest.approx(np.sqrt(np.nanmean(error**2)), rel=1e-4)


def test_labels_are_carried_in_degrees(apart):
    """A model that stands still: what the carried stage compares it with is its own coarse prediction."""
    # An epoch on coarse observations, one on what they predict, one on fine observations.
    settings = {**OWN, "epochs": 3, "pretrain": 2, "learning_rate": 1e-12, "window": 365, "warmup": 0}
    model = train(apart, "progressive", validation=None, **settings)
    assert model.spec.scaling["coarse"].label_mean > model.spec.scaling["fine"].label_mean + 10
    carried = downscale(apart, Model(replace(model.spec, method="remap"), model.weights), device="cpu")
    own = downscale(apart, model, device="cpu")
    assert min(float(carried.min()), float(own.min())) > 0
    expected = float(np.sqrt(((own - carried) ** 2).mean())) / model.spec.scaling["fine"].label_deviation
    assert model.history["loss_fine"][1] == pytest.approx(expected, rel=1e-4)


def test_async_msgl_trains_with_standards_of_its_own(apart):
    settings = {**OWN, "anchored": False, "epochs": 4, "pretrain": 2}
    model = train(apart, "async-msgl", **settings)
    assert np.isfinite(model.history["loss_interpolation"][1])
    assert np.isfinite(downscale(apart, model, device="cpu")).all()


# ---------------------------------------------------------------- choices


def test_shared_is_the_default_and_one_for_both(apart):
    model = train(apart, "msgl", **{**SMALL, "epochs": 1})
    assert model.spec.scaling["coarse"] == model.spec.scaling["fine"]
    explicit = train(apart, "msgl", scaling="shared", **{**SMALL, "epochs": 1})
    assert explicit.sha256 == model.sha256


def test_an_anchored_model_does_not_mix_two_standards(apart):
    with pytest.raises(InvalidArgumentError, match=r"pass anchored=False, or scaling='shared'"):
        train(apart, "msgl", **OWN)
    # Nor where they come with the model to start from.
    first = train(apart, "remap", **{**OWN, "epochs": 1})
    after = {name: value for name, value in SMALL.items() if name not in ("features", "hidden")}
    with pytest.raises(InvalidArgumentError, match="anchored=False"):
        train(apart, "msgl", start=first, **after)
    again = train(apart, "msgl", start=first, anchored=False, scaling="shared", **after)
    assert again.spec.scaling == first.spec.scaling


@pytest.mark.parametrize("option", ["scaling", "keep"])
def test_unknown_choices_are_named(apart, option):
    with pytest.raises(UnknownNameError, match=f"unknown {option} 'both'; known: "):
        train(apart, "msgl", **{**SMALL, option: "both"})
