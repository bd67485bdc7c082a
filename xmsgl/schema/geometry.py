"""Lines of segments and reaches: ``geometry_<scale>`` as hexadecimal WKB or as xvec geometries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidDatasetError, shorten
from xmsgl.schema.advice import counted
from xmsgl.util.optional import require
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

__all__ = ["CRS", "check_geometry", "half_way", "pieces", "read_geometry"]

Floats: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[np.int64]

CRS = "EPSG:4326"
"""The coordinate system of all coordinates: degrees east and north, WGS 84."""

_SPELLINGS = {"EPSG:4326", "4326", "OGC:CRS84", "CRS84", "WGS84", "WGS 84"}
_FARTHEST = 360.0  # some longitudes run from 0 to 360


def read_geometry(ds: xr.Dataset, scale: str) -> npt.NDArray[np.object_]:
    """Read the lines of a scale from either form, (n,); None where there is none."""
    shapely = require("shapely", "reading geometries", extra="geo")
    name = f"geometry_{scale}"
    if name not in ds.variables:
        raise InvalidDatasetError([f"variable {name!r} over ({scale}) is missing"])
    faults = list(_faults(ds, scale))
    if faults:
        raise InvalidDatasetError(faults)
    values = np.asarray(ds[name].values, dtype=object)
    text = np.array([isinstance(value, str | bytes) and len(value) > 0 for value in values], dtype=bool)
    geometries = np.full(values.shape, None, dtype=object)
    known = np.asarray(shapely.is_geometry(values), dtype=bool)
    geometries[known] = values[known]
    geometries[text] = shapely.from_wkb(values[text], on_invalid="ignore")
    lost = text & ~np.asarray(shapely.is_geometry(geometries), dtype=bool)
    if lost.any():
        found = counted(lost.sum(), "value is not a valid line", "values are not valid lines")
        fault = (
            f"{name}: {found}: {scale} {shorten(ds.indexes[scale][lost])}; "
            "store geometries or hexadecimal well-known binary: shapely.to_wkb(lines, hex=True)"
        )
        raise InvalidDatasetError([fault])
    east, north = np.abs(shapely.get_coordinates(geometries)).max(axis=0, initial=0.0)
    if east > _FARTHEST or north > 90:
        fault = (
            f"{name} extends to {east:g} east or west and {north:g} north or south, which cannot be degrees; "
            "name its projection, and the next message has the conversion: "
            f'ds["{name}"].attrs["crs"] = "EPSG:..."'
        )
        raise InvalidDatasetError([fault])
    return geometries


def pieces(geometries: npt.NDArray[np.object_]) -> tuple[list[Floats], Positions]:
    """Split lines into their pieces (points, 2), with the position of the line of each piece."""
    shapely = require("shapely", "reading geometries", extra="geo")
    parts, line = shapely.get_parts(geometries, return_index=True)
    places, owner = shapely.get_coordinates(parts, return_index=True)
    kept, first = np.unique(owner, return_index=True)
    paths = np.split(np.asarray(places, dtype=np.float64), first[1:]) if len(kept) else []
    return paths, np.asarray(line[kept], dtype=np.int64)


def half_way(paths: Sequence[Floats], line: Positions, n: int) -> Floats:
    """Find the point half-way along each of n lines, measured on the ground: pieces -> (n, 2)."""
    found = np.full((n, 2), np.nan)
    if not len(paths):
        return found
    order = np.argsort(line, kind="stable")
    places = np.concatenate([paths[k] for k in order])
    sizes = np.array([len(paths[k]) for k in order])
    step = np.diff(places, axis=0, prepend=places[:1])  # to each point, from the one before
    step[np.cumsum(sizes) - sizes] = 0.0
    east = step[:, 0] * np.cos(np.deg2rad(places[:, 1] - step[:, 1] / 2))
    length = np.hypot(east, step[:, 1])
    length[~np.isfinite(length)] = 0.0  # or one missing point would spoil all later lines
    gone = np.cumsum(length)
    own, first = np.unique(np.repeat(line[order], sizes), return_index=True)
    last = np.append(first[1:], len(places)) - 1
    half = (gone[first] + gone[last]) / 2
    at = np.clip(np.searchsorted(gone, half), first, last)
    beyond = np.divide(gone[at] - half, length[at], out=np.zeros(len(at)), where=length[at] > 0)
    found[own] = places[at] - beyond[:, None] * step[at]
    return found


def check_geometry(ds: xr.Dataset) -> Iterator[str]:
    """Find lines with wrong dimensions, dtype or coordinate system, without reading them."""
    for scale in SCALES:
        if f"geometry_{scale}" in ds.variables:
            yield from _faults(ds, scale)


def _faults(ds: xr.Dataset, scale: str) -> Iterator[str]:
    name = f"geometry_{scale}"
    array = ds.variables[name]
    if array.dims != (scale,):
        yield f"{name} has dimensions {array.dims} instead of ({scale!r},): give one line for each id"
    if array.dtype.kind not in "OUST":
        yield (
            f"{name} has dtype {array.dtype}; it must be geometries or text (hexadecimal well-known binary): "
            "shapely.to_wkb(lines, hex=True)"
        )
    index: Any = ds.xindexes.get(name)
    crs = getattr(index, "crs", None) or array.attrs.get("crs")
    if crs is not None and not _is_wgs84(crs):
        yield f"{name} is in {_short(crs)} instead of {CRS}; convert: {_reproject(name, scale, index)}"


def _reproject(name: str, scale: str, index: object) -> str:
    """Write code that converts lines to degrees; some may be empty text, None or NaN."""
    if index is not None:
        series = f'geopandas.GeoSeries(ds["{name}"].values, crs=ds.xindexes["{name}"].crs)'
    else:
        read = f'shapely.from_wkb(ds["{name}"].fillna("").values, on_invalid="ignore")'
        series = f'geopandas.GeoSeries({read}, crs=ds["{name}"].attrs["crs"])'
    return (
        f'lines = {series}.to_crs("{CRS}"); '
        f'ds = ds.drop_vars("{name}").assign({name}=("{scale}", lines.to_wkb(hex=True).values))'
    )


def _short(crs: Any) -> str:
    text = str(crs)
    return text if len(text) < 60 else str(getattr(crs, "name", f"{text[:56]} ..."))


def _is_wgs84(crs: Any) -> bool:
    if str(crs).upper() in _SPELLINGS:
        return True
    from importlib.util import find_spec

    if find_spec("pyproj") is None:
        return False
    from pyproj import CRS as System  # noqa: N811 - our constant has its name
    from pyproj.exceptions import CRSError

    try:
        return bool(System.from_user_input(crs).equals(System.from_user_input(CRS), ignore_axis_order=True))
    except CRSError:
        return False
