"""The same weights, bit for bit, in processes with different numbers of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
import torch
from click.testing import CliRunner

import xmsgl
from tests.small import SMALL
from xmsgl.cli.main import main
from xmsgl.models.file.model import load_model

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys, torch, xmsgl
torch.set_num_threads(int(sys.argv[1]))
xmsgl.set_options(progress=False, deterministic=True)
ds = xmsgl.datasets.simulated(n_coarse=12, years=2, seed=1)
found, few = {}, {"epochs": 2, "steps": 1, "window": 120, "warmup": 20}
for name, method, options in (
    ("msgl", "msgl", {"dropout": 0.2, **few}),
    ("attention", "msgl", {"backbone": "gat-lstm", **few}),
    ("dynamic", "dynamic-msgl", few),
    ("trees", "trees", {"iterations": 20}),
):
    model = ds.msgl.train(method, **options)
    found[name] = model.sha256
found["threads"] = torch.get_num_threads()
print(json.dumps(found))
"""


def digests(threads):
    places = {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(threads)],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_and_two_threads_give_the_same_weights():
    one, two = digests(1), digests(2)
    assert (one.pop("threads"), two.pop("threads")) == (1, 2)  # training gives them back
    assert one == two


def test_one_thread_in_training_alone(river, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ds = river.isel(time=slice(0, 200))
    ds.to_netcdf("river.nc")
    given = [f"{name}={json.dumps(SMALL[name])}" for name in ("window", "warmup", "hidden") if name in SMALL]
    options = ["--deterministic", "--method", "remap", "--epochs", "1", "--device", "cpu", "--set", *given]
    done = CliRunner().invoke(main, ["--quiet", "train", "river.nc", "-o", "m.safetensors", *options])
    assert done.exit_code == 0, done.output
    model = load_model("m.safetensors")
    assert model.spec.training["deterministic"] is True
    done = CliRunner().invoke(main, ["--quiet", "describe", "m.safetensors", "--toml"])
    assert "deterministic = true" in done.output
    used = []
    with xmsgl.set_options(deterministic=True):
        ds.msgl.train(
            "msgl",
            **{**SMALL, "epochs": 1},
            observers=[lambda _: used.append((torch.get_num_threads(), numba.get_num_threads()))],
        )
    assert set(used) == {(1, 1)}


@pytest.mark.parametrize("value", [1, "yes", None])
def test_the_option_is_a_switch(value):
    with pytest.raises(xmsgl.errors.InvalidArgumentError, match="'deterministic' must be True or False"):
        xmsgl.set_options(deterministic=value)
