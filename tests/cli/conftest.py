"""The command line, and a folder with a river and a model trained on it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from xmsgl.cli.main import main
from xmsgl.util.options import get_option, set_options


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def strict(text):
    """Read JSON without NaN and Infinity, as other readers do."""
    return json.loads(text, parse_constant=refuse_constant)


@pytest.fixture
def run():
    def call(*arguments):
        return CliRunner().invoke(main, ["--quiet", *map(str, arguments)])

    return call


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory):
    """A river as a file, a model trained on it and its JSON output, all from the command line."""
    path = tmp_path_factory.mktemp("cli")
    ds = river_once.isel(time=slice(0, 150))
    ds.to_netcdf(path / "river.nc")
    ds.to_zarr(path / "river.zarr", consolidated=False)
    arguments = ["--method", "remap", "--epochs", "2", "--seed", "4", "--device", "cpu", "--json"]
    files = [path / "river.nc", "-o", path / "m.safetensors", "--checkpoint", path / "c"]
    with set_options(progress=get_option("progress")):  # --quiet would hold for whatever comes after
        trained = CliRunner().invoke(main, ["--quiet", "train", *map(str, files), *arguments])
    assert trained.exit_code == 0, trained.output
    (path / "train.json").write_text(trained.stdout)
    return path
