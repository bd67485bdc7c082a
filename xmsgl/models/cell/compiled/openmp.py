"""Idle threads of torch that would compete with ours for the CPU."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from xmsgl.util.options import get_option

__all__ = ["dismiss_waiting"]

_SOFT = 1  # omp_pause_soft of OpenMP 5.0

#: Threads do not survive a fork: a child's copy of its parent's pool would wait for them forever.
_PROCESS = os.getpid()


def dismiss_waiting() -> bool:
    """End the idle threads of torch operations called from this thread; return whether that was possible.

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
    """Return ``omp_pause_resource_all`` if torch has loaded GNU's OpenMP, else None."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    shipped = (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")  # wheels rename it
    for name in ("libgomp.so.1", *map(str, shipped)):
        try:  # only a library that torch has loaded
            library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
        llvms = hasattr(library, "kmp_get_blocktime")  # conda-forge may install it under the same name
        return None if llvms else getattr(library, "omp_pause_resource_all", None)
    return None
