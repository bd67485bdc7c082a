"""The version of the package, in a module of its own so that none has to import the root."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("xmsgl")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"
