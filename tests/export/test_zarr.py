"""Stores written in pieces: killed, continued, extended, damaged; always against one run in memory."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from typing import TYPE_CHECKING

import dask
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from dask.callbacks import Callback

import xmsgl
from tests.small import kills, report_kills
from xmsgl.cli.large import in_pieces, plan_of
from xmsgl.cli.main import main
from xmsgl.errors import OutputError
from xmsgl.export.zarr import damaged_blocks, write_in_pieces

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("zarr")
pytestmark = pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")

RUN = {"model": "a"}
COMMAND = [sys.executable, "-c", "from xmsgl.cli.main import main; main()", "--quiet", "downscale"]


@pytest.fixture(scope="module")
def basin():
    return xmsgl.datasets.simulated(n_coarse=5, years=3, seed=3)


@pytest.fixture(scope="module")
def model(basin, tmp_path_factory):
    trained = basin.msgl.train(
        "msgl", epochs=1, window=70, warmup=10, hidden=4, progress=False, validation=0.3
    )
    return trained.save(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture
def stored(basin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "basin.zarr"
    daily = [name for name in basin.data_vars if "time" in basin[name].dims]
    basin.assign({name: basin[name].chunk(time=100) for name in daily}).to_zarr(path, consolidated=False)
    return path


def nothing(_: slice) -> str:
    return ""


def command(*words: object, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, timeout=120, **options
    )


def values(path: Path) -> xr.DataArray:
    return xr.open_zarr(path, consolidated=False).water_temperature.load()


def files(store: Path) -> set[str]:
    return {
        str(path.relative_to(store))
        for path in (store / "water_temperature" / "c").rglob("*")
        if path.name.isdigit() and path.is_file()
    }


def test_a_store_written_in_pieces_is_that_of_one_run(basin, model, tmp_path):
    expected = basin.msgl.downscale(model)
    lazy = in_pieces(basin).msgl.downscale(model)
    outcome = write_in_pieces(lazy, tmp_path / "out.zarr", RUN, nothing)
    got = values(tmp_path / "out.zarr")
    np.testing.assert_array_equal(got, expected)
    assert got.attrs["model_sha256"] == expected.attrs["model_sha256"]
    assert outcome.written == len(files(tmp_path / "out.zarr")) == 16
    assert {path.name for path in tmp_path.iterdir()} == {"out.zarr"}
    again = write_in_pieces(lazy, tmp_path / "out.zarr", RUN, nothing)
    assert (again.written, again.present, again.missing) == (0, 16, ())


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_lose_and_double_nothing(basin, model, stored, tmp_path):
    """Killed at random moments of its work, then left to finish."""
    output, part = tmp_path / "out.zarr", tmp_path / "out.zarr.unfinished"
    job = [*COMMAND, str(stored), "-m", str(model), "-o", str(output), "--resume"]
    rng, written, expected = random.Random(4), {}, basin.msgl.downscale(model)
    killed, most = [], kills(3)
    while sum(killed) < most and len(killed) < 5 * most:
        if output.exists():  # finished between two kills: begin another store
            np.testing.assert_array_equal(values(output), expected)
            shutil.rmtree(output)
            written = {}
        running = subprocess.Popen(job, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted = min(len(written) + rng.randrange(3), 15)
        while running.poll() is None and len(files(part)) < wanted:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))
        running.kill()
        killed.append(running.wait() == -signal.SIGKILL)
        if part.exists():
            now = {name: (part / name).stat().st_mtime_ns for name in files(part)}
            assert written.items() <= now.items()  # none is lost or written again
            written = now
    assert sum(killed) == most
    report_kills("downscale", killed)
    assert command(stored, "-m", model, "-o", output, "--resume").returncode == 0
    assert not part.exists()
    np.testing.assert_array_equal(values(output), expected)


def test_new_days_extend_a_store(basin, model, tmp_path):
    output = tmp_path / "out.zarr"
    for days in (500, 731, 1096):
        some = in_pieces(basin.isel(time=slice(0, days))).msgl.downscale(model)
        outcome = write_in_pieces(some, output, RUN, nothing)
        if days > 500:
            assert outcome.present > 0
        np.testing.assert_array_equal(values(output), basin.isel(time=slice(0, days)).msgl.downscale(model))


def test_a_process_killed_at_the_end_loses_nothing(basin, model, tmp_path):
    """The earlier store is moved aside, the new one not yet in its place."""
    lazy = in_pieces(basin).msgl.downscale(model)
    write_in_pieces(lazy, tmp_path / "out.zarr", RUN, nothing)
    (tmp_path / "out.zarr").rename(tmp_path / "out.zarr.unfinished")
    (tmp_path / "out.zarr.replaced").mkdir()
    assert write_in_pieces(lazy, tmp_path / "out.zarr", RUN, nothing).written == 0
    assert {path.name for path in tmp_path.iterdir()} == {"out.zarr"}
    np.testing.assert_array_equal(values(tmp_path / "out.zarr"), lazy)


def test_a_record_under_a_year_is_predicted_again_when_it_grows(basin, model, tmp_path):
    """The weather before a short record is made from all of it."""
    for days in (300, 500):
        some = basin.isel(time=slice(0, days))
        write_in_pieces(in_pieces(some).msgl.downscale(model), tmp_path / "out.zarr", RUN, nothing)
        np.testing.assert_array_equal(values(tmp_path / "out.zarr"), some.msgl.downscale(model))


def test_the_model_is_prepared_once_for_many_chunks(basin, model, tmp_path):
    keys = []
    lazy = in_pieces(basin).msgl.downscale(model)
    with Callback(pretask=lambda key, *_: keys.append(str(key))):
        outcome = write_in_pieces(lazy, tmp_path / "out.zarr", RUN, nothing)
    assert sum(key.startswith("xmsgl-model") for key in keys) == 1
    assert outcome.written == 16


@pytest.mark.parametrize("days", [500, 1096])
def test_an_unfinished_store_keeps_its_days(basin, model, tmp_path, days):
    part = tmp_path / "out.zarr.unfinished"
    begun = in_pieces(basin.isel(time=slice(0, 800))).msgl.downscale(model)
    write_in_pieces(begun, tmp_path / "out.zarr", RUN, nothing)
    (tmp_path / "out.zarr").rename(part)
    (part / "water_temperature" / "c" / "2" / "0").unlink()
    other = in_pieces(basin.isel(time=slice(0, days))).msgl.downscale(model)
    with pytest.raises(OutputError, match="days"):
        write_in_pieces(other, tmp_path / "out.zarr", RUN, nothing)
    assert write_in_pieces(begun, tmp_path / "out.zarr", RUN, nothing).written == 1


@pytest.mark.parametrize("form", [2, 3])
def test_lazy_coordinates_are_written(basin, model, tmp_path, form):
    noted = basin.assign_coords(note_fine=("fine", np.arange(basin.sizes["fine"]) * 1.5))
    noted.to_zarr(tmp_path / "in.zarr", consolidated=False, zarr_format=form)
    lazy = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, chunks={})
    assert lazy.note_fine.chunks
    write_in_pieces(in_pieces(lazy).msgl.downscale(model), tmp_path / "out.zarr", RUN, nothing)
    np.testing.assert_array_equal(values(tmp_path / "out.zarr").note_fine, noted.note_fine)


def test_what_a_kill_left_aside_does_not_stop_an_extension(basin, model, tmp_path):
    output = tmp_path / "out.zarr"
    write_in_pieces(in_pieces(basin.isel(time=slice(0, 500))).msgl.downscale(model), output, RUN, nothing)
    (tmp_path / "out.zarr.replaced").mkdir()
    (tmp_path / "out.zarr.replaced" / "left").write_text("x")
    write_in_pieces(in_pieces(basin).msgl.downscale(model), output, RUN, nothing)
    np.testing.assert_array_equal(values(output), basin.msgl.downscale(model))
    assert {path.name for path in tmp_path.iterdir()} == {"out.zarr"}


@pytest.mark.parametrize("change", ["run", "days", "reaches", "foreign"])
def test_another_job_does_not_continue_a_store(basin, model, tmp_path, change):
    output = tmp_path / "out.zarr"
    lazy = in_pieces(basin).msgl.downscale(model)
    if change == "foreign":
        basin.msgl.downscale(model).to_dataset().to_zarr(output, consolidated=False)
    else:
        write_in_pieces(lazy, output, RUN, nothing)
    other, run, name = lazy, RUN, "without|not written with"
    if change == "run":
        run, name = {"model": "b"}, "model 'a', now 'b'"
    elif change == "days":
        other, name = lazy.isel(time=slice(3, None)), "first_day"
    elif change == "reaches":
        other, name = lazy.isel(fine=slice(None, None, -1)), "reaches"
    before = values(output)
    with pytest.raises(OutputError, match=name):
        write_in_pieces(other, output, run, nothing)
    np.testing.assert_array_equal(values(output), before)


def test_two_processes_do_not_write_one_store(basin, model, tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / "out.zarr.unfinished.lock"), pytest.raises(OutputError, match="another process"):
        write_in_pieces(in_pieces(basin).msgl.downscale(model), tmp_path / "out.zarr", RUN, nothing)


def test_a_damaged_chunk_is_named_and_the_rest_is_written(basin, model, stored, tmp_path):
    damaged = stored / "air_temperature_coarse" / "c" / "6" / "0"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    output = tmp_path / "out.zarr"
    stopped = command(stored, "-m", model, "-o", output, "--resume")
    assert stopped.returncode == 1
    assert "air_temperature_coarse, chunk (6, 0), 2003-05-24 to 2003-08-31" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "not finished" in stopped.stderr.splitlines()[-1]
    assert not output.exists()
    done = files(tmp_path / "out.zarr.unfinished")
    assert 10 <= len(done) <= 14
    damaged.write_bytes(whole)
    finished = command(stored, "-m", model, "-o", output, "--resume", "--json")
    assert json.loads(finished.stdout) == {"written": 16 - len(done), "present": len(done), "missing": []}
    np.testing.assert_array_equal(values(output), basin.msgl.downscale(model))


def test_damaged_blocks_are_those_that_cannot_be_read(stored):
    assert list(damaged_blocks(xr.open_zarr(stored, consolidated=False, chunks={}), slice(0, 1096))) == []
    for name, chunk in (("air_temperature_coarse", "2"), ("solar_radiation_coarse", "9")):
        (stored / name / "c" / chunk / "0").write_bytes(b"not a chunk")
    ds = xr.open_zarr(stored, consolidated=False, chunks={})
    found = [text.split(",")[0] for text in damaged_blocks(ds, slice(250, 350))]
    assert found == ["air_temperature_coarse"]


@pytest.mark.parametrize("state", ["cut", "gone"])
@pytest.mark.parametrize("output", ["out.zarr", "out.nc"])
def test_a_damaged_chunk_is_named_without_resume(model, stored, tmp_path, state, output):
    damaged = stored / "air_temperature_coarse" / "c" / "6" / "0"
    if state == "cut":
        damaged.write_bytes(damaged.read_bytes()[:40])
    else:
        damaged.unlink()
    told = CliRunner().invoke(main, ["--quiet", "downscale", str(stored), "-m", str(model), "-o", output])
    assert told.exit_code == 1
    (line,) = [line for line in told.stderr.splitlines() if not line.startswith("warning: ")]
    assert line.startswith("error: ")
    assert f"{stored}: air_temperature_coarse, chunk (6, 0), 2003-05-24 to 2003-08-31: " in line
    assert ("holds no value" in line) == (state == "gone")
    assert {path.name for path in tmp_path.iterdir()} == {"basin.zarr"}


@pytest.mark.parametrize("words", [[], ["--resume"]])
def test_a_damaged_attribute_is_named(model, stored, tmp_path, words):
    (stored / "slope_coarse" / "c" / "0").write_bytes(b"not a chunk")
    words = ["--quiet", "downscale", str(stored), "-m", str(model), "-o", "out.zarr", *words]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 1
    assert "slope_coarse, chunk (0,): " in told.stderr.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"basin.zarr"}


def test_a_variable_that_is_not_read_may_be_damaged(basin, model, stored, tmp_path):
    (stored / "true_temperature_coarse" / "c" / "6" / "0").write_bytes(b"not a chunk")
    told = CliRunner().invoke(
        main, ["--quiet", "downscale", str(stored), "-m", str(model), "-o", "out.zarr", "--resume"]
    )
    assert told.exit_code == 0, told.output
    np.testing.assert_array_equal(values(tmp_path / "out.zarr"), basin.msgl.downscale(model))


def test_a_finished_store_opens_without_warnings(basin, model, tmp_path):
    lazy = in_pieces(basin).msgl.downscale(model)
    write_in_pieces(lazy, tmp_path / "out.zarr", RUN, nothing)
    expected = lazy.compute()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_zarr(tmp_path / "out.zarr")
        np.testing.assert_array_equal(found.water_temperature, expected)
    about = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())
    assert set(about["consolidated_metadata"]["metadata"]) == {str(name) for name in found.variables}


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap"])
def test_the_plan_holds_the_memory_of_a_task(basin, method):
    settings = {"epochs": 1, "window": 200, "warmup": 60, "hidden": 12, "validation": None}
    model = basin.msgl.train(method, progress=False, **settings)
    large = xmsgl.datasets.simulated(n_coarse=60, years=2, seed=3).chunk(time=100)
    lazy = large.msgl.downscale(model)
    with dask.config.set(scheduler="synchronous"):
        task = lazy.data.blocks[2, 0]
        expected = task.compute()  # compiles what is compiled once
        tracemalloc.start()
        try:
            np.testing.assert_array_equal(task.compute(), expected)
            measured = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    planned = plan_of(in_pieces(large).msgl.downscale(model), in_pieces(large), model)
    assert measured <= planned["peak bytes of a task"] <= 4 * measured


def traced(key, graph):
    """Return the most bytes of Python's allocators while a task and what it needs are run."""
    with dask.config.set(scheduler="synchronous"):
        dask.get(graph, key)  # compiles what is compiled once
        tracemalloc.start()
        try:
            dask.get(graph, key)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_the_plan_of_a_cut_basin_counts_its_pieces_with_the_nodes_around_them():
    large = xmsgl.datasets.simulated(n_coarse=60, reaches_per_segment=4, years=2, seed=2)
    settings = {"epochs": 1, "window": 200, "warmup": 60, "hidden": 12, "validation": None}
    model = large.msgl.train("msgl", progress=False, **settings)
    ds = in_pieces(large.chunk(time=100))
    with xmsgl.set_options(largest_basin=60):
        lazy = ds.msgl.downscale(model)
        facts = plan_of(lazy, ds, model)
    graph = dict(lazy.data.__dask_graph__())
    tasks = [key for key in graph if str(key).startswith("xmsgl-downscale")]
    assert facts["groups of basins"] == 5  # of 240 reaches
    assert len(tasks) == facts["windows"] * facts["groups of basins"]
    second = sorted({int(key.split("-")[-1]) for key in tasks})[1]
    measured = max(traced(key, graph) for key in tasks if key.endswith(f"-{second}"))
    assert measured <= facts["peak bytes of a task"] <= 4 * measured


def test_the_plan_counts_what_is_computed(basin, model, stored):
    ds = in_pieces(xr.open_zarr(stored, consolidated=False, chunks={}))
    facts = plan_of(ds.msgl.downscale(model), ds, xmsgl.load_model(model))
    assert facts["days"] == 1096
    assert facts["windows"] == len(basin.chunk().msgl.downscale(model).chunks[0])
    assert facts["groups of basins"] == 1
    assert facts["bytes written"] == 4 * basin.msgl.downscale(model).size
    assert facts["bytes read"] == 7 * 1096 * 5 * 4
    assert facts["windows"] < facts["tasks"] < 150


def test_a_plan_writes_nothing(model, stored, tmp_path):
    told = command(stored, "-m", model, "-o", tmp_path / "out.zarr", "--plan", "--json")
    assert json.loads(told.stdout)["reaches"] > 20
    assert not list(tmp_path.glob("out*"))


def test_only_zarr_can_be_resumed(model, stored, tmp_path):
    refused = command(stored, "-m", model, "-o", tmp_path / "out.nc", "--resume")
    assert refused.returncode == 1
    assert ".zarr" in refused.stderr
