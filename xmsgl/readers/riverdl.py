"""Stores of river-dl: drivers, results of a process model, observations, and a matrix of distances."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import (
    DataLossWarning,
    InvalidArgumentError,
    InvalidDatasetError,
    NetworkError,
    shorten,
    warn,
)
from xmsgl.network.from_distances import downstream_from_distance
from xmsgl.network.topology import link, topological_order
from xmsgl.readers.frames import check_choice
from xmsgl.readers.prms import DAILY, STATIC, converter
from xmsgl.readers.registry import register
from xmsgl.readers.reshape import keep, only_scale, relink
from xmsgl.schema.days import day_spans, lost, padded
from xmsgl.schema.names import id_values, positions
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.optional import require
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.util.scales import Scale

__all__ = ["read_river_dl"]

logger = logging.getLogger(__name__)

_MATRICES = ("downstream", "upstream", "updown")

# Units of the published stores, which state none. Rain and discharge are not in the units that PRMS
# documents: 0.12 on the wettest day must be metres, and discharge agrees with the gauges in m3 s-1.
_UNITS: Mapping[str, str] = {
    "seg_tave_air": "degC",
    "seg_tave_water": "degC",
    "seg_rain": "m d-1",
    "seg_humid": "1",
    "seg_ccov": "1",
    "seg_outflow": "m3 s-1",
    "seginc_swrad": "langley d-1",
    "seg_slope": "1",
    "seg_elev": "m",
    "seg_length": "m",
    "seg_width": "m",
    "temp_c": "degC",
    "discharge_cms": "m3 s-1",
}

Source = xr.Dataset | str | Path


@register("river-dl")
@checked
def read_river_dl(
    drivers: Source,
    network: xr.Dataset | Mapping[Any, Any] | str | Path,
    observations: Source | None = None,
    *,
    length: Mapping[Any, float] | None = None,
    matrix: str = "downstream",
    units: Mapping[str, str] | None = None,
    scale: Scale = "coarse",
) -> xr.Dataset:
    """Read the stores that the package river-dl of the USGS trains on.

    Parameters
    ----------
    drivers
        Zarr store (version 2 or 3) or Dataset with one dimension of segments and one of days, of any name.
        Read are ``seg_tave_air``, ``seg_rain``, ``seg_humid``, ``seg_ccov``, ``seginc_swrad``,
        ``seginc_potet``, ``seg_tave_water``, ``seg_outflow``; and with or without days ``seg_slope``,
        ``seg_elev``, ``seg_length``, ``seg_width``.
    network
        The file of distances (``.npz`` with ``rowcolnames`` and the matrices ``downstream``, ``upstream`` or
        ``updown``, m); or a Dataset of one scale, such as that of the reader ``"nhm"``, which is cut to the
        segments of the store; or a dict from each segment to the one downstream, 0 at an outlet.
    observations
        Zarr store or Dataset with ``temp_c`` and ``discharge_cms``. Segments and days that `drivers` lacks
        are left out with a warning; those that only `drivers` has are NaN.
    length
        Length of each segment (m), by id. Default: that of `network` if it is a Dataset, else ``seg_length``
        of the store. A matrix does not contain the lengths of headwaters.
    matrix
        Matrix of the file to read; see :func:`xmsgl.network.from_distances.downstream_from_distance`.
    units
        Units by their names; they take precedence over those in the store. Default where the store has
        none: degC, rain in m d-1, humidity as a fraction, discharge in m3 s-1, radiation in langley d-1,
        lengths in m. ``seginc_potet`` has no default because published stores differ.
    scale
        Scale of the segments.

    Returns
    -------
    xarray.Dataset
        One scale, with names and units of the convention; ``rainfall`` is without snow. Daily values stay
        lazy; attributes stored for every day are read to check that they are constant. A width that changes
        is replaced by its mean, with a ``comment``. Other variables are left out and listed in the attribute
        ``left_out``.

    Raises
    ------
    InvalidDatasetError
        Dimensions or known variables are missing, units are missing or cannot be converted, an attribute
        changes from day to day, or `observations` and `drivers` have no segment or no day in common.
    NetworkError
        The matrix is inconsistent or lacks segments, lengths are missing, or a segment has two segments
        downstream: divergences are not supported.
    InvalidArgumentError
        `matrix` or `scale` is unknown, or `network` has a wrong type.

    Warns
    -----
    DataLossWarning
        Segments or days of `observations` are not in `drivers`.

    Examples
    --------
    >>> days = pd.date_range("2004-01-01", periods=2)
    >>> store = xr.Dataset(
    ...     {"seg_tave_air": (("seg", "day"), [[1.0, 2.0], [3.0, 4.0]])}, coords={"seg": [7, 8], "day": days})
    >>> ds = read_river_dl(store, {7: 8, 8: 0}, length={7: 900.0, 8: 1200.0})
    >>> sorted(ds.data_vars)
    ['air_temperature_coarse', 'downstream_coarse', 'length_coarse']

    References
    ----------
    Jia, X. et al. (2021), Physics-guided recurrent graph model for predicting flow and temperature in river
    networks, SDM, arXiv 2009.12575; the package river-dl of the USGS.
    """
    check_choice("scale", scale, SCALES)
    store = _open(drivers, "drivers", scale)
    ids = id_values(store.indexes[scale].to_numpy())
    found, left = _variables(store, dict(units or {}), scale)
    if not found:
        known = ", ".join([*DAILY, *STATIC])
        raise InvalidDatasetError([f"drivers has none of the variables {known}; it has {shorten(left, 40)}"])
    losses: list[str] = []
    if observations is not None:
        observed, losses = _align(observations, store, scale)
        for loss in losses:
            logger.info("%s", loss)
            warn(loss, DataLossWarning)
        labels, more = _variables(observed, dict(units or {}), scale)
        found, left = {**found, **labels}, [*left, *more]
    below, metres = _network(network, ids, matrix)
    if length is not None:
        metres = pd.Series(dict(length)).reindex(ids).to_numpy(np.float64)
        if (missing := np.isnan(metres)).any():
            msg = f"length lacks segments {shorten(ids[missing].tolist())}; add them"
            raise NetworkError(msg)
    if metres is not None:
        found[f"length_{scale}"] = _described(scale, metres, STATIC["seg_length"].long_name, "m")
    if f"length_{scale}" not in found:
        msg = (
            "neither the store nor the network has the lengths of the segments; give them: "
            "length={id: metres, ...}"
        )
        raise NetworkError(msg)
    target = np.where(below >= 0, ids[below], np.zeros((), ids.dtype)[()])
    text = "id of the segment downstream, 0 at an outlet"
    found[f"downstream_{scale}"] = _described(scale, target, text, "1")
    ds = store.drop_vars(store.data_vars).assign(found)
    if left:
        ds.attrs["left_out"] = ", ".join(sorted(left))
    return stamp(ds, "; ".join([f"read {ids.size} segments of river-dl", *losses]))


def _described(dim: str, values: Any, text: str, units: str) -> xr.DataArray:
    return xr.DataArray(values, dims=dim, attrs={"units": units, "long_name": text})


def _open(source: Source, what: str, scale: Scale) -> xr.Dataset:
    """Open a store and rename its dimensions to ``time`` and the scale."""
    if isinstance(source, xr.Dataset):
        ds = source
    elif isinstance(source, str | Path):
        require("zarr", "reading the stores of river-dl")
        try:
            ds = xr.open_zarr(source)
        except Exception as error:  # Zarr and its codecs raise many kinds
            msg = f"{what} cannot be read as a Zarr store: {source} ({type(error).__name__}: {error})"
            raise InvalidArgumentError(msg) from error
    else:
        msg = f"{what} must be the path of a Zarr store or a Dataset, not {type(source).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    days = [name for name in ds.dims if isinstance(ds.indexes.get(name), pd.DatetimeIndex)]
    others = [name for name in ds.dims if name in ds.indexes and name not in days]
    if len(days) != 1 or len(others) != 1:
        has = ", ".join(f"{name} ({ds[name].dtype})" if name in ds.indexes else str(name) for name in ds.dims)
        fault = f"{what} needs one dimension of days and one of segments, both with coordinates; it has {has}"
        raise InvalidDatasetError([fault])
    ds = ds.rename({days[0]: "time", others[0]: scale}).transpose("time", scale, ...)
    for dim, noun in ((scale, "segments"), ("time", "days")):
        index = ds.indexes[dim]
        if not index.is_unique:
            repeated = shorten(index[index.duplicated()].unique().tolist())
            raise InvalidDatasetError([f"{what} has {noun} more than once: {repeated}; keep one of each"])
    return ds


def _align(source: Source, store: xr.Dataset, scale: Scale) -> tuple[xr.Dataset, list[str]]:
    """Align observations with the segments and days of the drivers, and describe what is left out."""
    ds = _open(source, "observations", scale)
    losses = []
    for dim in (scale, "time"):
        theirs, ours = ds.indexes[dim], store.indexes[dim]
        what = "segment" if dim == scale else "day"
        if not theirs.isin(ours).any():
            fault = (
                f"observations and drivers have no {what} in common: {shorten(theirs, 3)} ({theirs.dtype}) "
                f"and {shorten(ours, 3)} ({ours.dtype})"
            )
            raise InvalidDatasetError([fault])
        if n := len(gone := lost(ds, dim, ours)):
            which = day_spans(gone) if dim == "time" else shorten(gone.tolist())
            losses.append(f"{n} {what}s of the observations left out, because drivers lacks them: {which}")
    return padded(ds, {dim: store.indexes[dim] for dim in (scale, "time")}), losses


def _variables(
    ds: xr.Dataset, units: dict[str, str], scale: Scale
) -> tuple[dict[str, xr.DataArray], list[str]]:
    """Return known variables with the names and units of the convention, and the names of the others."""
    found: dict[str, xr.DataArray] = {}
    left = []
    for name, array in ds.data_vars.items():
        theirs = str(name)
        ours = DAILY.get(theirs) or STATIC.get(theirs)
        if ours is None:
            left.append(theirs)
            continue
        note: dict[str, str] = {}
        stated = units.get(theirs) or array.attrs.get("units") or _UNITS.get(theirs)
        convert = converter(theirs, stated, ours.units)
        if theirs in STATIC:
            array, note = _constant(array, theirs)
        attrs = {"units": ours.units, "long_name": ours.long_name, **note}
        found[f"{ours.base}_{scale}"] = convert(array).assign_attrs(attrs)
    return found, left


def _constant(array: xr.DataArray, name: str) -> tuple[xr.DataArray, dict[str, str]]:
    """Return the constant value of each segment from a series that repeats it every day."""
    series = array.compute()
    if "time" not in array.dims:
        return series, {}
    first = series.isel(time=0, drop=True)
    changes = abs(series - first).max("time") > 1e-6 * abs(first)
    if not changes.any():
        return first, {}
    if name == "seg_width":
        note = "mean over the days of the store, because the width changes with discharge"
        return series.mean("time"), {"comment": note}
    where = shorten(series.indexes[changes.dims[0]][changes.to_numpy()].tolist())
    raise InvalidDatasetError([f"{name!r} must not change from day to day; it does on segments {where}"])


def _network(
    network: xr.Dataset | Mapping[Any, Any] | str | Path, ids: NDArray[Any], matrix: str
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Return the position downstream of each segment (n,), and lengths (n,) if the network has them."""
    if isinstance(network, xr.Dataset):
        theirs = only_scale(network)
        cut = keep(network, ids)
        below = link(ids, id_values(cut[f"downstream_{theirs}"].to_numpy()), what="segment")
        name = f"length_{theirs}"
        return below, cut[name].to_numpy().astype(np.float64) if name in cut else None
    if isinstance(network, Mapping):
        keys = id_values(np.array(list(network), dtype=object))
        where = positions(keys, ids)
        if (where < 0).any():
            msg = f"the network has no link of segments {shorten(ids[where < 0].tolist())}; add them"
            raise NetworkError(msg)
        targets = id_values(np.array(list(network.values()), dtype=object))[where]
        below = link(ids, targets, what="segment")
        topological_order(below)
        return below, None
    if isinstance(network, str | Path):
        return _from_file(Path(network), ids, matrix), None
    msg = f"network must be a file of distances, a Dataset or a dict, not {type(network).__name__}"  # type: ignore[unreachable]
    raise InvalidArgumentError(msg)


def _from_file(path: Path, ids: NDArray[Any], matrix: str) -> NDArray[np.int64]:
    check_choice("matrix", matrix, _MATRICES)
    try:
        with np.load(path, allow_pickle=False) as archive:
            held = dict(archive)
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        msg = f"{path} cannot be read as a .npz file of arrays: {error}"
        raise InvalidArgumentError(msg) from error
    if missing := [name for name in (matrix, "rowcolnames") if name not in held]:
        msg = f"{path.name} lacks {', '.join(missing)}; it has {', '.join(held)}"
        raise NetworkError(msg)
    names, distance = id_values(held["rowcolnames"]), held[matrix]
    try:
        downstream = downstream_from_distance(names, distance, kind=matrix)
    except NetworkError as error:
        msg = f"{path.name}, matrix {matrix!r}: {error}; give the network as a Dataset or a dict instead"
        raise NetworkError(msg) from error
    where = positions(names, ids)
    if (where < 0).any():
        msg = f"{path.name} lacks segments {shorten(ids[where < 0].tolist())} of the store"
        raise NetworkError(msg)
    return link(ids, relink(names, downstream, where), what="segment")
