"""Bulletins about events, and how they are aligned with what sensors see.

:func:`bulletins` writes a short text about each event; :func:`align` learns to match texts with the records
of sensors by contrast, so that one finds the other, also for kinds of events that it has never seen.
:func:`gauge_bulletins` writes about gauges that read too high or too low; :class:`BiasReader` corrects them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.events.text.aligner import TextAligner
    from xmsgl.events.text.bias import BiasReader
    from xmsgl.events.text.contrast import align, recall
    from xmsgl.events.text.encoders import encode
    from xmsgl.events.text.gauges import gauge_bulletins
    from xmsgl.events.text.write import bulletins

__all__ = ["BiasReader", "TextAligner", "align", "bulletins", "encode", "gauge_bulletins", "recall"]

_HOMES = {
    "BiasReader": "bias",
    "TextAligner": "aligner",
    "align": "contrast",
    "bulletins": "write",
    "encode": "encoders",
    "gauge_bulletins": "gauges",
    "recall": "contrast",
}
__getattr__, __dir__ = late(__name__, _HOMES)
