"""Run one step in a fresh process and print its memory; started by the harness."""

from __future__ import annotations

import importlib
import json
import sys

from benchmarks.hardware import begin_memory, peak_memory
from benchmarks.harness import pinned


def main() -> None:
    """Build and run the step that the first argument describes, see :func:`benchmarks.harness.memory_of`."""
    asked = json.loads(sys.argv[1])
    build = getattr(importlib.import_module(asked["module"]), asked["build"])
    with pinned(asked["threads"]):
        if asked["warm"] is not None:
            build(**asked["warm"])()
        step = build(**asked["sizes"])
        before = begin_memory()
        step()
        peak = peak_memory()
    print(json.dumps({"before": before, "peak": peak}))


if __name__ == "__main__":
    main()
