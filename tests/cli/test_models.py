"""``xmsgl models``, and models by name on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from tests.small import QUICK
from xmsgl.cli.main import main
from xmsgl.models.file import packaged
from xmsgl.models.file.card import model_facts
from xmsgl.training.train import train


@pytest.fixture(scope="module")
def model(river_once):
    small = {**QUICK, "warmup": 10}
    return train(river_once.isel(time=slice(0, 130)), "remap", **small)


@pytest.fixture
def folder(monkeypatch, tmp_path, model):
    """Weights of two packaged models, one of them the default, beside a file of a user."""
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in (packaged.DEFAULT, "small"):
        model.save(weights / f"{name}.safetensors")
    monkeypatch.setattr(packaged, "_folder", lambda: weights)
    monkeypatch.chdir(tmp_path)
    model.save(tmp_path / "own.safetensors")
    return weights


def run(*arguments):
    return CliRunner().invoke(main, ["--quiet", *map(str, arguments)])


def test_all_are_listed_with_what_they_are(folder, model):
    result = run("models")
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.split("  ")[0] == "name"
    assert [row.split()[0] for row in rows] == [packaged.DEFAULT, "small"]
    facts = model_facts(model)
    for column in ("method", "members", "trained on", "labels", "intervals", "parameters", "size"):
        start = head.index(column)
        assert all(row[start:].startswith(facts[column]) for row in rows)


def test_one_is_described_in_full(folder, model):
    for name in ("small", "own.safetensors"):
        result = run("models", name)
        assert result.exit_code == 0, result.output
        rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
        assert len(rows) == len(model_facts(model))
        for text in model_facts(model).values():
            assert text in result.stdout


def test_json_for_scripts(folder, model):
    facts = model_facts(model)
    assert json.loads(run("models", "--json").stdout) == {packaged.DEFAULT: facts, "small": facts}
    assert json.loads(run("models", "small", "--json").stdout) == facts


def test_without_any_the_list_is_empty_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(packaged, "_folder", lambda: tmp_path)
    result = run("models")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no models are packaged" in result.stderr
    assert json.loads(run("models", "--json").stdout) == {}


@pytest.mark.parametrize(
    "arguments", [["models", "moon"], ["downscale", "river.nc", "-m", "moon", "-o", "x.nc"]]
)
def test_what_is_neither_a_file_nor_packaged_is_a_wrong_command_line(folder, tmp_path, river, arguments):
    river.isel(time=slice(0, 2)).to_netcdf(tmp_path / "river.nc")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "'moon' is not a packaged model" in result.stderr
    assert f"({packaged.DEFAULT}, small) or an existing file" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "chosen", [[], ["-m", "small"], ["-m", "own.safetensors"]], ids=["default", "name", "file"]
)
def test_downscale_takes_the_default_a_name_or_a_file(folder, tmp_path, river, model, chosen):
    days = river.isel(time=slice(0, 70))
    days.to_netcdf(tmp_path / "river.nc")
    result = run("downscale", tmp_path / "river.nc", *chosen, "-o", tmp_path / "out.nc", "--device", "cpu")
    assert result.exit_code == 0, result.output
    with xr.open_dataset(tmp_path / "out.nc") as out:
        np.testing.assert_array_equal(out["water_temperature"], days.msgl.downscale(model))


def test_downscale_without_the_default_says_so(folder, tmp_path, river):
    (folder / f"{packaged.DEFAULT}.safetensors").unlink()
    river.isel(time=slice(0, 70)).to_netcdf(tmp_path / "river.nc")
    result = run("downscale", tmp_path / "river.nc", "-o", tmp_path / "out.nc")
    assert result.exit_code == 1
    assert "comes without the default 'delaware-gauged'" in result.stderr


def test_help_names_the_default():
    text = " ".join(run("downscale", "--help").stdout.split())
    assert f"Default: {packaged.DEFAULT}" in text
