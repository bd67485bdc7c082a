"""The origin of a score: hardware, versions, and the state of the code."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

__all__ = ["code_digest", "describe_machine", "versions"]

_LIBRARIES = ("xmsgl", "torch", "numpy", "numba", "scipy", "xarray", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that affect the scores."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def describe_machine(device: str) -> dict[str, Any]:
    """Describe the machine."""
    memory = _first(r"^MemTotal:\s+(\d+) kB", "/proc/meminfo")
    gpu = device != "cpu" and torch.cuda.is_available()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _first(r"^model name\s*:(.*)$", "/proc/cpuinfo") or platform.processor() or None,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "memory_GB": None if memory is None else round(int(memory) * 1024 / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if gpu else None,
        "system": platform.system(),
    }


def _first(pattern: str, path: str) -> str | None:
    """Find a value in one of Linux's files about the machine, if there is one."""
    file = Path(path)
    match = re.search(pattern, file.read_text(), re.MULTILINE) if file.exists() else None
    return None if match is None else match[1].strip()


@cache
def code_digest() -> str:
    """Return twelve hexadecimal digits that identify the source code of the package between releases."""
    digest = hashlib.sha256()
    root = Path(str(files("xmsgl")))
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
