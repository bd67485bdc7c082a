"""Daily weather of segments and reaches, from grids and from stations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse
from scipy.spatial import cKDTree

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.readers.days import read_days
from xmsgl.readers.frames import Source, columns, measures, name_of, open_frame
from xmsgl.schema.inherit import LAPSE_RATE
from xmsgl.schema.names import CROSSWALK, positions
from xmsgl.schema.ranges import check_names
from xmsgl.schema.structure import check_days
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.units import conversion, expected_units
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from xmsgl.util.scales import Scale

    Floats: TypeAlias = npt.NDArray[np.float64]

__all__ = ["weather_from_grid", "weather_from_stations"]

_AXES = {
    "time": ("time", "day", "date", "valid_time"),
    "north": ("lat", "latitude", "y", "northing"),
    "east": ("lon", "longitude", "x", "easting"),
}
_STATION = {
    "station": ("station", "station_id", "site", "site_id", "site_no", "id"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "long", "longitude"),
    "elevation": ("elevation", "elev", "elevation_m", "alt", "altitude"),
}
_DAILY = {"station": _STATION["station"], "time": ("time", "date", "day")}
_RADIUS = 6_371_000.0  # m, of the earth


@checked
def weather_from_grid(
    grid: xr.Dataset,
    network: xr.Dataset | xr.DataTree,
    names: Mapping[str, str],
    *,
    scale: Scale = "coarse",
    method: str = "linear",
    units: Mapping[str, str] | None = None,
    crs: Any = None,
) -> xr.Dataset:
    """Interpolate gridded daily weather to the segments or reaches of a network.

    Parameters
    ----------
    grid
        Dataset with the dimensions time, latitude and longitude under any usual name, one value a day, such
        as gridMET, PRISM or daily means of ERA5; or x and y in `crs`, such as Daymet. Lazy data stay lazy.
    network
        Dataset with ``lat`` and ``lon`` of the scale, degrees.
    names
        Base names of the data model, and the variable of the grid for each:
        ``{"air_temperature": "tmean", "precipitation": "ppt"}``.
    scale
        ``"coarse"`` or ``"fine"``.
    method
        ``"linear"``: bilinear, at the location of each segment or reach. ``"mean"``, for the coarse scale
        only: the mean over the reaches of a segment, weighted by length. Cells without values, such as
        those at sea, are left out; where all four are, the nearest cell with values is taken.
    units
        Units of variables of the grid that do not state them.
    crs
        Coordinate system of x and y, anything pyproj understands. Default: degrees.

    Returns
    -------
    xarray.Dataset
        ``<base>_<scale>`` (time, scale) in the units of the data model, for ``ds.merge(weather)``.

    Raises
    ------
    InvalidArgumentError
        A variable, a dimension, a location or units are missing, units cannot be converted, or the grid does
        not cover the network.
    InvalidDatasetError
        The days are not consecutive single days.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> river = xr.Dataset(
    ...     {"lat_coarse": ("coarse", [40.25]), "lon_coarse": ("coarse", [-75.0])}, {"coarse": [7]})
    >>> days = pd.date_range("2001-01-01", periods=2)
    >>> values = np.array([[[280.0, 280.0], [284.0, 284.0]], [[281.0, 281.0], [285.0, 285.0]]])
    >>> grid = xr.Dataset(
    ...     {"tas": (("day", "lat", "lon"), values, {"units": "K"})},
    ...     {"day": days, "lat": [40.0, 41.0], "lon": [-75.5, -74.5]})
    >>> weather = weather_from_grid(grid, river, {"air_temperature": "tas"})
    >>> weather["air_temperature_coarse"].values.round(2)
    array([[7.85],
           [8.85]])
    """
    ds = as_dataset(network)
    if method not in {"linear", "mean"} or (method == "mean" and scale != "coarse"):
        msg = f"method must be 'linear', or 'mean' for the coarse scale, not {method!r} for {scale!r}"
        raise InvalidArgumentError(msg)
    check_names(names, "names")
    if lacking := [theirs for theirs in names.values() if theirs not in grid]:
        msg = f"the grid has no {shorten(lacking)}; it has {shorten(grid.data_vars, 20)}"
        raise InvalidArgumentError(msg)
    some = grid[list(names.values())]
    some = some.rename({_axis(some, axis): axis for axis in _AXES}).sortby(["north", "east"])
    if faults := list(check_days(some.drop_vars(["north", "east"]))):
        raise InvalidDatasetError(faults)
    at: Scale = "fine" if method == "mean" else scale
    north, east = _of(ds, "lat", at), _of(ds, "lon", at)
    if crs is not None:
        pyproj = require("pyproj", "weather on a projected grid", extra="geo")
        east, north = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(east, north)
    some = _around(some, east, north, ds.indexes[at])
    weather = xr.Dataset(coords={"time": some["time"], scale: ds[scale]})
    for base, theirs in names.items():
        there = some[theirs].isel(time=0).notnull().to_numpy()
        weights = _bilinear(some["east"].to_numpy(), some["north"].to_numpy(), east, north, there)
        if method == "mean":
            weights = _by_segment(ds) @ weights
        values = xr.apply_ufunc(
            partial(_weighted, weights),
            some[theirs],
            input_core_dims=[["north", "east"]],
            output_core_dims=[[scale]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {scale: weights.shape[0]}, "allow_rechunk": True},
        )
        found = (units or {}).get(theirs, some[theirs].attrs.get("units"))
        converted: xr.DataArray = _convert(values.transpose("time", scale), base, theirs, found)
        weather[f"{base}_{scale}"] = converted.assign_attrs(units=expected_units(base) or found)
    return stamp(weather, f"interpolated {', '.join(names.values())} to {ds.sizes[scale]} along {scale}")


@checked
def weather_from_stations(
    stations: Source,
    daily: Source,
    network: xr.Dataset | xr.DataTree,
    *,
    scale: Scale = "coarse",
    power: float = 2.0,
    lapse_rate: float = -LAPSE_RATE,
    date_format: str | None = None,
) -> xr.Dataset:
    """Interpolate daily weather of stations to the segments or reaches of a network.

    Each value is a mean over the stations with a value on that day, weighted by the inverse of their distance
    to a power. Air temperatures are first corrected to the elevation of the segment.

    Parameters
    ----------
    stations
        One row per station: id, ``lat``, ``lon`` (degrees) and ``elevation`` (m).
    daily
        One row per station and day: id, date, and columns named like ``air_temperature [degC]``, a base name
        of the data model and units.
    network
        Dataset with ``lat``, ``lon`` and ``elevation`` of the scale.
    scale
        ``"coarse"`` or ``"fine"``.
    power
        Power of the distance.
    lapse_rate
        Decrease of air temperature with elevation, degC per m. Default: 0.0065, of the ICAO atmosphere.
    date_format
        Format of the dates, if it is not ISO.

    Returns
    -------
    xarray.Dataset
        ``<base>_<scale>`` (time, scale), for ``ds.merge(weather)``. The attribute ``leave_one_out_rmse`` of
        each variable is the RMSE at the stations, each predicted from the others.

    Raises
    ------
    InvalidArgumentError
        A column, a location or an elevation is missing, units cannot be converted, or on some days no station
        has a value.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> river = xr.Dataset(
    ...     {"lat_coarse": ("coarse", [40.0]), "lon_coarse": ("coarse", [-75.0]),
    ...      "elevation_coarse": ("coarse", [100.0])},
    ...     {"coarse": [7]})
    >>> stations = pd.DataFrame({"id": ["A"], "lat": [40.1], "lon": [-75.0], "elevation": [300.0]})
    >>> daily = pd.DataFrame({"id": ["A"], "date": ["2001-01-01"], "air_temperature [degC]": [5.0]})
    >>> weather_from_stations(stations, daily, river)["air_temperature_coarse"].values
    array([[6.3]])
    """
    ds = as_dataset(network)
    places = _stations(stations)
    tables = _station_values(daily, places.index, date_format)
    there = np.column_stack([_of(ds, "lat", scale), _of(ds, "lon", scale)])
    own = places[["lat", "lon"]].to_numpy()
    weight = inverse_distance(there, own, power)
    others = inverse_distance(own, own, power)
    np.fill_diagonal(others, 0.0)
    weather = xr.Dataset(coords={scale: ds[scale]})
    for base, (table, found) in tables.items():
        warm = "temperature" in base
        height = _of(ds, "elevation", scale) if warm else 0.0
        level = places["elevation"].to_numpy() if warm else np.zeros(len(places))
        values = _convert(table.to_numpy(), base, base, found)
        reduced = values + lapse_rate * level
        filled = mean_of_stations(weight, reduced) - lapse_rate * height
        empty = np.flatnonzero(np.isnan(filled).any(axis=1))
        if empty.size:
            days = shorten(np.datetime_as_string(table.index.to_numpy()[empty], "D"))
            msg = f"no station has {base} on {empty.size} days: {days}; add a station"
            raise InvalidArgumentError(msg)
        attrs: dict[str, Any] = {"units": expected_units(base) or found}
        if len(places) > 1:
            error = mean_of_stations(others, reduced) - reduced
            attrs["leave_one_out_rmse"] = round(float(np.sqrt(np.nanmean(error**2))), 3)
        array = xr.DataArray(filled, coords={"time": table.index, scale: ds[scale]}, dims=("time", scale))
        weather[f"{base}_{scale}"] = array.assign_attrs(attrs)
    return stamp(weather, f"interpolated {len(places)} stations to {ds.sizes[scale]} along {scale}")


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


def _of(ds: xr.Dataset, base: str, scale: Scale) -> Floats:
    """Return a complete static variable of a scale. Shapes: returns (scale,)."""
    name = f"{base}_{scale}"
    if name not in ds.variables or ds[name].isnull().any():
        msg = f"the network needs {name!r} without missing values to interpolate weather"
        raise InvalidArgumentError(msg)
    return ds[name].to_numpy().astype(np.float64)


def _around(grid: xr.Dataset, east: Floats, north: Floats, ids: pd.Index[Any]) -> xr.Dataset:
    """Cut a grid to the cells around some points, and refuse points outside of it."""
    if float(grid["east"].max()) > 180 and float(grid["east"].min()) >= 0 and (east < 0).any():
        grid = grid.assign_coords(east=(grid["east"] + 180) % 360 - 180).sortby("east")
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


def _bilinear(
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


def _by_segment(ds: xr.Dataset) -> sparse.csr_array:
    """Return the share of each reach in the length of its segment. Shapes: returns (coarse, fine)."""
    segment = positions(ds.indexes["coarse"].to_numpy(), ds[CROSSWALK].to_numpy())
    length = _of(ds, "length", "fine")
    total = np.bincount(segment, weights=length, minlength=ds.sizes["coarse"])
    if (bare := total == 0).any():
        alone = shorten(ds.indexes["coarse"][bare])
        msg = f"{int(bare.sum())} segments have no reaches: {alone}; use method='linear'"
        raise InvalidArgumentError(msg)
    shape = (ds.sizes["coarse"], ds.sizes["fine"])
    return sparse.csr_array((length / total[segment], (segment, np.arange(segment.size))), shape=shape)


def _weighted(weights: sparse.csr_array, values: npt.NDArray[Any]) -> Floats:
    """Apply weights of cells. Shapes: `values` (..., north, east), returns (..., scale)."""
    flat = values.reshape(-1, weights.shape[1]).astype(np.float64)
    used = np.unique(weights.indices)
    mean: Floats = (weights[:, used] @ flat[:, used].T).T
    return mean.reshape(*values.shape[:-2], weights.shape[0])


def _convert(values: Any, base: str, theirs: str, found: str | None) -> Any:
    """Convert values to the units of the data model; refuse what has no units or other ones."""
    if not found:
        msg = f"{theirs!r} does not state its units; give them"
        raise InvalidArgumentError(msg)
    wanted = expected_units(base)
    known = conversion(found, wanted or found)
    if known is None:
        msg = f"{theirs!r} is in {found!r}, which cannot be converted to {wanted!r}; convert it first"
        raise InvalidArgumentError(msg)
    return known.apply(values)


def _stations(source: Source) -> pd.DataFrame:
    """Return lat, lon and elevation by station."""
    frame, what = open_frame(source, text=_STATION["station"]), name_of(source)
    found = columns(frame, _STATION, _STATION, what)
    table = pd.DataFrame(
        {key: measures(frame[found[key]], found[key]) for key in ("lat", "lon", "elevation")}
    )
    table.index = pd.Index(frame[found["station"]].astype(str).str.strip(), name="station")
    if table.index.has_duplicates or table.isna().any(axis=None):
        msg = f"{what} must have one row per station, with lat, lon and elevation (m)"
        raise InvalidArgumentError(msg)
    return table


def _station_values(
    source: Source, stations: pd.Index[Any], date_format: str | None
) -> dict[str, tuple[pd.DataFrame, str]]:
    """Return a table (time, station) of each variable, and its units."""
    frame, what = open_frame(source, text=_STATION["station"]), name_of(source)
    found = columns(frame, _DAILY, _DAILY, what)
    header = found["time"]
    days = read_days(frame[header], what, header=header, id_header=found["station"], date_format=date_format)
    site = frame[found["station"]].astype(str).str.strip()
    if unknown := sorted(set(site) - set(stations)):
        msg = f"{what} has stations that the table of stations lacks: {shorten(unknown)}; add or drop them"
        raise InvalidArgumentError(msg)
    tables = {}
    check_names([str(column).partition("[")[0].strip() for column in frame.columns], what)
    for column in frame.columns:
        name, _, rest = str(column).partition("[")
        if rest:
            series = pd.Series(measures(frame[column], str(column)), index=[days, site])
            if series.index.has_duplicates:
                msg = f"{what} has several rows for a station and day; average them first"
                raise InvalidArgumentError(msg)
            table = series.unstack().reindex(columns=stations)
            full = table.reindex(pd.date_range(table.index.min(), table.index.max(), name="time"))
            tables[name.strip()] = full, rest.rstrip("] ").strip()
    if not tables:
        msg = f"{what} has no column such as 'air_temperature [degC]'; it has {shorten(frame.columns, 20)}"
        raise InvalidArgumentError(msg)
    return tables


def inverse_distance(there: Floats, stations: Floats, power: float) -> Floats:
    """Invert distances. Shapes: `there` (n, 2), `stations` (m, 2) as lat, lon, returns (n, m)."""
    (lat, lon), (other, east) = np.deg2rad(there.T)[:, :, None], np.deg2rad(stations.T)[:, None, :]
    half = np.sin((lat - other) / 2) ** 2 + np.cos(lat) * np.cos(other) * np.sin((lon - east) / 2) ** 2
    distance = 2 * _RADIUS * np.arcsin(np.sqrt(half))
    inverse: Floats = np.maximum(distance, 1.0) ** -power
    return inverse


def mean_of_stations(weight: Floats, values: Floats) -> Floats:
    """Average over stations. Shapes: `weight` (n, station), `values` (time, station), returns (time, n)."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = (np.where(there, values, 0.0) @ weight.T) / (there @ weight.T)
    return mean
