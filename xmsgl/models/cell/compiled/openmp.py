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

    References
    ----------
    OpenMP 5.0, section 3.2.44, ``omp_pause_resource_all``; GNU's libgomp, ``GOMP_SPINCOUNT`` and
    ``gomp_pause_host`` in team.c.
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
