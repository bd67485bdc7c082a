from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest

from tests.mirror import MIRROR
from xmsgl.util.options import set_options


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; the server counts requests, and answers badly if a test says how."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.server.asked.append(("GET", self.path))
        if self.server.failures:
            self.send_error(self.server.failures.pop(0))
        elif self.server.truncate:
            body = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
        elif self.server.answer is not None:
            self.server.answer(self)
        else:
            super().do_GET()

    def do_HEAD(self):
        self.server.asked.append(("HEAD", self.path))
        super().do_HEAD()

    def log_message(self, *args):
        pass


@contextmanager
def serving(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.asked, server.failures, server.truncate, server.answer = [], [], False, None
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def serve():
    """Context manager that serves a folder over HTTP on loopback."""
    return serving


@pytest.fixture(scope="session")
def beside_mirror():
    """Path of what lies beside the mirror: its list of files, and tables to compare with."""

    def find(name):
        path = MIRROR.parent / name
        if not path.is_file():
            pytest.skip(f"there is no {path}, only the mirror")
        return path

    return find


@pytest.fixture(scope="session")
def delaware_cache(shared_folder):
    """Cache folder of the run, filled over real HTTP from the mirror by the worker that needs it first."""
    from xmsgl.datasets.download import fetch

    folder = shared_folder("cache")
    with serving(MIRROR) as server, set_options(data_mirror=server.url, progress=False):
        for name in ("delaware", "delaware-reference"):
            fetch(name, cache_dir=folder, retries=0)
        assert len(server.asked) <= 21  # those that no other worker fetched before
    return folder


@pytest.fixture(scope="session")
def files(delaware_cache):
    """Path of every file by short name."""
    from xmsgl.datasets.registry import registry

    return {key: delaware_cache / "downloads" / file.path for key, file in registry().items()}


@pytest.fixture(scope="session")
def segments(files):
    from xmsgl.datasets.delaware_basin.segments import read_segments

    return read_segments(files)


@pytest.fixture(scope="session")
def flowlines(files):
    from xmsgl.datasets.delaware_basin.reaches import read_flowlines

    return read_flowlines(files["reaches"])


@pytest.fixture(scope="session")
def crosswalk(files):
    from xmsgl.datasets.delaware_basin.reaches import read_crosswalk

    return read_crosswalk(files["crosswalk"])


@pytest.fixture(scope="session")
def main_stem(flowlines, crosswalk):
    from xmsgl.datasets.delaware_basin.reaches import select_reaches

    return select_reaches(flowlines, crosswalk, "mainstem")


@pytest.fixture(scope="session")
def observations(files):
    from xmsgl.datasets.delaware_basin.labels import read_observations

    return read_observations(files["observations"])


@pytest.fixture(scope="session")
def hru(files, segments):
    from xmsgl.datasets.delaware_basin.forcing import read_hru_forcing

    return read_hru_forcing(files, segments.table)


@pytest.fixture(scope="session")
def observed(delaware_cache):
    """The dataset of 1979-80 as users get it."""
    from xmsgl.datasets import delaware

    with set_options(progress=False):
        return delaware(forcing="observed", cache_dir=delaware_cache)


@pytest.fixture
def fetching():
    """The module, not the function of the same name."""
    return import_module("xmsgl.datasets.download")


@pytest.fixture
def small_file(tmp_path):
    """A published file of ten bytes: its entry and the folder of a mirror that holds it."""
    from xmsgl.datasets.registry import RemoteFile

    content = b"0123456789"
    path = "OWNER/REPO/0123abc/data/small.bin"
    target = tmp_path / "mirror" / path
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
    return RemoteFile("small", hashlib.sha256(content).hexdigest(), 10, path), tmp_path / "mirror"


@pytest.fixture
def small_dataset(small_file, fetching, monkeypatch, tmp_path):
    """Let ``fetch("small")`` mean the small file, and the published address a closed port."""
    file, mirror = small_file
    monkeypatch.setattr(fetching, "dataset_files", lambda name: (file,))
    monkeypatch.setattr(import_module("xmsgl.datasets.registry"), "BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(fetching, "BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(fetching.time, "sleep", lambda seconds: None)
    for name in ("XMSGL_DATA_DIR", "XMSGL_DATA_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    return file, mirror, tmp_path / "cache"
