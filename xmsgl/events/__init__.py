"""Heat released into a river: simulated events, and where, when and how much from a few sensors.

:func:`simulate` draws events and what sensors see of them, :func:`locate` looks for their sources, and
:func:`score` compares. The heat follows the process model of :mod:`xmsgl.simulate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.events.draw import simulate
    from xmsgl.events.methods import locate
    from xmsgl.events.scores import score

__all__ = ["locate", "score", "simulate"]

__getattr__, __dir__ = late(__name__, {"simulate": "draw", "locate": "methods", "score": "scores"})
