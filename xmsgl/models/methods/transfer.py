"""One backbone and one head that learn on the coarse network first and then work on the fine one.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025,
   doi:10.1609/aaai.v39i27.35014; the strategies it compares with.
"""

from __future__ import annotations

from xmsgl.models.methods.base import register_model
from xmsgl.models.methods.msgl import FineOnly

__all__ = ["Transfer"]


@register_model("direct")
@register_model("progressive")
class Transfer(FineOnly):
    """The model of ``fine-only``, which the coarse network may train too.

    Which labels teach it, and when, is the method's: ``direct`` begins with a process model's coarse
    temperature, ``progressive`` with coarse observations and then with what they predict at every reach.

    Parameters
    ----------
    n_features, hidden, recurrent_dropout, identity, segments, backend, backbone
        As in :class:`.MSGL`.
    """

    tasks = ("coarse", "fine")
