"""How the CPU treats subnormal numbers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tiny_as_zero"]


@contextmanager
def tiny_as_zero() -> Iterator[None]:
    """Treat subnormal numbers as zero in this thread and in those it starts.

    Numbers below about 1e-38 in float32 and 1e-308 in float64 are subnormal, and the CPU processes them
    slowly. Gradients that vanish over the days become subnormal: a training step on the Delaware took
    0.75 s with them and 0.56 s without. Nothing changes where the CPU has no such mode.
    """
    subnormal = float.fromhex("0x1p-1060")
    already = subnormal * 2.0 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)
