"""Files with a right checksum and wrong content: refused with their place, in the memory of their size."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from tests.conftest import make_river
from tests.fuzz.changes import change
from tests.small import QUICK
from xmsgl.errors import CheckpointError, ModelMismatchError, XMSGLError
from xmsgl.models.file import storage
from xmsgl.models.file.card import model_card, model_facts
from xmsgl.models.file.model import Model
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train

RIVER = make_river(60)
BASIC = ["air_temperature", "slope"]


@pytest.fixture(scope="module")
def contents():
    """Weights and header of a network, of one with neighbour anomalies, of trees, and of a stack in folds."""
    river = make_river(400)
    quick = {**QUICK, "hidden": 3}
    trees = {"iterations": 4, "window": 60, "device": "cpu", "progress": False}
    parts = [
        {"method": "remap", "hidden": 3, "epochs": 1, "features": BASIC},
        {"method": "trees", "iterations": 4},
    ]
    shared = {"window": 60, "validation": "folds:2", "device": "cpu", "progress": False}
    models = {
        "network": train(river, "msgl", identity=2, heads=3, **quick),
        "ensemble": train(river, "remap", ensemble=2, **quick),
        "neighbours": train(river, "remap", features=["air_temperature", "neighbour_anomalies:5km"], **quick),
        "trees": train(river, "trees", **trees),
        "folds": train(river, "stack", parts=parts, **shared),
    }
    assert models["folds"].spec.errors
    assert models["network"].spec.intervals
    return {name: storage.from_bytes(model.payload, name) for name, model in models.items()}


def load(weights, header):
    return Model.from_bytes(storage.to_bytes(weights, header), "the file")


def at(header, path):
    *way, last = path.split(".")
    for step in way:
        header = header[int(step) if step.isdigit() else step]
    return header, int(last) if last.isdigit() else last


GONE = object()
#: Kind of file, place in its header, value, and what the message says of it.
WRONG = [
    ("network", "spec.window", 0, "spec.window must be at least 1 day, not 0"),
    ("network", "spec.window", "60", "spec.window must be a whole number, not '60'"),
    ("network", "spec.window", True, "spec.window must be a whole number"),
    ("network", "spec.warmup", 10**6, "spec.warmup must be 0 to 3660 days, not 1000000"),
    ("network", "spec.warmup", 2**70, "spec.warmup must be a whole number"),
    ("network", "spec.first_day", "someday", "spec.first_day must be a day"),
    ("network", "spec.first_day", "0001-01-01", "spec.first_day must be a day"),
    ("network", "spec.method", "moon", "unknown network model 'moon'"),
    ("network", "spec.method", None, "spec.method must be text"),
    ("network", "spec.architecture.hidden", 6, "is .*, the architecture needs"),
    ("network", "spec.architecture.hidden", "x", "the architecture of 'msgl' is not valid"),
    ("network", "spec.architecture.identity", 3, "the architecture needs"),
    ("network", "spec.architecture.segments", 4, "architecture.segments must be the number of segments, 5"),
    ("network", "spec.architecture.moon", 1, "has no argument moon"),
    ("network", "spec.architecture", [], r"spec.architecture must be an object, not \[\]"),
    ("network", "spec.features", [], "spec.features must be one or more"),
    ("network", "spec.features.0.days", 10**9, "days must be 1 to 3660"),
    ("network", "spec.features.0.transform", "cube", "transform must be identity, log1p, sqrt"),
    ("network", "spec.features.0.moon", 1, r"spec.features\[0\] has unknown entries: 'moon'"),
    ("network", "spec.features.0.units", GONE, r"spec.features\[0\] lacks: 'units'"),
    ("network", "spec.features.0.units", "K", "all features of one name the same units and kind"),
    ("network", "spec.scaling", {}, "spec.scaling lacks coarse, fine"),
    ("network", "spec.scaling.moon", {}, "a key of spec.scaling must be one of coarse, fine, not 'moon'"),
    ("network", "spec.scaling.fine", GONE, "spec.scaling lacks fine"),
    ("network", "spec.scaling.fine.deviation.0", 0.0, "spec.scaling.fine must have deviations above 0"),
    ("network", "spec.scaling.fine.deviation.0", -1.0, "spec.scaling.fine must have deviations above 0"),
    ("network", "spec.scaling.fine.label_deviation", 0.0, "must have deviations above 0"),
    ("network", "spec.scaling.fine.mean.0", GONE, "a mean and a deviation of each of"),
    ("network", "spec.graph.hops", 0, "graph.hops must be above 0, not 0"),
    ("network", "spec.graph.moon", 0, "spec.graph must not have entries such as moon"),
    ("network", "spec.graph.kernel", {"name": []}, "unknown kernel"),
    ("network", "spec.graph.kernel", {"name": "exponential", "scale_m": []}, "scale_m"),
    ("network", "spec.graph.direction", "sideways", "direction must be one of"),
    ("network", "moon", 1, "its header has unknown entries: moon"),
    ("network", "spec.graph.kernel", {"name": "exponential", "scale_m": -1.0}, "scale_m"),
    ("network", "spec.segments.0", [1], "spec.segments must hold ids"),
    ("network", "spec.segments.0", 2**63, "whole numbers of at most 64 bits"),
    ("network", "spec.segments.1", 101, "spec.segments must not repeat an id"),
    ("network", "spec.network", GONE, "spec lacks: 'network'"),
    ("network", "spec.network.length.0", GONE, "spec.network must have one link and length for each id"),
    ("network", "spec.network.length.0", -1.0, "spec.network.length must hold lengths above 0 m"),
    ("network", "spec.members", 0, "cannot be those of 0 members"),
    ("network", "spec.members", 10**9, "cannot be those of 1000000000 members"),
    ("ensemble", "spec.members", 3, "spec.training.seeds must be of 3 members, not 2"),
    ("network", "spec.spin_up", [[1]], r"spec.spin_up\[0\] must be a list of 2"),
    ("network", "spec.spin_up", [[0, 1.0]], "spec.spin_up must hold days from 1"),
    ("network", "spec.training.labels", [], "spec.training.labels must be an object"),
    ("network", "spec.training.labels.training_fine", "x", "training_fine must be a whole number"),
    ("network", "spec.training.versions", 3, "spec.training.versions must be an object"),
    (
        "network",
        "spec.intervals.probabilities.0",
        2.0,
        "intervals.probabilities must increase between 0 and 1",
    ),
    ("network", "spec.intervals.residuals.0", [], "spec.intervals.residuals must be"),
    ("network", "spec.intervals.residuals.0.0", 99.0, "numbers that do not decrease"),
    ("network", "spec.intervals.counts", [0], "spec.intervals.counts must be"),
    ("network", "spec.intervals.scale", "moon", "spec.intervals.scale must be coarse or fine"),
    ("network", "spec.shares", [1.0], "spec.shares must be 0 numbers"),
    ("network", "history", [], "history must be an object"),
    ("network", "history", GONE, "history must be an object, not None"),
    ("network", "history.epoch", [], "history must have columns of one length"),
    ("neighbours", "spec.neighbours.lengths.0", -1.0, "different lengths along the river in m"),
    ("neighbours", "spec.neighbours.mean.0", GONE, "spec.neighbours must have one anomaly for each segment"),
    ("neighbours", "spec.neighbours.days.0", -1, "spec.neighbours.days must hold numbers of at least 0"),
    ("folds", "spec.parts.1.window", 61, "spec.parts must have the windows of the stack"),
    ("folds", "spec.parts.0.warmup", -1, r"spec.parts\[0\].warmup must be 0 to 3660 days"),
    ("folds", "spec.parts", [], "spec.parts must be two models or more"),
    ("folds", "spec.parts.0.method", "stack", "spec.parts"),
    ("folds", "spec.shares.0", 2.0, "spec.shares must be 4 numbers of at least 0"),
    ("folds", "spec.shares.0", GONE, "spec.shares must be 4 numbers"),
    ("folds", "spec.parts.0.held.0", {}, r"spec.parts\[0\].held must hold ids"),
    ("folds", "spec.errors.moon", {}, "a key of spec.errors must be one of ungauged, gauged"),
    ("folds", "spec.errors.gauged", GONE, "spec.errors must be of reaches ungauged and gauged"),
    ("folds", "spec.errors.gauged.noise", 0.0, "spec.errors.gauged must have noise and distances above 0"),
    ("folds", "spec.errors.gauged.slow.variance", -1.0, "slow must have a variance of at least 0 degC2"),
    ("folds", "spec.errors.gauged.slow.days", 0.0, "slow must have .* and days above 0"),
    ("folds", "spec.errors.gauged.fast.along_river", 1.5, "shares of at least 0 whose sum is at most 1"),
    ("folds", "spec.errors.gauged.spread.counts", [], "spec.errors.gauged.spread.counts must be"),
    ("folds", "spec.errors.gauged.coordinates", 1, "coordinates must be true or false"),
]


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    WRONG,
    ids=lambda value: "gone" if value is GONE else str(value)[:40],
)
def test_wrong_metadata_are_named(contents, kind, path, value, message):
    weights, header = copy.deepcopy(contents[kind])
    parent, last = at(header, path)
    if value is GONE:
        del parent[last]
    else:
        parent[last] = value
    with pytest.raises(CheckpointError, match=rf"the file is not a valid model: .*{message}") as error:
        load(weights, header)
    assert str(error.value).endswith("; copy the file again, or train a new model")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", ["network", "ensemble", "trees", "folds"])
def test_weights_must_be_finite(contents, kind, value):
    for name in [name for name, tensor in contents[kind][0].items() if tensor.is_floating_point()]:
        weights, header = copy.deepcopy(contents[kind])
        weights[name].view(-1)[-1] = value
        with pytest.raises(CheckpointError, match="values that are not finite"):
            load(weights, header)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float64, torch.int64, torch.complex64])
def test_weights_must_have_their_type(contents, dtype):
    weights, header = copy.deepcopy(contents["network"])
    weights["cell.b"] = weights["cell.b"].to(dtype)
    with pytest.raises(CheckpointError, match=r"cell\.b is \(12,\) .* needs \(12,\) torch.float32"):
        load(weights, header)


@pytest.mark.parametrize("kind", ["network", "ensemble", "trees", "folds"])
def test_missing_and_foreign_weights_are_refused(contents, kind):
    weights, header = contents[kind]
    for name in weights:
        with pytest.raises(CheckpointError, match=r"the weights (lack|cannot be those)"):
            load({key: value for key, value in weights.items() if key != name}, header)
    for prefix in ("", "part0/", "part9/", "member0/", "member7/"):
        with pytest.raises(CheckpointError, match="hold foreign"):
            load({**weights, f"{prefix}moon": torch.ones(1)}, header)


def test_weights_of_another_shape_are_refused(contents):
    weights, header = contents["network"]
    with pytest.raises(CheckpointError, match=r"cell\.b is \(6,\) .* needs \(12,\)"):
        load({**weights, "cell.b": weights["cell.b"][:6]}, header)


def test_a_prediction_that_is_not_finite_is_refused(contents):
    weights, header = copy.deepcopy(contents["network"])
    weights["fine_head.residual.weight"].fill_(1e38)
    weights["fine_head.out.linear.weight"].fill_(1e38)
    with pytest.raises(CheckpointError, match="temperature is not finite, although its inputs are"):
        downscale(RIVER, load(weights, header), device="cpu")


def raw(contents, text):
    """A safetensors file with this text as its header."""
    return save(contents["network"][0], metadata={"xmsgl": text})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 2000, "no valid header"),
        ('{"sha256": "", "spec": ' + "[" * 200 + "]" * 200 + "}", "nested more than 30 deep"),
        ('{"sha256": "", "a": NaN}', "it has nan"),
        ('{"sha256": "", "a": -Infinity}', "it has -inf"),
        ('{"sha256": "", "a": "\\ud800"}', "surrogates not allowed"),
        ('{"sha256": "", "a": ' + "9" * 5000 + "}", "no valid header"),
    ],
    ids=["open", "deep", "nan", "infinity", "surrogate", "digits"],
)
def test_metadata_that_are_not_plain_json_are_refused(contents, text, message):
    with pytest.raises(CheckpointError, match=message):
        Model.from_bytes(raw(contents, text), "the file")


BOUNDED = """
import resource, sys
from pathlib import Path
from xmsgl.errors import CheckpointError
from xmsgl.models.file.model import Model
good, *bad = (Path(path).read_bytes() for path in sys.argv[1:])
Model.from_bytes(good)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for payload in bad:
    try:
        Model.from_bytes(payload)
    except CheckpointError:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
HUGE = [
    ("network", "spec.architecture.hidden", 12_000),
    ("network", "spec.architecture.hidden", 10**9),
    ("network", "spec.architecture.identity", 10**9),
    ("network", "spec.members", 10**9),
    ("ensemble", "spec.architecture.hidden", 12_000),
    ("folds", "spec.parts.0.architecture.hidden", 12_000),
]


def test_a_small_file_takes_little_memory(contents, tmp_path):
    pytest.importorskip("resource")
    (tmp_path / "good").write_bytes(storage.to_bytes(*contents["network"]))
    files = [tmp_path / "good"]
    for kind, path, value in HUGE:
        weights, header = copy.deepcopy(contents[kind])
        parent, last = at(header, path)
        parent[last] = value
        files.append(tmp_path / f"bad{len(files)}")
        files[-1].write_bytes(storage.to_bytes(weights, header))
        assert files[-1].stat().st_size < 60_000
    words = [sys.executable, "-c", BOUNDED, *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=True)
    taken = [int(line) for line in done.stdout.split()]
    assert len(taken) == len(HUGE)
    assert max(taken) < 20_000  # kB; the weights alone would take 2 GB


def test_every_feature_of_a_name_is_compared_with_the_dataset(contents):
    """In memory two features of a name may differ, and both are checked."""
    from dataclasses import replace

    from xmsgl.inputs.checks import check_features

    features = load(*contents["network"]).spec.features
    twice = [feature for feature in features if feature.name == "air_temperature"]
    assert len(twice) > 1
    for feature in twice:
        wrong = [replace(each, units="K") if each is feature else each for each in twice]
        with pytest.raises(
            ModelMismatchError, match="air_temperature_coarse is in 'degC', the model needs 'K'"
        ):
            check_features(RIVER, wrong)


@given(st.data())
@settings(
    max_examples=400,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")
def test_no_change_of_the_metadata_ends_in_a_foreign_error(contents, data):
    kind = data.draw(st.sampled_from(sorted(contents)))
    weights, header = contents[kind]
    header = json.loads(json.dumps(header))
    for _ in range(data.draw(st.integers(1, 2))):
        change(data.draw, header)
    payload = storage.to_bytes(weights, header)
    try:
        model = Model.from_bytes(payload, "the file")
    except CheckpointError:
        return
    assert model.payload == payload
    model_card(model, "m")
    assert model_facts(model)
    assert repr(model)
    assert model._repr_html_()
    try:
        assert np.isfinite(downscale(RIVER, model, device="cpu")).all()
        if model.spec.errors:
            assert np.isfinite(RIVER.msgl.reconstruct(model, device="cpu")).all()
    except XMSGLError:
        return
