"""Killed benchmarks: the same command finishes them, with the scores of one that was not killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.small import kills, report_kills

BASIN = ["--data", "n_coarse=3", "reaches_per_segment=2", "years=3"]
QUICK = ["--set", "epochs=20", "hidden=4", "window=100", "warmup=0", 'features=["air_temperature"]']
RUNS = ["--methods", "climatology", "remap", "msgl", "--fractions", "0.1", "--seeds", "1", "--no-figures"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_lose_and_double_no_run(tmp_path):
    """Killed at random moments after work has begun, then left to finish."""
    rng, wanted, killed = random.Random(7), kills(1), []
    job = [sys.executable, "-m", "xmsgl", "--quiet", "benchmark", "simulated", *BASIN, *QUICK, *RUNS, "--out"]
    values = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(wanted):
        running = subprocess.Popen([*job, str(tmp_path / "out")], env=values)
        before = trace_of(tmp_path / "out")
        while running.poll() is None and trace_of(tmp_path / "out") == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 1))
        running.kill()
        killed.append(running.wait() == -signal.SIGKILL)
        for record in (tmp_path / "out" / "runs").glob("[!.]*/run.json"):  # whole as soon as it is there
            assert json.loads(record.read_bytes())["n"] == len(
                pd.read_parquet(record.parent / "pairs.parquet")
            )
    report_kills("benchmark", killed)
    assert any(killed)
    for name in ("out", "whole"):
        subprocess.run([*job, str(tmp_path / name)], env=values, check=True, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    one, other = (pd.read_parquet(tmp_path / name / "scores.parquet") for name in ("out", "whole"))
    timed = one["metric"].str.contains("seconds|wall|time")
    assert not timed.all()
    pd.testing.assert_frame_equal(one[~timed], other[~timed], check_exact=True)


def trace_of(folder):
    """When files of a benchmark were written."""
    written = {}
    for place, _, names in os.walk(folder):  # unlike rglob, it goes on where a folder has just gone
        for path in (Path(place, name) for name in names if name.endswith(".ckpt")):
            with contextlib.suppress(FileNotFoundError):
                written[path] = path.stat().st_mtime_ns
    return written


def contents(folder):
    """Names of all files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
