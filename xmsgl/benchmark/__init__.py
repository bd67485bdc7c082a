"""The benchmark: methods compared on the same split, without leaks; interrupted runs can be resumed.

Names are imported when first used, because most of them import PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.benchmark.door import run
    from xmsgl.benchmark.methods import register_reference
    from xmsgl.benchmark.plan import make_plan
    from xmsgl.benchmark.runs import Run
    from xmsgl.benchmark.sources import Source, register_source

__all__ = ["Run", "Source", "make_plan", "register_reference", "register_source", "run"]

__getattr__, __dir__ = late(
    __name__,
    {
        "Run": "runs",
        "Source": "sources",
        "make_plan": "plan",
        "register_reference": "methods",
        "register_source": "sources",
        "run": "door",
    },
)
