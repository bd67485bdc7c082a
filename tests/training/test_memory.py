"""Memory kept between the steps of a training run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xmsgl.training import memory
from xmsgl.training.memory import freed_memory_kept
from xmsgl.util.options import set_options

GLIBC = memory._glibc() is not None

# Counts the pages that the system has to provide when 128 MB are used, freed and used again.
PAGES = """
import resource
import sys
import numpy as np
from contextlib import nullcontext
from xmsgl.training.memory import freed_memory_kept
from xmsgl.util.options import set_options
set_options(process_tuning=True)
context = freed_memory_kept() if sys.argv[1] == "kept" else nullcontext()
def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.empty(2**19, "f4") for _ in range(64)]  # from 4 MB on NumPy asks for large pages
    for block in blocks:
        block[:] = 1.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
with context:
    use()
    again = use()
print(again)
"""


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_a_block_freed_is_found_again_without_new_pages():
    def pages(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True, timeout=120
        )
        return int(done.stdout)

    assert pages("kept") < 0.1 * pages("usual")


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_memory_is_handed_back_afterwards():
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    before = resident()
    with set_options(process_tuning=True), freed_memory_kept() as kept:
        assert kept
        np.ones(2**26, "f4")  # 256 MB
        inside = resident()
    assert inside > before + 200
    assert resident() < before + 100


def test_without_glibc_nothing_changes(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with freed_memory_kept() as kept:
        assert not kept


def test_a_process_is_left_alone_unless_asked(monkeypatch):
    def refuse():
        raise AssertionError("the C library was looked for")

    monkeypatch.setattr(memory, "_glibc", refuse)
    with freed_memory_kept() as kept:
        assert not kept
