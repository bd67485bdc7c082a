"""Results in the forms that other tools read: CF netCDF, UGRID networks, geometries, GeoDataFrames.

One idea runs through it: :mod:`xmsgl.export.table` puts values and the attributes of their reaches side by
side, along one dimension; the other modules write that in the words of a convention.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xmsgl.export.geometry import to_geodataframe
    from xmsgl.export.write import export

__all__ = ["export", "to_geodataframe"]

_HOME = {"export": "write", "to_geodataframe": "geometry"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"xmsgl.export.{_HOME[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
