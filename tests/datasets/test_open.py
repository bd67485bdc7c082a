"""What a name opens: one list, which the command line, the catalogs and the benchmark's sources agree on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.test_walls import LATE
from xmsgl import datasets
from xmsgl.benchmark.sources import SOURCES
from xmsgl.datasets.open import DATASETS, arguments_of, open_data, open_file
from xmsgl.errors import InvalidArgumentError


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
