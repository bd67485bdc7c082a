from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from tqdm import tqdm

from xmsgl.datasets.download import addresses, availability, cache_folder, fetch, mirror_root
from xmsgl.datasets.registry import registry
from xmsgl.errors import DataUnavailableError, InvalidArgumentError, OutputError
from xmsgl.util.options import set_options


def kept(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def _silent():
    with set_options(progress=False):
        yield


class TestDecision:
    """Where to look, decided without asking anybody."""

    def test_published_address_alone(self):
        file = registry()["tmax"]
        assert addresses(file) == (file.url,)

    @pytest.mark.parametrize("root", ["http://host/files", "http://host/files/"], ids=["plain", "slash"])
    def test_mirror_first(self, root):
        file = registry()["tmax"]
        assert addresses(file, root) == (f"http://host/files/{file.path}", file.url)

    def test_folder_first(self, tmp_path):
        file = registry()["tmax"]
        assert addresses(file, str(tmp_path))[0] == os.fspath(tmp_path / file.path)

    def test_cache_folder_precedence(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XMSGL_DATA_DIR", str(tmp_path / "variable"))
        assert cache_folder() == tmp_path / "variable"
        with set_options(data_dir=tmp_path / "option"):
            assert cache_folder() == tmp_path / "option"
            assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
        monkeypatch.delenv("XMSGL_DATA_DIR")
        assert cache_folder().name == "xmsgl"

    def test_mirror_precedence(self, monkeypatch):
        monkeypatch.delenv("XMSGL_DATA_MIRROR", raising=False)
        assert mirror_root() is None
        monkeypatch.setenv("XMSGL_DATA_MIRROR", "http://variable")
        assert mirror_root() == "http://variable"
        with set_options(data_mirror="http://option"):
            assert mirror_root() == "http://option"


class TestFetch:
    def test_from_a_mirror_over_http_then_from_the_cache(self, small_dataset, serve):
        file, mirror, cache = small_dataset
        with serve(mirror) as server, set_options(data_mirror=server.url):
            path = fetch("small", cache_dir=cache)["small"]
            assert path.read_bytes() == b"0123456789"
            assert fetch("small", cache_dir=cache)["small"] == path
            assert server.asked == [("GET", f"/{file.path}")]
        assert kept(cache) == [path]

    @pytest.mark.parametrize("way", ["http", "folder", "cache"])
    def test_the_bar_counts_bytes(self, small_dataset, serve, monkeypatch, way):
        file, mirror, cache = small_dataset
        bars = []

        class Bar(tqdm):
            def close(self):
                if not self.disable:
                    bars.append((self.n, self.total))
                super().close()

        monkeypatch.setattr("tqdm.auto.tqdm", Bar)
        with serve(mirror) as server:
            server.failures[:] = [503]  # asked again
            with set_options(data_mirror=server.url if way == "http" else mirror):
                if way == "cache":
                    fetch("small", cache_dir=cache, progress=False)
                    assert bars == []
                fetch("small", cache_dir=cache, progress=True)
        assert bars == [(file.size, file.size)]

    def test_from_a_folder_named_by_the_variable(self, small_dataset, monkeypatch):
        _, mirror, cache = small_dataset
        monkeypatch.setenv("XMSGL_DATA_MIRROR", str(mirror))
        monkeypatch.setenv("XMSGL_DATA_DIR", str(cache))
        assert fetch("small")["small"].is_relative_to(cache)

    def test_published_address_when_the_mirror_lacks_the_file(
        self, small_dataset, serve, fetching, monkeypatch, tmp_path
    ):
        _, mirror, cache = small_dataset
        (tmp_path / "empty").mkdir()
        with serve(mirror) as published, serve(tmp_path / "empty") as bare:
            monkeypatch.setattr("xmsgl.datasets.registry.BASE_URL", published.url + "/")
            monkeypatch.setattr(fetching, "BASE_URL", published.url + "/")
            with set_options(data_mirror=bare.url):
                assert fetch("small", cache_dir=cache)["small"].is_file()
            assert len(bare.asked) == 1, "a file that is not there is asked for once"
            assert len(published.asked) == 1

    def test_wrong_hash_is_refused_and_nothing_kept(self, small_dataset, serve):
        file, mirror, cache = small_dataset
        (mirror / file.path).write_bytes(b"9876543210")
        with serve(mirror) as server, set_options(data_mirror=server.url):
            with pytest.raises(DataUnavailableError, match="wrong sha256") as caught:
                fetch("small", cache_dir=cache)
            assert server.url in str(caught.value)
            assert file.sha256 in str(caught.value)
            assert "XMSGL_DATA_MIRROR" in str(caught.value)
        assert kept(cache) == []

    def test_retries_after_server_errors(self, small_dataset, serve):
        _, mirror, cache = small_dataset
        with serve(mirror) as server, set_options(data_mirror=server.url):
            server.failures = [503, 500]
            assert fetch("small", cache_dir=cache, retries=2)["small"].is_file()
            assert len(server.asked) == 3

    def test_gives_up_after_the_last_retry(self, small_dataset, serve):
        _, mirror, cache = small_dataset
        with serve(mirror) as server, set_options(data_mirror=server.url):
            server.failures = [503, 500]
            with pytest.raises(DataUnavailableError, match="HTTP status 500"):
                fetch("small", cache_dir=cache, retries=1)

    def test_interrupted_download_leaves_nothing(self, small_dataset, serve):
        _, mirror, cache = small_dataset
        with serve(mirror) as server, set_options(data_mirror=server.url):
            server.truncate = True
            with pytest.raises(DataUnavailableError):
                fetch("small", cache_dir=cache, retries=0)
        assert kept(cache) == []

    def test_damaged_file_in_the_cache_is_replaced(self, small_dataset):
        file, mirror, cache = small_dataset
        damaged = cache / "downloads" / file.path
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(b"012345678_")
        with set_options(data_mirror=mirror):
            assert fetch("small", cache_dir=cache)["small"].read_bytes() == b"0123456789"

    def test_message_names_addresses_folder_and_variables(self, small_dataset, tmp_path):
        file, _, cache = small_dataset
        with (
            set_options(data_mirror=tmp_path / "nowhere"),
            pytest.raises(DataUnavailableError) as caught,
        ):
            fetch("small", cache_dir=cache, retries=0)
        message = str(caught.value)
        for part in (
            str(tmp_path / "nowhere" / file.path),
            f"http://127.0.0.1:9/{file.path}",
            str(cache),
            "XMSGL_DATA_MIRROR",
            "XMSGL_DATA_DIR",
            "small.bin",
        ):
            assert part in message
        assert isinstance(caught.value, OSError)

    @pytest.mark.parametrize("drawn", [True, False], ids=["progress", "silent"])
    def test_progress(self, small_dataset, capsys, drawn):
        _, mirror, cache = small_dataset
        with set_options(data_mirror=mirror, progress=drawn):
            fetch("small", cache_dir=cache)
        out, err = capsys.readouterr()
        assert out == ""
        assert ("files of small" in err) is drawn


def endless(handler):
    """A body that never ends, as some servers send for a missing length."""
    handler.send_response(200)
    handler.end_headers()
    send(handler, b"0" * 2**16, times=2000)


def bomb(handler):
    """100 MB of zeros in 100 kB."""
    body = gzip.compress(bytes(10**8))
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    send(handler, body)


def send(handler, block, times=1):
    with suppress(OSError):
        for _ in range(times):
            handler.server.sent += len(block)
            handler.wfile.write(block)


class TestHostile:
    """Servers, mirrors and caches that are not what they should be."""

    @pytest.mark.parametrize("answer", [endless, bomb])
    def test_a_body_is_read_up_to_the_registered_size(self, small_dataset, serve, fetching, answer):
        _, mirror, cache = small_dataset
        with serve(mirror) as server, set_options(data_mirror=server.url):
            server.answer, server.sent = answer, 0
            with pytest.raises(DataUnavailableError, match="longer than the registered 10 bytes"):
                fetch("small", cache_dir=cache)
            assert len(server.asked) == 1
            assert server.sent < 2**25, "what the sockets buffer, not all of it"
        assert left(cache) == []

    @pytest.mark.parametrize("part", ["head", "body"])
    def test_a_server_that_is_slow_for_ever_is_left(self, small_dataset, serve, fetching, monkeypatch, part):
        monkeypatch.setattr(fetching, "_PATIENCE", 0.5)
        _, mirror, cache = small_dataset
        over = threading.Event()

        def trickle(handler):
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if part == "body" else b""))
            with suppress(OSError):
                for _ in range(9):
                    handler.wfile.write(b"0" if part == "body" else b"X-A: 1\r\n")
                    handler.wfile.flush()
                    over.wait(0.2)

        with serve(mirror) as server, set_options(data_mirror=server.url):
            server.answer = trickle
            with pytest.raises(DataUnavailableError, match=r"not complete after 1 s|not complete after 0 s"):
                fetch("small", cache_dir=cache)
            over.set()
        assert left(cache) == []

    @pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "device", "file"])
    def test_the_published_address_is_tried_after_a_strange_mirror(
        self, small_dataset, serve, fetching, monkeypatch, tmp_path, kind
    ):
        file, mirror, cache = small_dataset
        odd = tmp_path / "odd"
        place = odd / file.path
        if kind == "file":
            odd.write_text("not a folder")
        else:
            place.parent.mkdir(parents=True)
            if kind == "folder":
                place.mkdir()
            elif kind == "pipe":
                os.mkfifo(place)
            else:
                place.symlink_to("/dev/zero" if kind == "device" else place)
        with serve(mirror) as published, set_options(data_mirror=odd):
            monkeypatch.setattr(fetching, "BASE_URL", published.url + "/")
            assert fetching._probe(str(place), 10) is not None
            assert fetch("small", cache_dir=cache)["small"].read_bytes() == b"0123456789"
        monkeypatch.setattr(fetching, "BASE_URL", "http://127.0.0.1:9/")
        (cache / "downloads" / file.path).unlink()
        reason = "no such file" if kind == "file" else "not a regular file"
        with set_options(data_mirror=odd), pytest.raises(DataUnavailableError, match=reason):
            fetch("small", cache_dir=cache)

    @pytest.mark.parametrize("content", [b"9876543210", b"01234567890", b"012345678"])
    def test_the_published_address_is_tried_after_a_wrong_file(
        self, small_dataset, serve, fetching, monkeypatch, tmp_path, content
    ):
        file, mirror, cache = small_dataset
        wrong = tmp_path / "wrong" / file.path
        wrong.parent.mkdir(parents=True)
        wrong.write_bytes(content)
        with serve(mirror) as published, set_options(data_mirror=tmp_path / "wrong"):
            monkeypatch.setattr(fetching, "BASE_URL", published.url + "/")
            assert fetch("small", cache_dir=cache)["small"].read_bytes() == b"0123456789"

    def test_a_full_disk_names_the_cache(self, small_dataset):
        resource = pytest.importorskip("resource")
        file, mirror, cache = small_dataset
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with set_options(data_mirror=mirror):
            resource.setrlimit(resource.RLIMIT_FSIZE, (4, limits[1]))  # bytes
            try:
                with pytest.raises(OutputError) as caught:
                    fetch("small", cache_dir=cache)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            for words in (
                f"cannot write {cache / 'downloads' / file.path}: File too large",
                "XMSGL_DATA_DIR",
            ):
                assert words in str(caught.value)
            assert str(mirror) not in str(caught.value)
            assert left(cache) == []
            assert fetch("small", cache_dir=cache)["small"].is_file()

    def test_a_cache_that_is_a_file_is_named(self, small_dataset):
        _, mirror, cache = small_dataset
        cache.write_text("not a folder")
        with (
            set_options(data_mirror=mirror),
            pytest.raises(OutputError, match=f"the folder {cache}.*choose another"),
        ):
            fetch("small", cache_dir=cache)

    def test_a_nul_in_the_cache_is_named(self, small_dataset):
        with pytest.raises(InvalidArgumentError, match="must not contain a NUL"):
            fetch("small", cache_dir="a\0b")

    def test_many_start_together_on_an_empty_cache(self, small_dataset, tmp_path):
        _, mirror, _ = small_dataset
        with set_options(data_mirror=mirror), ThreadPoolExecutor(16) as pool:
            for number in range(20):
                together = threading.Barrier(16)

                def start(cache=tmp_path / "deep" / "er" / str(number), together=together):
                    together.wait()
                    return fetch("small", cache_dir=cache)["small"]

                waiting = [pool.submit(start) for _ in range(16)]
                (path,) = {each.result() for each in waiting}
                assert path.read_bytes() == b"0123456789"
                assert left(tmp_path / "deep" / "er" / str(number)) == [path]

    def test_what_a_kill_leaves_is_removed_by_the_next_fetch(self, small_dataset, serve):
        file, mirror, cache = small_dataset
        reached, over = threading.Event(), threading.Event()

        def stall(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "10")
            handler.end_headers()
            handler.wfile.write(b"01234")
            handler.wfile.flush()
            reached.set()
            over.wait(60)

        with serve(mirror) as server:
            server.answer = stall
            values = {**os.environ, "XMSGL_DATA_MIRROR": server.url, "PYTHONPATH": os.pathsep.join(sys.path)}
            words = [sys.executable, "-c", KILLED, repr(file), str(cache)]
            process = subprocess.Popen(words, env=values)
            assert reached.wait(60)
            process.kill()
            process.wait()
            over.set()
        assert any(".part" in path.name for path in cache.rglob("*"))
        with set_options(data_mirror=mirror):
            assert left(cache, fetch("small", cache_dir=cache)["small"]) == []


KILLED = """
import sys
from xmsgl.datasets import download
from xmsgl.datasets.registry import RemoteFile
file = eval(sys.argv[1])
download.dataset_files = lambda name: (file,)
download.fetch("small", cache_dir=sys.argv[2], progress=False)
"""


def left(cache, *but):
    """All that lies in a cache besides its folders by name."""
    found = [path for path in cache.rglob("*") if path.is_file() or path.name.startswith(".")]
    return [path for path in found if path not in but]


class TestAvailability:
    def test_in_the_cache(self, small_dataset):
        _, mirror, cache = small_dataset
        with set_options(data_mirror=mirror):
            fetch("small", cache_dir=cache)
        found = availability("small", cache_dir=cache)
        assert (bool(found), found.origin) == (True, "cache")

    def test_from_a_folder(self, small_dataset):
        _, mirror, cache = small_dataset
        with set_options(data_mirror=mirror):
            found = availability("small", cache_dir=cache)
        assert (found.origin, found.where) == ("mirror", str(mirror))
        assert not cache.exists(), "asking makes nothing"

    def test_from_a_mirror_without_fetching(self, small_dataset, serve):
        file, mirror, cache = small_dataset
        with serve(mirror) as server, set_options(data_mirror=server.url):
            assert availability("small", cache_dir=cache).origin == "mirror"
            assert server.asked == [("HEAD", f"/{file.path}")]

    def test_from_the_network(self, small_dataset, serve, fetching, monkeypatch):
        _, mirror, cache = small_dataset
        with serve(mirror) as server:
            monkeypatch.setattr("xmsgl.datasets.registry.BASE_URL", server.url + "/")
            monkeypatch.setattr(fetching, "BASE_URL", server.url + "/")
            assert availability("small", cache_dir=cache).origin == "network"

    def test_from_nowhere_says_why(self, small_dataset, tmp_path):
        _, _, cache = small_dataset
        with set_options(data_mirror=tmp_path / "nowhere"):
            found = availability("small", cache_dir=cache)
        assert not found
        assert found.origin == "none"
        for part in (str(tmp_path / "nowhere"), "http://127.0.0.1:9/", str(cache), "XMSGL_DATA_MIRROR"):
            assert part in found.reason

    def test_without_a_library(self, fetching, monkeypatch, tmp_path):
        monkeypatch.setattr(fetching, "find_spec", lambda name: None if name == "pyogrio" else object())
        found = availability("delaware", cache_dir=tmp_path)
        assert not found
        assert "pyogrio" in found.reason
        assert 'pip install "xmsgl[data]"' in found.reason


def test_package_attribute_is_the_function_whoever_imports_the_module():
    import sys

    import xmsgl.datasets
    import xmsgl.datasets.download

    assert callable(xmsgl.datasets.fetch)
    assert sys.modules["xmsgl.datasets.download"].fetch is xmsgl.datasets.fetch
    assert dir(xmsgl.datasets) == ["availability", "delaware", "fetch", "simulated", "willamette", "yakima"]
    with pytest.raises(AttributeError, match="thames"):
        xmsgl.datasets.thames  # noqa: B018


@pytest.mark.delaware
def test_all_files_of_the_delaware_come_from_the_mirror(delaware_cache):
    found = availability("delaware", cache_dir=delaware_cache)
    assert (found.origin, found.where) == ("cache", str(delaware_cache))
