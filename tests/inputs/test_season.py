"""The time of year as an input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.small import QUICK
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.season import SEASON, assign_season
from xmsgl.models.file.model import load_model
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train


def test_it_is_the_angle_of_the_earth_around_the_sun(river):
    ds = assign_season(river)
    for day in (0, 100, 400):
        date = pd.Timestamp(ds["time"].values[day])
        turn = 2 * np.pi * (date - pd.Timestamp(f"{date.year - 1}-12-31")).days / 365.25
        for name, value in (("season_cos", np.cos(turn)), ("season_sin", np.sin(turn))):
            found = ds[f"{name}_coarse"].isel(time=day).values
            np.testing.assert_allclose(found, value, atol=1e-6)


def test_it_takes_no_memory_for_each_segment(river):
    values = assign_season(river)["season_cos_coarse"].variable.values
    assert values.strides[1] == 0


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_a_model_with_it_predicts_from_a_dataset_without(river, tmp_path, lazy):
    model = train(river, "msgl", features=["default", "season"], **QUICK)
    assert [feature.name for feature in model.spec.features if feature.name in SEASON] == list(SEASON)
    inputs = river.chunk(time=50) if lazy else river
    path = model.save(tmp_path / "m.safetensors")
    found = downscale(inputs, load_model(path))
    assert (found.chunks is not None) == lazy
    np.testing.assert_array_equal(found, downscale(assign_season(river), model))


def test_it_is_a_feature_only_if_asked_for(river):
    model = train(river, "msgl", features=["drivers", "statics"], **QUICK)
    assert not set(SEASON) & {feature.name for feature in model.spec.features}


def test_it_stands_where_it_is_named(river):
    model = train(river, "msgl", features=["air_temperature", "season", "slope"], **QUICK)
    assert [feature.name for feature in model.spec.features] == ["air_temperature", *SEASON, "slope"]


def test_a_model_that_goes_on_keeps_it(river):
    model = train(river, "msgl", features=["air_temperature", "slope", "season"], **QUICK)
    for features in (
        ["default"],
        ["air_temperature", "slope", "season"],
        ["air_temperature", "slope", *SEASON],
    ):
        again = train(river, "msgl", start=model, features=features, **{**QUICK, "pretrain": 0})
        assert again.spec.features == model.spec.features


@pytest.mark.parametrize("features", [["default", "season"], ["air_temperature", "slope", "season"]])
def test_a_model_without_it_cannot_be_given_it_later(river, features):
    model = train(river, "msgl", features=["air_temperature", "slope"], **QUICK)
    with pytest.raises(InvalidArgumentError, match="does not have the time of year; leave features out"):
        train(river, "msgl", start=model, features=features, **QUICK)
