"""What commands write, and what they refuse to overwrite before they compute anything."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from xmsgl.cli.main import main
from xmsgl.models.file.model import load_model
from xmsgl.util.options import get_option, set_options

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def made(river_once, tmp_path_factory):
    """A river, a model of three windows over it, and a prediction, made by the command line."""
    path = tmp_path_factory.mktemp("made")
    ds = river_once.isel(time=slice(0, 150))
    ds.to_netcdf(path / "river.nc")
    ds.to_zarr(path / "river.zarr", consolidated=False)
    small = ["--set", "hidden=4", "window=50", "warmup=5", "--method", "remap", "--epochs", "1"]
    with set_options(progress=get_option("progress")):
        for words in (
            ["train", path / "river.nc", "-o", path / "m.safetensors", "--checkpoint", path / "c", *small],
            ["downscale", path / "river.nc", "-m", path / "m.safetensors", "-o", path / "p.nc"],
            ["downscale", path / "river.nc", "-m", path / "m.safetensors", "-o", path / "p.zarr"],
            ["fetch", "simulated", "--data", "n_coarse=3", "years=1", "-o", path / "s.nc"],
        ):
            done = CliRunner().invoke(main, ["--quiet", *map(str, words)])
            assert done.exit_code == 0, done.output
    return path


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of these files, in which a command runs."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here):
    def call(*words):
        return CliRunner().invoke(main, ["--quiet", *map(str, words)])

    return call


@pytest.fixture
def idle(monkeypatch):
    """Make opening a dataset fail."""

    def refuse(*_, **__):
        raise AssertionError("a dataset was opened")

    for module in ("cli.main", "cli.train", "cli.files"):
        monkeypatch.setattr(f"xmsgl.{module}.open_data", refuse)


def state(folder: Path) -> dict[str, str]:
    """Name and digest of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def foreign(folder: Path) -> None:
    """Add files that must not be replaced."""
    (folder / "notes.zarr").mkdir()
    (folder / "notes.zarr" / "notes.txt").write_text("years of work")
    (folder / "notes.nc").write_text("no netCDF")
    (folder / "notes.safetensors").write_text("no model")
    (folder / "empty.nc").write_bytes(b"")
    shutil.copytree(folder / "p.zarr", folder / "more.zarr")
    (folder / "more.zarr" / "notes.txt").write_text("years of work")
    temperature = xr.load_dataset(folder / "p.nc")
    temperature.assign(notes=temperature.water_temperature).to_netcdf(folder / "more.nc")
    xr.DataTree.from_dict({"/": temperature, "/notes": temperature}).to_netcdf(folder / "tree.nc")
    temperature.water_temperature.attrs.clear()
    temperature.to_netcdf(folder / "bare.nc")
    (folder / "link.zarr").symlink_to(folder / "river.zarr")
    (folder / "link.nc").symlink_to(folder / "river.nc")
    shutil.copy(folder / "m.safetensors", folder / "model.nc")
    shutil.copy(folder / "river.nc", folder / "trained.nc")
    (folder / "run.toml").write_text('method = "remap"\n')
    (folder / "hidden.nc").mkdir()
    (folder / "reaches.csv").write_text("id,downstream\n1,\n")
    for name in ("photo.png", "table.csv", "rivers.gpkg"):
        (folder / name).write_bytes(b"years of work")
    (folder / "page.html").write_text("<title>Years of work with xmsgl</title>")


DOWNSCALE = ["downscale", "river.nc", "-m", "m.safetensors", "-o"]
TRAIN = ["train", "river.nc", "--method", "remap", "--epochs", "1", "-o"]
READ = ["read", "csv", "reaches.csv", "-o"]
CARRY = ["carry", "river.zarr", "river.nc", "-o"]
EXPORT = ["export", "river.nc", "-p", "p.zarr", "-o"]
PLOT = ["plot", "skill", "river.nc", "-p", "p.nc", "-o"]
EXPLORE = ["explore", "river.nc", "-p", "p.nc", "-o"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["downscale", "river.zarr", "-m", "m.safetensors", "-o", "river.zarr"],
            "it is river.zarr, which is",
        ),
        (["downscale", "river.zarr", "-m", "m.safetensors", "-o", "./x/../river.zarr"], "does not exist"),
        (["downscale", "river.zarr", "-m", "m.safetensors", "-o", "link.zarr"], "it is river.zarr, which is"),
        (["downscale", "link.zarr", "-m", "m.safetensors", "-o", "river.zarr"], "it is link.zarr, which is"),
        (
            ["downscale", "river.zarr", "-m", "m.safetensors", "-o", "river.zarr/p.nc"],
            "would lie in river.zarr",
        ),
        ([*DOWNSCALE, "river.nc"], "it is river.nc, which is read"),
        ([*DOWNSCALE, "link.nc"], "it is river.nc, which is read"),
        (["downscale", "river.nc", "-m", "model.nc", "-o", "model.nc"], "it is model.nc, which is read"),
        ([*DOWNSCALE, "notes.zarr"], "it exists and is not a prediction written by xmsgl; remove it"),
        ([*DOWNSCALE, "river.zarr"], "not a prediction"),
        ([*DOWNSCALE, "more.zarr"], "not a prediction"),
        ([*DOWNSCALE, "notes.nc"], "not a prediction"),
        ([*DOWNSCALE, "empty.nc"], "not a prediction"),
        ([*DOWNSCALE, "bare.nc"], "not a prediction"),
        ([*DOWNSCALE, "more.nc"], "not a prediction"),
        ([*DOWNSCALE, "tree.nc"], "not a prediction"),
        ([*DOWNSCALE, "trained.nc"], "not a prediction"),
        ([*DOWNSCALE, "hidden.nc"], "there is a folder of that name"),
        (
            [*DOWNSCALE, "x.csv"],
            "a netCDF file (.nc) or a Zarr store (.zarr); choose a name with one",
        ),
        ([*DOWNSCALE, "p"], "a netCDF file (.nc) or a Zarr store (.zarr)"),
        ([*DOWNSCALE, "nowhere/p.nc"], "the folder nowhere does not exist; make it first"),
        ([*DOWNSCALE, "nowhere/p.zarr"], "the folder nowhere does not exist; make it first"),
        ([*TRAIN, "river.nc"], "it is river.nc, which is read"),
        ([*TRAIN, "trained.nc"], "it exists and is not a model or checkpoint written by xmsgl"),
        ([*TRAIN, "notes.safetensors"], "not a model or checkpoint"),
        ([*TRAIN, "notes.zarr"], "there is a folder of that name"),
        ([*TRAIN, "nowhere/m"], "the folder nowhere does not exist; make it first"),
        ([*TRAIN, "run.toml", "--config", "run.toml"], "it is run.toml, which is read"),
        ([*TRAIN, "m.safetensors", "--set", "start=m.safetensors"], "it is m.safetensors, which is read"),
        ([*TRAIN, "c", "--resume", "c"], "it is c, which is read"),
        ([*TRAIN, "new", "--checkpoint", "./new"], "it is also the checkpoint"),
        ([*TRAIN, "new", "--checkpoint", "river.nc"], "cannot write river.nc: it is river.nc, which is read"),
        (
            [*TRAIN, "new", "--checkpoint", "trained.nc"],
            "cannot write trained.nc: it exists and is not a mod",
        ),
        ([*TRAIN, "new", "--checkpoint", "nowhere/c"], "the folder nowhere does not exist; make it first"),
        (["fetch", "simulated", "-o", "notes.nc"], "it exists and is not a dataset written by xmsgl"),
        (["fetch", "simulated", "-o", "p.nc"], "not a dataset written by xmsgl"),
        (
            ["fetch", "simulated", "-o", "s.zarr"],
            "this command writes a netCDF file (.nc); choose a name with",
        ),
        (["fetch", "simulated", "-o", "nowhere/s.nc"], "the folder nowhere does not exist; make it first"),
        (["train", "river.zarr", "-o", "new", "--tensorboard", "river.zarr"], "would lie in river.zarr"),
        ([*READ, "x.csv"], "a netCDF file (.nc) or a Zarr store (.zarr); choose a name with one"),
        ([*READ, "river.nc"], "not a dataset written by xmsgl"),
        ([*READ, "notes.zarr"], "not a dataset written by xmsgl"),
        ([*READ, "nowhere/x.nc"], "the folder nowhere does not exist; make it first"),
        (["read", "csv", "./link.nc", "-o", "river.nc"], "it is link.nc, which is read"),
        (["read", "csv-basin", "river.nc,p.nc", "s.nc,p.nc", "-o", "p.nc"], "it is p.nc, which is read"),
        ([*CARRY, "x.csv"], "a netCDF file (.nc) or a Zarr store (.zarr); choose a name with one"),
        ([*CARRY, "link.zarr/"], "it is river.zarr, which is read"),
        ([*CARRY, "link.nc"], "it is river.nc, which is read"),
        ([*CARRY, "more.zarr"], "not a prediction written by xmsgl"),
        ([*CARRY, "hidden.nc"], "there is a folder of that name"),
        ([*EXPORT, "x.zarr"], "GeoParquet (.parquet) or CSV (.csv); choose a name with one"),
        ([*EXPORT, "river.nc"], "it is river.nc, which is read"),
        ([*EXPORT, "p.nc"], "not a netCDF export written by xmsgl"),
        ([*EXPORT, "table.csv"], "it exists and is not a netCDF export written by xmsgl; remove it"),
        ([*EXPORT, "rivers.gpkg"], "it exists and is not a netCDF export written by xmsgl; remove it"),
        ([*EXPORT, "nowhere/x.nc"], "the folder nowhere does not exist; make it first"),
        ([*PLOT, "x.csv"], "PNG (.png), PDF (.pdf) or SVG (.svg); choose a name with one"),
        ([*PLOT, "photo.png"], "it exists and is not a picture written by xmsgl"),
        ([*PLOT, "nowhere/x.png"], "the folder nowhere does not exist; make it first"),
        ([*EXPLORE, "x.nc"], "HTML (.html); choose a name with this ending"),
        ([*EXPLORE, "page.html"], "it exists and is not a page written by xmsgl"),
        ([*EXPLORE, "nowhere/x.html"], "the folder nowhere does not exist; make it first"),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, list) else "",
)
def test_an_output_that_would_erase_something_is_refused_at_once(run, here, idle, words, message):
    foreign(here)
    before = state(here)
    result = run(*words)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("error: cannot write ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert state(here) == before


@pytest.mark.parametrize("name", ["p.nc", "p.zarr", "q.nc", "q.zarr", "q.NC"])
@pytest.mark.parametrize("source", ["river.nc", "river.zarr"])
def test_a_prediction_is_replaced_and_a_new_one_written(run, here, name, source):
    result = run("downscale", source, "-m", "m.safetensors", "--quantiles", "0.5", "-o", name)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(here / name, engine="zarr" if name.endswith("zarr") else "netcdf4") as out:
        assert out.water_temperature.dims == ("quantile", "time", "fine")
        assert bool(out.water_temperature.notnull().all())
    assert not list(here.glob(".*"))


def test_a_model_a_checkpoint_and_a_dataset_are_replaced(run, here):
    before = state(here)
    for words in ([*TRAIN, "m.safetensors", "--checkpoint", "c"], ["fetch", "simulated", "-o", "s.nc"]):
        result = run(*words)
        assert result.exit_code == 0, result.output
    after = state(here)
    assert {name for name in before if before[name] != after[name]} == {"m.safetensors", "c", "s.nc"}
    assert set(before) == set(after)


def test_a_checkpoint_may_be_what_is_resumed(run, here):
    small = ["--set", "hidden=4", "window=50", "warmup=5", "--method", "remap", "--epochs", "1"]
    result = run("train", "river.nc", "-o", "again", "--checkpoint", "c", "--resume", "c", *small)
    assert result.exit_code == 0, result.output
    assert load_model(here / "again").sha256 == load_model(here / "m.safetensors").sha256


def test_a_benchmark_and_a_demo_leave_other_folders_alone(run, here):
    (here / "table.md").write_text("of another")
    (here / "skill.md").write_text("of another")
    before = state(here)
    for words, name in (
        (["benchmark", "simulated", "--methods", "climatology", "--out", "."], "table.md"),
        (["demo", "--data", "simulated", "--out", "."], "skill.md"),
    ):
        result = run(*words)
        assert result.exit_code == 1
        assert "cannot write into .: " in result.stderr
        assert name in result.stderr
        assert "choose another folder" in result.stderr
    assert state(here) == before


# ------------------------------------------------------------------------ kills

# The command, but the third window says that it is reached and waits.
STOPPED = """
import itertools, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts deaf to it
from xmsgl.prediction.predictor import Engine
from xmsgl.cli.main import main
resume, count = Engine.resume, itertools.count(1)
def slowly(*arguments):
    if next(count) > 2:
        print("here", flush=True)
        sys.stdin.read()
    return resume(*arguments)
Engine.resume = slowly
main(["--quiet", "downscale", "river.nc", "-m", "m.safetensors", "-o", sys.argv[1]])
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
@pytest.mark.parametrize("before", [True, False], ids=["over an old one", "a new one"])
@pytest.mark.parametrize("target", ["out.nc", "out.zarr"])
def test_a_killed_downscale_leaves_what_was_there(run, here, target, before, how):
    if before:
        (here / f"p.{target[4:]}").rename(here / target)
    former = state(here)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "DASK_NUM_WORKERS": "2",
        },
    )
    assert process.stdout.readline() == b"here\n"
    process.send_signal(getattr(signal, how))
    process.communicate()  # whatever is still at work goes on
    assert process.returncode == {"SIGKILL": -9, "SIGINT": 1}[how]
    assert (here / target).exists() == before
    visible = {name: value for name, value in state(here).items() if not name.startswith(".")}
    assert visible == former
    assert (not list(here.glob(".*"))) == (how == "SIGINT")
    done = run("downscale", "river.nc", "-m", "m.safetensors", "-o", target)
    assert done.exit_code == 0, done.output
    assert not list(here.glob(".*"))
    with xr.open_dataset(here / target, engine="zarr" if target.endswith("zarr") else "netcdf4") as out:
        expected = xr.open_dataset(here / "river.nc").msgl.downscale(here / "m.safetensors")
        np.testing.assert_array_equal(out.water_temperature, expected)


def test_a_fetch_that_fails_leaves_the_old_file(run, here, monkeypatch):
    before = state(here)

    def fail(*_, **__):
        (part,) = here.glob(".*/new/s.nc")
        assert part.stat().st_size > 0
        raise OSError("no space left on device")

    monkeypatch.setattr("xmsgl.util.writing.os.fsync", fail)
    result = run("fetch", "simulated", "--data", "n_coarse=3", "years=1", "-o", "s.nc")
    assert result.exit_code == 1
    assert result.stderr == "error: no space left on device\n"
    assert state(here) == before
    assert not list(here.glob(".*"))
