"""Memory that a training keeps for its next step instead of returning it to the system."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from xmsgl.util.options import get_option

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["freed_memory_kept"]

# Parameters of mallopt(3) in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_USUAL_MAPPINGS = 65_536  # glibc's default
_USUAL_TRIM = 64 * 2**20  # the limit to which glibc raises it once a large block is freed
_NEVER = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Let the C library keep freed blocks for the next step; yield whether it does.

    Every step allocates the same hidden states of some 10 to 100 MB. By default glibc maps such blocks anew
    and the system clears each page at its first use, which takes about a sixth of a step.
    """
    library = _glibc() if get_option("process_tuning") else None
    if library is None:
        yield False
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield True
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MAPPINGS)
        library.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc."""
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
