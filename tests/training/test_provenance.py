"""What a model says of its own origin."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training.test_train import SCALES, SMALL
from xmsgl.training.train import train


def test_the_model_says_what_it_was_trained_on(river):
    masked = river.copy(deep=True)
    for scale in SCALES:
        masked[f"water_temperature_{scale}"][:20] = np.nan
    model = train(masked, validation=slice("2002-01-01", None), hops=3, seed=5, **SMALL)
    training = model.spec.training
    assert (training["start"], training["stop"]) == ("2001-10-21", "2001-12-31")
    assert training["seed"] == 5
    assert training["dataset"] == "the small river of the tests"
    assert set(training["versions"]) >= {"xmsgl", "torch", "xarray"}
    assert len(training["fingerprint"]) == 64
    assert [feature.label for feature in model.spec.features] == SMALL["features"]
    assert [feature.units for feature in model.spec.features] == ["degC", "W m-2", "1"]
    assert model.spec.graph["hops"] == 3
    assert model.spec.graph["kernel"]["name"] == "exponential"
    assert json.loads(json.dumps(model.spec.to_dict()))
    assert set(model.history) >= {"epoch", "learning_rate", "loss_fine", "weight_coarse", "validation"}
    assert {len(values) for values in model.history.values()} == {3}


@pytest.mark.parametrize("part", ["labels", "network", "days"])
def test_the_fingerprint_tells_datasets_apart(river, part):
    other = river.copy(deep=True)
    if part == "labels":
        first = np.argwhere(np.isfinite(other["water_temperature_fine"].values))[0]
        other["water_temperature_fine"][*first] += 1
    elif part == "network":
        other["downstream_fine"][0] = 3
    else:
        other = other.assign_coords(time=other.time + np.timedelta64(1, "D"))
    settings = {**SMALL, "epochs": 1, "window": 120}
    prints = {train(ds, **settings).spec.training["fingerprint"] for ds in (river, river.copy(), other)}
    assert len(prints) == 2
