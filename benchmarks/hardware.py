"""What the machine is, as far as it explains a number."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import cores

LIBRARIES = ("xmsgl", "torch", "numba", "numpy", "scipy", "pytest-benchmark")


def _first(pattern: str, path: str) -> str | None:
    """Find a line in one of Linux's files about the machine; None where there is no such thing."""
    file = Path(path)
    match = re.search(pattern, file.read_text(), re.MULTILINE) if file.exists() else None
    return None if match is None else match[1].strip()


def describe_machine() -> dict[str, Any]:
    """Return the processor, cores, memory (GB), system and versions; None for what can not be found."""
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
