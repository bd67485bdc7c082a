"""Results with their lines: an xvec cube for xarray, a GeoDataFrame for other software."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.export.table import IDS, need, table_of
from xmsgl.schema.geometry import CRS, half_way, pieces, read_geometry
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import geopandas
    import numpy.typing as npt
    import xarray as xr

    from xmsgl.export.table import Table

__all__ = ["cube", "degrees", "middles", "places", "to_geodataframe"]


@checked
def to_geodataframe(
    prediction: xr.DataArray | xr.Dataset, obj: xr.Dataset | xr.DataTree
) -> geopandas.GeoDataFrame:
    """Convert a result to a GeoDataFrame with one row per reach and one column per value.

    For hvplot, lonboard, the ``explore`` of GeoPandas and GIS. Select days, statistics or quantiles first:
    each becomes a column.

    Parameters
    ----------
    prediction
        Values over ``fine`` or ``coarse``, such as ``temperature.sel(time=["2019-07-21", "2019-07-22"])``,
        ``temperature.mean("time")`` or ``ds.msgl.evaluate(temperature, by="reach")``.
    obj
        Dataset or DataTree with ``geometry_<scale>``, or ``lat_<scale>`` and ``lon_<scale>``, which give
        points.

    Returns
    -------
    geopandas.GeoDataFrame
        Index: the ids, named ``reach_id`` or ``segment_id``. Columns: ``<name>`` for one value per reach,
        ``<name> 2019-07-21``, ``<name> 0.95``, ... for further dimensions, and ``geometry`` in EPSG:4326.

    Raises
    ------
    InvalidArgumentError
        The values have neither or both scales, or have ids that the dataset lacks.
    InvalidDatasetError
        The location of some reaches is missing.
    MissingDependencyError
        GeoPandas is not installed: ``pip install "xmsgl[geo]"``.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=4, years=1)
    >>> days = ds.water_temperature_coarse.rename("observed").sel(time=["2002-07-01", "2002-07-02"])
    >>> frame = to_geodataframe(days, ds)
    >>> list(frame.columns), frame.index.name, frame.crs.to_epsg()
    (['observed 2002-07-01', 'observed 2002-07-02', 'geometry'], 'segment_id', 4326)
    """
    frames = need("geopandas")
    table = table_of(obj, prediction)
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in table.given:
        columns |= _columns(table.values[name].compute(), table.scale)
    index = pd.Index(table.ids, name=IDS[table.scale])
    return frames.GeoDataFrame(columns, geometry=places(table), crs=CRS, index=index)


def _columns(array: xr.DataArray, scale: str) -> dict[str, npt.NDArray[Any]]:
    """Split an array into one column for each label of its other dimensions."""
    if scale not in array.dims:
        advice = f"leave it out: drop_vars({array.name!r})"
        msg = f"{array.name!r} has dimensions {array.dims}, not {scale!r}; {advice}"
        raise InvalidArgumentError(msg)
    others = [dim for dim in array.dims if dim != scale]
    rows = array.transpose(*others, scale).values
    labels = [[_text(label) for label in array[dim].values] for dim in others]
    return {
        " ".join([str(array.name), *words]): rows[position]
        for position, words in zip(
            np.ndindex(*(array.sizes[dim] for dim in others)), product(*labels), strict=True
        )
    }


def _text(label: Any) -> str:
    if isinstance(label, np.datetime64):
        return str(pd.Timestamp(label)).removesuffix(" 00:00:00")
    return f"{label:g}" if isinstance(label, float | np.floating) else str(label)


def places(table: Table) -> npt.NDArray[np.object_]:
    """Return the line of each id (n,), or its point if the dataset has no lines."""
    shapely = need("shapely")
    scale, network = table.scale, table.network
    if f"geometry_{scale}" in network.variables:
        found = read_geometry(network, scale)
        missing, what = np.asarray(shapely.is_empty(found) | shapely.is_missing(found)), f"geometry_{scale}"
    elif {f"lat_{scale}", f"lon_{scale}"} <= set(network.variables):
        what = f"lat_{scale} or lon_{scale}"
        east, north = (network[f"{name}_{scale}"].to_numpy().astype(np.float64) for name in ("lon", "lat"))
        missing = ~((np.abs(east) <= 360) & (np.abs(north) <= 90))
        found = shapely.points(np.where(missing, 0.0, east), np.where(missing, 0.0, north))
    else:
        fault = (
            f"the dataset has no locations along {scale!r}: add geometry_{scale} (hexadecimal WKB or xvec "
            f"geometries, {CRS}), or lat_{scale} and lon_{scale} (degrees)"
        )
        raise InvalidDatasetError([fault])
    if missing.any():
        fault = (
            f"{what} is missing or not in degrees for {missing.sum()} of {len(missing)} ids along {scale!r}: "
            f"{shorten(table.ids[missing])}; correct it, or leave these ids out of the values to export: "
            f".drop_sel({scale}=...)"
        )
        raise InvalidDatasetError([fault])
    return np.asarray(found, dtype=object)


def middles(table: Table, lines: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[np.float64]]:
    """Return ``lat`` and ``lon`` (n,) from the dataset, or of the point half-way along each line."""
    stored = {name: f"{name}_{table.scale}" for name in ("lat", "lon")}
    if set(stored.values()) <= set(table.network.variables):
        found = {name: table.network[full].to_numpy().astype(np.float64) for name, full in stored.items()}
        if all(np.isfinite(values).all() for values in found.values()):
            return found
    shapely = need("shapely")
    # parts of a line may be stored in any order; merging would remove points
    several = shapely.get_type_id(lines) == shapely.GeometryType.MULTILINESTRING
    merged = np.where(several, shapely.line_merge(lines), lines)
    east, north = half_way(*pieces(merged), len(lines)).T
    return {"lat": north, "lon": east}


def degrees(what: str) -> dict[str, dict[str, str]]:
    """Return the attributes of ``lat`` and ``lon``."""
    north = {"standard_name": "latitude", "long_name": f"latitude of the {what}", "units": "degrees_north"}
    east = {"standard_name": "longitude", "long_name": f"longitude of the {what}", "units": "degrees_east"}
    return {"lat": north, "lon": east}


def cube(table: Table) -> xr.Dataset:
    """Convert a table to a vector data cube of xvec, whose dimension ``geometry`` has lines as labels."""
    need("xvec")
    lines = places(table)
    ids = table.network[table.scale]
    kind = "reach" if table.scale == "fine" else "segment"
    attrs = {"long_name": f"id of the {kind}", **ids.attrs, "cf_role": "timeseries_id"}
    attrs.pop("units", None)
    points = middles(table, lines)
    flat = table.values.drop_vars(table.scale).rename({table.scale: "geometry"})
    done = flat.assign_coords(
        {
            "geometry": ("geometry", lines),
            IDS[table.scale]: ("geometry", ids.to_numpy(), attrs),
            **{name: ("geometry", points[name], attrs) for name, attrs in degrees(kind).items()},
        }
    )
    indexed: xr.Dataset = done.xvec.set_geom_indexes("geometry", crs=CRS)
    return indexed
