"""Multi-scale graph learning for stream temperature, inside xarray.

Importing the package registers the accessor ``ds.msgl`` on :class:`xarray.Dataset` and
:class:`xarray.DataTree`. PyTorch is imported only when something needs it.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("xmsgl")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
