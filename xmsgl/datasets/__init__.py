"""Datasets that follow the convention of :mod:`xmsgl.schema`.

``delaware``, ``willamette`` and ``yakima`` are built from published files, ``simulated`` needs none.
Functions are imported on first use, to keep the import of this package fast; no module may have the name of a
function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.datasets.delaware_basin.dataset import delaware
    from xmsgl.datasets.download import availability, fetch
    from xmsgl.datasets.pacific_northwest.dataset import willamette, yakima
    from xmsgl.datasets.synthetic import simulated

__all__ = ["availability", "delaware", "fetch", "simulated", "willamette", "yakima"]

__getattr__, __dir__ = late(
    __name__,
    {
        "availability": "download",
        "delaware": "delaware_basin.dataset",
        "fetch": "download",
        "simulated": "synthetic",
        "willamette": "pacific_northwest.dataset",
        "yakima": "pacific_northwest.dataset",
    },
)
