"""Models from a server on this machine and from fsspec's memory."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

import xmsgl
from xmsgl.errors import CheckpointError, DataUnavailableError, InvalidArgumentError
from xmsgl.models.file.packaged import packaged_bytes
from xmsgl.models.file.remote import fetch_model

NAME = "delaware-ungauged"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.seen.append(self.path)


@pytest.fixture
def payload():
    return packaged_bytes(NAME)


@pytest.fixture
def digest(payload):
    return hashlib.sha256(payload).hexdigest()


@pytest.fixture
def server(tmp_path, payload):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "river.safetensors").write_bytes(payload)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")) as running:
        running.seen = []
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XMSGL_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_a_model_is_fetched_once(server, digest, cache):
    url = f"http://127.0.0.1:{server.server_port}/river.safetensors"
    for _ in range(2):
        assert xmsgl.load_model(url, sha256=digest.upper()).sha256 == digest
    assert server.seen == ["/river.safetensors"]
    assert [path.name for path in cache.iterdir()] == [f"{digest}.safetensors"]


def test_other_schemes_are_those_of_fsspec(payload, digest):
    with fsspec.open("memory://models/river.safetensors", "wb") as file:
        file.write(payload)
    assert xmsgl.load_model("memory://models/river.safetensors", sha256=digest).sha256 == digest


def test_another_file_is_refused_and_not_kept(server, cache, digest):
    url = f"http://user:secret@127.0.0.1:{server.server_port}/river.safetensors?key=hidden"
    with pytest.raises(CheckpointError, match="another sha256") as caught:
        fetch_model(url, "0" * 64)
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert not list(cache.glob("*"))


def test_an_address_that_fails_is_shown_without_secrets(server, digest, caplog, capsys):
    url = f"http://user:secret@127.0.0.1:{server.server_port}/none.safetensors?key=hidden"
    with pytest.raises(DataUnavailableError, match=r"cannot fetch http://\.\.\.@127.* HTTPError") as caught:
        xmsgl.load_model(url, sha256=digest)
    told = str(caught.value) + caplog.text + "".join(capsys.readouterr())
    assert "secret" not in told
    assert "hidden" not in told


def test_a_digest_is_needed_and_checked(digest, tmp_path, payload):
    with pytest.raises(InvalidArgumentError, match="sha256="):
        xmsgl.load_model("https://example.org/river.safetensors")
    with pytest.raises(InvalidArgumentError, match="64 hexadecimal"):
        xmsgl.load_model("https://example.org/river.safetensors", sha256="abc")
    assert xmsgl.load_model(NAME, sha256=digest).sha256 == digest
    local = tmp_path / "river.safetensors"
    local.write_bytes(payload)
    for model in (NAME, local):
        with pytest.raises(CheckpointError, match="has the sha256"):
            xmsgl.load_model(model, sha256="0" * 64)
