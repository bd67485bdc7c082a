"""Bad input of the command: a message of the package, no traceback, and no file written or changed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import xmsgl
from tests.small import TWO_FEATURES
from xmsgl.cli.main import main

TOML = {
    "2,000 deep": "set = " + "[" * 2000 + "]" * 2000,
    "epochs list": "epochs = [1]",
    "seed list": "seed = [1]",
    "seed 1.5": "seed = 1.5",
    "seed true": "seed = true",
    "seed huge": f"seed = {'9' * 300}",
    "method list": "method = [1]",
    "dataset table": "dataset = {a = 1}",
    "checkpoint list": "checkpoint = [5]",
    "NUL": 'checkpoint = "a\\u0000b"',
    "obj": "[set]\nobj = 1",
    "self": "[set]\nself = 1",
    "observers": "[set]\nobservers = 1",
    "hidden table": "[set]\nhidden = {a = 1}",
    "hidden time": "[set]\nhidden = 10:00:00",
    "kernel list": "[set]\nkernel = [1]",
    "patience text": "[set]\npatience = 'x'",
    "data self": "[data]\nself = 1",
}
RUN = [
    "{",
    "[]",
    "5",
    "null",
    '{"a": 1}',
    '{"run": 5}',
    "[" * 5000,
    '{"run": {"settings": 5}}',
    '{"run": {"dataset": "x", "protocol": 1, "method": [], "fraction": "x", "seed": [], "draw": 0}}',
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    xmsgl.datasets.simulated(n_coarse=2, years=1, label_fraction=0.2).to_netcdf("x.nc")
    (tmp_path / "model").write_bytes(b"an older model")
    return tmp_path


def refused(*words):
    """What the command says when it refuses; anything but its own error fails."""
    result = CliRunner().invoke(main, ["--quiet", *words])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code != 0
    return result.stderr


@pytest.mark.parametrize("name", TOML)
def test_wrong_types_in_a_configuration(name, folder):
    (folder / "c.toml").write_text(TOML[name], encoding="utf-8")
    there = {path: path.read_bytes() for path in folder.iterdir()}
    assert refused("train", "--config", "c.toml", "x.nc", "-o", "new", "--device", "cpu")
    assert {path: path.read_bytes() for path in folder.iterdir()} == there


def test_a_seed_is_not_rounded(folder):
    (folder / "c.toml").write_text("seed = 1.5")
    assert "'1.5' is not a valid integer" in refused("train", "--config", "c.toml", "x.nc", "-o", "model")


@pytest.mark.parametrize("text", RUN, ids=lambda text: text[:30])
@pytest.mark.parametrize("options", [[], ["--toml"]], ids=["facts", "toml"])
def test_a_hostile_run(text, options, tmp_path):
    (tmp_path / "run.json").write_text(text)
    assert "is not the file of a benchmark run, or is damaged" in refused("describe", str(tmp_path), *options)


def test_devices_without_values(folder):
    model = xmsgl.datasets.simulated(n_coarse=2, years=1).msgl.train("remap", **TWO_FEATURES)
    model.save(folder / "m")
    said = refused("downscale", "x.nc", "--model", "m", "-o", "o.nc", "--device", "meta")
    assert "'meta' is not a valid torch device; use 'auto', 'cpu' or 'cuda'" in said
    assert "'meta' is not a valid" in refused("train", "x.nc", "-o", "m", "--device", "meta")
    assert not (folder / "o.nc").exists()
    assert (folder / "m").read_bytes() == model.payload


@pytest.mark.parametrize("seeds", ["99999999999", "0-99999999999"])
def test_too_many_seeds(seeds, folder):
    assert "10,000" in refused("benchmark", "simulated", "--seeds", seeds, "--out", "b")
    assert not (folder / "b").exists()


def test_a_missing_output_folder(folder):
    said = refused("train", "x.nc", "-o", "no/such/model")
    assert "the folder no/such does not exist; make it first" in said
    assert refused("describe", "simulated", "--data", "n_coarse=[[[")
