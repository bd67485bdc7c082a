"""One backbone and one head, trained on the coarse network first and then used on the fine one.

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
    """The model of ``fine-only``, trained on the coarse network too.

    ``direct`` starts with the coarse temperature of a process model, ``progressive`` with coarse
    observations and then with pseudo-labels at every reach. Arguments as in :class:`.MSGL`.
    """

    tasks = ("coarse", "fine")
