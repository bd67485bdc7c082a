"""Killed trainings, and clocks that go back: the checkpoint is whole and the model the same."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.small import TWO_FEATURES, kills, report_kills, same
from xmsgl.training.train import train

SETTINGS = {**TWO_FEATURES, "validation": None, "patience": None}
# An epoch takes 50 ms at least, so that kills meet the epochs and their checkpoints alike.
TRAINING = """
import json, os, sys, time
import xarray as xr
from xmsgl.training.train import train
river, checkpoint, output, settings = sys.argv[1:]
resume = checkpoint if os.path.exists(checkpoint) else None
wait = lambda standing: time.sleep(0.05)
train(xr.load_dataset(river), "remap", checkpoint=checkpoint, resume=resume, observers=[wait],
      **json.loads(settings)).save(output)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_lose_no_epoch(river, tmp_path):
    """Killed at random moments after an epoch, then left to finish."""
    wanted, rng, epochs = kills(1), random.Random(5), []
    settings = {**SETTINGS, "epochs": 10 * wanted}
    checkpoint, output = tmp_path / "c.safetensors", tmp_path / "m.safetensors"
    river.to_netcdf(tmp_path / "river.nc")
    given = [tmp_path / "river.nc", checkpoint, output, json.dumps(settings)]
    job = [sys.executable, "-c", TRAINING, *map(str, given)]
    values = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(wanted):
        written = {checkpoint.stat().st_mtime_ns} if checkpoint.exists() else {0}
        enough = rng.randrange(2, 6)  # the first is that of the epoch it starts from
        running = subprocess.Popen(job, env=values)
        while running.poll() is None and len(written) <= enough:
            if checkpoint.exists():
                written.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        running.kill()
        assert running.wait() == -signal.SIGKILL
        epochs.append(epoch_of(checkpoint, river, settings))
    assert epochs == sorted(set(epochs))  # each went on from the one before
    assert epochs[0] > 0
    report_kills("train", [True] * wanted)
    subprocess.run(job, env=values, check=True)
    assert output.read_bytes() == train(river, "remap", **settings).payload
    assert {path.name for path in tmp_path.iterdir()} == {"river.nc", checkpoint.name, output.name}


def epoch_of(checkpoint, river, settings):
    """The epoch from which a training would continue."""
    seen = []

    def stop(standing):
        seen.append(standing.state.epoch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(river, "remap", resume=checkpoint, observers=[stop], **settings)
    return seen[0]


def test_a_clock_that_goes_back_changes_no_training(river, tmp_path, monkeypatch):
    settings = {**SETTINGS, "epochs": 3}
    expected = train(river, "remap", **settings)
    hours, now = itertools.count(), time.time()
    monkeypatch.setattr("time.time", lambda: now - 3600 * next(hours))
    checkpoint = tmp_path / "c.safetensors"

    def stop(standing):
        if standing.state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(river, "remap", checkpoint=checkpoint, observers=[stop], **settings)
    os.utime(checkpoint, (now + 10**8,) * 2)  # written in years to come
    assert same(train(river, "remap", checkpoint=checkpoint, resume=checkpoint, **settings), expected)
