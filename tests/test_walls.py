"""The walls of the package: which room may know which, read from every import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1] / "xmsgl"

#: From the cellar up. A room may import from rooms below its own floor, not from one beside it.
FLOORS = [
    ["errors"],
    ["util"],
    ["network"],
    ["schema", "simulate"],
    ["readers", "inputs"],
    ["datasets", "models"],
    ["prediction"],
    ["reconstruct"],
    ["training"],
    ["evaluate", "events", "export"],
    ["plot"],
    ["benchmark", "catalog"],
    ["accessor"],
    ["cli"],
    ["__main__"],
]
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}

#: Imports against the rules above, each with its reason. None is needed.
ALLOWED: dict[tuple[str, str], str] = {}

# What a room may not import at all. Libraries by their first name.
FORBIDDEN = {
    "network": {"xarray", "pandas", "dask", "torch", "torch_geometric"},
    "models": {"xarray"},
}
EXCEPT = {("network.pyg", "torch"), ("network.pyg", "torch_geometric")}
#: Return types of the doors to PyTorch Geometric, for type checkers alone.
EXCEPT_TYPING = {("network.graph", "torch_geometric")}

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
    "distributed",
    "IPython",
]
LIMITS = {"accessor.py": 280}
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def dotted(module: str) -> str:
    """The name of a module's file, without ``xmsgl.``; a package has its folder's name."""
    name = module.removesuffix(".py").replace("/", ".")
    return name.removesuffix("__init__").removesuffix(".")


NAMES = {dotted(module) for module in MODULES}


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


def inner(name: str) -> str:
    """The module of the package that an import loads; empty for the root and for libraries."""
    steps = name.split(".")
    if steps[0] != "xmsgl" or len(steps) == 1:
        return ""
    within = ".".join(steps[1:])
    return within if within in NAMES else ".".join(steps[1:-1])


def breaches(module: str, found: list[tuple[str, int, bool]]) -> list[str]:
    """Every import of a module that runs upwards or sideways, or through a wall."""
    room, wrong = module.split(".")[0], []
    for name, line, typing in found:
        where = f"xmsgl.{module}:{line} imports {name}"
        library = name.split(".")[0]
        excused = EXCEPT | EXCEPT_TYPING if typing else EXCEPT
        if library in FORBIDDEN.get(room, ()) and (module, library) not in excused:
            wrong.append(f"{where}; {room} may not know {library}")
        other = inner(name).split(".")[0]
        if library != "xmsgl" or other == room or module == "" or (module, inner(name)) in ALLOWED:
            continue
        if not other or RANK.get(other, len(FLOORS)) >= RANK.get(room, -1):
            wrong.append(f"{where}, which does not lie below {room}")
    return wrong


def circles(edges: list[tuple[str, str]]) -> list[list[str]]:
    """Modules that import one another, directly or through others."""
    graph = nx.DiGraph([edge for edge in edges if edge[0] != edge[1]])
    return [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]


def edges() -> list[tuple[str, str]]:
    """Pairs of modules, the first of which imports the second somewhere."""
    pairs = [(dotted(module), inner(name)) for module in MODULES for name, _, _ in imports(ROOT / module)]
    return [pair for pair in pairs if pair[1] and pair not in ALLOWED]


def test_there_are_modules():
    assert "errors.py" in MODULES
    assert "network/topology.py" in MODULES


def test_every_room_has_a_floor_and_every_floor_its_rooms():
    kept = {"__init__.py", "__pycache__", "py.typed"}
    there = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.name not in kept}
    assert there == set(RANK)
    assert len(there - {"__main__"}) <= 20


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    assert breaches(dotted(module), imports(ROOT / module)) == []


def test_no_modules_import_in_a_circle():
    assert circles(edges()) == []


def test_the_exceptions_are_needed():
    pairs = {(dotted(m), inner(name)) for m in MODULES for name, _, _ in imports(ROOT / m)}
    assert set(ALLOWED) <= pairs


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("network.graph", "import xarray as xr", id="library"),
        pytest.param("network.graph", "def f():\n    from torch import nn", id="library, late"),
        pytest.param("network.graph", "from xmsgl.schema.names import LABEL", id="room above"),
        pytest.param("network.graph", "from xmsgl import schema", id="room above by another spelling"),
        pytest.param("network.graph", "def f():\n    import xmsgl.inputs.windows", id="room above, late"),
        pytest.param(
            "network.graph",
            "if TYPE_CHECKING:\n    from xmsgl.schema import Scale",
            id="room above, for typing",
        ),
        pytest.param("schema.rivers", "from xmsgl.simulate import basin", id="room beside"),
        pytest.param("models.cell.cell", "if TYPE_CHECKING:\n    import xarray", id="library for typing"),
        pytest.param("prediction.downscale", "import xmsgl.accessor", id="the door"),
        pytest.param("util.history", "from xmsgl import __version__", id="the root"),
    ],
)
def test_the_wall_stands(tmp_path, module, source):
    file = tmp_path / "module.py"
    file.write_text(source)
    assert len(breaches(module, imports(file))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("network.pyg", "def f():\n    import torch", id="torch where it belongs"),
        pytest.param("schema.rivers", "from xmsgl.network.topology import link", id="room below"),
        pytest.param("schema.rivers", "from xmsgl.schema.names import LABEL", id="same room"),
        pytest.param("models.cell.cell", "import torch", id="torch in models"),
    ],
)
def test_the_wall_has_doors(tmp_path, module, source):
    file = tmp_path / "module.py"
    file.write_text(source)
    assert breaches(module, imports(file)) == []


def test_circles_are_found():
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]) == [["a", "b", "c"]]


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module):
    lines = len((ROOT / module).read_text(encoding="utf-8").splitlines())
    assert lines <= LIMITS.get(module, 500), f"xmsgl/{module} has {lines} lines"


def test_files_of_tests_are_short():
    tests = Path(__file__).parent
    files = {path.relative_to(tests).as_posix(): path for path in tests.rglob("*.py")}
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()}
    assert {name for name, count in lines.items() if count > 500} == set()


def test_heavy_libraries_come_late():
    code = "import sys, json, xmsgl; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=120
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert "xmsgl" in loaded
    assert sorted(loaded & set(LATE)) == []


@pytest.mark.parametrize("module", ["topology", "pairs", "kernels", "graph", "crosswalk", "pyg"])
def test_network_modules_bring_neither_numba_nor_torch(module):
    code = f"import sys, xmsgl.network.{module}; print([m for m in {LATE!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=120
    )
    assert done.stdout.strip() == "[]"
