"""Subnormal numbers: gone while asked for, in threads too, and back afterwards."""

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
    """What this thread makes of a subnormal number."""
    return float(np.multiply(SUBNORMAL, np.float32(2.0)))


@pytest.mark.skipif(not flushes, reason="the processor has no such mode")
def test_subnormal_numbers_are_zero_inside_alone():
    assert seen() > 0.0
    with tiny_as_zero():
        assert seen() == 0.0
        with tiny_as_zero():
            pass
        assert seen() == 0.0
    assert seen() > 0.0


@pytest.mark.skipif(not flushes, reason="the processor has no such mode")
def test_what_the_caller_had_set_is_kept():
    torch.set_flush_denormal(True)
    try:
        with tiny_as_zero():
            pass
        assert seen() == 0.0
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.skipif(not flushes, reason="the processor has no such mode")
def test_all_workers_of_a_kernel_take_them_for_zero():
    found = {}

    def kernel(_team, worker):
        found[worker] = seen()

    share_out(3, kernel)
    assert found == dict.fromkeys(range(3), 0.0)
    assert seen() > 0.0


def test_an_error_leaves_no_trace():
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
