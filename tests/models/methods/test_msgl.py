"""The models: tasks, prediction, gradients, round trips."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.small import in_days
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.methods import registry
from xmsgl.models.methods.base import TASK_SCALES
from xmsgl.models.methods.msgl import MSGL, CoarseOnly, FineOnly
from xmsgl.models.methods.registry import create_model

MODELS = ["fine-only", "msgl", "remap"]


def model_of(name, seed=0, dtype=torch.float32, **architecture):
    return create_model(name, n_features=3, hidden=8, seed=seed, **architecture).to(dtype)


@pytest.mark.parametrize("name", MODELS)
def test_constructor_defaults(name):
    model = create_model(name, n_features=7)
    assert sum(parameter.numel() for parameter in model.shared_parameters()) == 2660
    shared = {id(parameter) for parameter in model.shared_parameters()}
    assert shared < {id(parameter) for parameter in model.parameters()}
    assert set(model.tasks) <= set(TASK_SCALES)


@pytest.mark.parametrize("cls", [FineOnly, CoarseOnly])
def test_single_scale_models_have_the_published_size(cls):
    assert sum(parameter.numel() for parameter in cls(7).parameters()) == 2660 + 21


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_at_the_labelled_nodes(name, make_batch):
    model, batch = model_of(name), make_batch()
    outputs = model.task_outputs(batch)
    assert tuple(outputs) == model.tasks
    sizes = {"coarse": 2, "interpolation": 3, "fine": 3}
    for task, values in outputs.items():
        assert values.shape == (20, sizes[task], 2)
    assert model.stream(batch)[0].shape == (20, 12, 2)


@pytest.mark.parametrize("name", MODELS)
def test_training_outputs_agree_with_the_prediction(name, make_batch):
    model, batch = model_of(name, dtype=torch.float64).eval(), make_batch(days=70, dtype=torch.float64)
    if name == "remap":
        batch = dataclasses.replace(batch, coarse_nodes=torch.arange(5))
        matrix = batch.remap.matmul(torch.eye(5, dtype=torch.float64))
        expected = torch.einsum("fc,tcb->tfb", matrix, model.task_outputs(batch)["coarse"])
    else:
        batch = dataclasses.replace(batch, fine_nodes=torch.arange(12))
        expected = model.task_outputs(batch)["fine"]
    torch.testing.assert_close(model.stream(batch)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_weights_survive_a_round_trip(name, make_batch, tmp_path):
    model, batch = model_of(name).eval(), make_batch()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other = model_of(name, seed=9).eval()
    assert not torch.equal(other.stream(batch)[0], model.stream(batch)[0])
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other.stream(batch)[0], model.stream(batch)[0])


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_weights_and_outputs(name, make_batch):
    runs = []
    for _ in range(2):
        model = model_of(name, seed=5)
        torch.manual_seed(1)  # dropout of the fine head
        outputs = model.task_outputs(make_batch())
        sum(values.sum() for values in outputs.values()).backward()
        runs.append([*outputs.values(), *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_backends_agree(name, make_batch):
    batch = make_batch(dtype=torch.float64)
    first = model_of(name, dtype=torch.float64, backend="torch").eval()
    second = model_of(name, dtype=torch.float64, backend="reference").eval()
    torch.testing.assert_close(first.stream(batch)[0], second.stream(batch)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_no_parameter_depends_on_the_number_of_nodes(name, make_batch):
    """Weights of one river run on another: here the same river without its last reach."""
    model, batch = model_of(name).eval(), make_batch()
    keep = np.arange(11)
    smaller = dataclasses.replace(
        batch,
        x_fine=batch.x_fine[:, keep],
        fine_graph=type(batch.fine_graph)(np.eye(11)),
        interpolation=batch.interpolation.rows(torch.tensor(keep)),
        remap=batch.remap.rows(torch.tensor(keep)),
    )
    assert model.stream(smaller)[0].shape == (20, 11, 2)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_days_after_days_give_what_a_window_gives(name, backend, make_batch):
    """Three stretches, the memory of one carried to the next, against one run of the plain loop."""
    batch = make_batch(days=71, dtype=torch.float64)
    model = model_of(name, dtype=torch.float64, backend=backend).eval()
    expected, end = model_of(name, dtype=torch.float64, backend="reference").eval().stream(batch)
    parts, memory = [], None
    for piece in in_days(batch, 29):
        prediction, memory = model.stream(piece, memory)
        parts.append(prediction)
    torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.stream(batch)[0], expected, rtol=1e-12, atol=1e-12)
    assert set(memory) == set(end) == set(model.input_scales)
    for scale, state in end.items():
        torch.testing.assert_close(memory[scale], state, rtol=1e-12, atol=1e-12)


def test_attention_over_time_needs_whole_windows(make_batch):
    batch = make_batch(days=70, dtype=torch.float64)
    model = MSGL(3, hidden=8, tasks=("interpolation",)).double().eval()
    assert not model.stepwise
    assert MSGL(3).stepwise
    carried = batch.interpolation.matmul_days(model.hidden_states(batch, "coarse"))
    torch.testing.assert_close(model.stream(batch)[0], model.interpolation_head(carried))


def test_interpolation_equals_dense_matmul(make_batch):
    model, batch = model_of("msgl", dtype=torch.float64), make_batch(dtype=torch.float64)
    hidden = model.hidden_states(batch, "coarse")
    dense = batch.interpolation.matmul(torch.eye(5, dtype=torch.float64))
    expected = torch.einsum("fc,tcbh->tfbh", dense, hidden)
    torch.testing.assert_close(batch.interpolation.matmul_days(hidden), expected)
    rows = batch.interpolation.rows(batch.fine_nodes)
    torch.testing.assert_close(rows.matmul_days(hidden), expected[:, batch.fine_nodes])


@pytest.mark.parametrize("anchored", [True, False], ids=["anchored", "as-published"])
def test_msgl_equals_its_parts(make_batch, anchored):
    model, batch = model_of("msgl", anchored=anchored).eval(), make_batch()
    if anchored:  # at the start the head adds nothing and both paths count equally: move away from there
        with torch.no_grad():
            model.blend.fill_(0.7)
            model.fine_head.out.linear.weight.fill_(0.3)
    outputs = model.task_outputs(batch)
    coarse, fine = model.cell(*batch.coarse_inputs())[0], model.cell(*batch.fine_inputs())[0]
    carried = batch.interpolation.matmul_days(coarse)
    nodes = batch.fine_nodes
    torch.testing.assert_close(outputs["coarse"], model.coarse_head(coarse)[:, batch.coarse_nodes])
    torch.testing.assert_close(outputs["interpolation"], model.interpolation_head(carried)[:, nodes])
    expected = model.fine_head(carried, fine)
    if anchored:
        share = 1 / (1 + math.exp(-0.7))
        segment = batch.remap.matmul_days(model.coarse_head(coarse))
        expected = expected + share * model.coarse_head(fine) + (1 - share) * segment
    torch.testing.assert_close(outputs["fine"], expected[:, nodes])
    torch.testing.assert_close(model.stream(batch)[0], expected)


@pytest.mark.parametrize("anchored", [True, False], ids=["anchored", "as-published"])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_days_without_a_label_are_spared_and_change_nothing(make_batch, anchored, share):
    """In training with dropout, whose mask does not depend on which days are wanted."""
    model = model_of("msgl", dtype=torch.float64, anchored=anchored, dropout=0.5)
    batch = make_batch(dtype=torch.float64)
    torch.nn.init.normal_(model.fine_head.out.linear.weight)
    wanted = torch.rand(20, 3, 2, generator=torch.Generator().manual_seed(2)) < share
    some = dataclasses.replace(batch, fine_days=wanted)
    results = []
    for given in (batch, some):
        torch.manual_seed(3)
        outputs = model.train().task_outputs(given)
        at = {task: values if task == "coarse" else values[wanted] for task, values in outputs.items()}
        parameters = list(model.parameters())
        loss = sum(values.square().sum() for values in at.values())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        results.append([*at.values(), *gradients])
    assert not outputs["fine"][~wanted].any()
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


def test_the_fine_loss_reaches_the_cell_through_the_fine_graph_only(make_batch):
    model, batch = model_of("msgl"), make_batch()
    batch.x_coarse.requires_grad_()
    batch.x_fine.requires_grad_()
    outputs = model.task_outputs(batch)
    coarse, fine = torch.autograd.grad(
        outputs["fine"].sum(), [batch.x_coarse, batch.x_fine], retain_graph=True, allow_unused=True
    )
    assert coarse is None
    assert fine.abs().sum() > 0
    coarse, fine = torch.autograd.grad(
        outputs["interpolation"].sum(), [batch.x_coarse, batch.x_fine], allow_unused=True
    )
    assert coarse.abs().sum() > 0
    assert fine is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fine_nodes": None, "x_fine": None}, ["coarse"]),
        ({"coarse_nodes": None}, ["interpolation", "fine"]),
        ({"coarse_nodes": None, "fine_nodes": torch.tensor([], dtype=torch.int64)}, []),
    ],
    ids=["no-fine-labels", "no-coarse-labels", "no-labels"],
)
def test_tasks_without_labels_are_absent(make_batch, changes, expected):
    assert list(model_of("msgl").task_outputs(make_batch(**changes))) == expected


@pytest.mark.parametrize("tasks", [("coarse",), ("interpolation",), ("fine",), ("coarse", "fine"), ()])
def test_only_the_tasks_asked_for_run(make_batch, tasks):
    model, batch = model_of("msgl").eval(), make_batch()
    outputs, everything = model.task_outputs(batch, tasks), model.task_outputs(batch)
    assert tuple(outputs) == tasks
    assert all(torch.equal(outputs[task], everything[task]) for task in tasks)


@pytest.mark.parametrize(
    "tasks",
    [
        ("interpolation", "fine"),
        ("coarse", "fine"),
        ("fine",),
        ("coarse", "interpolation"),
        ("interpolation",),
    ],
    ids=lambda tasks: "+".join(tasks),
)
def test_ablations_train_every_parameter_they_have(make_batch, tasks):
    model, batch = MSGL(3, hidden=8, tasks=tasks), make_batch()
    if "fine" not in tasks:
        batch = dataclasses.replace(batch, x_fine=None, fine_graph=None)
    outputs = model.task_outputs(batch)
    assert tuple(outputs) == tasks
    sum(values.square().sum() for values in outputs.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.eval().stream(batch)[0].shape == (20, 12, 2)


@pytest.mark.parametrize("tasks", [(), ("coarse",), ("fine", "coarser")], ids=["none", "coarse", "unknown"])
def test_tasks_that_cannot_predict_the_fine_scale_are_refused(tasks):
    with pytest.raises(
        InvalidArgumentError,
        match="tasks must be among coarse, interpolation, fine, and include interpolation or fine",
    ):
        MSGL(3, tasks=tasks)


def test_a_task_the_model_does_not_have_is_named(make_batch):
    with pytest.raises(InvalidArgumentError, match="FineOnly has no task coarse; it has fine"):
        model_of("fine-only").task_outputs(make_batch(), ["coarse"])


def test_prediction_leaves_no_graph(make_batch):
    for name in set(registry.MODELS) - {"trees"}:
        assert not model_of(name).stream(make_batch())[0].requires_grad


@pytest.mark.gpu
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_gives_the_same_numbers(name, make_batch):
    batch = make_batch(dtype=torch.float64)
    moved = dataclasses.replace(
        batch, **{field.name: getattr(batch, field.name).to("cuda") for field in dataclasses.fields(batch)}
    )
    results = []
    for given, device in ((batch, "cpu"), (moved, "cuda")):
        model = model_of(name, dtype=torch.float64).to(device).eval()
        loss = sum(values.square().sum() for values in model.task_outputs(given).values())
        loss.backward()
        results.append([model.stream(given)[0].cpu(), *(p.grad.cpu() for p in model.parameters())])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-8)
