"""What is promised about installing the package, held against the files that say it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# PyPI name -> conda-forge name, where they differ
CONDA = {
    "dask[array]": "dask-core",
    "netcdf4": "netcdf4",
    "torch": "pytorch",
    "torch_geometric": "pytorch_geometric",
    "matplotlib": "matplotlib-base",
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(lines: list[str]) -> dict[str, str]:
    pairs = (re.fullmatch(r"([\w.\-]+(?:\[\w+\])?)\s*(.*)", line.lower()) for line in lines)
    return {match[1]: match[2] for match in pairs if match}


def test_environment_yml_equals_pyproject(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    wanted = requirements(
        [*project["dependencies"], *(r for e in ("data", "plot", "intake", "test") for r in extras[e])]
    )
    everywhere = {name: version for name, version in wanted.items() if ";" not in version}
    expected = {CONDA.get(name, name): version for name, version in everywhere.items()} | {
        "python": ">=3.11",
        "pip": "",
    }
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert requirements([item for item in listed if isinstance(item, str)]) == expected


def test_torch_is_pinned_in_constraints_only(project: dict[str, Any]) -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    everything = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    assert not [requirement for requirement in everything if "==" in requirement.split(";")[0]]


def test_extras_are_those_documented(project: dict[str, Any]) -> None:
    assert {"data", "plot", "intake", "gpu", "docs", "test", "all"} <= set(project["optional-dependencies"])


def test_package_is_typed() -> None:
    assert (ROOT / "xmsgl" / "py.typed").is_file()


@pytest.mark.parametrize("heavy", ["torch", "torch_geometric", "numba", "matplotlib", "geopandas", "sklearn"])
def test_import_leaves_heavy_libraries_alone(heavy: str) -> None:
    code = f"import xmsgl, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_citation_and_package_agree(project: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["title"].startswith(project["name"])
    assert citation["version"] == project["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
