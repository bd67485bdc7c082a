"""Faults of what surrounds the cache: other processes, rights, room on the disk, the clock."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zarr")

from tests.datasets.test_cached import BUILT, SMALL, small
from tests.datasets.test_cached import folder as folder
from tests.datasets.test_download import KILLED as FETCHER
from tests.datasets.test_download import left
from tests.small import kills, report_kills
from xmsgl.datasets.cached import store_path
from xmsgl.datasets.download import fetch
from xmsgl.datasets.store import is_whole, open_store
from xmsgl.errors import OutputError
from xmsgl.util.options import set_options

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_two_processes_download_one_file(small_dataset, serve):
    """The server answers neither before both have asked."""
    file, mirror, cache = small_dataset
    both = threading.Barrier(2, timeout=120)

    def answer(handler):
        both.wait()
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"0123456789")

    with serve(mirror) as server:
        server.answer = answer
        values = {**ENVIRONMENT, "XMSGL_DATA_MIRROR": server.url}
        words = [sys.executable, "-c", FETCHER, repr(file), str(cache)]
        pair = [subprocess.Popen(words, env=values) for _ in range(2)]
        assert [each.wait() for each in pair] == [0, 0]
        assert len(server.asked) == 2
    target = cache / "downloads" / file.path
    assert target.read_bytes() == b"0123456789"
    assert left(cache, target) == []


# Builds a store and fetches a file, takes the right to write away, and opens, fetches and builds again.
READER = """
import dataclasses, json, os, sys
from pathlib import Path
from types import SimpleNamespace
import pytest
from tests.datasets import test_cached as made
from xmsgl.datasets import cached, download
from xmsgl.datasets.registry import RemoteFile
from xmsgl.errors import XMSGLError
cache, file = Path(sys.argv[1]), eval(sys.argv[2])
cached.import_module = lambda name: SimpleNamespace(build=made.build)
cached.fetch, cached.dataset_files = (lambda name, cache_dir: {}), (lambda name: ())
download.dataset_files = lambda name: (file,)
total = float(made.small(cache).x_coarse.sum())
download.fetch("small", cache_dir=cache, progress=False)
for path in [cache, *cache.rglob("*")]:
    path.chmod(0o555 if path.is_dir() else 0o444)
if os.geteuid() == 0:  # whom rights do not bind
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    (cache / "probe").write_text("")
    sys.exit("the cache can be written")
except PermissionError:
    pass
made.BUILT.clear()
said = {}
again = float(made.small(cache).x_coarse.sum())
found = download.fetch("small", cache_dir=cache, progress=False)["small"]
said["opened"] = again == total and not made.BUILT and found.read_bytes() == b"0123456789"
made.SMALL = dataclasses.replace(made.SMALL, name="other")
file = dataclasses.replace(file, path="none/" + file.path)
for key, call in (
    ("build", lambda: made.small(cache)),
    ("fetch", lambda: download.fetch("small", cache_dir=cache, progress=False)),
):
    try:
        call()
    except XMSGLError as error:
        said[key] = [type(error).__name__, str(error)]
said["built"] = len(made.BUILT)
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_a_cache_that_is_only_read(small_dataset):
    file, mirror, _ = small_dataset
    with tempfile.TemporaryDirectory() as place:  # tmp_path is closed to other users
        Path(place).chmod(0o755)
        cache = Path(place) / "cache"
        words = [sys.executable, "-c", READER, str(cache), repr(file)]
        values = {**ENVIRONMENT, "XMSGL_DATA_MIRROR": str(mirror)}
        done = subprocess.run(words, env=values, capture_output=True, text=True, check=False)
        for path in [cache, *cache.rglob("*")]:
            path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["opened"]
    assert said["built"] == 0
    for key, where in (("build", "built"), ("fetch", "downloads")):
        kind, message = said[key]
        assert kind == "OutputError"
        assert str(cache / where) in message
        assert message.endswith("set XMSGL_DATA_DIR to another cache folder")


def test_a_disk_that_fills_while_a_dataset_is_built(folder):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # bytes
    try:
        with pytest.raises(OutputError, match="make room, or set XMSGL_DATA_DIR") as caught:
            small(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"cannot write {store_path(SMALL, folder, {})}: File too large" in str(caught.value)
    assert not store_path(SMALL, folder, {}).exists()
    assert np.isfinite(small(folder).x_coarse).all()
    # A thread of Zarr may write on after the error; the next build removes what it left.
    assert list((folder / "built").iterdir()) == [store_path(SMALL, folder, {})]


# Builds the small dataset in blocks that take their time.
BUILDER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from tests.datasets import test_cached as made
from xmsgl.datasets import cached
def build(files, report):
    ds = made.build(files, report)
    slow = lambda block: time.sleep(0.05) or block
    data = ds.x_coarse.data.rechunk((100, 3)).map_blocks(slow, dtype=float)
    return ds.assign(x_coarse=ds.x_coarse.copy(data=data))
cached.import_module = lambda name: SimpleNamespace(build=build)
cached.fetch, cached.dataset_files = (lambda name, cache_dir: {}), (lambda name: ())
made.small(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_leave_no_half_a_dataset(folder, tmp_path):
    """Killed at random moments of building, then left to finish."""
    store, rng = store_path(SMALL, folder, {}), random.Random(3)
    job = [sys.executable, "-c", BUILDER, str(folder)]
    files = len([path for path in store_of(tmp_path / "whole").rglob("*") if path.is_file()])
    killed, wanted = [], kills(2)
    while sum(killed) < wanted and len(killed) < 5 * wanted:
        enough = rng.randrange(1, files)
        running = subprocess.Popen(job, env=ENVIRONMENT)
        while running.poll() is None and len(list(folder.glob("built/.xmsgl-*/new/*/**/*"))) < enough:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))
        running.kill()
        killed.append(running.wait() == -signal.SIGKILL)
        if store.exists():  # finished: begin another one
            assert is_whole(store)
            shutil.rmtree(store)
    assert sum(killed) == wanted
    report_kills("build", killed)
    subprocess.run(job, env=ENVIRONMENT, check=True)
    expected = open_store(store_of(tmp_path / "whole"))
    np.testing.assert_array_equal(open_store(store).x_coarse, expected.x_coarse)
    assert [path.name for path in store.parent.iterdir()] == [store.name]


def store_of(cache):
    small(cache)
    return store_path(SMALL, cache, {})


# ------------------------------------------------------------------------ the clock


@pytest.fixture
def backwards(monkeypatch):
    """Each look at the clock gives an hour less than the one before."""
    hours, now = itertools.count(), time.time()
    monkeypatch.setattr("time.time", lambda: now - 3600 * next(hours))


def age(cache, seconds):
    for path in cache.rglob("*"):
        os.utime(path, (time.time() + seconds,) * 2)


@pytest.mark.parametrize("seconds", [10**8, -(10**8)], ids=["future", "past"])
def test_the_age_of_files_in_the_cache_means_nothing(folder, small_dataset, serve, seconds):
    _, mirror, cache = small_dataset
    before = small(folder).load()
    with serve(mirror) as server, set_options(data_mirror=server.url):
        target = fetch("small", cache_dir=cache)["small"]
        for place in (folder, cache):
            age(place, seconds)
        small(folder)
        fetch("small", cache_dir=cache)
        assert (len(BUILT), len(server.asked)) == (1, 1)  # nothing anew
        store = store_path(SMALL, folder, {})
        sorted((store / "x_coarse").glob("[0-9]*"))[0].unlink()
        target.write_bytes(b"012345678_")
        for place in (folder, cache):
            age(place, seconds)
        np.testing.assert_array_equal(small(folder).x_coarse, before.x_coarse)
        assert fetch("small", cache_dir=cache)["small"].read_bytes() == b"0123456789"
        assert (len(BUILT), len(server.asked)) == (2, 2)  # damaged, whatever their age


def test_a_clock_that_goes_back_delays_no_download_and_no_build(folder, small_dataset, serve, backwards):
    _, mirror, cache = small_dataset
    with serve(mirror) as server, set_options(data_mirror=server.url):
        server.failures = [503]
        assert fetch("small", cache_dir=cache)["small"].read_bytes() == b"0123456789"
        assert fetch("small", cache_dir=cache)["small"].is_file()
        assert len(server.asked) == 2
    first = small(folder).load()
    np.testing.assert_array_equal(small(folder).x_coarse, first.x_coarse)
    assert len(BUILT) == 1
    (folder / "built" / ".xmsgl-0.part" / "new").mkdir(parents=True)  # left by a killed process
    age(folder, 10**8)
    sizes = store_path(SMALL, folder, {}) / "sizes.json"
    sizes.unlink()
    small(folder)
    assert len(BUILT) == 2
    assert [path.name for path in (folder / "built").iterdir()] == [sizes.parent.name]
