"""Heat released into a river: simulated events, and where, when and how much from a few sensors.

:func:`simulate` draws events and what sensors see of them, :func:`train` a network to locate them;
:func:`locate` estimates their sources, and :func:`score` compares. The heat follows the process model of
:mod:`xmsgl.simulate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.events import text
    from xmsgl.events.disturb import perturb
    from xmsgl.events.draw import simulate
    from xmsgl.events.localizer import Localizer, train
    from xmsgl.events.methods import locate
    from xmsgl.events.scores import score
    from xmsgl.events.weights import felt, sensor_weights

__all__ = ["Localizer", "felt", "locate", "perturb", "score", "sensor_weights", "simulate", "text", "train"]

_HOMES = {
    "Localizer": "localizer",
    "felt": "weights",
    "locate": "methods",
    "perturb": "disturb",
    "score": "scores",
    "sensor_weights": "weights",
    "simulate": "draw",
    "text": "",
    "train": "localizer",
}
__getattr__, __dir__ = late(__name__, _HOMES)
