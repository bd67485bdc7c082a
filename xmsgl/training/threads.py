"""Training in one thread, whose sums have one order on any number of cores."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numba
import torch

from xmsgl.util.options import get_option

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["repeatable"]


@contextmanager
def repeatable() -> Iterator[None]:
    """With the option ``deterministic``, let torch and compiled loops use one thread."""
    if not get_option("deterministic"):
        yield
        return
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
