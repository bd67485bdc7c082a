"""Daily weather of segments and reaches, from grids and from stations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.readers.days import read_days
from xmsgl.readers.frames import (
    Source,
    check_choice,
    columns,
    find_fields,
    measures,
    name_of,
    open_frame,
)
from xmsgl.readers.grids import around, bilinear, gridded
from xmsgl.schema.inherit import LAPSE_RATE
from xmsgl.schema.names import scale_of
from xmsgl.schema.ranges import check_names, fill_like, impossible
from xmsgl.schema.rivers import need_ids, segment_positions
from xmsgl.schema.structure import dates
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.units import conversion, expected_units, in_degrees, in_units, tidy_units
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.optional import require
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from xmsgl.schema.units import Conversion
    from xmsgl.util.scales import Scale

    Floats: TypeAlias = npt.NDArray[np.float64]

__all__ = ["weather_from_grid", "weather_from_stations"]

_STATION = {
    "station": ("station", "station_id", "site", "site_id", "site_no", "id"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "long", "longitude"),
    "elevation": ("elevation", "elev", "elevation_m", "alt", "altitude"),
}
_DAILY = {"station": _STATION["station"], "time": ("time", "date", "day")}
_RADIUS = 6_371_000.0  # m, of the earth
_STEEPEST = 0.1  # degC per m; inversions of some degrees in tens of metres


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
        A variable, a dimension, a location or units are missing, units cannot be converted, the grid does not
        cover the network, or values are impossible, such as -9999; of lazy data, when they are computed.
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
    check_choice("scale", scale, SCALES)
    at: Scale = "fine" if method == "mean" else scale
    for each in (scale, at):
        need_ids(ds, each)
    _check_bases(names, "names")
    if unused := sorted(set(units or {}) - set(names.values())):
        msg = f"units has {shorten(unused)}, but the variables of the grid are {shorten(names.values(), 20)}"
        raise InvalidArgumentError(msg)
    some = gridded(grid, list(names.values()))
    north, east = _of(ds, "lat", at), _of(ds, "lon", at)
    if crs is not None:
        pyproj = require("pyproj", "weather on a projected grid", extra="geo")
        east, north = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(east, north)
    some = around(some, east, north, ds.indexes[at])
    weather = xr.Dataset(coords={"time": some["time"], scale: ds[scale]})
    for base, theirs in names.items():
        there = some[theirs].isel(time=0).notnull().to_numpy()
        if not there.any():
            msg = f"{theirs!r} has no value near the network on the first day; begin with a day that has some"
            raise InvalidArgumentError(msg)
        weights = bilinear(some["east"].to_numpy(), some["north"].to_numpy(), east, north, there)
        if method == "mean":
            weights = _by_segment(ds) @ weights
        found = (units or {}).get(theirs, some[theirs].attrs.get("units"))
        known = _conversion(base, theirs, found)
        values = xr.apply_ufunc(
            partial(_weighted, weights=weights, base=base, name=theirs, known=known),
            some[theirs],
            some["time"],
            input_core_dims=[["north", "east"], []],
            output_core_dims=[[scale]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {scale: weights.shape[0]}, "allow_rechunk": True},
        )
        values = values.transpose("time", scale).assign_attrs(units=expected_units(base) or found)
        weather[f"{base}_{scale}"] = values
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
        One row per station: id, ``lat``, ``lon`` (degrees) and ``elevation`` (m, or ``elevation [ft]``).
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
        A column, a location or an elevation is missing, units cannot be converted, values are impossible,
        such as -999.9, or on some days no station has a value.
    InvalidDatasetError
        The units of the elevation of the network cannot be converted.

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
    check_choice("scale", scale, SCALES)
    need_ids(ds, scale)
    if power < 0 or abs(lapse_rate) > _STEEPEST:
        msg = f"power must be at least 0 and lapse_rate in degC per m, got {power!r} and {lapse_rate!r}"
        raise InvalidArgumentError(msg)
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
        raw = table.to_numpy()
        values = _conversion(base, base, found).apply(raw)
        _refuse_impossible(impossible(values, base) | fill_like(raw), table, base)
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


def _check_bases(bases: Iterable[str], what: str) -> None:
    """Refuse misspelt names of variables, and names with a scale."""
    for base in bases:
        plain, scale = scale_of(base)
        if scale is not None:
            msg = f"{what} has {base!r}; leave out the scale, which is added: {plain!r}"
            raise InvalidArgumentError(msg)
    check_names(bases, what)


def _of(ds: xr.Dataset, base: str, scale: Scale) -> Floats:
    """Return a complete static variable in the units of the data model. Shapes: returns (scale,)."""
    name = f"{base}_{scale}"
    if name not in ds.variables or ds[name].dims != (scale,) or ds[name].dtype.kind not in "iuf":
        msg = f"the network needs {name!r}, numbers over ({scale}), to interpolate weather"
        raise InvalidArgumentError(msg)
    units, stated = expected_units(base), ds[name].attrs.get("units")
    if units is None and not in_degrees(stated):
        msg = f"the network needs {name!r} in degrees to interpolate weather, not in {stated!r}; convert it"
        raise InvalidArgumentError(msg)
    values: Floats = (in_units(ds[name], units) if units else ds[name]).to_numpy().astype(np.float64)
    wrong = ~np.isfinite(values) | impossible(values, base)
    if wrong.any():
        some = (
            f"{node}: {value:g}" for node, value in zip(ds.indexes[scale][wrong], values[wrong], strict=True)
        )
        msg = f"the network needs possible values of {name!r} to interpolate weather; it has {shorten(some)}"
        raise InvalidArgumentError(msg)
    return values


def _by_segment(ds: xr.Dataset) -> sparse.csr_array:
    """Return the share of each reach in the length of its segment. Shapes: returns (coarse, fine)."""
    segment = segment_positions(ds)
    length = _of(ds, "length", "fine")
    total = np.bincount(segment, weights=length, minlength=ds.sizes["coarse"])
    if (bare := total == 0).any():
        alone = shorten(ds.indexes["coarse"][bare])
        msg = f"{int(bare.sum())} segments have no reaches: {alone}; use method='linear'"
        raise InvalidArgumentError(msg)
    shape = (ds.sizes["coarse"], ds.sizes["fine"])
    return sparse.csr_array((length / total[segment], (segment, np.arange(segment.size))), shape=shape)


def _weighted(
    values: npt.NDArray[Any],
    days: npt.NDArray[np.datetime64],
    *,
    weights: sparse.csr_array,
    base: str,
    name: str,
    known: Conversion,
) -> Floats:
    """Convert and weight values of cells. Shapes: `values` (day, north, east), returns (day, scale)."""
    used = np.unique(weights.indices)
    raw = values.reshape(-1, weights.shape[1])[:, used].astype(np.float64)
    converted = known.apply(raw)
    wrong = impossible(converted, base) | fill_like(raw)
    _refuse_impossible(wrong, pd.DataFrame(raw, index=pd.DatetimeIndex(days)), name)
    mean: Floats = (weights[:, used] @ converted.T).T
    return mean


def _refuse_impossible(wrong: npt.NDArray[np.bool_], table: pd.DataFrame, name: str) -> None:
    """Refuse a table (time, place) with values that are marked, and name them."""
    if not wrong.any():
        return
    days, places = np.nonzero(wrong)
    some = shorten(f"{value:g}" for value in np.unique(table.to_numpy()[wrong]))
    on = dates(table.index[np.unique(days)])
    where = "" if table.columns.name is None else f" of {shorten(dict.fromkeys(table.columns[places]))}"
    msg = (
        f"{name!r} has {wrong.sum()} impossible values{where}: {some}, on {on}; set missing ones to NaN and "
        "correct the others or their units"
    )
    raise InvalidArgumentError(msg)


def _conversion(base: str, theirs: str, found: Any) -> Conversion:
    """Find how to convert to the units of the data model; refuse what has no units or other ones."""
    if not isinstance(found, str) or not found.strip():
        msg = f"{theirs!r} does not state its units; give them"
        raise InvalidArgumentError(msg)
    wanted = expected_units(base)
    known = conversion(found, wanted or tidy_units(found))
    if known is None:
        msg = f"{theirs!r} is in {found!r}, which cannot be converted to {wanted!r}; convert it first"
        raise InvalidArgumentError(msg)
    return known


def _stations(source: Source) -> pd.DataFrame:
    """Return lat, lon and elevation (m) by station."""
    frame, what = open_frame(source, text=_STATION["station"]), name_of(source)
    stated = {}
    for column in map(str, frame.columns):
        bare, bracket, rest = column.partition("[")
        if bracket and bare.strip().lower() in _STATION["elevation"]:
            if bare.strip() in frame.columns:
                msg = f"{what} has two columns of elevation, {bare.strip()!r} and {column!r}; drop one"
                raise InvalidArgumentError(msg)
            stated[bare.strip()] = rest.rstrip("] ").strip()
            frame = frame.rename(columns={column: bare.strip()})
    if "elevation" not in find_fields(frame, _STATION, what):
        has = shorten(frame.columns, 20)
        msg = f"{what} has no column for elevation; it has {has}. Name it 'elevation [m]', with its units"
        raise InvalidArgumentError(msg)
    found = columns(frame, _STATION, _STATION, what)
    table = pd.DataFrame(
        {key: measures(frame[found[key]], found[key]) for key in ("lat", "lon", "elevation")}
    )
    header = found["elevation"]
    table["elevation"] = _conversion("elevation", header, stated.get(header, "m")).apply(table["elevation"])
    table.index = pd.Index(frame[found["station"]].astype(str).str.strip(), name="station")
    bad = pd.DataFrame(
        {key: impossible(table[key].to_numpy(), key) for key in ("lat", "lon", "elevation")},
        index=table.index,
    )
    wrong = table.index.duplicated() | (table.isna() | bad).any(axis=1)
    if wrong.any():
        listed = shorten(
            f"{name} {row.tolist()}"
            for name, row in zip(table.index[wrong], table.to_numpy()[wrong], strict=True)
        )
        msg = f"{what} must have one row per station, with lat, lon and elevation (m); correct {listed}"
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
    _check_bases([str(column).partition("[")[0].strip() for column in frame.columns], what)
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
