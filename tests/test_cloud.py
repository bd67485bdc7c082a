"""Datasets, models, checkpoints and results at URLs: a real S3 server on loopback, and fsspec's memory."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

pytest.importorskip("moto", reason="moto is the S3 server of these tests")
pytest.importorskip("s3fs")
pytest.importorskip("zarr")

import s3fs
from moto.server import ThreadedMotoServer

from tests.small import TWO_FEATURES, kills, report_kills
from xmsgl.cli.main import main
from xmsgl.errors import CheckpointError, DataUnavailableError, OutputError
from xmsgl.models.file.model import load_model
from xmsgl.training.train import train

SECRET = "fog-in-the-valley"


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://127.0.0.1:{port}" if host in ("0.0.0.0", "localhost") else f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """A bucket that fsspec finds by the environment alone, as users set it."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    if fs.exists("basin"):
        fs.rm("basin", recursive=True)
    fs.mkdir("basin")
    yield fs
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def model(river_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("cloud") / "m.safetensors"
    train(river_once, "remap", validation=None, **TWO_FEATURES).save(path)
    return path


def run(*words):
    return CliRunner().invoke(main, ["--quiet", *map(str, words)])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [False, True])
def test_zarr_in_and_out(bucket, river, model, version, consolidated):
    river.chunk(time=200).to_zarr("s3://basin/in.zarr", zarr_format=version, consolidated=consolidated)
    done = run("downscale", "s3://basin/in.zarr", "-m", model, "-o", "s3://basin/out.zarr")
    assert done.exit_code == 0, done.output
    with xr.open_zarr("s3://basin/out.zarr") as found:
        np.testing.assert_array_equal(found.water_temperature, river.msgl.downscale(model))
    left = {name.split("/")[1] for name in bucket.find("basin")}
    assert left == {"in.zarr", "out.zarr"}  # nothing half-written


def test_netcdf_in_and_out(bucket, river, model, tmp_path):
    river.to_netcdf(tmp_path / "in.nc")
    bucket.put(str(tmp_path / "in.nc"), "basin/in.nc")
    for dataset in ("s3://basin/in.nc", "simplecache::s3://basin/in.nc"):
        done = run("downscale", dataset, "-m", model, "-o", "s3://basin/out.nc")
        assert done.exit_code == 0, done.output
        bucket.get("basin/out.nc", str(tmp_path / "out.nc"))
        with xr.open_dataset(tmp_path / "out.nc") as found:
            np.testing.assert_array_equal(found.water_temperature, river.msgl.downscale(model))


def test_a_store_is_continued_and_extended(bucket, river, model):
    words = ["downscale", "s3://basin/in.zarr", "-m", model, "-o", "s3://basin/out.zarr", "--resume"]
    river.isel(time=slice(0, 700)).chunk(time=200).to_zarr("s3://basin/in.zarr")
    assert run(*words).exit_code == 0
    chunks = sorted(name for name in bucket.find("basin/out.zarr") if "/c/" in name)
    assert "0 chunks written" in run(*words).output
    river.chunk(time=200).to_zarr("s3://basin/in.zarr", mode="w")
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert set(chunks) <= set(bucket.find("basin/out.zarr"))
    with xr.open_zarr("s3://basin/out.zarr", consolidated=False) as found:
        np.testing.assert_array_equal(found.water_temperature, river.msgl.downscale(model))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_at_a_url_lose_and_double_nothing(bucket, river, model):
    """Killed when the next chunk has arrived at the server, then left to finish."""
    days = river.sizes["time"]
    river.chunk(time=min(200, days // (kills(1) + 3))).to_zarr("s3://basin/in.zarr")
    words = ["downscale", "s3://basin/in.zarr", "-m", str(model), "-o", "s3://basin/out.zarr", "--resume"]
    job = [sys.executable, "-c", "from xmsgl.cli.main import main; main()", "--quiet", *words]

    def chunks():
        bucket.invalidate_cache()
        found = bucket.find("basin/out.zarr.unfinished/water_temperature/c", detail=True)
        return {name: about["LastModified"] for name, about in found.items() if about["type"] == "file"}

    written = {}
    wanted = kills(1)
    for _ in range(wanted):
        running = subprocess.Popen(job, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while running.poll() is None and len(chunks()) <= len(written):
            time.sleep(0.001)
        running.kill()
        assert running.wait() == -signal.SIGKILL
        now = chunks()
        assert written.items() <= now.items()  # none is lost or written again
        assert len(now) > len(written)
        written = now
    report_kills("downscale at a URL", [True] * wanted)
    assert not bucket.exists("basin/out.zarr/zarr.json")
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert not bucket.exists("basin/out.zarr.unfinished")
    with xr.open_zarr("s3://basin/out.zarr", consolidated=False) as found:
        np.testing.assert_array_equal(found.water_temperature, river.msgl.downscale(model))


def test_models_and_checkpoints(bucket, river, model):
    trained = load_model(model)
    assert trained.save("s3://basin/m.safetensors") == "s3://basin/m.safetensors"
    again = load_model("s3://basin/m.safetensors", sha256=hashlib.sha256(model.read_bytes()).hexdigest())
    assert again.sha256 == trained.sha256
    with pytest.raises(CheckpointError, match="another sha256"):
        load_model("s3://basin/m.safetensors", sha256="0" * 64)
    settings = {**TWO_FEATURES, "validation": None}
    one = train(river, "remap", checkpoint="s3://basin/c.safetensors", **settings)
    two = train(river, "remap", resume="s3://basin/c.safetensors", **settings)
    assert one.sha256 == two.sha256
    assert bucket.exists("basin/c.safetensors")


def test_memory_needs_no_server(river, model):
    river.chunk(time=200).to_zarr("memory://cloud/in.zarr")
    done = run("downscale", "memory://cloud/in.zarr", "-m", model, "-o", "memory://cloud/out.zarr")
    assert done.exit_code == 0, done.output
    with xr.open_zarr("memory://cloud/out.zarr") as found:
        np.testing.assert_array_equal(found.water_temperature, river.msgl.downscale(model))


def test_a_write_that_fails_leaves_nothing(bucket, river, model, monkeypatch):
    """The server refuses after some chunks: no store that could be taken for a result."""
    river.chunk(time=200).to_zarr("s3://basin/in.zarr")
    put, count = s3fs.S3FileSystem._pipe_file, []

    async def refuse(self, path, *args, **options):
        count.append(path)
        if len(count) > 3:
            raise PermissionError(f"no more, {SECRET}")
        return await put(self, path, *args, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_pipe_file", refuse)
    done = run("downscale", "s3://basin/in.zarr", "-m", model, "-o", "s3://basin/out.zarr")
    assert done.exit_code == 1
    assert "error:" in done.output
    assert SECRET not in done.output
    assert not bucket.exists("basin/out.zarr/zarr.json")


@pytest.mark.parametrize(
    "words",
    [
        ("downscale", "s3://basin/none.zarr", "-o", "out.nc"),
        ("downscale", f"s3://someone:{SECRET}@basin/none.nc", "-o", "out.nc"),
        ("describe", "s3://no-such-bucket/model.safetensors"),
    ],
)
def test_what_is_not_there_is_one_line_without_secrets(bucket, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code in (1, 2, 3)
    assert "Traceback" not in done.output
    assert SECRET not in done.output


def test_a_server_that_does_not_answer(monkeypatch, model):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(OutputError, match=r"cannot write s3://basin/m\.safetensors"):
        load_model(model).save("s3://basin/m.safetensors")
    with pytest.raises(DataUnavailableError, match=r"s3://basin/m\.safetensors"):
        load_model("s3://basin/m.safetensors", sha256="0" * 64)
    s3fs.S3FileSystem.clear_instance_cache()
