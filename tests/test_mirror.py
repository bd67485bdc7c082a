"""Tests marked ``delaware`` read the folder that CONTRIBUTING.md names, or say why they are skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mirror import MIRROR

ROOT = Path(__file__).parents[1]
MARKED = "tests/datasets/test_registry.py::test_agrees_with_the_list_of_the_mirror"


def run(mirror: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", MARKED],
        env={**os.environ, "XMSGL_DATA_MIRROR": str(mirror)},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    return " ".join(done.stdout.split())


def test_without_the_files_they_are_skipped_with_a_reason(tmp_path):
    said = run(tmp_path)
    assert "1 skipped" in said
    assert f"{tmp_path} lacks " in said
    assert "set XMSGL_DATA_MIRROR" in said


@pytest.mark.delaware
def test_the_folder_is_that_of_the_environment(tmp_path):
    """A folder elsewhere, with the files and with a list that is wrong."""
    (tmp_path / "mirror").symlink_to(MIRROR)
    (tmp_path / "registry.txt").write_text("0 0 nothing\n")
    assert "KeyError" in run(tmp_path / "mirror")
    (tmp_path / "registry.txt").write_text((MIRROR.parent / "registry.txt").read_text())
    assert "1 passed" in run(tmp_path / "mirror")
