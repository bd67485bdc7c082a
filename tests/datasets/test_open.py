"""What a name opens: one list, which the command line, the catalogs and the benchmark's sources agree on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import traceback

import netCDF4
import pytest
import xarray as xr
from click.testing import CliRunner

from tests.test_walls import LATE
from xmsgl import datasets
from xmsgl.benchmark.sources import SOURCES
from xmsgl.cli.main import main
from xmsgl.datasets.open import DATASETS, arguments_of, open_data, open_file
from xmsgl.errors import DataUnavailableError, InvalidArgumentError, InvalidDatasetError


def fresh(code: str) -> str:
    """What a new process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", DATASETS)
def test_a_name_opens_the_function_of_that_name(name, monkeypatch):
    assert name in datasets.__all__
    asked = []
    monkeypatch.setattr(datasets, name, lambda **given: asked.append(given))
    open_data(name, size=3)
    assert asked == [{"size": 3}]


@pytest.mark.parametrize("name", DATASETS)
def test_a_benchmark_opens_the_same_by_the_same_name(name):
    assert SOURCES[name].open is getattr(datasets, name)


def test_a_file_of_that_name_is_meant_by_its_path(river, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    river.to_netcdf("simulated")
    assert open_data("./simulated").equals(river)
    assert open_file(tmp_path / "simulated").chunks
    assert not open_data("simulated", n_coarse=3, years=1).equals(river)


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_a_tree_is_opened_as_the_dataset_of_both_scales(river, tmp_path, kind):
    path = tmp_path / f"tree.{kind}"
    tree = river.msgl.to_datatree()
    if kind == "nc":
        tree.to_netcdf(path)
    else:
        pytest.importorskip("zarr")
        tree.to_zarr(path)
    ds = open_data(path)
    assert ds["air_temperature_coarse"].chunks
    xr.testing.assert_equal(ds.compute(), river)
    done = CliRunner().invoke(main, ["--quiet", "validate", str(path)])
    assert done.exit_code == 0, done.output


def test_a_tree_of_one_scale_is_refused(river, tmp_path):
    tree = river.msgl.to_datatree()
    del tree["coarse"]
    tree.to_netcdf(tmp_path / "tree.nc")
    with pytest.raises(InvalidDatasetError, match="the DataTree lacks /coarse"):
        open_data(tmp_path / "tree.nc")


def test_a_file_with_groups_of_its_own_is_opened(tmp_path):
    xr.Dataset({"x": ("seg", [1.0, 2.0])}, {"seg": [1, 2]}).to_netcdf(tmp_path / "own.nc")
    other = xr.Dataset({"y": ("seg", [1.0, 2.0, 3.0])}, {"seg": [1, 2, 3]})
    other.to_netcdf(tmp_path / "own.nc", mode="a", group="other")
    assert open_data(tmp_path / "own.nc")["x"].values.tolist() == [1.0, 2.0]


def test_arguments_are_completed_or_refused():
    complete = arguments_of("simulated", {"n_coarse": 3, "years": 1})
    assert len(complete) > 2
    assert datasets.simulated(**complete).identical(datasets.simulated(n_coarse=3, years=1))
    with pytest.raises(InvalidArgumentError, match="'moon'; it takes n_coarse, "):
        arguments_of("simulated", {"moon": 1})


NEW = """
from click.testing import CliRunner
from xmsgl import datasets
from xmsgl.datasets import open as opening
opening.DATASETS += ("small",)
datasets.small = lambda size=4: datasets.simulated(n_coarse=size, years=1)
from xmsgl.cli.main import main
for words in (["validate", "small"], ["fetch", "small", "--data", "size=3"], ["describe", "small"]):
    result = CliRunner().invoke(main, ["--quiet", *words])
    assert result.exit_code == 0, result.output
    print(result.output)
for words in (["validate", "-h"], ["fetch", "-h"], ["validate", "rhine"]):
    assert "small" in CliRunner().invoke(main, words).output, words
"""


def test_a_line_adds_a_dataset_to_every_command():
    segments = [line.split()[1] for line in fresh(NEW).splitlines() if line.split()[:1] == ["nodes"]]
    assert segments == ["4", "3", "4"]  # of the three reports


@pytest.mark.parametrize("words", [["--help"], ["benchmark", "--help"], ["train", "--help"]], ids=" ".join)
def test_help_brings_nothing_heavy(words):
    code = (
        "import json, sys; from xmsgl.cli.main import main; main({words!r}, standalone_mode=False); "
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = json.loads(fresh(code.format(words=words)).splitlines()[-1])
    assert "xmsgl.datasets.open" in loaded
    heavy = {
        *LATE,
        "dask",
        "scipy",
        "requests",
        "netCDF4",
        "xmsgl.benchmark",
        "xmsgl.datasets.delaware_basin",
    }
    assert sorted(heavy & {*loaded, *(name.split(".")[0] for name in loaded)}) == []


LIGHT = {
    "a validation": "main(['validate', 'simulated', '--data', 'n_coarse=3', 'years=1'], standalone_mode=0)",
    "names of the benchmark": "main.commands['benchmark'].params[0].shell_complete(None, '')",
}


@pytest.mark.parametrize("call", LIGHT.values(), ids=LIGHT)
def test_what_needs_no_network_waits_for_none(call):
    loaded = json.loads(
        fresh(
            f"import json, sys; from xmsgl.cli.main import main; {call}; "
            "print(json.dumps(sorted(sys.modules)))"
        ).splitlines()[-1]
    )
    assert "xmsgl.datasets" in loaded
    assert {"torch", "torch_geometric", "sklearn", "matplotlib"}.isdisjoint(loaded)


class TestUrls:
    def test_a_store_is_opened_where_it_lies(self, river):
        fsspec = pytest.importorskip("fsspec")
        pytest.importorskip("zarr")
        river.chunk(time=100).to_zarr("memory://rivers/basin.zarr", mode="w")
        ds = open_data("memory://rivers/basin.zarr")
        assert all(ds[name].chunks for name in ("air_temperature_coarse", "water_temperature_fine"))
        xr.testing.assert_equal(ds.compute(), river)
        fsspec.filesystem("memory").rm("/rivers", recursive=True)

    def test_a_tree_is_opened_where_it_lies(self, river):
        fsspec = pytest.importorskip("fsspec")
        pytest.importorskip("zarr")
        river.msgl.to_datatree().to_zarr("memory://rivers/tree.zarr", mode="w")
        xr.testing.assert_equal(open_data("memory://rivers/tree.zarr").compute(), river)
        fsspec.filesystem("memory").rm("/rivers", recursive=True)

    def test_a_netcdf_file_is_read_from_a_copy(self, river):
        fsspec = pytest.importorskip("fsspec")
        with fsspec.open("memory://rivers/basin.nc", "wb") as file:
            file.write(bytes(river.to_netcdf()))
        for url in ("memory://rivers/basin.nc", "simplecache::memory://rivers/basin.nc"):
            ds = open_data(url)
            assert ds["air_temperature_coarse"].chunks
            xr.testing.assert_equal(ds.compute(), river)

    def test_a_command_takes_a_url(self, river):
        pytest.importorskip("zarr")
        river.to_zarr("memory://rivers/whole.zarr", mode="w")
        done = CliRunner().invoke(main, ["validate", "memory://rivers/whole.zarr"])
        assert done.exit_code == 0, done.output
        lost = CliRunner().invoke(main, ["validate", "memory://rivers/lost.zarr"])
        assert lost.exit_code == 1
        assert "cannot open memory://rivers/lost.zarr" in lost.output

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("http://me:hunter2@127.0.0.1:9/x.zarr?key=hunter2", "cannot read http://...@127.0.0.1:9/x.zarr"),
            ("moon://me:hunter2@x/y.zarr", "cannot open moon://...@x/y.zarr"),
        ],
    )
    def test_what_cannot_be_opened_is_named_without_secrets(self, url, message, caplog):
        with pytest.raises(DataUnavailableError, match=re.escape(message)) as raised:
            open_data(url)
        assert "hunter2" not in "".join(traceback.format_exception(raised.value)) + caplog.text
        with pytest.raises(InvalidArgumentError, match="takes no arguments") as raised:
            open_data(url, years=1)
        assert "hunter2" not in str(raised.value)


def damage(kind, river, folder):
    """A file or folder that cannot be opened, of one kind of damage."""
    path = folder / ("river.zarr" if kind.startswith("zarr") else "river.nc")
    if kind == "text":
        path.write_text("hello")
    elif kind == "truncated":
        river.to_netcdf(path)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "calendar":
        river.to_netcdf(path)
        with netCDF4.Dataset(path, "r+") as file:
            file["time"].calendar = "moon"
    else:
        river.to_zarr(path, consolidated=False)
        (path / "slope_coarse" / "zarr.json").write_bytes(b"{}" if kind == "zarr-empty" else b"\xff")
    return path


@pytest.mark.parametrize("kind", ["text", "truncated", "calendar", "zarr-empty", "zarr-bytes"])
def test_a_file_that_cannot_be_opened_is_refused(kind, river, tmp_path):
    path = damage(kind, river.isel(time=slice(9)), tmp_path)
    with pytest.raises(
        InvalidArgumentError, match=r"river\.\w+ cannot be read as .*; copy or write it again"
    ):
        open_data(path)


@pytest.mark.parametrize("dataset", [3, None, ["river.nc"], "river\0.nc"])
def test_what_is_not_a_path_is_refused(dataset):
    with pytest.raises(InvalidArgumentError, match="a dataset must be a name or a path, not"):
        open_data(dataset)
