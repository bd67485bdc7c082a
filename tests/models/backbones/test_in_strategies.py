"""Every strategy with every backbone: prediction, gradients, training from a dataset."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import xmsgl
from tests.small import QUICK, in_days
from xmsgl.models.backbones.registry import BACKBONES
from xmsgl.models.file.model import Model
from xmsgl.models.methods.registry import MODELS, create_model
from xmsgl.prediction.downscale import downscale
from xmsgl.prediction.operators import Operators
from xmsgl.training.train import train
from xmsgl.training.weighting import multi_task_backward

OTHERS = ["lstm", "gat-lstm", "graph-wavenet", "stgcn", "dynamic"]


def test_every_strategy_takes_every_backbone():
    for method in set(MODELS) - {"trees"}:
        for name in BACKBONES:
            model = create_model(method, n_features=3, hidden=8, backbone=name, seed=0).eval()
            assert model.stepwise
            assert model.fused == (name == "rgcn" and method != "remap")
            shared = {id(parameter) for parameter in model.shared_parameters()}
            assert shared == {id(parameter) for parameter in model.cell.parameters()}


def test_the_default_is_the_cell():
    default, named = (create_model("msgl", n_features=3, seed=1, **of) for of in ({}, {"backbone": "rgcn"}))
    for one, other in zip(default.parameters(), named.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap"])
def test_strategies_predict_what_they_are_trained_on(method, name, make_batch):
    """The outputs of training, the prediction of the window and that in stretches are the same."""
    batch = make_batch(days=70, dtype=torch.float64, coarse_nodes=torch.arange(5))
    batch = dataclasses.replace(batch, fine_nodes=torch.arange(12))
    model = create_model(method, n_features=3, hidden=8, backbone=name, seed=0).double().eval()
    outputs = model.task_outputs(batch)
    coarse_only = method == "remap"
    expected = batch.remap.matmul_days(outputs["coarse"]) if coarse_only else outputs["fine"]
    torch.testing.assert_close(model.stream(batch)[0], expected)
    parts, memory = [], None
    for piece in in_days(batch, 29):
        prediction, memory = model.stream(piece, memory)
        parts.append(prediction)
    torch.testing.assert_close(torch.cat(parts), expected)


@pytest.mark.parametrize("name", OTHERS)
def test_every_task_trains_what_is_shared(name, make_batch, in_pieces):
    """One backward pass per task through a shared graph, in pieces and as a whole."""
    batch = make_batch(days=40)
    model = create_model("msgl", n_features=3, hidden=8, backbone=name, anchored=False, seed=0).eval()

    def gradients():
        outputs = model.task_outputs(batch)
        losses = {task: (values - 1).square().mean().sqrt() for task, values in outputs.items()}
        for loss in losses.values():
            own = torch.autograd.grad(loss, model.shared_parameters(), retain_graph=True)
            assert all(part.abs().sum() > 0 for part in own)
        weights = multi_task_backward(
            losses, model.shared_parameters(), list(model.parameters()), weighting="mgda"
        )
        assert set(weights) == {"coarse", "interpolation", "fine"}
        return [parameter.grad.clone() for parameter in model.parameters()]

    whole = gradients()
    in_pieces(11)
    torch.testing.assert_close(gradients(), whole, rtol=1e-3, atol=1e-5)


# --------------------------------------------------------------- from a dataset

SETTINGS = {**QUICK, "warmup": 15, "epochs": 2}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("method", ["msgl", "fine-only"])
def test_a_river_is_learned_kept_and_downscaled(method, name, river, tmp_path):
    ds = river.isel(time=slice(0, 130))
    model = ds.msgl.train(method, backbone=name, **SETTINGS)
    assert model.spec.architecture["backbone"] == name
    fresh = create_model(
        method, n_features=len(model.spec.features), seed=0, **model.spec.architecture
    ).state_dict()
    moved = {key for key, tensor in model.weights.items() if not torch.equal(tensor, fresh[key])}
    assert {key for key in fresh if key.startswith("cell.")} <= moved
    loaded = xmsgl.load_model(model.save(tmp_path / "river.safetensors"))
    assert loaded.sha256 == model.sha256
    temperature = ds.msgl.downscale(loaded)
    assert dict(temperature.sizes) == {"time": 130, "fine": 12}
    assert np.isfinite(temperature).all()
    np.testing.assert_array_equal(temperature, ds.msgl.downscale(model))


@pytest.mark.parametrize("name", OTHERS)
def test_windows_with_carried_memory_equal_one_run(name, river):
    """Lazily too: the state goes from task to task."""
    ds = river.isel(time=slice(0, 130))
    model = train(ds, "msgl", backbone=name, **SETTINGS | {"epochs": 1})
    whole = Model(dataclasses.replace(model.spec, window=130), model.weights)
    expected = downscale(ds, whole, device="cpu")
    np.testing.assert_allclose(downscale(ds, model, carry=True, device="cpu"), expected, atol=1e-4)
    lazy = downscale(ds.chunk(time=50), model, carry=True, device="cpu")
    np.testing.assert_allclose(lazy.compute(scheduler="synchronous"), expected, atol=1e-4)


def test_dynamic_msgl_is_msgl_with_the_dynamic_graph(river):
    ds = river.isel(time=slice(0, 130))
    named = ds.msgl.train("dynamic-msgl", **SETTINGS)
    assert named.spec.architecture["backbone"] == "dynamic"
    other = ds.msgl.train("msgl", backbone="dynamic", **SETTINGS)
    assert named.weights.keys() == other.weights.keys()
    assert all(torch.equal(named.weights[key], other.weights[key]) for key in named.weights)


def test_options_of_a_backbone_are_kept_in_the_file(river, tmp_path):
    ds, backbone = river.isel(time=slice(0, 130)), {"name": "dynamic", "depth": 3, "concat": False}
    model = ds.msgl.train("dynamic-msgl", backbone=backbone, **SETTINGS | {"epochs": 1})
    loaded = xmsgl.load_model(model.save(tmp_path / "river.safetensors"))
    assert loaded.spec.architecture["backbone"] == backbone
    assert "cell.graph.2.weight" in loaded.weights
    np.testing.assert_array_equal(ds.msgl.downscale(loaded), ds.msgl.downscale(model))


@pytest.mark.parametrize("choices", [{"hops": 2}, {"direction": "upstream"}, {"hops": 1}], ids=str)
def test_the_nodes_that_labels_depend_on_give_what_the_basin_gives(choices, river):
    """Training leaves the others out; candidates of the dynamic graph are never among them."""
    whole = Operators.build(river, choices, [], torch.device("cpu"))
    keep = whole.closure({"fine": np.array([4, 8])})
    part = whole.restrict(keep)
    x = torch.randn(30, 12, 1, 3, generator=torch.Generator().manual_seed(0))
    cell = create_model("dynamic-msgl", n_features=3, seed=0).cell.eval()
    with torch.no_grad():
        expected = cell(x, whole.fine)[0][:, keep.fine]
        torch.testing.assert_close(cell(x[:, keep.fine], part.fine)[0], expected, rtol=1e-4, atol=1e-6)
    assert len(keep.fine) < 12 or choices != {"direction": "upstream"}


def test_a_model_of_the_cell_is_written_as_before(river):
    model = train(river.isel(time=slice(0, 130)), "fine-only", **SETTINGS | {"epochs": 1})
    assert "backbone" not in model.spec.architecture
