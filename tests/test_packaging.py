"""What is promised about installing the package, held against the files that say it."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# PyPI name -> conda-forge name, where they differ
CONDA = {
    "moto[server]": "moto",
    "dask[array]": "dask-core",
    "netcdf4": "netcdf4",
    "torch": "pytorch",
    "torch_geometric": "pytorch_geometric",
    "matplotlib": "matplotlib-base",
    "cf-xarray": "cf_xarray",
}
# what the page of the explorer is made from
PAGES = ("xmsgl/plot/explorer/explorer.html", "xmsgl/plot/explorer/explorer.js")
# what the tests and the documentation read of the tree, beside their own folders
BESIDE = (
    *(
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "CITATION.cff",
        "Makefile",
    ),
    *("constraints.txt", "environment.yml", "conda/recipe.yaml", ".binder/environment.yml"),
    *(".ci/matrix.toml", ".ci/try_row.py", ".github/workflows/ci.yml"),
    *(".gitattributes", ".git_archival.txt"),
)


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(lines: list[str]) -> dict[str, str]:
    pairs = (re.fullmatch(r"([\w.\-]+(?:\[\w+\])?)\s*(.*)", line.lower()) for line in lines)
    return {match[1]: match[2] for match in pairs if match}


def test_environment_yml_equals_pyproject(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    wanted = requirements(
        [
            *project["dependencies"],
            *(r for e in ("data", "plot", "explore", "geo", "intake", "test") for r in extras[e]),
        ]
    )
    everywhere = {name: version for name, version in wanted.items() if ";" not in version}
    expected = {CONDA.get(name, name): version for name, version in everywhere.items()} | {
        "python": ">=3.11",
        "pip": "",
    }
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert requirements([item for item in listed if isinstance(item, str)]) == expected


def recipe_lines(items: list[str]) -> dict[str, str]:
    return {name: bound for name, _, bound in (item.partition(" ") for item in items)}


def test_conda_recipe_equals_pyproject(project: dict[str, Any]) -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    needs = requirements(project["dependencies"])
    run = recipe_lines(recipe["requirements"]["run"])
    assert run == {CONDA.get(name, name): bound for name, bound in needs.items()} | {"python": ">=3.11"}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    host = recipe_lines(recipe["requirements"]["host"])
    assert host == {"python": ">=3.11", "pip": "", **requirements(settings["build-system"]["requires"])}
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    bounds = {CONDA.get(name, name): bound for name, bound in requirements(extras).items()}
    assert recipe_lines(recipe["requirements"]["run_constraints"]).items() <= bounds.items()
    assert recipe["about"]["license"] == project["license"]
    assert recipe["about"]["summary"] == project["description"]
    assert settings["tool"]["hatch"]["version"]["fallback-version"] in recipe["context"]["version"]


def test_binder_installs_this_tree_with_extras_that_exist(project: dict[str, Any]) -> None:
    listed = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())["dependencies"]
    (pip,) = (item["pip"] for item in listed if isinstance(item, dict))
    folder, _, extras = pip[0].rstrip("]").partition("[")
    assert (ROOT / ".binder" / folder).resolve() == ROOT
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_classifiers_name_the_pythons_that_were_tried(project: dict[str, Any]) -> None:
    matrix = tomllib.loads((ROOT / ".ci" / "matrix.toml").read_text())
    tried = {row["python"] for row in matrix["row"] if row["tried"]}
    named = {name.rsplit(" ", 1)[1] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)}
    assert named == tried
    assert len({row["name"] for row in matrix["row"]}) == len(matrix["row"])
    assert all((ROOT / path).exists() for path in matrix["tests"]["paths"])


def test_workflows_call_make_targets_on_the_pythons_of_the_matrix() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {word for command in commands for word in re.findall(r"^make (\w+)", command)}
    assert all(command.startswith("make ") for command in commands)
    assert {"lint", "test", "lowest", "docs", "dist"} <= called <= targets
    rows = tomllib.loads((ROOT / ".ci" / "matrix.toml").read_text())["row"]
    pinned = [row["python"] for row in rows if row["set"] == "pinned"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == pinned


def test_lowest_constraints_are_the_lower_bounds(project: dict[str, Any]) -> None:
    script = runpy.run_path(str(ROOT / ".ci" / "try_row.py"))
    (row,) = (row for row in script["matrix"]()["row"] if row["set"] == "lowest")
    lines = script["constraints"](row)
    assert len(lines) == len(project["dependencies"])
    assert {"numpy==1.26", "dask==2024.8", "torch==2.13.0", "numba==0.60"} <= set(lines)


def test_torch_is_pinned_in_constraints_only(project: dict[str, Any]) -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    everything = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    assert not [requirement for requirement in everything if "==" in requirement.split(";")[0]]


def test_extras_are_those_documented(project: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \|", page, flags=re.MULTILINE)
    assert set(project["optional-dependencies"]) - {"lint"} <= set(rows)


def test_package_is_typed() -> None:
    assert (ROOT / "xmsgl" / "py.typed").is_file()


@pytest.mark.parametrize("heavy", ["torch", "torch_geometric", "numba", "matplotlib", "geopandas", "sklearn"])
def test_import_leaves_heavy_libraries_alone(heavy: str) -> None:
    code = f"import xmsgl, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What wheel and sdist hold, built from a small tree with the project's settings; by kind and name."""
    pytest.importorskip("hatchling", reason="part of the extra `test`")
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in (*BESIDE, *PAGES, ".gitignore", "xmsgl/__init__.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    shutil.copytree(
        ROOT / "xmsgl" / "models" / "file" / "weights", tree / "xmsgl" / "models" / "file" / "weights"
    )
    (tree / "xmsgl" / "models" / "file" / "weights" / "planted.safetensors").write_bytes(b"weights")
    shutil.copytree(ROOT / "catalogs", tree / "catalogs")
    (wheel,) = WheelBuilder(str(tree)).build(directory=str(out), versions=["standard"])
    (sdist,) = SdistBuilder(str(tree)).build(directory=str(out), versions=["standard"])
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        found |= {f"wheel/{name}": archive.read(name) for name in archive.namelist()}
    with tarfile.open(sdist) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar.getmembers()):
            content = tar.extractfile(member)
            assert content is not None
            found[f"sdist/{member.name.split('/', 1)[1]}"] = content.read()
    return found


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_weights_are_in_wheel_and_sdist(archives: dict[str, bytes], kind: str) -> None:
    folder = ROOT / "xmsgl" / "models" / "file" / "weights"
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    expected = {**files, "planted.safetensors": b"weights"}
    prefix = f"{kind}/xmsgl/models/file/weights/"
    assert {
        name.removeprefix(prefix): b for name, b in archives.items() if name.startswith(prefix)
    } == expected


@pytest.mark.parametrize(("kind", "folder"), [("wheel", "xmsgl/catalogs"), ("sdist", "catalogs")])
def test_catalogs_are_in_wheel_and_sdist(archives: dict[str, bytes], kind: str, folder: str) -> None:
    files = (ROOT / "catalogs").rglob("*.yaml")
    expected = {file.relative_to(ROOT / "catalogs").as_posix(): file.read_bytes() for file in files}
    prefix = f"{kind}/{folder}/"
    found = {name.removeprefix(prefix): b for name, b in archives.items() if name.startswith(prefix)}
    assert found == expected
    assert "delaware.yaml" in found


def test_the_sdist_holds_what_its_tests_and_docs_read(archives: dict[str, bytes]) -> None:
    assert {f"sdist/{name}" for name in BESIDE} <= set(archives)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_explorer_is_in_wheel_and_sdist(archives: dict[str, bytes], kind: str) -> None:
    assert all(archives[f"{kind}/{name}"] == (ROOT / name).read_bytes() for name in PAGES)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_weights_are_not_ignored_by_git() -> None:
    """The build leaves out what git ignores."""
    path = "xmsgl/models/file/weights/planted.safetensors"
    done = subprocess.run(["git", "check-ignore", "--no-index", "-q", path], cwd=ROOT, check=False)
    assert done.returncode == 1


def test_citation_names_the_package(project: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["title"].startswith(project["name"])
