"""Threads that torch leaves waiting, counted as the system counts them."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from xmsgl.models.cell.compiled import openmp
from xmsgl.models.cell.compiled import scan as compiled
from xmsgl.util.options import set_options

TASKS = Path("/proc/self/task")

pytestmark = pytest.mark.skipif(
    not TASKS.exists() or openmp._pause() is None, reason="torch is not built with GNU's OpenMP here"
)


@pytest.fixture(autouse=True)
def tuned():
    with set_options(process_tuning=True):
        yield


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


def test_torch_computes_elsewhere_meanwhile(three_threads):
    values, matrix = torch.linspace(-1.0, 1.0, 2**17), torch.linspace(-1.0, 1.0, 2**16).reshape(256, 256)

    def compute():
        return torch.cat([values.exp(), (matrix @ matrix).flatten()])

    expected, same = compute(), []

    def elsewhere():
        torch.set_num_threads(3)
        same.extend([torch.equal(compute(), expected) for _ in range(30)])

    others = [threading.Thread(target=elsewhere) for _ in range(2)]
    for other in others:
        other.start()
    for _ in range(30):
        compiled.share_out(2, lambda _team, _worker: None)
        same.append(torch.equal(compute(), expected))
    for other in others:
        other.join()
    assert len(same) == 90
    assert all(same)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_missing_threads(three_threads):
    torch.ones(2**20).exp()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # ends a child that waits
        seen = []
        compiled.share_out(2, lambda _team, worker: seen.append(worker))
        os._exit(len(seen) if not openmp.dismiss_waiting() else 99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_llvms_openmp_under_the_name_of_gnus_is_left_alone(monkeypatch):
    gnus = SimpleNamespace(omp_pause_resource_all=print)
    llvms = SimpleNamespace(omp_pause_resource_all=print, kmp_get_blocktime=print)
    for library, expected in ((gnus, print), (llvms, None)):
        monkeypatch.setattr(openmp.ctypes, "CDLL", lambda *_, library=library, **__: library)
        assert openmp._pause.__wrapped__() is expected


def test_a_single_worker_leaves_them_alone(three_threads):
    torch.ones(2**20).exp()
    waiting = count()
    compiled.share_out(1, lambda _team, worker: None)
    assert count() == waiting


def test_threads_are_left_alone_unless_asked(three_threads):
    alone = count()
    torch.linspace(-1.0, 1.0, 2**20).exp()
    with set_options(process_tuning=False):
        assert not openmp.dismiss_waiting()
    assert count() == alone + 2
