"""Try one row of matrix.toml: build the wheel, install it into a fresh environment, run tests against it.

``python .ci/try_row.py NAME [--python PATH] [--folder FOLDER]``. It exits with the status of the tests.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("hatch-vcs", "hatchling", "hypothesis", "networkx", "pytest", "pytest-timeout", "pyyaml")
BOUND = re.compile(r"([\w.\-]+)(?:\[[\w,]+\])?>=([\w.]+)")


def matrix() -> dict[str, Any]:
    """Read the rows."""
    return tomllib.loads((ROOT / ".ci" / "matrix.toml").read_text(encoding="utf-8"))


def lowest(requirements: list[str], newer: dict[str, str]) -> list[str]:
    """Return the constraints that hold each requirement at its lower bound, or at what `newer` says.

    >>> lowest(["numpy>=1.26", "dask[array]>=2024.8", "torch>=2.4"], {"torch": "2.13.0"})
    ['numpy==1.26', 'dask==2024.8', 'torch==2.13.0']
    """
    bounds = [BOUND.fullmatch(requirement) for requirement in requirements]
    return [f"{match[1]}=={newer.get(match[1], match[2])}" for match in bounds if match]


def constraints(row: dict[str, Any]) -> list[str]:
    """Return the lines of the constraints of a row."""
    if row["set"] == "pinned":
        return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return lowest(project["dependencies"], row.get("newer", {}))


def run(*words: str | Path, cwd: Path = ROOT) -> int:
    """Run a command; stop at once if it fails."""
    return subprocess.run([str(word) for word in words], cwd=cwd, check=True).returncode


def try_row(row: dict[str, Any], python: str, folder: Path) -> int:
    """Build, install and test one row in `folder`; return the status of the tests."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pins = folder / "constraints.txt"
    pins.write_text("\n".join(constraints(row)) + "\n", encoding="utf-8")
    run(python, "-m", "venv", folder / "env")
    inside = folder / "env" / "bin" / "python"
    run(inside, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("xmsgl-*.whl")
    run(inside, "-m", "pip", "install", "--quiet", "-c", pins, wheel, *TOOLS)
    # The tests alone, beside the installed wheel: the tree itself must not be found.
    shutil.copytree(ROOT / "tests", folder / "tests")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    paths = matrix()["tests"]["paths"]
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    done = subprocess.run([str(inside), "-m", "pytest", *options, *paths], cwd=folder, check=False)
    return done.returncode


def main() -> int:
    """Try the row that the command line names."""
    rows = {row["name"]: row for row in matrix()["row"]}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=rows)
    parser.add_argument("--python", help="interpreter; default: python3.X of the row, from the path")
    parser.add_argument("--folder", type=Path, help="where it is done; default: build/matrix/NAME")
    given = parser.parse_args()
    row = rows[given.name]
    python = given.python or shutil.which(f"python{row['python']}")
    if python is None:
        parser.error(f"there is no python{row['python']} on the path; name one with --python")
    return try_row(row, python, given.folder or ROOT / "build" / "matrix" / given.name)


if __name__ == "__main__":
    sys.exit(main())
