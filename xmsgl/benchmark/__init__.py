"""The benchmark: methods side by side on the same split, resumable, without leaks."""

from __future__ import annotations

from xmsgl.benchmark.door import run
from xmsgl.benchmark.methods import register_reference
from xmsgl.benchmark.plan import Run, make_plan
from xmsgl.benchmark.sources import Source, register_source

__all__ = ["Run", "Source", "make_plan", "register_reference", "register_source", "run"]
