"""A table as a CF dataset: time series with lines (CF 1.11, section 7.5, chapter 9, appendix H.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xmsgl.export.describe import describe, pack, prepare
from xmsgl.export.geometry import cube
from xmsgl.export.table import need

if TYPE_CHECKING:
    from xmsgl.export.table import Table

__all__ = ["to_cf"]

_LONG_NAMES = {
    "x": "longitude of a node of a line",
    "y": "latitude of a node of a line",
    "node_count": "nodes of each line",
    "part_node_count": "nodes of each part of a line",
    "geometry_container": "lines, one for each geometry",
    "spatial_ref": "WGS 84, degrees east and north",
}


def to_cf(table: Table) -> xr.Dataset:
    """Write a table in the CF conventions."""
    need("cf_xarray")
    encoded: xr.Dataset = prepare(cube(table)).xvec.encode_cf()
    for name, array in encoded.data_vars.items():
        if "geometry" in array.dims:
            encoded[name] = array.transpose(..., "geometry", "time", missing_dims="ignore")
    encoded = _tidy(encoded, set(table.values.data_vars))
    encoded.attrs = describe(table, "CF-1.11")
    if "time" in encoded.dims:
        encoded.attrs["featureType"] = "timeSeries"
    return pack(encoded)


def _tidy(encoded: xr.Dataset, data: set[object]) -> xr.Dataset:
    """Keep attributes of geometry on data variables only, and add missing long names."""
    container = xr.Variable((), np.int32(0), encoded["geometry_container"].attrs)
    done = encoded.reset_coords("spatial_ref").assign(geometry_container=container)
    for name in done.variables:
        attrs = done[name].attrs
        if name not in data and name != "geometry_container":
            attrs.pop("geometry", None)
            attrs.pop("grid_mapping", None)
        if name in _LONG_NAMES:
            attrs["long_name"] = _LONG_NAMES[str(name)]
    for axis, name in (("x", "lon"), ("y", "lat")):
        done[name].attrs["nodes"] = axis
        done[axis].attrs.pop("standard_name")  # checkers expect one longitude and one latitude
    return done
