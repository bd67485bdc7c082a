"""The machine, and the memory of a process.

Linux can reset the peak of the memory, so that it is the peak of one step alone. On other systems it is the
peak since the start of the process, which is never lower.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
LIBRARIES = ("xmsgl", "torch", "numba", "numpy", "scipy", "pytest-benchmark")


def _first(pattern: str, path: str) -> str | None:
    """Find a value in one of Linux's files about the machine, if there is one."""
    file = Path(path)
    match = re.search(pattern, file.read_text(), re.MULTILINE) if file.exists() else None
    return None if match is None else match[1].strip()


def describe_machine() -> dict[str, Any]:
    """Return the processor, cores, memory (GB), system and versions; None for what is unknown."""
    memory = _first(r"^MemTotal:\s+(\d+) kB", "/proc/meminfo")
    flags = (_first(r"^flags\s*:(.*)$", "/proc/cpuinfo") or "").split()
    return {
        "processor": _first(r"^model name\s*:(.*)$", "/proc/cpuinfo") or platform.processor() or None,
        "vectors": next((name for name in ("avx512f", "avx2", "asimd") if name in flags), None),
        "cores": cores(),
        "cache": _first(r"^cache size\s*:(.*)$", "/proc/cpuinfo"),
        "memory_GB": None if memory is None else round(int(memory) * 1024 / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_share(seconds: float = 1.0) -> float | None:
    """Measure how busy all cores are while this process sleeps: 0 to 1, None except on Linux."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None

    def ticks() -> tuple[int, int]:
        counts = [int(count) for count in stat.read_text().splitlines()[0].split()[1:9]]
        return sum(counts), counts[3] + counts[4]  # idle, and waiting for a disk

    before = ticks()
    time.sleep(seconds)
    total, idle = (after - earlier for after, earlier in zip(ticks(), before, strict=True))
    return 1 - idle / total if total else None


def status_bytes(name: str) -> int:
    """Read an entry of /proc/self/status, in bytes."""
    match = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    if match is None:
        msg = f"{STATUS} has no {name}"
        raise RuntimeError(msg)
    return int(match[1]) * 1024


def _lifetime_peak() -> int:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def begin_memory() -> int:
    """Reset the peak of the memory if the system can, and return the resident bytes."""
    if not STATUS.exists():
        return _lifetime_peak()
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS")


def peak_memory() -> int:
    """Return the peak of the memory since :func:`begin_memory`, in bytes."""
    return status_bytes("VmHWM") if STATUS.exists() else _lifetime_peak()
