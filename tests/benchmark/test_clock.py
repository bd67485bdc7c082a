"""The clock: it observes a training, across processes."""

from __future__ import annotations

import json
import math

import pytest

from xmsgl.benchmark.clock import EpochClock, member_epochs
from xmsgl.training import members as fit_members
from xmsgl.training.loop import Progress
from xmsgl.training.train import train
from xmsgl.training.watch.standing import Standing

FIRST_THREE = [(0, 1), (0, 2), (0, 3)]


def stand(member, epoch):
    """The argument of an observer, as far as the clock uses it."""
    state = Progress(epoch, {}, {}, {})
    return Standing("msgl", member, 3, 9, state)


def test_an_observer_of_training_times_its_epochs(river, tmp_path):
    ended = []
    clock = EpochClock(tmp_path / "epochs.json", ended.append)
    ds = river.isel(time=slice(0, 100))
    train(ds, "remap", epochs=3, hidden=2, window=50, progress=False, observers=[clock])
    assert ended == [1, 2, 3]
    seconds = clock.seconds(FIRST_THREE)
    assert all(second > 0 for second in seconds)
    assert json.loads((tmp_path / "epochs.json").read_text()) == {
        "1": seconds[0],
        "2": seconds[1],
        "3": seconds[2],
    }


def test_time_between_members_is_not_counted(tmp_path, monkeypatch):
    clock = EpochClock(tmp_path / "epochs.json", lambda _: None)
    for now, member, epoch in [(5, 0, 0), (6, 0, 1), (8, 0, 2), (100, 1, 0), (103, 1, 1)]:
        monkeypatch.setattr("time.perf_counter", lambda now=now: float(now))
        clock(stand(member, epoch))
    assert clock.seconds([(0, 1), (0, 2), (1, 1)]) == [1.0, 2.0, 3.0]


def test_a_second_process_keeps_the_times_of_the_first(tmp_path):
    file = tmp_path / "epochs.json"
    file.write_text('{"1": 10.0, "2": 20.0}')
    clock = EpochClock(file, lambda _: None)
    for epoch in (1, 2, 3):  # begins after the first, as its checkpoint says
        clock(stand(0, epoch))
    assert clock.seconds(FIRST_THREE)[0] == 10.0
    assert clock.seconds(FIRST_THREE)[1] < 5.0
    assert clock.earlier(FIRST_THREE) == 10.0


def test_an_epoch_that_was_not_observed_has_no_time(tmp_path):
    clock = EpochClock(tmp_path / "epochs.json", lambda _: None)
    assert math.isnan(clock.seconds([(0, 1)])[0])
    assert clock.earlier([(0, 1)]) == 0.0


SMALL = {"hidden": 2, "window": 50, "device": "cpu", "progress": False}


def test_epochs_of_an_ensemble_are_those_of_its_members(river, tmp_path, monkeypatch):
    """Interrupted in the second epoch of the second of three members, then resumed."""
    ds, file, ended = river.isel(time=slice(0, 100)), tmp_path / "epochs.json", []
    settings = {**SMALL, "epochs": 2, "ensemble": 3, "checkpoint": tmp_path / "c"}
    real = fit_members.write_checkpoint

    def stop(path, progress, of, done, training):
        real(path, progress, of, done, training)
        if (len(done), progress.epoch) == (1, 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit_members, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(ds, "remap", observers=[EpochClock(file, ended.append)], **settings)
    assert ended == [1, 2, 3]
    before = json.loads(file.read_text())
    assert list(before) == ["1", "2", "1/1"]
    clock = EpochClock(file, ended.append)
    model = train(ds, "remap", resume=tmp_path / "c", observers=[clock], **settings)
    assert ended == [1, 2, 3, 4, 5, 6]
    epochs = member_epochs(model.history)
    assert epochs == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert clock.seconds(epochs)[:3] == list(before.values())
    assert all(second > 0 for second in clock.seconds(epochs))
    assert clock.earlier(epochs) == pytest.approx(sum(before.values()))


def test_members_that_start_again_are_timed_again(tmp_path):
    file = tmp_path / "epochs.json"
    file.write_text('{"1": 10.0, "1/1": 20.0}')
    clock = EpochClock(file, lambda _: None)
    for member in (0, 1):
        clock(stand(member, 0))
        clock(stand(member, 1))
    assert max(clock.seconds([(0, 1), (1, 1)])) < 5.0
    assert clock.earlier([(0, 1), (1, 1)]) == 0.0
