"""Cells of a grid around a network, and their weights in a bilinear interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.schema.structure import check_days

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    import numpy.typing as npt
    import pandas as pd
    import xarray as xr

    Floats: TypeAlias = npt.NDArray[np.float64]

__all__ = ["around", "bilinear", "gridded"]

_AXES = {
    "time": ("time", "day", "date", "valid_time"),
    "north": ("lat", "latitude", "y", "northing"),
    "east": ("lon", "longitude", "x", "easting"),
}


def gridded(grid: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Return variables of a grid over (time, north, east), whose axes are complete and ascending."""
    if lacking := [name for name in names if name not in grid]:
        msg = f"the grid has no {shorten(lacking)}; it has {shorten(grid.data_vars, 20)}"
        raise InvalidArgumentError(msg)
    some = grid[names]
    axes = {_axis(some, axis): axis for axis in _AXES}
    for axis in axes:
        if axis not in some.indexes:
            msg = f"the grid has no coordinate {axis!r}; give it: grid = grid.assign_coords({axis}=...)"
            raise InvalidArgumentError(msg)
        index = some.indexes[axis]
        if axes[axis] != "time" and (index.hasnans or not index.is_unique or index.dtype.kind not in "iuf"):
            wrong = shorten(index[index.isna() | index.duplicated()].tolist() or [index.dtype])
            msg = f"{axis!r} of the grid must be distinct numbers; it has {wrong}; correct it or drop cells"
            raise InvalidArgumentError(msg)
    for name in names:
        _check_variable(some[name], axes)
    some = some.rename(axes).sortby(["north", "east"])
    if faults := list(check_days(some.drop_vars(["north", "east"]))):
        raise InvalidDatasetError(faults)
    return some


def _check_variable(array: xr.DataArray, axes: Collection[str]) -> None:
    """Refuse what are not numbers over the axes of a grid."""
    if other := [str(dim) for dim in array.dims if dim not in axes]:
        cure = f"choose one: grid = grid.isel({other[0]}=0)"
        msg = f"{array.name!r} has other dimensions, too ({shorten(other)}); {cure}"
        raise InvalidArgumentError(msg)
    if array.ndim < len(axes) or array.dtype.kind not in "iuf":
        msg = f"{array.name!r} must be numbers over {tuple(axes)}; it is {array.dtype} over {array.dims}"
        raise InvalidArgumentError(msg)
    if packed := sorted({"scale_factor", "add_offset"} & set(array.attrs)):
        msg = f"{array.name!r} is packed, with {shorten(packed)}; unpack it: grid = xr.decode_cf(grid)"
        raise InvalidArgumentError(msg)


def _axis(grid: xr.Dataset, axis: str) -> str:
    """Find the name of an axis of a grid."""
    for name in _AXES[axis]:
        for dim in map(str, grid.dims):
            if dim.lower() == name:
                return dim
    wanted = {"time": "time", "north": "latitude or y", "east": "longitude or x"}[axis]
    name = _AXES[axis][0]
    msg = f"the grid has no dimension for {wanted}; it has {shorten(grid.dims)}. Rename it to {name!r}"
    raise InvalidArgumentError(msg)


def around(grid: xr.Dataset, east: Floats, north: Floats, ids: pd.Index[Any]) -> xr.Dataset:
    """Cut a grid to the cells around some points, and refuse points outside of it."""
    if float(grid["east"].max()) > 180 and float(grid["east"].min()) >= 0 and (east < 0).any():
        grid = grid.assign_coords(east=(grid["east"] + 180) % 360 - 180)
        grid = grid.drop_duplicates("east").sortby("east")  # some have 0 and 360
    outside = np.zeros(east.size, bool)
    parts = {}
    for name, values in (("east", east), ("north", north)):
        axis = grid[name].to_numpy()
        half = np.diff(axis).max() / 2 if axis.size > 1 else np.inf
        outside |= (values < axis[0] - half) | (values > axis[-1] + half)
        first, last = np.searchsorted(axis, [values.min(), values.max()])
        parts[name] = slice(max(first - 3, 0), last + 3)
    if outside.any():
        lost = ids[outside]
        msg = f"the grid does not cover {lost.size} locations: {shorten(lost)}; is crs right?"
        raise InvalidArgumentError(msg)
    return grid.isel(parts)


def bilinear(
    columns: Floats, rows: Floats, east: Floats, north: Floats, there: npt.NDArray[np.bool_]
) -> sparse.csr_array:
    """Return bilinear weights of cells with values. Shapes: `there` (rows, columns), returns (n, cells)."""
    n = east.size
    x, y = _bracket(columns, east), _bracket(rows, north)
    total = sparse.csr_array((n, there.size))
    for (i, share), (j, part) in ((a, b) for a in x for b in y):
        cell = j * columns.size + i
        weight = share * part * there.ravel()[cell]
        total = total + sparse.csr_array((weight, (np.arange(n), cell)), shape=(n, there.size))
    sums: Floats = np.asarray(total.sum(axis=1))
    lost = np.flatnonzero(sums <= 1e-9)
    if lost.size:
        known = np.flatnonzero(there.ravel())
        centres = np.column_stack([columns[known % columns.size], rows[known // columns.size]])
        near = known[cKDTree(centres).query(np.column_stack([east, north])[lost])[1]]
        total = total + sparse.csr_array((np.ones(lost.size), (lost, near)), shape=total.shape)
        sums[lost] += 1.0
    return sparse.csr_array(sparse.diags_array(1.0 / sums) @ total)


def _bracket(axis: Floats, at: Floats) -> list[tuple[npt.NDArray[np.int64], Floats]]:
    """Return the positions below and above points on an axis, and their weights."""
    if axis.size == 1:
        return [(np.zeros(at.size, np.int64), np.ones(at.size))]
    low = np.clip(np.searchsorted(axis, at) - 1, 0, axis.size - 2)
    share = np.clip((at - axis[low]) / (axis[low + 1] - axis[low]), 0.0, 1.0)
    return [(low, 1 - share), (low + 1, share)]
