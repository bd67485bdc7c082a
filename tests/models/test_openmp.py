"""Threads that torch leaves waiting, counted as the system counts them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xmsgl.models import compiled, openmp

TASKS = Path("/proc/self/task")

pytestmark = pytest.mark.skipif(
    not TASKS.exists() or openmp._pause() is None, reason="torch is not built with GNU's OpenMP here"
)


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    openmp.dismiss_waiting()
    yield
    openmp.dismiss_waiting()
    torch.set_num_threads(before)


def count():
    return len(list(TASKS.iterdir()))


def test_threads_end_and_come_back_when_torch_needs_them(three_threads):
    alone, values = count(), torch.linspace(-1.0, 1.0, 2**20)
    first = values.exp()
    assert count() == alone + 2
    assert openmp.dismiss_waiting()
    assert count() == alone
    assert torch.equal(values.exp(), first)
    assert count() == alone + 2


def test_nothing_waits_while_workers_run(three_threads):
    alone, seen = count(), []
    torch.ones(2**20).exp()
    compiled.share_out(2, lambda _team, worker: seen.append((worker, count())))
    assert sorted(worker for worker, _ in seen) == [0, 1]
    assert all(number <= alone + 1 for _, number in seen)


def test_a_single_worker_leaves_them_alone(three_threads):
    torch.ones(2**20).exp()
    waiting = count()
    compiled.share_out(1, lambda _team, worker: None)
    assert count() == waiting
