"""Multi-scale graph learning for stream temperature, inside xarray.

Importing the package registers the accessor ``ds.msgl`` on :class:`xarray.Dataset` and
:class:`xarray.DataTree`. PyTorch is imported only when needed.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xmsgl import accessor as _accessor  # noqa: F401 - registers ds.msgl
from xmsgl.errors import XMSGLError
from xmsgl.util.options import get_option, set_options
from xmsgl.util.version import __version__

if TYPE_CHECKING:
    from xmsgl import benchmark, datasets, evaluate, export, plot, readers
    from xmsgl.catalog.path import catalog_path
    from xmsgl.models.file.model import Model, load_model
    from xmsgl.readers.coarsen import coarsen
    from xmsgl.schema.combine import combine

# Nothing is logged to the screen unless the user configures logging.
logging.getLogger("xmsgl").addHandler(logging.NullHandler())

__all__ = [
    "Model",
    "XMSGLError",
    "__version__",
    "benchmark",
    "catalog_path",
    "coarsen",
    "combine",
    "datasets",
    "evaluate",
    "export",
    "get_option",
    "load_model",
    "plot",
    "readers",
    "set_options",
]

# Imported on first use, because they import PyTorch, Numba or Matplotlib.
_LATE = {
    "Model": "xmsgl.models.file.model",
    "catalog_path": "xmsgl.catalog.path",
    "coarsen": "xmsgl.readers.coarsen",
    "combine": "xmsgl.schema.combine",
    "load_model": "xmsgl.models.file.model",
}
_MODULES = ("benchmark", "datasets", "evaluate", "export", "plot", "readers")


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    if name in _MODULES:
        return import_module(f"xmsgl.{name}")
    msg = f"module 'xmsgl' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
