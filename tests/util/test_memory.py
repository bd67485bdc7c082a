"""How much memory there is, of the machine or the container, and how much of it training may take."""

from __future__ import annotations

import pytest

from xmsgl.util.memory import available_memory, training_memory
from xmsgl.util.options import set_options

UNLIMITED = 2**63 - 4096  # what cgroups version 1 writes where nothing is limited


def test_the_machine_has_what_the_system_says():
    psutil = pytest.importorskip("psutil")
    assert available_memory(()) == pytest.approx(psutil.virtual_memory().total, rel=0.01)


@pytest.mark.parametrize("text", ["max", "", str(UNLIMITED)])
def test_a_container_without_a_limit_has_the_memory_of_the_machine(tmp_path, text):
    (tmp_path / "limit").write_text(text)
    assert available_memory((str(tmp_path / "limit"),)) == available_memory(())


def test_the_limit_of_a_container_counts(tmp_path):
    (tmp_path / "limit").write_text("1048576\n")
    assert available_memory((str(tmp_path / "none"), str(tmp_path / "limit"))) == 2**20


def test_training_takes_what_the_option_says_or_a_quarter():
    assert training_memory() == available_memory() // 4
    with set_options(training_memory="1 MiB"):
        assert training_memory() == 2**20


@pytest.mark.parametrize(("processes", "share"), [("4", 16), ("1", 4), ("many", 4)])
def test_processes_on_one_machine_share_the_quarter(monkeypatch, processes, share):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert training_memory() == available_memory() // share
