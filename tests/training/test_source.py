"""What no label depends on is left out of training, and nothing that is learned changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.small import FEATURES, QUICK, SMALL
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.inputs.validation import split_labels
from xmsgl.models.methods.registry import create_model
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.prediction.downscale import downscale
from xmsgl.prediction.operators import Operators
from xmsgl.training import source as supply
from xmsgl.training.losses import masked_rmse
from xmsgl.training.source import DeviceBatches
from xmsgl.training.stages import Stage
from xmsgl.training.train import train

CPU = torch.device("cpu")
SCALES = ("coarse", "fine")
TASKS = ("coarse", "interpolation", "fine")


@pytest.fixture
def half_labelled(two_rivers):
    """Two rivers, only one with labels: on two segments, 103 and 104, and on their reaches."""
    ds = two_rivers.isel(time=slice(0, 120))
    ids = {"coarse": ds["coarse"], "fine": ds["coarse_segment"]}
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        ds[name] = ds[name].where(ids[scale].isin([103, 104]))
    return ds


#: Reaches that stay, of 24. The labels are on reaches 5 to 9; 1 to 4 are above them and 10 to 12 below.
KEPT = {"upstream": range(1, 10), "downstream": range(5, 13), "both": range(1, 13)}


@pytest.fixture
def whole(monkeypatch):
    """Call it to train without pruning from then on."""

    def switch_off():
        monkeypatch.setattr(supply, "_pruned", lambda data, operators: (data, operators))

    return switch_off


def make_source(ds, direction, identity=False):
    data = TrainingData(
        ds,
        choose_features(ds, FEATURES),
        scales=SCALES,
        window=60,
        warmup=5,
        split=split_labels(ds, SCALES, window=60, validation=0.3, seed=0),
        batch=2,
        seed=0,
    )
    segments = tuple(ds["coarse"].values.tolist()) if identity else ()
    return DeviceBatches(data, Operators.build(ds, {"direction": direction}, segments, CPU))


def batches_of(source):
    stage = Stage(1, TASKS)
    return [*source.training(1, stage), *source.validation(TASKS)]


@pytest.mark.parametrize("direction", KEPT)
def test_nodes_without_influence_are_left_out(half_labelled, direction):
    source = make_source(half_labelled, direction)
    for item in batches_of(source):
        assert item.batch.x_coarse.shape[1] == 5  # the interpolation reads all segments of a river
        assert item.batch.x_fine.shape[1] == len(KEPT[direction])
    for item in source.training(1, Stage(1, ("fine",), "carried")):
        assert (item.batch.x_coarse.shape[1], item.batch.x_fine.shape[1]) == (10, 24)


def test_all_nodes_stay_where_all_rivers_have_labels(two_rivers):
    source = make_source(two_rivers.isel(time=slice(0, 120)), "both")
    for item in batches_of(source):
        assert item.batch.fine_graph is source._operators.fine
        assert (item.batch.x_coarse.shape[1], item.batch.x_fine.shape[1]) == (10, 24)


def learned(module, item):
    """Losses of a batch, and the gradient of each by every parameter."""
    losses = {
        task: masked_rmse(output, item.labels["coarse" if task == "coarse" else "fine"])
        for task, output in module.task_outputs(item.batch).items()
    }
    found = {}
    for task, loss in losses.items():
        gradients = torch.autograd.grad(
            loss, list(module.parameters()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        found[task] = loss.detach(), torch.cat([gradient.ravel() for gradient in gradients])
    return found


@pytest.mark.parametrize("identity", [0, 2], ids=["plain", "identity"])
@pytest.mark.parametrize("direction", KEPT)
def test_losses_and_gradients_stay_the_same(half_labelled, whole, direction, identity):
    few = batches_of(make_source(half_labelled, direction, identity > 0))
    whole()
    full = batches_of(make_source(half_labelled, direction, identity > 0))
    module = create_model("msgl", n_features=3, seed=0, hidden=8, identity=identity, segments=10).eval()
    generator = torch.Generator().manual_seed(0)
    for weights in module.parameters():  # some of which are zeros at first
        weights.data += 0.1 * torch.randn(weights.shape, generator=generator)
    assert len(few) == len(full) > 1
    for pruned, plain in zip(few, full, strict=True):
        assert pruned.batch.x_fine.shape[1] < plain.batch.x_fine.shape[1] == 24
        ours, theirs = learned(module, pruned), learned(module, plain)
        assert set(ours) == set(theirs) == set(TASKS)
        for task in TASKS:
            assert theirs[task][1].abs().max() > 1e-2
            for one, two in zip(ours[task], theirs[task], strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap", "progressive"])
@pytest.mark.parametrize("direction", KEPT)
def test_the_trained_model_is_the_same(half_labelled, whole, direction, method):
    # Which numbers dropout draws depends on the number of nodes.
    settings = {**SMALL, "direction": direction, "recurrent_dropout": 0.0}
    settings["pretrain"] = 2 if method == "progressive" else 0
    pruned = train(half_labelled, method, **settings)
    whole()
    plain = train(half_labelled, method, **settings)
    assert pruned.spec == plain.spec
    for name, weights in plain.weights.items():
        matters = torch.ones_like(weights)
        if name.endswith(
            "project.bias"
        ):  # a bias of the keys changes no attention: it learns rounding errors
            matters[4:8] = 0
        torch.testing.assert_close(pruned.weights[name] * matters, weights * matters, rtol=0, atol=1e-6)
    np.testing.assert_allclose(pruned.history["validation"], plain.history["validation"], atol=1e-6)
    # And it still predicts everywhere.
    np.testing.assert_allclose(downscale(half_labelled, pruned), downscale(half_labelled, plain), atol=1e-4)


# -------------------- inherited inputs

SETTINGS = {**QUICK, "epochs": 3, "pretrain": 0, "validation": 0.3}


@pytest.fixture
def written_out(monkeypatch):
    """Count how often inputs of every reach are written out."""
    calls = []
    expand = InheritedInputs.expand
    monkeypatch.setattr(InheritedInputs, "expand", lambda x: calls.append(x) or expand(x))
    return calls


@pytest.mark.parametrize(
    ("options", "expands"),
    [
        ({}, False),
        ({"batch": 2}, False),
        ({"method": "fine-only"}, False),
        ({"identity": 2}, True),
        ({"backend": "torch"}, True),
    ],
    ids=["one-window", "windows", "fine-only", "identity", "torch"],
)
def test_weights_and_losses_are_the_same(river, monkeypatch, written_out, options, expands):
    ds = river.isel(time=slice(0, 240))
    inherited = train(ds, **{"method": "msgl", **SETTINGS, **options})
    assert bool(written_out) == expands
    monkeypatch.setattr(ScaleInputs, "sources", lambda *_: None)
    own = train(ds, **{"method": "msgl", **SETTINGS, **options})
    np.testing.assert_equal(inherited.history, own.history)
    assert all(torch.equal(weights, own.weights[name]) for name, weights in inherited.weights.items())
