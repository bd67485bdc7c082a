"""Whether the tests notice small changes of the code: ``python -m benchmarks.mutants --seed 0``, on Linux.

For each module a seeded sample of the mutants of cosmic-ray is applied, one at a time, to a copy of the
repository, where the tests of the module are run in a child process. A mutant is killed when they fail or
take five times as long as without it. Finished mutants are in ``build/mutants-SEED.jsonl`` and not run again.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import gc
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Mutant", "ignored", "main", "mutants", "tests_of"]

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("xmsgl", "tests", "catalogs", "benchmarks", "pyproject.toml")
TARGETS = ("xmsgl/network", "xmsgl/evaluate", "xmsgl/inputs/windows.py")
# What each child would import; the package itself is imported by the child.
PRELOADED = (
    "torch",
    "xarray",
    "dask.array",
    "pandas",
    "scipy.sparse",
    "scipy.stats",
    "scipy.spatial",
    "numba",
)
PRELOADED += ("networkx", "hypothesis", "sklearn.ensemble", "zarr", "distributed", "pytest")
# Modules without a test file of their own, and those that more files test.
TESTS: dict[str, tuple[str, ...]] = {
    "xmsgl/network/_loops.py": ("tests/network",),
    "xmsgl/evaluate/pairs.py": ("tests/evaluate/test_pairs.py", "tests/evaluate/test_metrics.py"),
    "xmsgl/evaluate/table.py": ("tests/evaluate/test_table.py", "tests/evaluate/test_resample.py"),
    "xmsgl/evaluate/names.py": ("tests/evaluate/test_metrics.py", "tests/evaluate/test_table.py"),
}
SLOWEST = 5  # times as long as without a change
SPARE = 30.0  # seconds


class Mutant(NamedTuple):
    """A change of one place: the operator of cosmic-ray and which of its places in the module it is."""

    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def key(self) -> str:
        """Name the mutant in the file of results."""
        return f"{self.module}:{self.operator}:{self.occurrence}"


def tests_of(module: str) -> list[str]:
    """Return the paths of the tests that have to notice a change of a module."""
    path = Path(module)
    own = Path("tests", *path.parts[1:-1], f"test_{path.name}").as_posix()
    return list(TESTS.get(module, (own,)))


def ignored(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the places, from and to (line, column), whose change no test should notice.

    They are annotations, what only type checkers read, the texts of messages, and decorators.
    """
    nodes: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            nodes += [node.returns] if node.returns else []
            nodes += node.decorator_list
        elif isinstance(node, ast.ClassDef):
            nodes += node.decorator_list
        elif isinstance(node, ast.If):
            nodes += [node] if ast.unparse(node.test) == "TYPE_CHECKING" else []
        elif isinstance(node, ast.Assign):
            nodes += [node] if ast.unparse(node.targets[0]) in {"msg", "__all__"} else []
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes]  # type: ignore[attr-defined]


def wanted(operator: str) -> bool:
    """Say whether an operator of cosmic-ray is used: `is` for `==`, and lists of variables, are not."""
    name = operator.partition("/")[2]
    if name.startswith("ReplaceComparisonOperator"):
        _, old, new = name.split("_")
        return new in {"Is", "IsNot"} if old in {"Is", "IsNot"} else new not in {"Is", "IsNot"}
    return name not in {"VariableReplacer", "VariableInserter", "RemoveDecorator", "NoOp"}


def mutants(module: str, source: str) -> dict[tuple[int, int], list[Mutant]]:
    """Return the mutants of a module by their place, (line, column)."""
    plugins = importlib.import_module("cosmic_ray.plugins")
    trees = importlib.import_module("cosmic_ray.ast")
    tree, without = trees.get_ast(source), ignored(source)
    found: dict[tuple[int, int], list[Mutant]] = defaultdict(list)
    for name in filter(wanted, sorted(plugins.operator_names())):
        operator = plugins.get_operator(name)()
        places = [place for node in trees.ast_nodes(tree) for place, _ in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if not any(start <= place < end for start, end in without):
                found[place].append(Mutant(module, name, occurrence, place[0]))
    return dict(found)


def changed(source: str, mutant: Mutant) -> str | None:
    """Return the code of a mutant, or None if it is no valid Python or means the same."""
    plugins, mutating = map(importlib.import_module, ("cosmic_ray.plugins", "cosmic_ray.mutating"))
    code: str = mutating.mutate_code(source, plugins.get_operator(mutant.operator)(), mutant.occurrence)
    try:
        same = ast.dump(ast.parse(code)) == ast.dump(ast.parse(source))
    except SyntaxError:
        return None
    return None if same else code


def sample(module: str, source: str, n: int, seed: int) -> list[Mutant]:
    """Draw `n` places without replacement, and one mutant at each."""
    places, rng = mutants(module, source), random.Random(f"{seed} {module}")
    drawn = (rng.choice(places[place]) for place in rng.sample(sorted(places), len(places)))
    return list(islice((mutant for mutant in drawn if changed(source, mutant)), n))


def run_tests(tree: Path, tests: list[str], limit: float, log: Path, cache: Path | None) -> str:
    """Run tests on a copy of the repository in a child process: `passed`, `failed` or `timeout`."""
    child = os.fork()
    if child == 0:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)
        if cache:
            os.environ["NUMBA_CACHE_DIR"] = str(cache)
        sys.path[:] = [str(tree), *(p for p in sys.path if p and Path(p).resolve() != ROOT)]
        for name in [n for n in sys.modules if n.partition(".")[0] == "benchmarks"]:
            del sys.modules[name]
        status = 99
        try:
            pytest = importlib.import_module("pytest")
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]))
            where = getattr(sys.modules.get("xmsgl"), "__file__", None)
            status = 98 if where and not Path(where).is_relative_to(tree) else status
        finally:
            sys.stdout.flush()
            os._exit(status)
    begin = time.monotonic()
    while time.monotonic() - begin < limit:
        done, state = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(state)
            if code in {98, 5}:
                msg = f"{tests}: the tests do not run on the copy, see {log}"
                raise RuntimeError(msg)
            return "failed" if code else "passed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def copy_tree(tree: Path) -> None:
    """Copy what the tests need, and compile it."""
    tree.mkdir()
    for name in COPIED:
        copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tree / name)
    compileall.compile_dir(tree / "xmsgl", quiet=2)


def try_module(tree: Path, chosen: list[Mutant], results: Path) -> None:
    """Run the tests of a module without a change, then with each mutant, and append what became of it."""
    module, log = chosen[0].module, tree.parent / "log.txt"
    path, tests = tree / module, tests_of(module)
    source = path.read_text(encoding="utf-8")
    begin = time.monotonic()
    if run_tests(tree, tests, 900, log, None) != "passed":
        msg = f"{module}: its tests fail without a change, see {log}"
        raise RuntimeError(msg)
    seconds = time.monotonic() - begin
    cache = tree.parent / "numba" if path.name == "_loops.py" else None  # keep the cache of the tree
    compiled = 60 if cache else 0
    for mutant in chosen:
        code = str(changed(source, mutant))
        old, new = difference(source, code)
        forget(path)
        path.write_text(code, encoding="utf-8")
        begin = time.monotonic()
        try:
            outcome = run_tests(tree, tests, SLOWEST * seconds + SPARE + compiled, log, cache)
        finally:
            path.write_text(source, encoding="utf-8")
            forget(path)
            shutil.rmtree(tree.parent / "numba", ignore_errors=True)
        took = round(time.monotonic() - begin, 1)
        row = mutant._asdict() | {"old": old, "new": new, "outcome": outcome, "seconds": took}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{outcome:8} {took:6.1f} s  {module}:{mutant.line}  {old}  ->  {new}", flush=True)


def forget(path: Path) -> None:
    """Remove the bytecode of a module: Python compares only seconds and sizes."""
    for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        stale.unlink()


def difference(source: str, code: str) -> tuple[str, str]:
    """Return the first line that differs, before and after."""
    pairs = zip(source.splitlines(), code.splitlines(), strict=False)
    return next(((a.strip(), b.strip()) for a, b in pairs if a != b), ("", ""))


def finished(results: Path) -> dict[str, dict[str, Any]]:
    """Read the mutants that have been run."""
    if not results.exists():
        return {}
    rows = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {Mutant(r["module"], r["operator"], r["occurrence"], r["line"]).key: r for r in rows}


def table(rows: list[dict[str, Any]]) -> str:
    """Count the mutants of each folder in a table of Markdown."""
    lines = ["| code | mutants | killed | survived | rate |", "|---|---|---|---|---|"]
    for target in TARGETS:
        own = [row["outcome"] for row in rows if row["module"].startswith(target)]
        killed = sum(outcome != "passed" for outcome in own)
        rate = f"{killed / len(own):.0%}" if own else "-"
        lines.append(f"| `{target}` | {len(own)} | {killed} | {len(own) - killed} | {rate} |")
    return "\n".join(lines)


def main() -> None:
    """Draw, run and count mutants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, default=8, help="mutants a module (8)")
    parser.add_argument("--only", default="", help="modules whose path matches this pattern")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TRITON_INTERPRET", "1")
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    results = ROOT / "build" / f"mutants-{options.seed}.jsonl"
    results.parent.mkdir(exist_ok=True)
    paths = [
        p for t in TARGETS for p in ([ROOT / t] if t.endswith(".py") else sorted((ROOT / t).rglob("*.py")))
    ]
    modules = [path.relative_to(ROOT).as_posix() for path in paths if path.name != "__init__.py"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        for module in filter(partial(re.search, options.only), modules):
            source = (ROOT / module).read_text(encoding="utf-8")
            chosen = sample(module, source, options.number, options.seed)
            if left := [mutant for mutant in chosen if mutant.key not in finished(results)]:
                try_module(tree, left, results)
    print(table(list(finished(results).values())))


if __name__ == "__main__":
    main()
