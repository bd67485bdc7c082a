"""Results for other tools: CF netCDF, UGRID networks, geometries, GeoDataFrames.

:mod:`xmsgl.export.table` joins values and the attributes of their reaches along one dimension; the other
modules write this table in a convention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.util.late import late

if TYPE_CHECKING:
    from xmsgl.export.geometry import to_geodataframe
    from xmsgl.export.write import export

__all__ = ["export", "to_geodataframe"]

__getattr__, __dir__ = late(__name__, {"export": "write", "to_geodataframe": "geometry"})
