"""Results for other tools: CF netCDF, UGRID networks, geometries, GeoDataFrames.

:mod:`xmsgl.export.table` joins values and the attributes of their reaches along one dimension; the other
modules write this table in a convention.
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
