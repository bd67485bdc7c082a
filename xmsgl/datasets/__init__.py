"""Datasets that follow the convention of :mod:`xmsgl.schema`.

``delaware`` is built from published files, ``simulated`` needs none. Functions are imported on first use, to
keep the import of this package fast; no module may have the name of a function.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmsgl.datasets.delaware_basin.dataset import delaware
    from xmsgl.datasets.download import availability, fetch
    from xmsgl.datasets.synthetic import simulated

__all__ = ["availability", "delaware", "fetch", "simulated"]

_HOME = {
    "availability": "download",
    "delaware": "delaware_basin.dataset",
    "fetch": "download",
    "simulated": "synthetic",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"xmsgl.datasets.{_HOME[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
