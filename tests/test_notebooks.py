"""The notebooks of docs/: they run, give what they are stored with, and hold no trace of a machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest

from tests.mirror import MIRROR

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


def notebook_id(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


def kind(output: dict) -> tuple[str, list[str]]:
    return output["output_type"], sorted(output.get("data", {}))


def kinds(cell: dict) -> list[tuple[str, list[str]]]:
    """What a cell shows, without warnings and logs, which depend on the machine."""
    return [kind(output) for output in cell["outputs"] if output.get("name") != "stderr"]


# Those that need the real files, from a cache or a mirror.
NEED_FILES = {"tutorials/delaware.ipynb"}
RUNS = [
    pytest.param(path, marks=[pytest.mark.delaware] if notebook_id(path) in NEED_FILES else [])
    for path in NOTEBOOKS
]


@pytest.mark.slow
@pytest.mark.parametrize("path", RUNS, ids=map(notebook_id, NOTEBOOKS))
def test_a_notebook_runs_and_gives_what_it_is_stored_with(path, tmp_path, tmp_path_factory, monkeypatch):
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    saved = [kinds(cell) for cell in notebook.cells if cell.cell_type == "code"]
    monkeypatch.setenv("NUMBA_NUM_THREADS", os.environ.get("NUMBA_NUM_THREADS", "2"))
    if notebook_id(path) in NEED_FILES:
        monkeypatch.setenv("XMSGL_DATA_MIRROR", str(MIRROR))
        if "XMSGL_DATA_DIR" not in os.environ:  # nothing is built into the cache of whoever runs the tests
            monkeypatch.setenv("XMSGL_DATA_DIR", str(tmp_path_factory.mktemp("data")))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [kinds(cell) for cell in notebook.cells if cell.cell_type == "code"] == saved
    assert list(tmp_path.iterdir()) == [], "a notebook leaves files behind"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=notebook_id)
def test_a_notebook_is_stored_with_outputs_and_without_traces_of_a_machine(path):
    cells = nbformat.read(path, as_version=4).cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in shown)
    assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text(encoding="utf-8"))


def test_every_notebook_is_on_the_page_of_tutorials():
    page = (DOCS / "tutorials.md").read_text(encoding="utf-8")
    assert [path for path in map(notebook_id, NOTEBOOKS) if f"({path})" not in page] == []
