"""Bulletins about events, and how they are aligned with what sensors see.

:func:`bulletins` writes a short text about each event; :func:`align` learns to match texts with the records
of sensors by contrast, so that one finds the other, also for kinds of events that it has never seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.events.text.aligner import TextAligner
    from xmsgl.events.text.contrast import align, recall
    from xmsgl.events.text.encoders import encode
    from xmsgl.events.text.write import bulletins

__all__ = ["TextAligner", "align", "bulletins", "encode", "recall"]

_HOMES = {
    "TextAligner": "aligner",
    "align": "contrast",
    "bulletins": "write",
    "encode": "encoders",
    "recall": "contrast",
}
__getattr__, __dir__ = late(__name__, _HOMES)
