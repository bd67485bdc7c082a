"""Run one step in a fresh process and print how much memory it took; started by the harness.

Linux can forget the highest mark so far, so the peak is that of the step alone, and what is counted is
the peak less what was resident when the step began. Elsewhere it is the peak of the whole life of the
process, which is never lower.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

from benchmarks.harness import pinned

STATUS = Path("/proc/self/status")


def _status(name: str) -> int:
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


def begin() -> int:
    """Forget the highest mark if the system can, and return what is resident now, in bytes."""
    if not STATUS.exists():
        return _lifetime_peak()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> int:
    """Return the highest mark since :func:`begin`, in bytes."""
    return _status("VmHWM") if STATUS.exists() else _lifetime_peak()


def main() -> None:
    """Build and run what the first argument describes, see :func:`benchmarks.harness.peak_memory`."""
    asked = json.loads(sys.argv[1])
    build = getattr(importlib.import_module(asked["module"]), asked["build"])
    with pinned(asked["threads"]):
        if asked["warm"] is not None:
            build(**asked["warm"])()
        step = build(**asked["sizes"])
        before = begin()
        step()
        highest = peak()
    print(json.dumps({"before": before, "peak": highest}))


if __name__ == "__main__":
    main()
