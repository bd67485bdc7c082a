"""A training step of the three tasks compared with the published scheme, its parts, and its growth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.harness import Bar, Group, Runner, Step, is_tiny, sized
from benchmarks.published import TASKS, PublishedStep
from benchmarks.training import Training, sizes, where
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.methods.msgl import MSGL
from xmsgl.training.loop import LoopSettings, run
from xmsgl.training.memory import freed_memory_kept
from xmsgl.training.stages import stages_of

WARMUP = sized(60, 5)
THREADS = sized(2, 1)
STEPS = sized(8, 1)  # per call: a training has thousands, only the first of which allocates memory
EPOCHS, TRAINED, VALIDATED = 60, 36, 6  # windows of the 42 years of weather
STAGES = stages_of("async-msgl", TASKS, EPOCHS, None, coarse_labels=True, process=False)
PARTS = ("gather inputs", "coarse trunk", "fine trunk", "interpolation, its head", "fine head", "Adam")
WARM = {"network": "made", "n_coarse": 12, "n_fine": 60, "days": 10, "labelled": 6}


def build_published(**basin: Any) -> Step:
    """One step of the published scheme."""
    training = Training(**basin)
    window, step = training.window(), PublishedStep(training.module)
    return lambda: step(window)


def build_step(**basin: Any) -> Step:
    """Steps of the package's training over one batch, gathering of its inputs included."""
    training = Training(**basin)
    return lambda: run(training.module, training.source, LoopSettings(epochs=STEPS, weighting="mgda"))


def build_stage(number: int, **basin: Any) -> Step:
    """Steps of a stage of ``async-msgl``, or for ``number=-1`` the scoring of one window."""
    training = Training(**basin, module={"anchored": True})
    if number < 0:
        return lambda: training.score()
    settings = LoopSettings(epochs=STEPS, stages=(replace(STAGES[number], epochs=STEPS),))
    return lambda: run(training.module, training.source, settings)


def build_part(part: str, **basin: Any) -> Step:
    """One part of :func:`build_step`, as many times as there are steps."""
    training = Training(**basin)
    if part == "gather inputs":
        return _as_trained(training.first_batch)
    module, batch = training.module.train(), training.first_batch().batch
    assert isinstance(module, MSGL)
    cell = module.cell
    assert isinstance(cell, RecurrentGraphCell)
    shared, nodes = module.shared_parameters(), batch.nodes("fine")
    coarse = module.hidden_states(batch, "coarse").detach().requires_grad_()
    own = torch.zeros(len(coarse), len(nodes), *coarse.shape[2:], requires_grad=True)
    interpolator, remapper = batch.interpolator().rows(nodes), batch.remapper().rows(nodes)
    optimizer = torch.optim.Adam(module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def coarse_trunk() -> None:  # two tasks backpropagate through it
        hidden = module.hidden_states(batch, "coarse")
        torch.autograd.grad(choose_nodes(hidden, batch.nodes("coarse")).sum(), shared, retain_graph=True)
        torch.autograd.grad(hidden.sum(), shared)

    def fine_trunk() -> None:
        torch.autograd.grad(cell.at(*batch.fine_sources(), nodes).sum(), shared)

    def interpolation() -> None:
        assert module.interpolation_head is not None
        output = module.interpolation_head(interpolator.matmul_days(coarse), batch.fine_days)
        torch.autograd.grad(output.sum(), [coarse, *module.interpolation_head.parameters()])

    def fine_head() -> None:
        output = module.fine(interpolator.matmul_days(coarse), own, coarse, remapper, batch.fine_days)
        torch.autograd.grad(output.sum(), own)

    chosen: Step = {
        "coarse trunk": coarse_trunk,
        "fine trunk": fine_trunk,
        "interpolation, its head": interpolation,
        "fine head": fine_head,
        "Adam": optimizer.step,
    }[part]
    return _as_trained(chosen)


def _as_trained(part: Step) -> Step:
    """Repeat a part as the steps of :func:`build_step` do, with freed memory kept."""

    def steps() -> None:
        with freed_memory_kept():
            for _ in range(STEPS):
                part()

    return steps


def bench_both_schemes_agree() -> None:
    """Compare losses, task weights and gradients of both schemes, always on a small basin."""
    small = {"network": "made", "n_coarse": 12, "n_fine": 60, "labelled": 6, "days": 40}
    ours, theirs = (Training(**small, module={"dropout": 0.0, "recurrent_dropout": 0.0}) for _ in range(2))
    published = PublishedStep(theirs.module)
    published(theirs.window())
    history = run(ours.module, ours.source, LoopSettings(epochs=1, clip=1e9, weighting="mgda")).history
    for task in TASKS:
        assert history[f"loss_{task}"] == pytest.approx([published.losses[task]], rel=1e-4)
        assert history[f"weight_{task}"] == pytest.approx([published.weights[task]], rel=1e-4)
    named = dict(theirs.module.named_parameters())
    for name, parameter in ours.module.named_parameters():
        expected = named[name].grad
        torch.testing.assert_close(
            parameter.grad, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )


@pytest.mark.parametrize("scheme", ["published", "xmsgl"])
def bench_step(case: Runner, scheme: str) -> None:
    published = scheme == "published"
    group = Group(
        "Training step",
        "One step of Adam on three tasks weighted by MGDA: a window of one year without warm-up, 20 "
        f"channels. {where()} The reference is the published scheme: six forward and four backward passes, "
        "dense operators, the cell day by day through autograd, but without attention scores at reaches "
        "without labels. Ours includes gathering the inputs, the reference does not. Runs of "
        f"{STEPS} steps are timed, the first of which allocates memory, and single steps of the reference "
        "after a warm-up step.",
    )
    case(
        group,
        scheme,
        build_published if published else build_step,
        sizes(),
        threads=THREADS,
        reference=published,
        rounds=3 if published else 5,
        warmup=1,
        work=1 if published else STEPS,
        bars=[] if published else [Bar("ratio", must=30, aim=100)],
        memory=not is_tiny(),
        warm=WARM,
        unit="step",
    )


@pytest.mark.parametrize("part", ["whole step", *PARTS])
def bench_parts(case: Runner, part: str) -> None:
    group = Group(
        "Parts of a training step",
        "How the time of the step above is spent. Each part includes its backward pass, as often as in a "
        "step: the coarse trunk once forward and twice backward. Losses, task weights and the loop itself "
        "are not included. Times faster: time of the whole step over that of the part.",
    )
    whole = part == "whole step"
    build, arguments = (build_step, sizes()) if whole else (build_part, sizes(part=part))
    case(group, part, build, arguments, threads=THREADS, reference=whole, rounds=3, work=STEPS, unit="step")


@pytest.mark.parametrize("windows", [1, 2, 4])
def bench_windows(case: Runner, windows: int) -> None:
    group = Group(
        "Windows in a batch",
        "The step above with several windows of a year in a batch, each after 60 days of warm-up.",
    )
    arguments = sizes(windows=windows, warmup=WARMUP)
    case(
        group,
        f"{windows} window{'s' if windows > 1 else ''}",
        build_step,
        arguments,
        threads=THREADS,
        reference=windows == 1,
        rounds=2,
        work=windows * STEPS,
        unit="window",
        memory=windows == 4 and not is_tiny(),
        warm=WARM,
    )


@pytest.mark.parametrize("number", [*range(len(STAGES)), -1])
def bench_whole_training(case: Runner, number: int) -> None:
    group = Group(
        "Whole training, an estimate",
        "Steps of each stage of `async-msgl` with its default settings, times their number in a training on "
        f"the Delaware's ERA5 period: {EPOCHS} epochs, {TRAINED} windows for training and {VALIDATED} for "
        "validation. A training takes the sum of the column per training; only single steps are measured, "
        "not a whole training. The reference is the stage of all tasks.",
    )
    last = len(STAGES) - 1
    if number < 0:
        name, calls = "scoring after each epoch", EPOCHS * VALIDATED
    else:
        stage = STAGES[number]
        name, calls = f"{', '.join(stage.tasks)} ({stage.labels} labels)", stage.epochs * TRAINED
    case(
        group,
        name,
        build_stage,
        sizes(number=number, warmup=WARMUP),
        threads=THREADS,
        reference=number == last,
        rounds=1,
        work=(1 if number < 0 else STEPS) / calls,
        unit="training",
    )
