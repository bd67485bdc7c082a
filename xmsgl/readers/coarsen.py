"""A coarse scale made from a fine one: segments of about 10 km from the reaches themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy import sparse

from xmsgl.errors import InvalidArgumentError, NetworkError, shorten
from xmsgl.network.segments import courses, cut_segments
from xmsgl.network.topology import link
from xmsgl.readers.reshape import only_scale
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.names import CROSSWALK, LABEL, id_values
from xmsgl.schema.roles import features_along
from xmsgl.schema.units import need_units
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["coarsen"]

# Of these, a segment has the value of its most downstream reach.
_AT_OUTLET = {"drainage_area", "stream_order", "width"}


@dataclass(frozen=True)
class _Segments:
    """Segments of a network on plain numbers; reaches have shape (fine,), segments (coarse,)."""

    number: npt.NDArray[np.int64]  # of each reach
    outlet: npt.NDArray[np.int64]  # position of the most downstream reach of each segment
    course: npt.NDArray[np.bool_]  # whether a reach is on the course of its segment
    downstream: npt.NDArray[np.int64]  # position of the next segment, -1: none


@checked
def coarsen(ds: xr.Dataset | xr.DataTree, *, length_m: float = 10_000.0, by: str | None = None) -> xr.Dataset:
    """Make the coarse scale of a dataset from its fine scale.

    For basins with one river network.

    Parameters
    ----------
    ds
        Dataset of the fine scale with ``downstream_fine`` and ``length_fine`` (m).
    length_m
        Length of the segments to aim at, m. Reaches with at least half of it upstream form a trunk, which is
        cut at its confluences and between them into equal pieces of about this length. Tributaries that
        are shorter belong to the segment they flow into.
    by
        Variable with the segment of each reach, in place of `length_m`, such as ``"huc12"``. The reaches of
        a segment must be connected and have one outlet.

    Returns
    -------
    xarray.Dataset
        Both scales. Of the most downstream reach, a segment has the id (or the value of `by`),
        ``drainage_area``, ``stream_order`` and ``width``; of the longest path, the length and the mean of
        ``lat`` and ``lon``. Other attributes and drivers are averages over the reaches,
        weighted by length, without missing values. ``water_temperature_coarse`` is the mean of the observed
        reaches, whose number is ``observed_reaches_coarse``. Lazy where `ds` is.

    Raises
    ------
    InvalidArgumentError
        The dataset has no fine scale or already a coarse one, `length_m` is not positive, or `by` does not
        exist or has missing values.
    NetworkError
        Segments of `by` have more than one outlet.

    Examples
    --------
    >>> import xmsgl
    >>> whole = xmsgl.datasets.simulated(n_coarse=6, years=1)
    >>> fine = whole.drop_dims("coarse").drop_vars("coarse_segment")
    >>> two = coarsen(fine, length_m=5_000)
    >>> two.sizes["coarse"] < two.sizes["fine"]
    True
    """
    ds = sound_dataset(ds)
    if only_scale(ds) != "fine" or "length_fine" not in ds or not ds.sizes["fine"]:
        msg = "coarsen needs 'downstream_fine' and 'length_fine'; read the network with scale=\"fine\""
        raise InvalidArgumentError(msg)
    if not length_m > 0:
        msg = f"length_m must be a positive number of metres, got {length_m!r}"
        raise InvalidArgumentError(msg)
    ids = id_values(ds.indexes["fine"].to_numpy())
    names, found = _segments(ds, ids, length_m, by)
    coarse = _described(ds, names, found)
    weights = _weights(ds["length_fine"].to_numpy(), found)
    for base in features_along(ds, "fine", {"fine"}):
        values = ds[f"{base}_fine"]
        array = values.to_numpy()[found.outlet] if base in _AT_OUTLET else _mean(weights, values.to_numpy())
        coarse[f"{base}_coarse"] = ("coarse", array, values.attrs)
    for base in features_along(ds, "fine", {"time", "fine"}):
        coarse[f"{base}_coarse"] = _daily(weights, ds[f"{base}_fine"])
    if f"{LABEL}_fine" in ds:
        coarse |= _labels(ds[f"{LABEL}_fine"], found)
    two = ds.assign(coarse).assign_coords(coarse=("coarse", names, {"long_name": "id of the segment"}))
    how = f"by {by}" if by else f"of about {length_m:g} m"
    return stamp(two, f"merged {ids.size} reaches into {names.size} segments {how}")


def _segments(
    ds: xr.Dataset, ids: npt.NDArray[Any], length_m: float, by: str | None
) -> tuple[npt.NDArray[Any], _Segments]:
    """Give numbers and names to the segments. Shapes: `ids` (fine,), returns (coarse,)."""
    downstream = link(ids, id_values(ds["downstream_fine"].to_numpy()), what="fine")
    need_units(ds["length_fine"], "m")
    length = ds["length_fine"].to_numpy()
    if by is None:
        number, groups = cut_segments(downstream, length, length_m), None
    else:
        if by not in ds.variables or ds[by].dims != ("fine",):
            msg = f"by={by!r} is not a variable over 'fine'; the dataset has {shorten(ds.data_vars, 20)}"
            raise InvalidArgumentError(msg)
        unknown = ds[by].isnull() | (ds[by].astype(str) == "")
        if (lost := ds.indexes["fine"][unknown.to_numpy()]).size:
            reaches = f"{lost.size} reaches: {shorten(lost)}"
            msg = f"{by!r} is missing for {reaches}. Keep the others with xmsgl.readers.keep"
            raise InvalidArgumentError(msg)
        groups, number = np.unique(id_values(ds[by].to_numpy()), return_inverse=True)
    leaves = (downstream < 0) | (number[downstream] != number)
    exits = np.bincount(number[leaves])
    if groups is not None and (exits > 1).any():
        several = groups[exits > 1]
        msg = (
            f"{several.size} segments of {by!r} have more than one outlet: {shorten(several.tolist())}. "
            "Divide them so that all reaches of a segment leave it through one reach"
        )
        raise NetworkError(msg)
    outlet = np.empty(exits.size, np.int64)
    outlet[number[leaves]] = np.flatnonzero(leaves)
    after = downstream[outlet]
    following = np.where(after >= 0, number[after], -1)
    names = ids[outlet] if groups is None else groups
    return names, _Segments(number, outlet, courses(downstream, length, number), following)


def _described(ds: xr.Dataset, names: npt.NDArray[Any], found: _Segments) -> dict[str, Any]:
    """Return network, lengths, location and crosswalk of the segments."""
    length = ds["length_fine"].to_numpy()
    target = np.where(found.downstream >= 0, names[found.downstream], np.zeros((), names.dtype)[()])
    along = np.bincount(found.number, weights=length * found.course, minlength=names.size)
    owner = {"units": "1", "long_name": "id of the coarse segment the reach lies on"}
    coarse: dict[str, Any] = {
        "downstream_coarse": ("coarse", target, {"units": "1", "long_name": "id of the next segment"}),
        "length_coarse": ("coarse", along, {"units": "m", "long_name": "length of the segment"}),
        CROSSWALK: ("fine", names[found.number], owner),
    }
    path = _weights(length * found.course, found)
    for base in ("lat", "lon"):
        if f"{base}_fine" in ds:
            place = ds[f"{base}_fine"]
            coarse[f"{base}_coarse"] = ("coarse", _mean(path, place.to_numpy()), place.attrs)
    return coarse


def _weights(length: npt.NDArray[np.float64], found: _Segments) -> sparse.csr_array:
    """Return the lengths of the reaches of each segment. Shapes: `length` (fine,), returns (coarse, fine)."""
    shape = (found.outlet.size, length.size)
    return sparse.csr_array((length, (found.number, np.arange(length.size))), shape=shape)


def _mean(weights: sparse.csr_array, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Average over segments without missing values. Shapes: `values` (..., fine), returns (..., coarse)."""
    there = np.isfinite(values)
    rows = np.where(there, values, 0.0).reshape(-1, weights.shape[1]).T
    total = weights @ rows
    share = weights @ there.reshape(-1, weights.shape[1]).T.astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean: npt.NDArray[np.float64] = (total / share).T.reshape(*values.shape[:-1], weights.shape[0])
    return mean


def _daily(weights: sparse.csr_array, values: xr.DataArray) -> xr.DataArray:
    """Average daily values, lazily. Shapes: `values` (time, fine), returns (time, coarse)."""
    averaged: xr.DataArray = xr.apply_ufunc(
        partial(_mean, weights),
        values,
        input_core_dims=[["fine"]],
        output_core_dims=[["coarse"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"coarse": weights.shape[0]}, "allow_rechunk": True},
        keep_attrs=True,
    )
    # Means of whole numbers are not whole.
    kind = values.dtype if np.issubdtype(values.dtype, np.floating) else np.float32
    return averaged.drop_vars([name for name in averaged.coords if name != "time"]).astype(kind)


def _labels(observed: xr.DataArray, found: _Segments) -> dict[str, xr.DataArray]:
    """Return the mean of the observed reaches of each segment, and their number."""
    ones = _weights(np.ones(found.number.size), found)
    sizes = xr.DataArray(np.bincount(found.number).astype(np.float64), dims="coarse")
    number = _daily(ones, observed.notnull().astype(np.float64)) * sizes
    number.attrs = {"units": "1", "long_name": "reaches with an observation"}
    return {
        f"{LABEL}_coarse": _daily(ones, observed),
        "observed_reaches_coarse": number.round().astype(np.int32),
    }
