"""Threads of torch's operations that wait for their next one, where ours want the processor."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

__all__ = ["dismiss_waiting"]

_SOFT = 1  # omp_pause_soft of OpenMP 5.0


def dismiss_waiting() -> bool:
    """End the threads that torch's operations, called from this thread, have left waiting.

    After a parallel operation GNU's OpenMP lets its threads look for the next one for some milliseconds
    without rest: with as many of them as processors, threads of our own get only every other slice of
    time. Torch starts them again when it needs them, which takes some ten microseconds each.

    Returns
    -------
    bool
        Whether none is left waiting for sure; with other implementations of OpenMP nothing is done.

    References
    ----------
    OpenMP 5.0, section 3.2.44, ``omp_pause_resource_all``; GNU's libgomp, ``GOMP_SPINCOUNT``.

    Examples
    --------
    >>> _ = torch.ones(2**20).exp()
    >>> dismissed = dismiss_waiting()  # a kernel with threads of its own may run now
    """
    pause = _pause()
    return pause is not None and torch.get_num_threads() > 1 and pause(_SOFT) == 0


@lru_cache(maxsize=1)
def _pause() -> Any:
    """Return GNU's ``omp_pause_resource_all``, which touches the calling thread's pool alone, or None."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    shipped = (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")  # wheels rename it
    for name in ("libgomp.so.1", *map(str, shipped)):
        try:  # what torch has loaded, never another
            library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
        return getattr(library, "omp_pause_resource_all", None)
    return None
