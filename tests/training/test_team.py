"""Training by several processes against one process with as many windows in a step."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.small import QUICK
from xmsgl.errors import InvalidArgumentError, ProcessError
from xmsgl.models.file.model import load_model
from xmsgl.training.losses import masked_rmse, masked_squares
from xmsgl.training.team import ALONE, Team
from xmsgl.training.train import train
from xmsgl.training.weighting import multi_task_backward

ROOT = Path(__file__).parents[2]
# Without dropout, because each process draws numbers of its own.
SETTINGS = {
    **QUICK,
    "epochs": 3,
    "features": ["air_temperature", "slope"],
    "window": 60,
    "recurrent_dropout": 0.0,
}
GIVEN = [
    f"{name}={json.dumps(value)}"
    for name, value in SETTINGS.items()
    if name not in ("epochs", "device", "progress")
]


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("team")
    river_once.to_netcdf(path / "river.nc")
    return path


def torchrun(folder, *options, epochs=3, given=(), usual=GIVEN):
    """Start two processes that train."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "xmsgl",
    ]
    files = [
        "train",
        folder / "river.nc",
        "-o",
        folder / "m.safetensors",
        "--checkpoint",
        folder / "c.safetensors",
        "--method",
        "msgl",  # unless the options name another
    ]
    every = [*files, *(["--epochs", epochs] if epochs else []), *options, "--set", *usual, *given]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, *map(str, every)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=quiet
    )


# Gradients that are zero but for rounding, which Adam turns into steps of full length: attention does not
# depend on these biases, and both predictions that `blend` mixes begin alike.
NOISE = {"blend", "interpolation_head.first.project.bias", "interpolation_head.second.project.bias"}


@pytest.mark.parametrize(
    ("method", "epochs", "more"),
    [("fine-only", 3, {}), ("msgl", 1, {"pretrain": 0, "dropout": 0.0, "weighting": "mgda"})],
)
def test_two_processes_are_one_with_the_doubled_batch(folder, river, method, epochs, more):
    given = [f"{name}={json.dumps(value)}" for name, value in more.items()]
    with torchrun(folder, "--method", method, given=given, epochs=epochs) as job:
        output = job.communicate(timeout=300)[0]
    assert job.returncode == 0, output
    assert output.count("written to") == 1  # one of them reports
    settings = {**SETTINGS, **more, "epochs": epochs}
    found, one = load_model(folder / "m.safetensors"), train(river, method, batch=2, **settings)
    for name in one.weights.keys() - NOISE:
        torch.testing.assert_close(found.weights[name], one.weights[name], atol=1e-5, rtol=0)
    for name in ("validation", "loss_fine"):
        np.testing.assert_allclose(found.history[name], one.history[name], atol=1e-4)
    # Not for want of a difference: one window in a step trains another model.
    other = train(river, method, batch=1, **settings)
    changes = [(other.weights[k] - v).abs().max() for k, v in one.weights.items() if k not in NOISE]
    assert max(changes) > 1e-3


def test_a_killed_process_ends_the_job_and_leaves_a_checkpoint(folder, river):
    with torchrun(folder, epochs=5000) as job:
        checkpoint, deadline = folder / "c.safetensors", time.monotonic() + 240
        checkpoint.unlink(missing_ok=True)
        written: set[int] = set()  # after no epoch, and after two
        while len(written) < 3 and job.poll() is None and time.monotonic() < deadline:
            if checkpoint.exists():
                written.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.01)
        found = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True, check=True)
        last = int(found.stdout.split()[-1])
        os.kill(last, signal.SIGKILL)
        output = job.communicate(timeout=120)[0]
    assert job.returncode != 0
    assert re.search(r"SIGKILL|exitcode *: *-9", output)
    resumed = {**SETTINGS, "epochs": 5000}
    epochs: list[int] = []

    def stop(standing):
        epochs.append(standing.state.epoch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(river, "msgl", batch=1, resume=checkpoint, observers=[stop], **resumed)
    assert epochs[0] >= 1


@pytest.mark.parametrize("method", ["trees", "stack"])
def test_trees_are_refused(river, method, monkeypatch):
    monkeypatch.setattr(Team, "current", classmethod(lambda cls: cls(0, 2)))
    settings = {"parts": [{"method": "fine-only"}, {"method": "trees"}]} if method == "stack" else {}
    trained: list[Any] = []
    with pytest.raises(InvalidArgumentError, match="name a network, or train without torchrun"):
        train(river, method, progress=False, observers=[trained.append], **settings)
    assert not trained  # nor the parts before


class Two(Team):
    """A team whose other process has the same numbers, or those given."""

    def __init__(self, other=None):
        super().__init__(0, 2)
        object.__setattr__(self, "other", other)

    def sums(self, values, names):
        other = values if self.other is None else self.other
        return {name: values.get(name, 0.0) + other.get(name, 0.0) for name in names}

    def total(self, values):
        return values * 2 if self.other is None else values


def test_the_loss_is_the_error_of_all_and_its_gradient_a_share():
    """Two halves of the labels: the values are those of the whole, and the gradients add up to its."""
    torch.manual_seed(1)
    weight = torch.randn(3, requires_grad=True)
    x, y = torch.randn(10, 3), torch.randn(10)
    y[7:] = torch.nan
    whole = masked_rmse(x @ weight, y)
    (expected,) = torch.autograd.grad(whole, weight)
    shares = []
    for own, other in ((slice(0, 4), slice(4, 10)), (slice(4, 10), slice(0, 4))):
        there, here = (masked_squares(x[k] @ weight, y[k]) for k in (other, own))
        team = Two({"fine 0": there[0].item(), "fine 1": float(there[1])})
        loss = team.losses({"fine": here}, ["fine"], weight)["fine"]
        assert loss.item() == pytest.approx(whole.item(), abs=1e-6)
        shares.append(torch.autograd.grad(loss, weight)[0])
    torch.testing.assert_close(sum(shares), expected)


def test_a_process_without_labels_has_the_loss_of_the_others():
    weight = torch.ones(2, requires_grad=True)
    loss = Two({"fine 0": 8.0, "fine 1": 2.0}).losses({}, ["coarse", "fine"], weight)
    assert list(loss) == ["fine"]
    assert loss["fine"].item() == 2.0
    assert (torch.autograd.grad(loss["fine"], weight)[0] == 0).all()


@pytest.mark.parametrize("weighting", ["uniform", "mgda"])
def test_gradients_of_a_team_are_added_up(weighting):
    a, b, unused = (torch.tensor([value], requires_grad=True) for value in (2.0, 3.0, 1.0))
    alone = [torch.zeros(1)] * 3

    def backward(team):
        losses = {"one": (a * b).square().sum(), "two": (a - 1).square().sum()}
        multi_task_backward(losses, [a], [a, b, unused], weighting=weighting, team=team)
        return [None if p.grad is None else p.grad.clone() for p in (a, b, unused)]

    alone, both = backward(ALONE), backward(Two())
    assert alone[2] is None is both[2]
    for one, two in zip(alone[:2], both[:2], strict=True):
        torch.testing.assert_close(two, 2 * one)


def test_a_lost_process_is_an_error_of_the_package(monkeypatch):
    def gone(values):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("torch.distributed.all_reduce", gone)
    with pytest.raises(ProcessError, match="start again with resume="):
        Team(1, 2).total(torch.zeros(2))
