"""Multi-scale graph learning for stream temperature, inside xarray.

Importing the package registers the accessor ``ds.msgl`` on :class:`xarray.Dataset` and
:class:`xarray.DataTree`. PyTorch is imported only when needed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from xmsgl import accessor as _accessor  # noqa: F401 - registers ds.msgl
from xmsgl.errors import XMSGLError
from xmsgl.util.late import late
from xmsgl.util.options import get_option, set_options
from xmsgl.util.version import __version__

if TYPE_CHECKING:
    from xmsgl import benchmark, datasets, evaluate, events, export, plot, readers
    from xmsgl.catalog.path import catalog_path
    from xmsgl.models.file.model import Model, load_model
    from xmsgl.readers.coarsen import coarsen
    from xmsgl.schema.combine import combine
    from xmsgl.schema.join import join_basins

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
    "events",
    "export",
    "get_option",
    "join_basins",
    "load_model",
    "plot",
    "readers",
    "set_options",
]

# Imported on first use, because they import PyTorch, Numba or Matplotlib.
__getattr__, __dir__ = late(
    __name__,
    {
        "Model": "models.file.model",
        "catalog_path": "catalog.path",
        "coarsen": "readers.coarsen",
        "combine": "schema.combine",
        "join_basins": "schema.join",
        "load_model": "models.file.model",
        **dict.fromkeys(("benchmark", "datasets", "evaluate", "events", "export", "plot", "readers"), ""),
    },
)
