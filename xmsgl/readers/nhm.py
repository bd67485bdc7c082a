"""Segments of the National Hydrologic Model: parameters, daily series and lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, NetworkWarning, shorten, warn
from xmsgl.readers.frames import check_choice, find_fields, name_of, open_frame, whole_numbers
from xmsgl.readers.geometry import doubtful_outlets, merged_lines, place_variables
from xmsgl.readers.prms import (
    DAILY,
    STATIC,
    Source,
    converter,
    open_parameters,
    segment_links,
    segment_table,
)
from xmsgl.readers.registry import register
from xmsgl.readers.response_units import average, read_daily, unit_weights
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from xmsgl.util.scales import Scale

__all__ = ["read_nhm"]

_IDS = ("nhm_seg", "seg_id_nat", "segidnat", "seg_id_nhm", "nsegment_v1_1", "nhm_seg_id")
# units documented by PRMS, because text files of forcing state none
_UNITS = {"tmax": "degF", "tmin": "degF", "prcp": "in d-1", "rhavg": "%"}


@register("nhm")
@checked
def read_nhm(
    parameters: xr.Dataset | str | Path | Iterable[Source],
    daily: xr.Dataset | str | Path | Iterable[Source] = (),
    fabric: Any = None,
    *,
    id_field: str | None = None,
    layer: str | None = None,
    units: Mapping[str, str] | None = None,
    scale: Scale = "coarse",
) -> xr.Dataset:
    """Read segments of the National Hydrologic Model (NHM) of the USGS, with parameters and series of PRMS.

    Parameters
    ----------
    parameters
        netCDF files (or Datasets) of parameters as pywatershed writes them, along ``nsegment`` and ``nhru``.
        Required: ``nhm_seg``; ``tosegment`` or ``tosegment_nhm``; ``seg_length`` (m). Optional:
        ``seg_slope`` (1), ``seg_elev`` (m), ``seg_width`` (m), ``seg_cum_area`` (acres), ``seg_lat``
        (degrees); for series of response units ``nhm_id``, ``hru_area``, ``hru_segment``, ``hru_lat``,
        ``hru_lon``.
    daily
        netCDF files or Datasets of daily series of response units or segments, and climate-by-HRU text files
        (``.cbh``): ``tmax``, ``tmin`` (degF), ``prcp`` (inches), ``rhavg`` (%), ``swrad`` (langleys),
        ``potet`` (inches); ``seg_tave_air``, ``seg_tave_water`` (degC), ``seg_outflow`` (cfs),
        ``seg_rain``, ``seginc_potet`` (inches), ``seginc_swrad`` (langleys), ``seg_humid``, ``seg_ccov``
        (1). Series of units are averaged by area onto the segment they drain to.
    fabric
        Lines of the segments: a path (GeoPackage, Shapefile, Parquet) or a GeoDataFrame. Default None:
        no ``geometry`` and ``lon``; series of units then require a unit on every segment.
    id_field
        Column of `fabric` with the ids of ``nhm_seg``. Default None: the first of ``nhm_seg``,
        ``seg_id_nat``, ``segidnat``, ``seg_id_nhm``, ``nsegment_v1_1``, ``nhm_seg_id``, in any case.
    layer
        Layer of a GeoPackage. Default None: the only one.
    units
        Units of series by their names; they take precedence over those in the files. Default for text
        files, as PRMS documents: degF, inches and per cent.
    scale
        Scale of the segments. Default: ``"coarse"``.

    Returns
    -------
    xarray.Dataset
        One scale, in the order of the parameter files: ``downstream``, ``length``, ``slope``, ``elevation``,
        ``width``, ``drainage_area``, ``lat``, ``lon``, ``geometry``; daily, float32: ``air_temperature``
        (if not in the files, the mean of the daily extremes), ``air_temperature_min`` and ``_max``,
        ``precipitation``, ``relative_humidity``, ``solar_radiation``, ``potential_evapotranspiration``,
        ``rainfall``, ``cloud_cover``, ``simulated_temperature``, ``simulated_discharge``. In the units of the
        convention, with the scale's suffix. Files are read into memory; chunked Datasets stay lazy.
        Segments without contributing area in the model keep a drainage area of 0.

    Raises
    ------
    InvalidDatasetError
        A parameter, an id, a day or the units of a variable are missing, or files disagree.
    NetworkError
        The links do not form a river network, or a segment has neither a response unit nor a line.
    InvalidArgumentError
        `scale` is unknown, or `fabric` lacks ids or lines.

    Warns
    -----
    NetworkWarning
        A segment has no link, but another line of the fabric begins where its line ends.

    Notes
    -----
    The NHM has no divergences. A segment whose next segment is not in the files is an outlet;
    ``links_out_of_the_file`` on ``downstream`` counts these. Lines of the fabric without an id are left out
    and counted in ``lines_without_id`` on ``geometry``; lines with the same id are merged.

    Examples
    --------
    >>> import pandas as pd
    >>> along = {"nhm_seg": ("nsegment", [7, 8])}
    >>> model = xr.Dataset(
    ...     {"tosegment": ("nsegment", [2, 0]), "seg_length": ("nsegment", [900.0, 1200.0])},
    ...     coords=along)
    >>> output = xr.Dataset(
    ...     {"seg_tave_water": (("time", "nhm_seg"), [[4.0, 5.0]], {"units": "degC"})},
    ...     coords={"time": pd.date_range("2001-01-01", periods=1), "nhm_seg": [7, 8]})
    >>> ds = read_nhm(model, output)
    >>> ds["downstream_coarse"].values, ds["simulated_temperature_coarse"].values
    (array([8, 0]), array([[4., 5.]], dtype=float32))

    References
    ----------
    Regan, R. S. et al. (2018), Description of the National Hydrologic Model for use with the
    Precipitation-Runoff Modeling System (PRMS), USGS Techniques and Methods 6-B9, doi:10.3133/tm6B9.
    Viger, R. J. and Bock, A. (2014), GIS features of the geospatial fabric for national hydrologic modeling,
    doi:10.5066/F7542KMD.
    """
    check_choice("scale", scale, SCALES)
    model = open_parameters(parameters)
    table = segment_table(model)
    if "length" not in table:
        raise InvalidDatasetError(["the parameter files have no 'seg_length'; add parameters_dis_seg.nc"])
    downstream, leaving = segment_links(model)
    ids = table.index.to_numpy().astype(np.int64)
    ds = xr.Dataset(coords={scale: (scale, ids, {"long_name": "NHM segment id", "units": "1"})})
    attrs: dict[str, Any] = {"units": "1", "long_name": "id of the segment downstream, 0 at an outlet"}
    attrs["links_out_of_the_file"] = leaving
    ds[f"downstream_{scale}"] = (scale, np.where(downstream >= 0, ids[downstream], 0), attrs)
    for ours in STATIC.values():
        if ours.base in table:
            attrs = {"units": ours.units, "long_name": ours.long_name}
            ds[f"{ours.base}_{scale}"] = (scale, table[ours.base].to_numpy(), attrs)
    place = None
    if fabric is not None:
        ds = ds.assign(_places(ds, fabric, id_field, layer, scale))
        place = np.stack([ds[f"lat_{scale}"], ds[f"lon_{scale}"]], axis=1)
    elif "seg_lat" in model:
        attrs = {"units": "degrees_north", "long_name": "latitude of the middle"}
        ds[f"lat_{scale}"] = (scale, model["seg_lat"].to_numpy().astype(np.float64), attrs)
    listed = [daily] if isinstance(daily, xr.Dataset | str | Path) else list(daily)
    series = read_daily(listed, model)
    weather = _weather(series, model, table.index, place, dict(units or {}))
    for base, values in weather.items():
        ds[f"{base}_{scale}"] = values.rename(nsegment=scale)
    return stamp(ds, f"read {ids.size} segments of the National Hydrologic Model")


def _places(
    ds: xr.Dataset, fabric: Any, id_field: str | None, layer: str | None, scale: Scale
) -> dict[str, Any]:
    """Read the lines of the segments and return latitude, longitude and geometry as variables."""
    what = name_of(fabric)
    frame = open_frame(fabric, layer=layer, layered=True)
    if getattr(frame, "crs", None) is None:
        msg = f"{what} has no lines with a coordinate system; give the layer that has them"
        raise InvalidArgumentError(msg)
    field = id_field or find_fields(frame, {"id": _IDS}, what).get("id")
    if field is None or field not in frame.columns:
        msg = f"{what} has no column {id_field or ' or '.join(_IDS)}; name the one with the ids: id_field="
        raise InvalidArgumentError(msg)
    segment = whole_numbers(frame[field], f"{field!r} of {what}", optional=True)
    ids = ds[scale].to_numpy()
    lines = merged_lines(frame[segment != 0].assign(segment=segment[segment != 0]), "segment", ids)
    if (bare := lines.isna().to_numpy()).any():
        msg = f"{what} has no line of segments {shorten(ids[bare].tolist())}"
        raise InvalidArgumentError(msg)
    area = ds[f"drainage_area_{scale}"].to_numpy() if f"drainage_area_{scale}" in ds else None
    outlets = ds[f"downstream_{scale}"].to_numpy() == 0
    if doubt := doubtful_outlets(lines, outlets, "tosegment", area=area):
        warn(doubt, NetworkWarning)
    variables = place_variables(lines, scale)
    variables[f"geometry_{scale}"][2]["lines_without_id"] = int((segment == 0).sum())
    return variables


def _weather(
    series: xr.Dataset, model: xr.Dataset, segments: pd.Index[int], place: Any, units: dict[str, str]
) -> dict[str, xr.DataArray]:
    """Average, convert and name the series; over (time, nsegment), float32."""
    found: dict[str, xr.DataArray] = {}
    weights, borrowed = None, 0
    for name, array in series.data_vars.items():
        theirs = str(name)
        ours = DAILY[theirs]
        stated = units.get(theirs) or array.attrs.get("units") or _UNITS.get(theirs)
        attrs: dict[str, Any] = {"units": ours.units, "long_name": ours.long_name}
        if "nhru" in array.dims:
            if weights is None:
                weights, borrowed = unit_weights(model, segments, place)
            array = average(weights, array)
            attrs["segments_without_own_unit"] = borrowed
        if ours.base in found:
            other = next(str(one) for one in series if DAILY[str(one)].base == ours.base)
            raise InvalidDatasetError([f"{theirs!r} and {other!r} are both {ours.base}; give one of them"])
        found[ours.base] = converter(theirs, stated, ours.units)(array).assign_attrs(attrs)
    if {"air_temperature_min", "air_temperature_max"} <= set(found) and "air_temperature" not in found:
        low, high = found["air_temperature_min"], found["air_temperature_max"]
        named = {**low.attrs, "long_name": "air temperature, mean of the daily extremes"}
        found["air_temperature"] = ((low + high) / 2.0).assign_attrs(named)
    return {base: values.astype(np.float32) for base, values in found.items()}
