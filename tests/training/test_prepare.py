"""What a training begins with: fitted in an order that keeps the days out by which a model is judged."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import fit_neighbours
from xmsgl.inputs.validation import split_labels
from xmsgl.schema.graphs import build_graph
from xmsgl.training.prepare import prepare
from xmsgl.training.settings import TrainSettings
from xmsgl.training.start import Start
from xmsgl.training.train import train

CPU = torch.device("cpu")
SCALES = ("coarse", "fine")
TOLD = ["default", "neighbour_anomalies:10km"]
SMALL = {
    "hidden": 4,
    "window": 60,
    "warmup": 5,
    "epochs": 3,
    "features": TOLD,
    "identity": 2,
    "keep": "last",
}


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 300))


def ready_of(ds, method="msgl", **given):
    return prepare(ds, TrainSettings.of(method, **{**SMALL, **given}), Start(None), CPU)


# ----------------------------------------------------- days that judge fit nothing


def warmer(ds, some):
    """Some labels, by day and node, 20 degC warmer at both scales."""
    changed = ds.copy(deep=True)
    for scale in SCALES:
        values, mask = changed[f"water_temperature_{scale}"].values, some(scale)
        values[mask] += 20
        assert np.isfinite(values[mask]).any()
    return changed


def fitted(model):
    """All that a training has learned or fitted, but not how good it is."""
    spec = model.spec
    return {
        "weights": {name: value.numpy().tobytes() for name, value in model.weights.items()},
        "losses": {name: str(values) for name, values in model.history.items() if name.startswith("loss")},
        "scaling": spec.scaling,
        "neighbours": spec.neighbours,
        "graph": spec.graph,
        "segments": spec.segments,
        "features": spec.features,
    }


@pytest.mark.parametrize(
    "validation",
    [0.4, "2001-12-10/2002-01-20,2002-06-01/..", "segments:0.4", "segments:0.2,2002-06-01/.."],
    ids=["share", "days", "segments", "both"],
)
@pytest.mark.parametrize("scaling", ["shared", "own"])
@pytest.mark.parametrize("method", ["msgl", "remap", "fine-only"])
def test_validation_labels_reach_nothing_that_is_fitted(tiny, method, scaling, validation):
    """Weights, scaling, neighbour anomalies and graph, bit for bit; and training labels reach them all."""
    anchor = {"anchored": False} if (method, scaling) == ("msgl", "own") else {}
    asked = {"scaling": scaling, "validation": validation, **anchor}
    split = ready_of(tiny, method, **asked).split
    given = {**SMALL, **asked, "device": "cpu", "progress": False}
    model = train(tiny, method, **given)
    judged = train(warmer(tiny, split.kept.mask), method, **given)
    assert fitted(judged) == fitted(model)
    assert judged.history["validation"][-1] > model.history["validation"][-1] + 10
    early = np.arange(300)[:, None] <= np.flatnonzero(split.training)[40]
    taught = fitted(train(warmer(tiny, lambda scale: split.learned.mask(scale) & early), method, **given))
    changed = {name for name, value in fitted(model).items() if taught[name] != value}
    assert changed == {"weights", "losses", "scaling", "neighbours"}


def test_neighbour_anomalies_are_those_of_the_other_days(tiny):
    ready = ready_of(tiny, validation="2002-01-01/2002-03-31")
    hidden = (tiny.time >= np.datetime64("2002-01-01")) & (tiny.time <= np.datetime64("2002-03-31"))
    masked = tiny.assign(water_temperature_coarse=tiny["water_temperature_coarse"].where(~hidden))
    lengths = ready.spec.neighbours.lengths
    assert ready.spec.neighbours == fit_neighbours(masked, lengths)
    assert ready.spec.neighbours != fit_neighbours(tiny, lengths)
    assert ready_of(tiny, validation=None).spec.neighbours == fit_neighbours(tiny, lengths)


@pytest.mark.parametrize(
    ("method", "scales"), [("msgl", SCALES), ("fine-only", ("fine",)), ("remap", ("coarse",))]
)
def test_days_are_drawn_from_the_labels_that_a_method_learns_from(tiny, method, scales):
    tiny["water_temperature_fine"][:100] = np.nan
    tiny["water_temperature_coarse"][200:] = np.nan
    ready = ready_of(tiny, method, validation=0.3, seed=5)
    expected = split_labels(tiny, scales, window=60, validation=0.3, seed=5)
    np.testing.assert_array_equal(ready.split.validation, expected.validation)
    np.testing.assert_array_equal(ready.split.training, expected.training)
    counts = ready.spec.training["labels"]
    for scale in scales:
        values = tiny[f"water_temperature_{scale}"].values
        assert counts[f"training_{scale}"] == np.isfinite(values[expected.training]).sum()
        assert counts[f"validation_{scale}"] == np.isfinite(values[expected.validation]).sum()


# ------------------------------------------------------------------- what is ready


def test_a_module_of_the_seed_and_of_others(tiny):
    ready = ready_of(tiny, seed=4)
    assert ready.module_of(4) is ready.module_of(4)
    first, other = (dict(ready.module_of(seed).named_parameters()) for seed in (4, 5))
    again = dict(ready_of(tiny, seed=5).module_of(5).named_parameters())
    assert any(not torch.equal(value, first[name]) for name, value in other.items())
    assert all(torch.equal(value, again[name]) for name, value in other.items())


def test_the_run_is_identified_by_settings_model_and_loop_as_plain_values(tiny):
    ready = ready_of(tiny, epochs=4, pretrain=2, learning_rate=[0.01, 0.002])
    assert json.loads(json.dumps(ready.run_of, allow_nan=False)) == ready.run_of
    given = {**SMALL, "epochs": 4, "pretrain": 2, "learning_rate": [0.01, 0.002]}
    assert ready.run_of["settings"] == TrainSettings.of("msgl", **given).to_dict()
    assert ready.run_of["loop"] == json.loads(json.dumps(asdict(ready.loop)))
    assert [stage["epochs"] for stage in ready.run_of["loop"]["stages"]] == [2, 2]
    assert ready.loop.learning_rate == (0.01, 0.002)
    assert ready.loop.stages[-1].tasks == ("coarse", "interpolation", "fine")
    assert ready.loop.amp is False  # on a CPU
    assert ready_of(tiny, amp=True).loop.amp is True


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"validation": 0.4},
        {"batch": 2},
        {"ensemble": 2},
        {"identity": 3},
        {"features": ["default"]},
        {"scaling": "own", "anchored": False},
        {"hops": 2},
        {"clip": None},
        {"average": 0.5},
    ],
    ids=str,
)
def test_another_setting_is_another_run(tiny, change):
    assert ready_of(tiny, **change).run_of != ready_of(tiny).run_of
    assert ready_of(tiny).run_of == ready_of(tiny.copy(deep=True)).run_of


def test_the_graph_is_written_with_its_kernel(tiny):
    spec = ready_of(tiny, kernel="gaussian", hops=2).spec
    assert spec.graph["kernel"] == build_graph(tiny, "coarse", kernel="gaussian").settings()["kernel"]
    assert spec.graph["hops"] == 2


def test_the_callers_dataset_stays_as_it_is(tiny):
    lazy = tiny.chunk(time=50)
    ready = ready_of(lazy, features=["default", "season", "neighbour_anomalies:10km"])
    assert "season_cos_coarse" in ready.ds
    assert set(lazy.variables) == set(tiny.variables)
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)
    assert ready.run_of == ready_of(tiny, features=["default", "season", "neighbour_anomalies:10km"]).run_of


def test_two_standards_and_an_anchor_are_refused(tiny):
    with pytest.raises(InvalidArgumentError, match=r"pass anchored=False, or scaling='shared'"):
        ready_of(tiny, scaling="own")


@pytest.mark.parametrize(
    ("method", "labels", "has"),
    [
        ("msgl", "both", True),
        ("remap", "both", True),
        ("async-msgl", "both", True),
        ("fine-only", "both", False),
        ("msgl", "fine", False),
    ],
)
def test_networks_that_learn_from_coarse_observations_have_their_anomalies_by_default(
    tiny, method, labels, has
):
    ds = tiny if labels == "both" else tiny.drop_vars("water_temperature_coarse")
    spec = ready_of(ds, method, features=["default"], identity=0, epochs=4).spec
    named = [feature.label for feature in spec.features]
    plain = [feature.label for feature in choose_features(tiny)]
    anomalies = [*neighbour_features((0.0, 4e4, 8e4))] if has else []
    assert named == [*plain, "season_cos", "season_sin", *anomalies]
    assert (spec.neighbours is not None) == has
