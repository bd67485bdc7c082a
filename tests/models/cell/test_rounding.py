"""Subnormal numbers are zero while asked for, also in new threads, and come back afterwards."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from xmsgl.models.cell.compiled.scan import share_out
from xmsgl.models.cell.rounding import tiny_as_zero

SUBNORMAL = np.float32(1e-40)
flushes = torch.set_flush_denormal(False)


def seen():
    """Twice a subnormal number, as this thread computes it."""
    return float(np.multiply(SUBNORMAL, np.float32(2.0)))


@pytest.mark.skipif(not flushes, reason="the CPU has no such mode")
def test_subnormal_numbers_are_zero_only_inside():
    assert seen() > 0.0
    with tiny_as_zero():
        assert seen() == 0.0
        with tiny_as_zero():
            pass
        assert seen() == 0.0
    assert seen() > 0.0


@pytest.mark.skipif(not flushes, reason="the CPU has no such mode")
def test_what_the_caller_had_set_is_kept():
    torch.set_flush_denormal(True)
    try:
        with tiny_as_zero():
            pass
        assert seen() == 0.0
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.skipif(not flushes, reason="the CPU has no such mode")
def test_all_workers_of_a_loop_treat_them_as_zero():
    found = {}

    def loop(_team, worker):
        found[worker] = seen()

    share_out(3, loop)
    assert found == dict.fromkeys(range(3), 0.0)
    assert seen() > 0.0


def test_an_error_restores_the_mode():
    with pytest.raises(ZeroDivisionError), tiny_as_zero():
        raise ZeroDivisionError
    assert seen() > 0.0


def test_other_threads_are_left_alone():
    found = []
    with tiny_as_zero():
        pass
    thread = threading.Thread(target=lambda: found.append(seen()))
    thread.start()
    thread.join()
    assert found[0] > 0.0
