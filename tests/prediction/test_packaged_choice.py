"""Without a model, the packaged one for gauged reaches in its own basin, and the other elsewhere."""

from __future__ import annotations

import logging
import warnings

import pytest

import xmsgl
from tests.small import TWO_FEATURES
from xmsgl.errors import ExtrapolationWarning
from xmsgl.models.file import packaged
from xmsgl.training.train import train


@pytest.fixture
def shipped(monkeypatch, tmp_path, river_once):
    days = river_once.isel(time=slice(0, 150))
    models = {}
    for seed, name in enumerate((packaged.DEFAULT, packaged.ELSEWHERE)):
        models[name] = train(days, "remap", seed=seed, validation=None, **TWO_FEATURES)
        models[name].save(tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(packaged, "_folder", lambda: tmp_path)
    return models


def test_the_own_basin_gets_the_model_for_gauged_reaches(river, shipped, caplog):
    part = river.isel(time=slice(0, 70))
    with caplog.at_level(logging.INFO, "xmsgl"):
        temperature = part.msgl.downscale()
    assert temperature.attrs["model_sha256"] == shipped[packaged.DEFAULT].sha256
    assert packaged.DEFAULT in caplog.text


@pytest.mark.parametrize("lazy", [False, True])
def test_another_basin_gets_the_other_one(shipped, caplog, lazy):
    other = xmsgl.datasets.simulated(n_coarse=3, years=1).isel(time=slice(0, 70))
    with caplog.at_level(logging.INFO, "xmsgl"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExtrapolationWarning)
        temperature = (other.chunk(time=35) if lazy else other).msgl.downscale()
    assert temperature.attrs["model_sha256"] == shipped[packaged.ELSEWHERE].sha256
    assert packaged.ELSEWHERE in caplog.text


def test_a_lost_model_is_named(river, shipped, tmp_path):
    (tmp_path / f"{packaged.DEFAULT}.safetensors").unlink()
    with pytest.raises(xmsgl.errors.CheckpointError, match=packaged.DEFAULT):
        river.msgl.downscale()
