"""What a model says of its own origin."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.small import SMALL
from tests.training.test_train import SCALES
from xmsgl.training.provenance import fingerprint
from xmsgl.training.train import train


def test_the_model_says_what_it_was_trained_on(river):
    masked = river.copy(deep=True)
    for scale in SCALES:
        masked[f"water_temperature_{scale}"][:20] = np.nan
    model = train(masked, "msgl", validation=slice("2002-01-01", None), hops=3, seed=5, **SMALL)
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


@pytest.mark.parametrize("part", ["coarse labels", "fine labels", "network", "days", "ids", "a label masked"])
def test_the_fingerprint_tells_datasets_apart(river, part):
    other = river.copy(deep=True)
    if part.endswith("labels"):
        name = f"water_temperature_{part.split()[0]}"
        first = np.argwhere(np.isfinite(other[name].values))[0]
        other[name][*first] += 1
    elif part == "a label masked":
        first = np.argwhere(np.isfinite(other["water_temperature_fine"].values))[0]
        other["water_temperature_fine"][*first] = np.nan
    elif part == "network":
        other["downstream_fine"][0] = 3
    elif part == "days":
        other = other.assign_coords(time=other.time + np.timedelta64(1, "D"))
    else:
        other = other.assign_coords(coarse=[f"s{i}" for i in other.coarse.values])
    assert fingerprint(other) != fingerprint(river) == fingerprint(river.copy(deep=True))


def test_the_fingerprint_is_of_network_days_and_labels_alone(river):
    """Not of drivers, attributes, chunks, the order of dimensions, types, or the time of a day."""
    plain = fingerprint(river)
    river["air_temperature_coarse"] = river["air_temperature_coarse"] + 1
    other = river.drop_vars(["slope_coarse", "length_fine"]).assign_attrs(title="another")
    assert fingerprint(other.chunk(time=90).transpose("fine", "coarse", "time")) == plain
    wide = other.assign(
        downstream_fine=other["downstream_fine"].astype("int32"),
        water_temperature_coarse=other["water_temperature_coarse"].astype("float64"),
    )
    assert fingerprint(wide.assign_coords(time=wide.time + np.timedelta64(12, "h"))) == plain


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap"])
def test_a_model_keeps_the_fingerprint_of_its_dataset(river, method):
    """Whatever the method learns from: of labels at both scales."""
    features = [*SMALL["features"], "neighbour_anomalies:10km", "season"]
    settings = {**SMALL, "epochs": 1, "window": 120, "features": features}
    assert train(river, method, **settings).spec.training["fingerprint"] == fingerprint(river)


def test_a_dataset_without_labels_of_a_scale_has_a_fingerprint_too(river):
    prints = {
        fingerprint(river.drop_vars([f"water_temperature_{scale}" for scale in scales]))
        for scales in ((), ("coarse",), ("fine",), ("coarse", "fine"))
    }
    assert len(prints) == 4
