"""The version of the package: a leaf, so that what states it need not import the root."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("xmsgl")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
