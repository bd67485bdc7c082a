"""Datasets that follow the convention of :mod:`xmsgl.schema`.

``delaware`` fetches real files and builds from them, ``simulated`` needs nothing. Both are imported
when first used, so that importing this package stays light.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmsgl.datasets.delaware import delaware
    from xmsgl.datasets.fetch import availability, fetch
    from xmsgl.datasets.simulated import simulated

__all__ = ["availability", "delaware", "fetch", "simulated"]

_HOME = {"availability": "fetch", "delaware": "delaware", "fetch": "fetch", "simulated": "simulated"}


class _Package(ModuleType):
    """The package, in which ``datasets.delaware`` is the function, whoever imported the module first.

    Python sets a submodule as an attribute of its package once it is loaded, which would put the module
    ``delaware`` in the place of the function of the same name.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOME and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"xmsgl.datasets.{_HOME[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = _Package
