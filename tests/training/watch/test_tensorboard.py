"""TensorBoard's event files, read by TensorBoard itself."""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import pytest

from tests.small import WATCHED
from xmsgl.errors import MissingDependencyError
from xmsgl.training.train import train
from xmsgl.training.watch.tensorboard import TensorBoardLog


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 150))


def events(folder):
    """Scalars of a run by tag, as TensorBoard's own reader gives them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def expected(history):
    """What TensorBoard must hold of a history: steps from 1, no gaps written, single precision."""
    found = {}
    for name, values in history.items():
        if name in {"epoch", "member"}:
            continue
        head, _, rest = name.partition("_")
        tag = f"{head}/{rest}" if rest and head != "learning" else name
        found[tag] = [(k, np.float32(value)) for k, value in enumerate(values, 1) if not math.isnan(value)]
    return found


def test_tensorboard_reads_the_history(tiny, tmp_path):
    settings = {**WATCHED, "epochs": 4, "pretrain": 2, "heads": 1}
    model = train(tiny, "msgl", progress=False, observers=[TensorBoardLog(tmp_path / "log")], **settings)
    assert math.isnan(model.history["loss_fine"][0])  # else nothing is left out
    found = events(tmp_path / "log")
    assert found == expected(model.history)
    assert {"loss/fine", "validation", "validation/coarse", "weight/coarse", "learning_rate"} <= set(found)


def test_tensorboard_tells_members_apart(tiny, tmp_path):
    model = train(tiny, "remap", ensemble=2, progress=False, observers=[TensorBoardLog(tmp_path)], **WATCHED)
    for k in range(2):
        assert events(tmp_path / f"member{k}") == expected(model.member(k).history)


@pytest.mark.parametrize("folder", ["same", "another"])
def test_tensorboard_of_a_resumed_training_is_whole(tiny, tmp_path, folder):
    def stop(standing):
        if standing.state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            tiny, "remap", progress=False, observers=[TensorBoardLog(tmp_path / "same"), stop],
            checkpoint=tmp_path / "c", **WATCHED,
        )  # fmt: skip
    log = TensorBoardLog(tmp_path / folder)
    model = train(tiny, "remap", progress=False, observers=[log], resume=tmp_path / "c", **WATCHED)
    assert events(tmp_path / folder) == expected(model.history)


def test_without_tensorboard_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"^TensorBoardLog needs .*xmsgl\[tensorboard\]"):
        TensorBoardLog(tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_the_files_are_closed_at_the_end_of_training_also_after_an_error(tiny, tmp_path):
    writers = []

    def stop(standing):
        writers.append(log._writer)
        if standing.state.epoch == 2:
            raise KeyboardInterrupt

    log = TensorBoardLog(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, "remap", progress=False, observers=[log, stop], **WATCHED)
    assert {id(writer) for writer in writers} == {id(writers[0])}
    assert writers[0].all_writers is None  # as SummaryWriter.close leaves it
    assert {step for step, _ in events(tmp_path)["validation"]} == {1, 2}


def test_a_log_may_watch_one_training_after_another(tiny, tmp_path):
    """The folder then holds the last one, as with a log of its own."""
    log = TensorBoardLog(tmp_path)
    for seed in (1, 2):
        time.sleep(1.1)  # TensorBoard orders files by the second in which they were opened
        model = train(tiny, "remap", progress=False, observers=[log], seed=seed, **WATCHED)
        assert events(tmp_path) == expected(model.history)
