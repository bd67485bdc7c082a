"""Predictions and benchmarks on the workers of a Dask cluster: always against those without one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import dask
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

pytest.importorskip("distributed")
pytest.importorskip("zarr")
pytest.importorskip("pyarrow")

import distributed
from distributed.protocol.pickle import dumps

import xmsgl
from tests.small import TWO_FEATURES, same
from xmsgl.benchmark import make_plan, runner
from xmsgl.benchmark.store import Store
from xmsgl.cli.main import main
from xmsgl.errors import ExtrapolationWarning, InvalidArgumentError, ProcessError
from xmsgl.training import members
from xmsgl.training.train import train
from xmsgl.util.cluster import connected, is_connected

pytestmark = pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")

BASIN = {"n_coarse": 3, "reaches_per_segment": 2, "years": 3}
CHOSEN = {"fractions": [0.1], "methods": ["climatology", "fine-only"], "seeds": 1, "data": BASIN}
SETTINGS = {"epochs": 1, "hidden": 4, "window": 60, "warmup": 10}


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, whose folder is not that of the tests."""
    before = dict(os.environ)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as running:
        # distributed sets numbers of threads for its workers in this process, too, and leaves them.
        os.environ.clear()
        os.environ.update(before)
        yield running.scheduler_address


@pytest.fixture(scope="module")
def model(river_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "m.safetensors"
    train(river_once, "remap", validation=None, **TWO_FEATURES).save(path)
    return path


@pytest.fixture
def stored(river, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    river.chunk(time=200).to_zarr("in.zarr", consolidated=False)
    return "in.zarr"


def run(*words):
    return CliRunner().invoke(main, ["--quiet", *map(str, words)])


def test_a_lazy_prediction_is_that_in_memory(cluster, river, model):
    expected = river.msgl.downscale(model)
    with connected(cluster) as client:
        assert is_connected()
        lazy = river.chunk(time=200).msgl.downscale(model)
        np.testing.assert_allclose(lazy.compute(), expected, atol=1e-5, rtol=0)
        assert {os.getpid()}.isdisjoint(client.run(os.getpid).values())
    assert not is_connected()


@pytest.mark.parametrize("words", [["out.zarr"], ["out.nc"], ["out.zarr", "--resume"]])
def test_downscale_on_a_cluster(cluster, river, model, stored, words):
    done = run("downscale", stored, "-m", model, "-o", *words, "--scheduler", cluster)
    assert done.exit_code == 0, done.output
    assert not is_connected()
    engine = "zarr" if words[0].endswith(".zarr") else "netcdf4"
    with xr.open_dataset(words[0], engine=engine) as found:
        np.testing.assert_array_equal(found.water_temperature, river.msgl.downscale(model))


@pytest.mark.filterwarnings("always::xmsgl.errors.ExtrapolationWarning")
@pytest.mark.parametrize("lazy", [True, False])
def test_messages_of_workers_reach_the_caller(cluster, river, model, tmp_path, monkeypatch, lazy):
    monkeypatch.chdir(tmp_path)
    cold = river.assign(air_temperature_coarse=xr.full_like(river.air_temperature_coarse, -79)).chunk(
        time=200
    )
    cold.to_zarr("cold.zarr", consolidated=False)
    if lazy:
        with connected(cluster), pytest.warns(ExtrapolationWarning, match="air_temperature"):
            cold.msgl.downscale(model).compute()
    else:
        words = ["downscale", "cold.zarr", "-m", str(model), "-o", "o.nc", "--scheduler", cluster]
        command = [sys.executable, "-m", "xmsgl", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "warning: values far outside the training data" in done.stderr


def test_the_tasks_are_run_by_the_workers(cluster, model, stored):
    def keys(dask_scheduler):
        return [str(key) for key in dask_scheduler.task_prefixes]

    assert run("downscale", stored, "-m", model, "-o", "out.zarr", "--scheduler", cluster).exit_code == 0
    with connected(cluster) as client:
        assert "xmsgl-model" in client.run_on_scheduler(keys)


def test_the_model_travels_once(river, model):
    payload = xmsgl.load_model(model).payload
    lazy = river.chunk(time=50).msgl.downscale(model)
    graph = dict(dask.optimize(lazy.data)[0].__dask_graph__())
    holding = [key for key, task in graph.items() if payload[-200:] in dumps(task)]
    assert len(holding) == 1
    assert str(holding[0]).startswith("xmsgl-model")


ENSEMBLE = {**TWO_FEATURES, "epochs": 2, "ensemble": 3}


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("fine-only", {"ensemble": 2}),
        ("remap", {"validation": "segments:0.4", "refit": True}),
        ("trees", {"ensemble": 2, "iterations": 3}),
    ],
    ids=["ensemble", "refit", "trees"],
)
def test_members_are_those_of_one_process(cluster, river, method, settings, monkeypatch):
    settings = {**(TWO_FEATURES if method != "trees" else {"progress": False}), **settings}
    expected, seen = train(river, method, **settings), []
    monkeypatch.setattr(members, "fit", None)  # which trains in this process
    with connected(cluster):
        found = train(river, method, observers=[seen.append], **settings)
    assert same(found, expected)
    assert [each.member for each in seen] == [0, 1]


def test_finished_members_are_not_trained_again(cluster, river, tmp_path):
    def stop(standing):
        if standing.member == 2:
            raise KeyboardInterrupt

    path = tmp_path / "half.safetensors"
    expected, seen = train(river, "fine-only", **ENSEMBLE, seed=4), []
    with connected(cluster):
        with pytest.raises(KeyboardInterrupt):
            train(river, "fine-only", **ENSEMBLE, seed=4, checkpoint=path, observers=[stop])
        again = {**ENSEMBLE, "seed": 4, "resume": path, "checkpoint": path, "observers": [seen.append]}
        assert same(train(river, "fine-only", **again), expected)
    assert {each.member for each in seen} == {1, 2}  # the second was done, but not yet kept as such


def test_a_killed_worker_is_replaced(river):
    """Its workers have two threads, which take turns: random numbers are those of a process."""
    before = dict(os.environ)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=":0", silence_logs=50
    ) as own:
        os.environ.clear()
        os.environ.update(before)
        with connected(own.scheduler_address) as client:
            killed = next(iter(client.run(os.getpid).values()))
            threading.Timer(1.0, os.kill, (killed, signal.SIGKILL)).start()
            settings = {**ENSEMBLE, "epochs": 40, "recurrent_dropout": 0.3}
            found = train(river, "fine-only", **settings)
            assert killed not in client.run(os.getpid).values()
    assert same(found, train(river, "fine-only", **settings))


def test_drivers_on_disk_cannot_be_sent(cluster, stored):
    ds = xr.open_zarr(stored, consolidated=False)
    with (
        connected(cluster),
        xmsgl.set_options(training_memory=1000),
        pytest.raises(InvalidArgumentError, match="give a larger training_memory"),
    ):
        train(ds, "fine-only", **ENSEMBLE)


def test_a_scheduler_without_workers_is_told(caplog, monkeypatch):
    monkeypatch.setattr("xmsgl.util.cluster._PATIENCE", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty,
        connected(empty.scheduler_address),
    ):
        pass
    assert "has no workers" in caplog.text
    assert f"start one with `dask worker {empty.scheduler_address}`" in caplog.text


def test_the_command_trains_members_on_a_cluster(cluster, river, stored):
    words = ["train", stored, "--method", "fine-only", "--epochs", 2, "--ensemble", 2, "--set", "hidden=4"]
    for name, more in (("here", []), ("there", ["--scheduler", cluster])):
        done = run(*words, "-o", f"{name}.safetensors", *more)
        assert done.exit_code == 0, done.output
    assert same(xmsgl.load_model("here.safetensors"), xmsgl.load_model("there.safetensors"))


def test_scores_on_a_cluster(cluster, river, model, stored):
    assert run("downscale", stored, "-m", model, "-o", "out.zarr").exit_code == 0
    words = ["evaluate", stored, "-p", "out.zarr", "--json"]
    there = run(*words, "--scheduler", cluster)
    assert there.exit_code == 0, there.output
    assert there.output == run(*words).output
    assert run("validate", stored, "--scheduler", cluster).exit_code == run("validate", stored).exit_code


def test_a_damaged_chunk_is_named_by_a_cluster(cluster, model, stored, tmp_path):
    (tmp_path / stored / "air_temperature_coarse" / "c" / "1" / "0").write_bytes(b"not a chunk")
    told = run("downscale", stored, "-m", model, "-o", "out.zarr", "--scheduler", cluster)
    assert told.exit_code == 1
    assert "air_temperature_coarse, chunk (1, 0)" in told.stderr.splitlines()[-1]
    assert not (tmp_path / "out.zarr").exists()


def test_a_benchmark_on_a_cluster_has_the_same_scores(cluster, tmp_path, monkeypatch):
    """Each run is executed by a worker, which writes into the folder of the benchmark."""
    monkeypatch.chdir(tmp_path)
    here = xmsgl.benchmark.run("simulated", out="here", settings=SETTINGS, figures=False, **CHOSEN)
    there = xmsgl.benchmark.run(
        "simulated", out="there", settings=SETTINGS, figures=False, scheduler=cluster, **CHOSEN
    )
    took = ["wall_s", "cpu_s", "epoch_seconds"]
    xr.testing.assert_identical(
        here.drop(columns=took, errors="ignore").to_xarray(),
        there.drop(columns=took, errors="ignore").to_xarray(),
    )
    digests = [
        [record.get("sha256") for record in Store(tmp_path / name).records()] for name in ("here", "there")
    ]
    assert digests[0] == digests[1]
    assert sum(each is not None for each in digests[0]) == 1
    assert not (tmp_path / "there" / "failed").exists()


def test_a_run_that_the_cluster_gives_up_fails_alone(cluster, tmp_path, monkeypatch):
    plan = make_plan("simulated", settings=SETTINGS, **CHOSEN | {"methods": ["climatology"], "seeds": 2})
    monkeypatch.setattr(runner, "_task", gives_up(plan[0].id))
    store = Store(tmp_path / "out")
    store.make()
    assert runner.do_runs(plan, store, scheduler=cluster) == [plan[0].id]
    assert {each.id for each in plan if store.is_finished(each.id)} == {each.id for each in plan[1:]}
    (failure,) = store.failures()
    assert "its worker did not end it: lost" in failure["error"]


def gives_up(name):
    def task(run, store, device):
        if run.id == name:
            raise RuntimeError("lost")
        runner._attempt(run, store, device)

    return task


def test_a_cluster_and_processes_are_one_too_many(tmp_path):
    with pytest.raises(InvalidArgumentError, match="jobs=2"):
        xmsgl.benchmark.run("simulated", out=tmp_path, jobs=2, scheduler="tcp://127.0.0.1:9", **CHOSEN)


@pytest.mark.parametrize("address", ["nowhere", "ftp://127.0.0.1:9", "", "tcp://no-such-host.invalid:8786"])
def test_a_wrong_address_is_refused(address):
    before = dict(dask.config.config)
    with pytest.raises(ProcessError, match="no Dask scheduler answers"), connected(address):
        pass
    assert dask.config.get("scheduler", None) == before.get("scheduler")
    assert not is_connected()


def test_a_scheduler_that_does_not_answer_is_one_line(model, stored, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    words = ["downscale", stored, "-m", str(model), "-o", "out.zarr", "--scheduler", address]
    told = subprocess.run(
        [sys.executable, "-c", "from xmsgl.cli.main import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert line.startswith("error: no Dask scheduler answers")
    assert {path.name for path in tmp_path.iterdir()} == {"in.zarr"}
