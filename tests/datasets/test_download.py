from __future__ import annotations

import os

import pytest
from tqdm import tqdm

from xmsgl.datasets.download import addresses, availability, cache_folder, fetch, mirror_root
from xmsgl.datasets.registry import registry
from xmsgl.errors import DataUnavailableError
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
