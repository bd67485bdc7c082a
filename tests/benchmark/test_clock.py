"""The clock: it reads the log of training, disturbs nobody, and remembers across processes."""

from __future__ import annotations

import json
import logging
import math

import pytest

from xmsgl import fit_members
from xmsgl.benchmark.clock import EpochClock, member_epochs
from xmsgl.fit import train

LOGGER = logging.getLogger("xmsgl")
FIRST_THREE = [(0, 1), (0, 2), (0, 3)]


def test_training_says_when_an_epoch_ends(river, tmp_path, caplog):
    """Were training to word its log otherwise, this would fail first."""
    told = []
    with (
        caplog.at_level(logging.WARNING, "xmsgl"),
        EpochClock(tmp_path / "epochs.json", told.append) as clock,
    ):
        train(river.isel(time=slice(0, 100)), "remap", epochs=3, hidden=2, window=50, progress=False)
    assert told == [1, 2, 3]
    seconds = clock.seconds(FIRST_THREE)
    assert all(second > 0 for second in seconds)
    assert json.loads((tmp_path / "epochs.json").read_text()) == {
        "1": seconds[0],
        "2": seconds[1],
        "3": seconds[2],
    }
    assert caplog.records == []


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_lines_nobody_asked_for_go_no_further(tmp_path, caplog, level):
    with caplog.at_level(level, "xmsgl"):
        with EpochClock(tmp_path / "epochs.json", lambda _: None):
            LOGGER.info("epoch %d: %s", 1, "x")
            LOGGER.warning("beware")
        assert LOGGER.level == level
    assert len(caplog.records) == (2 if level == logging.INFO else 1)


def test_a_second_process_knows_what_the_first_one_did(tmp_path):
    file = tmp_path / "epochs.json"
    file.write_text('{"1": 10.0, "2": 20.0}')
    with EpochClock(file, lambda _: None) as clock:
        LOGGER.info("epoch %d: %s", 2, "again")
        LOGGER.info("epoch %d: %s", 3, "new")
    assert clock.seconds(FIRST_THREE)[0] == 10.0
    assert clock.seconds(FIRST_THREE)[1] < 5.0
    assert clock.earlier(FIRST_THREE) == 10.0


def test_an_epoch_nobody_told_of_has_no_time(tmp_path):
    with EpochClock(tmp_path / "epochs.json", lambda _: None) as clock:
        pass
    assert math.isnan(clock.seconds([(0, 1)])[0])
    assert clock.earlier([(0, 1)]) == 0.0


SMALL = {"hidden": 2, "window": 50, "device": "cpu", "progress": False}


def test_epochs_of_an_ensemble_are_those_of_its_members(river, tmp_path, monkeypatch):
    """Killed in the second epoch of the second of three members, then gone on with."""
    ds, file, told = river.isel(time=slice(0, 100)), tmp_path / "epochs.json", []
    settings = {**SMALL, "epochs": 2, "ensemble": 3, "checkpoint": tmp_path / "c"}
    real = fit_members.write_checkpoint

    def stop(path, progress, of, done):
        real(path, progress, of, done)
        if (len(done), progress.epoch) == (1, 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, EpochClock(file, told.append):
        patch.setattr(fit_members, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(ds, "remap", **settings)
    assert told == [1, 2, 3]
    before = json.loads(file.read_text())
    assert list(before) == ["1", "2", "1/1"]
    with EpochClock(file, told.append) as clock:
        model = train(ds, "remap", resume=tmp_path / "c", **settings)
    assert told == [1, 2, 3, 4, 5, 6]
    epochs = member_epochs(model.history)
    assert epochs == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert clock.seconds(epochs)[:3] == list(before.values())
    assert all(second > 0 for second in clock.seconds(epochs))
    assert clock.earlier(epochs) == pytest.approx(sum(before.values()))


def test_members_that_begin_anew_are_timed_anew(tmp_path):
    file = tmp_path / "epochs.json"
    file.write_text('{"1": 10.0, "1/1": 20.0}')
    with EpochClock(file, lambda _: None) as clock:
        LOGGER.info("member %d of %d, with seed %d", 1, 2, 0)
        LOGGER.info("epoch %d: %s", 1, "again")
        LOGGER.info("member %d of %d, with seed %d", 2, 2, 1)
        LOGGER.info("epoch %d: %s", 1, "again")
    assert max(clock.seconds([(0, 1), (1, 1)])) < 5.0
    assert clock.earlier([(0, 1), (1, 1)]) == 0.0
