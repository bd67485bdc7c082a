"""Threads of torch's operations that wait for their next one, where ours want the processor."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from xmsgl.util.options import get_option

__all__ = ["dismiss_waiting"]

_NAME = "omp_pause_resource_all"
_SOFT = 1  # omp_pause_soft of OpenMP 5.0

#: Threads do not outlive a fork: a child's copy of its parent's pool would wait for them forever.
_PROCESS = os.getpid()


def dismiss_waiting() -> bool:
    """End the threads that torch's operations, called from this thread, have left waiting.

    After a parallel operation GNU's OpenMP lets its threads look for the next one for some milliseconds
    without rest: with as many of them as processors, threads of our own get only every other slice of
    time. Torch starts them again when it needs them, which takes some ten microseconds each. On two
    processors a training step of the Delaware takes 440 milliseconds so, and 510 otherwise.

    Any thread may call this at any time. By the letter of OpenMP the whole program must be outside of
    parallel regions; GNU's has a pool for each thread that calls it, ends that of the caller alone, and
    refuses inside of a region. Others' may not, so they are left alone, as is a process that was forked.

    Returns
    -------
    bool
        Whether none is left waiting for sure.

    References
    ----------
    OpenMP 5.0, section 3.2.44, ``omp_pause_resource_all``; GNU's libgomp, ``GOMP_SPINCOUNT`` and
    ``gomp_pause_host`` in team.c.

    Examples
    --------
    >>> _ = torch.ones(2**20).exp()
    >>> dismissed = dismiss_waiting()  # a kernel with threads of its own may run now
    """
    if not get_option("process_tuning") or torch.get_num_threads() == 1 or os.getpid() != _PROCESS:
        return False
    pause = _pause()
    return pause is not None and pause(_SOFT) == 0


@lru_cache(maxsize=1)
def _pause() -> Any:
    """Return ``omp_pause_resource_all`` of the OpenMP that torch has loaded if it is GNU's, else None."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    shipped = (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")  # wheels rename it
    for name in ("libgomp.so.1", *map(str, shipped)):
        try:  # what torch has loaded, never another
            library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
        # conda-forge can put LLVM's in its place under the same name
        return None if hasattr(library, "kmp_get_blocktime") else getattr(library, _NAME, None)
    return None
