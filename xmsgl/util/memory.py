"""The memory of the machine, and the part of it that drivers may take in training."""

from __future__ import annotations

import os
from pathlib import Path

from xmsgl.util.options import get_option

__all__ = ["available_memory", "training_memory"]

# Where the limit of a container is written, by cgroups version 2 and 1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNKNOWN = 8 * 2**30  # where the system does not say
_SHARE = 4


def training_memory() -> int:
    """Return the bytes that the drivers of a training may take: the option, or a quarter of the memory.

    The processes that ``torchrun`` started on one machine share that quarter.
    """
    chosen: int | None = get_option("training_memory")
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    among = int(processes) if processes.isdigit() else 1
    return available_memory() // (_SHARE * max(1, among)) if chosen is None else chosen


def available_memory(limits: tuple[str, ...] = _LIMITS) -> int:
    """Return the memory of the machine, or of the container, in bytes; 8 GiB where it is not known."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        whole = _UNKNOWN
    return min([whole, *(found for name in limits if (found := _limit(Path(name))) > 0)])


def _limit(path: Path) -> int:
    """Return the number in a file; 0 where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max" where nothing is limited
        return 0
