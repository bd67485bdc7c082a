"""The clock: it reads the log of training, disturbs nobody, and remembers across processes."""

from __future__ import annotations

import json
import logging
import math

import pytest

from xmsgl.benchmark.clock import EpochClock
from xmsgl.fit import train

LOGGER = logging.getLogger("xmsgl")


def test_training_says_when_an_epoch_ends(river, tmp_path, caplog):
    """Were training to word its log otherwise, this would fail first."""
    told = []
    with (
        caplog.at_level(logging.WARNING, "xmsgl"),
        EpochClock(tmp_path / "epochs.json", told.append) as clock,
    ):
        train(river.isel(time=slice(0, 100)), "remap", epochs=3, hidden=2, window=50, progress=False)
    assert told == [1, 2, 3]
    seconds = clock.seconds(3)
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
    assert clock.seconds(3)[0] == 10.0
    assert clock.seconds(3)[1] < 5.0
    assert clock.earlier(3) == 10.0


def test_an_epoch_nobody_told_of_has_no_time(tmp_path):
    with EpochClock(tmp_path / "epochs.json", lambda _: None) as clock:
        pass
    assert math.isnan(clock.seconds(1)[0])
    assert clock.earlier(1) == 0.0
