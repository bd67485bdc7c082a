"""Imports run along the way of the data, never back; files stay small; torch comes late."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "xmsgl"

# The way of the data. A module may import from its own layer and those above it in this list.
# Modules beside each other in a layer may import each other.
LAYERS = [
    ["errors", "options", "history", "optional", "origin", "markup", "words", "writing"],
    ["progress"],
    ["network"],
    ["schema"],
    ["graphs"],
    ["simulate"],
    ["readers"],
    ["datasets"],
    ["opening"],
    ["features"],
    ["neighbours", "season"],
    ["windows", "batches"],
    ["models"],
    ["prefetch", "spin_up"],
    ["operators"],
    ["engine"],
    ["train"],
    ["calibrate"],
    ["recipes"],
    ["supply"],
    ["watch"],
    ["fit"],
    ["predict"],
    ["outputs"],
    ["evaluate"],
    ["export"],
    ["plot"],
    ["benchmark"],
    ["catalog"],
    ["accessor"],
    ["demo"],
    ["cli"],
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

# What a part may not import at all, whatever its place in the list. Libraries by their first name,
# parts of the package by "xmsgl.part".
FORBIDDEN = {
    "network": {"xarray", "pandas", "dask", "torch", "torch_geometric"},
    "models": {"xarray", "xmsgl.schema", "xmsgl.graphs", "xmsgl.datasets", "xmsgl.readers", "xmsgl.simulate"},
}
EXCEPT = {("network/pyg.py", "torch"), ("network/pyg.py", "torch_geometric")}
# typing only: the return types of the doors to PyTorch Geometric
EXCEPT_TYPING = {("network/graph.py", "torch_geometric")}

LATE = [
    "torch",
    "torch_geometric",
    "numba",
    "matplotlib",
    "geopandas",
    "shapely",
    "xvec",
    "cf_xarray",
    "rdata",
    "sklearn",
    "bokeh",
    "intake",
    "tensorboard",
    "IPython",
]
LIMITS = {"accessor.py": 250}
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """Full names a module imports anywhere, with the line and whether only for typing."""
    found: list[tuple[str, int, bool]] = []

    def visit(node: ast.AST, typing: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found.extend((f"{node.module}.{alias.name}", node.lineno, typing) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.body:
                visit(child, True)
            for child in node.orelse:
                visit(child, typing)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child, typing)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def part_of(module: str) -> str:
    """The first name under the package; ``schema_names.py`` belongs to ``schema``."""
    name = module.split("/")[0].removesuffix(".py")
    family = name.split("_")[0]
    return family if family in RANK else name


def within(name: str, wall: str) -> bool:
    return name == wall or name.startswith(f"{wall}.")


def breaches(module: str, found: list[tuple[str, int, bool]]) -> list[str]:
    """Every import of a module that goes back, or through a wall."""
    part, wrong = part_of(module), []
    for name, line, typing in found:
        where = f"xmsgl/{module}:{line} imports {name}"
        wrong += [
            f"{where}; {part} may not know {wall}"
            for wall in FORBIDDEN.get(part, ())
            if within(name, wall)
            and (module, wall) not in EXCEPT
            and not (typing and (module, wall) in EXCEPT_TYPING)
        ]
        steps = name.split(".")
        if steps[0] != "xmsgl" or len(steps) == 1 or typing or part == "__init__":
            continue
        if RANK.get(part_of(steps[1]), -1) > RANK.get(part, len(LAYERS)):
            wrong.append(f"{where}, which comes later on the way of the data")
    return wrong


def test_there_are_modules():
    assert "errors.py" in MODULES
    assert "network/topology.py" in MODULES


@pytest.mark.parametrize("module", MODULES)
def test_has_a_place(module):
    assert part_of(module) in {*RANK, "__init__", "__main__"}, f"put {module} into LAYERS of {__file__}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_forward(module):
    assert breaches(module, imports(ROOT / module)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("network/graph.py", "import xarray as xr", id="library"),
        pytest.param("network/graph.py", "def f():\n    from torch import nn", id="library, late"),
        pytest.param("network/graph.py", "from xmsgl.schema import validate", id="later layer"),
        pytest.param("network/graph.py", "from xmsgl import schema", id="later layer by another spelling"),
        pytest.param("models/cell.py", "from xmsgl.schema import validate", id="wall"),
        pytest.param("models/cell.py", "if TYPE_CHECKING:\n    import xarray", id="library for typing"),
        pytest.param("predict.py", "import xmsgl.accessor", id="the door"),
    ],
)
def test_the_wall_stands(tmp_path, module, source):
    file = tmp_path / "module.py"
    file.write_text(source)
    assert len(breaches(module, imports(file))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("network/pyg.py", "def f():\n    import torch", id="torch where it belongs"),
        pytest.param("schema.py", "from xmsgl.network.topology import link", id="earlier layer"),
        pytest.param("models/cell.py", "import torch", id="torch in models"),
        pytest.param("train/loop.py", "if TYPE_CHECKING:\n    from xmsgl.predict import x", id="typing"),
    ],
)
def test_the_wall_has_doors(tmp_path, module, source):
    file = tmp_path / "module.py"
    file.write_text(source)
    assert breaches(module, imports(file)) == []


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module):
    lines = len((ROOT / module).read_text(encoding="utf-8").splitlines())
    assert lines <= LIMITS.get(module, 500), f"xmsgl/{module} has {lines} lines"


def test_heavy_libraries_come_late():
    code = "import sys, json, xmsgl; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=120
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert "xmsgl" in loaded
    assert sorted(loaded & set(LATE)) == []


@pytest.mark.parametrize("module", ["topology", "neighbours", "kernels", "graph", "crosswalk", "pyg"])
def test_network_modules_bring_neither_numba_nor_torch(module):
    code = f"import sys, xmsgl.network.{module}; print([m for m in {LATE!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=120
    )
    assert done.stdout.strip() == "[]"
