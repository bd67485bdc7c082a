"""Checkpoints: what goes in comes out, others' are refused, a killed write changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.small import QUICK
from xmsgl.errors import CheckpointError, OutputError
from xmsgl.models.file import storage
from xmsgl.models.file.model import load_model
from xmsgl.training.checkpoint import read_checkpoint, write_checkpoint
from xmsgl.training.loop import Progress
from xmsgl.training.train import train
from xmsgl.util.writing import write_bytes

SETTINGS = {"method": "msgl", "loop": {"learning_rate": 0.005, "seed": 0}, "features": ["a", "b"], "batch": 1}


def progress_after(steps, *, shared=True):
    """A state with Adam's moments in it, as the loop leaves it."""
    module = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=1 / 3)
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
    weights = {name: value.detach().clone() for name, value in module.state_dict().items()}
    best = weights if shared else {name: value + 1 for name, value in weights.items()}
    history = {
        "epoch": [float(k + 1) for k in range(steps)],
        "validation": [0.1 + k / 3 for k in range(steps)],
    }
    score = 0.1 if steps else float("inf")
    return Progress(steps, weights, optimizer.state_dict(), best, score, min(steps, 1), history)


@pytest.mark.parametrize("shared", [True, False], ids=["best-is-current", "best-was-earlier"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_what_goes_in_comes_out(tmp_path, steps, shared):
    state = replace(progress_after(steps, shared=shared), teacher={"weight": torch.rand(2, 3)})
    write_checkpoint(tmp_path / "c.safetensors", state, SETTINGS)
    back, _ = read_checkpoint(tmp_path / "c.safetensors", SETTINGS)
    assert (back.epoch, back.best_epoch, back.best_score) == (state.epoch, state.best_epoch, state.best_score)
    assert back.history == state.history
    assert torch.equal(back.teacher["weight"], state.teacher["weight"])
    for name, value in state.module.items():
        assert torch.equal(back.module[name], value)
        assert torch.equal(back.best[name], state.best[name])
    assert set(back.optimizer["state"]) == set(state.optimizer["state"])
    for index, slot in state.optimizer["state"].items():
        assert set(back.optimizer["state"][index]) == set(slot)
        for key, value in slot.items():
            assert torch.equal(back.optimizer["state"][index][key], value)
            assert back.optimizer["state"][index][key].dtype == value.dtype
    (group,), (expected,) = back.optimizer["param_groups"], state.optimizer["param_groups"]
    assert {**group, "betas": tuple(group["betas"])} == expected


def test_adam_goes_on_from_it_bit_for_bit(tmp_path):
    state = progress_after(3)
    write_checkpoint(tmp_path / "c", state, SETTINGS)
    back, _ = read_checkpoint(tmp_path / "c", SETTINGS)
    results = []
    for start in (state, back):
        module = nn.Linear(3, 2)
        module.load_state_dict(start.module)
        optimizer = torch.optim.Adam(module.parameters())
        optimizer.load_state_dict(start.optimizer)
        module(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
        results.append(module.weight.detach().clone())
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": "remap"}, "method: 'msgl' in the file, now 'remap'"),
        ({"loop": {"learning_rate": 0.01, "seed": 0}}, "loop.learning_rate: 0.005 in the file, now 0.01"),
        ({"loop": {"learning_rate": 0.005, "seed": 4}}, "loop.seed: 0 in the file, now 4"),
        ({"features": ["b", "a"]}, "features"),
        ({"batch": 2}, "batch: 1 in the file, now 2"),
    ],
    ids=["method", "learning-rate", "seed", "features", "batch"],
)
def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path, change, named):
    write_checkpoint(tmp_path / "c", progress_after(1), SETTINGS)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(tmp_path / "c", {**SETTINGS, **change})
    assert named in str(error.value)
    assert "resume with the same settings" in str(error.value)
    others = {"method", "loop.seed", "loop.learning_rate", "features", "batch"} - {named.split(":")[0]}
    assert not any(f"{name}:" in str(error.value) for name in others)


def test_an_upgrade_is_the_same_run_and_is_logged(tmp_path, caplog):
    begun = {**SETTINGS, "training": {"versions": {"torch": "2.12", "xarray": "1"}}}
    now = {**SETTINGS, "training": {"versions": {"torch": "2.13", "xarray": "1"}}}
    write_checkpoint(tmp_path / "c", progress_after(2), begun)
    with caplog.at_level("WARNING", "xmsgl"):
        assert read_checkpoint(tmp_path / "c", now)[0].epoch == progress_after(2).epoch
    assert "torch 2.12, now 2.13" in caplog.text
    assert "xarray" not in caplog.text


def test_invalid_checkpoints_are_refused(tmp_path):
    write_bytes(tmp_path / "model", storage.to_bytes({"w": torch.ones(2)}, {"format": 1, "spec": {}}))
    write_bytes(
        tmp_path / "newer", storage.to_bytes({"w": torch.ones(2)}, {"format": 9, "settings": SETTINGS})
    )
    (tmp_path / "text").write_text("hello")
    for name in ("model", "newer"):
        with pytest.raises(CheckpointError, match="is not a training checkpoint of this version of xmsgl"):
            read_checkpoint(tmp_path / name, SETTINGS)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_checkpoint(tmp_path / "text", SETTINGS)
    with pytest.raises(CheckpointError, match="no file of weights"):
        read_checkpoint(tmp_path / "absent", SETTINGS)


GONE = object()
DAMAGED = [
    *((name, GONE) for name in ("epoch", "best_score", "best_epoch", "history", "groups", "finished")),
    *((name, "x") for name in ("epoch", "best_score", "best_epoch", "history", "finished")),
    ("settings", [1]),
    ("epoch", 1.5),
    ("history", {"epoch": [1.0], "validation": []}),
    ("finished", [[]]),
]


@pytest.mark.parametrize(
    ("name", "value"), DAMAGED, ids=lambda value: "gone" if value is GONE else str(value)
)
def test_wrong_metadata_are_refused(tmp_path, name, value):
    write_checkpoint(tmp_path / "c", progress_after(1), SETTINGS)
    tensors, header = storage.from_bytes((tmp_path / "c").read_bytes(), "c")
    header[name] = value
    if value is GONE:
        del header[name]
    write_bytes(tmp_path / "c", storage.to_bytes(tensors, header))
    with pytest.raises(CheckpointError, match=r"is not a (valid|training) checkpoint"):
        read_checkpoint(tmp_path / "c", SETTINGS)


@pytest.fixture(scope="module")
def begun(river_once, tmp_path_factory):
    """A checkpoint of a network and what continues it."""
    path = tmp_path_factory.mktemp("begun") / "c"

    def resume(**more):
        return train(river_once.isel(time=slice(0, 150)), "remap", **QUICK, **more)

    return path, resume, resume(checkpoint=path)


WRONG = {
    "shape": lambda weights: {**weights, "module/cell.b": torch.ones(3)},
    "type": lambda weights: {**weights, "best/cell.b": weights["best/cell.b"].double()},
    "nan": lambda weights: {**weights, "module/cell.b": weights["module/cell.b"] * torch.nan},
    "foreign": lambda weights: {**weights, "module/moon": torch.ones(3)},
    "missing": lambda weights: {name: value for name, value in weights.items() if name != "best/cell.b"},
    "adam-shape": lambda weights: {**weights, "adam/0/exp_avg": torch.ones(3)},
    "adam-missing": lambda weights: {name: value for name, value in weights.items() if name != "adam/0/step"},
    "adam-number": lambda weights: {**weights, "adam/99/step": torch.ones(())},
    "adam-name": lambda weights: {**weights, "adam/x": torch.ones(())},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_wrong_weights_are_refused_before_training_continues(begun, tmp_path, change):
    path, resume, model = begun
    weights, header = storage.from_bytes(path.read_bytes(), "c")
    write_bytes(tmp_path / "c", storage.to_bytes(change(weights), header))
    with pytest.raises(CheckpointError, match=r"c is not a valid checkpoint .*; train without resume"):
        resume(resume=tmp_path / "c")
    assert resume(resume=path).sha256 == model.sha256


def test_more_finished_trainings_than_asked_for_are_refused(begun, tmp_path):
    path, resume, _ = begun
    weights, header = storage.from_bytes(path.read_bytes(), "c")
    header["finished"] = [header["history"]] * 2
    finished = {name.replace("best/", f"finished/{k}/"): value.clone() for k in range(2)
                for name, value in weights.items() if name.startswith("best/")}  # fmt: skip
    write_bytes(tmp_path / "c", storage.to_bytes({**weights, **finished}, header))
    with pytest.raises(CheckpointError, match="2 finished trainings of 1"):
        resume(resume=tmp_path / "c")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_killed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch, error):
    path = tmp_path / "c"
    write_checkpoint(path, progress_after(1), SETTINGS)
    before = path.read_bytes()

    def die(self, target):
        raise error

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(error):
        write_checkpoint(path, progress_after(2), SETTINGS)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["c"]
    assert read_checkpoint(path, SETTINGS)[0].epoch == 1


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_data_are_looked_at(tmp_path):
    with pytest.raises(OutputError, match="nowhere does not exist; make it first"):
        train(None, checkpoint=tmp_path / "nowhere" / "c")
    with pytest.raises(OutputError, match="there is a folder of that name"):
        train(None, checkpoint=tmp_path)


@pytest.mark.parametrize("content", ["a model", "other bytes"])
def test_a_file_that_is_no_checkpoint_is_not_replaced(tmp_path, content):
    path = tmp_path / "river.safetensors"
    if content == "a model":
        load_model("delaware-sensors").save(path)
    else:
        path.write_bytes(b"notes")
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="exists and is no checkpoint"):
        train(None, checkpoint=path)
    assert path.read_bytes() == before
