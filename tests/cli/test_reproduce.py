"""``xmsgl reproduce``: a model trained again is the same, and what is not the same is found."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.small import SMALL
from xmsgl.cli.main import main
from xmsgl.models.file.model import Model, load_model
from xmsgl.training.train import train


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(main, ["--quiet", *arguments])


@pytest.fixture
def made(river, tmp_path, monkeypatch):
    """A dataset and a model trained on it, in files."""
    monkeypatch.chdir(tmp_path)
    ds = river.isel(time=slice(0, 200))
    ds.to_netcdf("river.nc")
    train(ds, "remap", **{**SMALL, "epochs": 2}, seed=3).save("m")
    return ds


def test_the_same_data_give_the_same_weights(run, made):
    done = run("reproduce", "river.nc", "-m", "m", "--device", "cpu", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["weights"] == found["equal weights"] == len(load_model("m").weights)
    assert found["largest change of a prediction [degC]"] == 0
    assert found["trained with"] == found["now"]


def test_a_recipe_is_followed(run, made):
    """Settings that the recipe changes and the training set back to their default are kept."""
    own = {"epochs": 2, "window": 60, "hidden": 4, "weighting": "uniform", "device": "cpu", "progress": False}
    train(made, recipe="published", **own).save("p")
    done = run("reproduce", "river.nc", "-m", "p", "--device", "cpu")
    assert done.exit_code == 0, done.output


def test_other_weights_are_counted(run, made):
    model = load_model("m")
    name = next(iter(model.weights))
    Model(model.spec, {**model.weights, name: model.weights[name] + 0.5}, model.history).save("changed")
    done = run("reproduce", "river.nc", "-m", "changed", "--device", "cpu", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["weights"] - found["equal weights"] == 1
    assert found["largest change of a prediction [degC]"] > 0.01


def test_other_labels_are_refused_before_training(run, made):
    made.water_temperature_coarse[10, 0] = np.nan if np.isfinite(made.water_temperature_coarse[10, 0]) else 9
    made.to_netcdf("other.nc")
    done = run("reproduce", "other.nc", "-m", "m")
    assert done.exit_code == 1
    assert "fingerprint" in done.output


def test_a_model_without_its_settings_is_refused(run, made):
    model = load_model("m")
    training = {name: each for name, each in model.spec.training.items() if name != "settings"}
    Model(replace(model.spec, training=training), model.weights, model.history).save("old")
    done = run("reproduce", "river.nc", "-m", "old")
    assert done.exit_code == 1
    assert "does not store the settings" in done.output
