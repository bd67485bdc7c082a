"""Basins drawn for an epoch, against trainings on the labels of one basin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.small import SMALL, same
from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.join import join_basins
from xmsgl.training import prepare
from xmsgl.training.settings import TrainSettings
from xmsgl.training.stages import Stage
from xmsgl.training.start import Start
from xmsgl.training.train import train

ALL = {**SMALL, "validation": None, "epochs": 1}
TASKS = ("coarse", "interpolation", "fine")


@pytest.fixture(scope="module")
def three(river_of):
    """Three basins of five segments; the last has no observations."""
    basins = [river_of(300, seed) for seed in range(3)]
    unseen = {name: basins[2][name] * np.nan for name in basins[2] if name.startswith("water_temperature")}
    return join_basins([*basins[:2], basins[2].assign(unseen)], renumber=True)


def of_basin(ds, basin):
    """The dataset with the observations of one basin."""
    kept = {
        f"water_temperature_{scale}": ds[f"water_temperature_{scale}"].where(ds[f"basin_{scale}"] == basin)
        for scale in ("coarse", "fine")
    }
    return ds.assign(kept)


@pytest.fixture
def without_device():
    """Settings as they are in a model."""
    return {name: value for name, value in ALL.items() if name not in ("device", "progress")}


def nodes_of(batches):
    return {(item.batch.x_coarse.shape[1], item.batch.x_fine.shape[1]) for item in batches}


def prepared(ds, settings, **more):
    chosen = TrainSettings.of("msgl", **settings, **more)
    return prepare.prepare(ds, chosen, Start(None), torch.device("cpu")).source


def test_an_epoch_has_the_labels_of_one_basin(three, without_device):
    source = prepared(three, without_device, basins=1)
    alone = {basin: prepared(of_basin(three, basin), without_device) for basin in (0, 1)}
    found = []
    for epoch in range(1, 9):
        batches = list(source.training(epoch, Stage(1, TASKS)))
        assert nodes_of(batches) == {(5, 12)}
        drawn = []
        for basin, other in alone.items():
            expected = list(other.training(epoch, Stage(1, TASKS)))
            places = [torch.isfinite(item.labels["coarse"]) for item in expected]
            if all(
                torch.equal(torch.isfinite(item.labels["coarse"]), place)
                for item, place in zip(batches, places, strict=True)
            ):
                drawn.append(basin)
        assert len(drawn) == 1
        found += drawn
    assert set(found) == {0, 1}


def test_pseudo_labels_are_carried_to_any_basin(three, without_device):
    source = prepared(three, without_device, basins=2)
    for epoch in range(1, 4):
        assert nodes_of(source.training(epoch, Stage(1, ("fine",), "carried"))) == {(10, 24)}


def test_an_epoch_is_one_on_the_basin_alone(three):
    first = train(three, "msgl", **ALL)
    drawn = train(three, start=first, basins=1, **ALL)
    near = []
    for basin in (0, 1):
        alone = train(of_basin(three, basin), start=first, **ALL)
        near.append(all(torch.allclose(alone.weights[k], v, atol=1e-6) for k, v in drawn.weights.items()))
    assert sorted(near) == [False, True]


def test_all_basins_are_as_none_given(three):
    assert same(train(three, "msgl", basins=3, **ALL), train(three, "msgl", **ALL))


def test_more_than_there_are(three):
    with pytest.raises(InvalidArgumentError, match=r"basins must be at most 3, .* got 4"):
        train(three, "msgl", basins=4, **ALL)
    with pytest.raises(InvalidArgumentError, match="'trees' does not use basins"):
        train(three, "trees", basins=1)
