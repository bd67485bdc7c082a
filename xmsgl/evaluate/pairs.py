"""Observed reach-days and the prediction there, from which every score is computed.

The observations are read first, one stored block at a time; then each block of the prediction with an
observed reach-day is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.network.ids import other_kind
from xmsgl.schema.arrays import as_array
from xmsgl.schema.ranges import refuse_impossible_water, refuse_unlike_water
from xmsgl.schema.structure import dates
from xmsgl.schema.units import conversion, converted, same_units, tidy_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

__all__ = [
    "Floats",
    "Pairs",
    "common_units",
    "covering",
    "gather",
    "observations",
]

Floats: TypeAlias = npt.NDArray[np.float64]
_Positions: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Observed reach-days in the order of date and id."""

    times: pd.DatetimeIndex  # days in both arrays
    ids: pd.Index[Any]  # reaches in both arrays
    time: _Positions  # of each pair, into times
    reach: _Positions  # of each pair, into ids
    observed: Floats  # (pair,)
    predicted: Floats  # (..., pair), with the other dimensions of the prediction first
    dim: str  # of the ids
    units: str


def observations(
    ds: xr.Dataset | None,
    prediction: xr.DataArray | xr.Dataset,
    given: xr.DataArray | xr.Dataset | None = None,
) -> xr.DataArray:
    """Return the observations to score against: those given, or else the labels at the prediction's scale."""
    prediction = as_array(prediction)
    if given is not None:
        return as_array(given, "observed")
    name = f"water_temperature_{'coarse' if 'coarse' in prediction.dims else 'fine'}"
    if ds is None or name not in ds:
        fault = f"{name} is missing, so a prediction with dims {prediction.dims} needs observed=..."
        raise InvalidDatasetError([fault])
    common_units(prediction, ds[name], f'ds["{name}"]')
    return ds[name]


def gather(prediction: xr.DataArray, observed: xr.DataArray, *across: str) -> Pairs:
    """Find the observed reach-days and the prediction there, aligned by label; (time, fine) arrays."""
    dim = _reach_dim(prediction, observed, across)
    units = common_units(prediction, observed)
    prediction, observed = prediction.transpose(*across, "time", dim), observed.transpose("time", dim)
    times = prediction.indexes["time"].intersection(observed.indexes["time"]).sort_values()
    ids = prediction.indexes[dim].intersection(observed.indexes[dim]).sort_values()
    for label, common, what in (("time", times, "day"), (dim, ids, "id")):
        if not len(common):
            mine, theirs = prediction.indexes[label], observed.indexes[label]
            msg = (
                f"prediction and observations have no {what} in common along {label!r}: "
                f"{shorten(mine, 3)} against {shorten(theirs, 3)}{other_kind(mine, theirs)}"
            )
            raise InvalidArgumentError(msg)
    time, reach, values = _observed_pairs(observed, times, ids)
    if not values.size:
        msg = f"none of the {len(times)} days and {len(ids)} reaches in common has an observation"
        raise InvalidArgumentError(msg)
    if celsius := conversion(units, "degC"):  # not other quantities, such as discharge
        refuse_impossible_water(celsius.apply(values), "observed")
    elif not np.isfinite(values).all():
        raise InvalidDatasetError(["observed has infinite values; set those that are missing to NaN"])
    predicted = _predicted_at(prediction, times, ids, time, reach)
    bad = ~np.isfinite(predicted).reshape(-1, values.size).all(axis=0)
    if bad.any():
        where = [f"{ids[r]} on {times[t]:%Y-%m-%d}" for t, r in zip(time[bad], reach[bad], strict=True)]
        msg = (
            f"the prediction is not finite at {bad.sum()} of {bad.size} observed reach-days: "
            f"{shorten(where)}; a score without them would be misleading: "
            "predict them, or select the days and reaches to score first"
        )
        raise InvalidArgumentError(msg)
    if celsius:
        refuse_unlike_water(celsius.apply(predicted), "prediction")
    return Pairs(pd.DatetimeIndex(times), ids, time, reach, values, predicted, dim, units)


def _reach_dim(prediction: xr.DataArray, observed: xr.DataArray, across: tuple[str, ...]) -> str:
    dims = tuple(dim for dim in prediction.dims if dim not in across)
    for what, array, own in (("prediction", prediction, dims), ("observed", observed, observed.dims)):
        if len(own) != 2 or "time" not in own:
            besides = f" besides {shorten(across)}" if across and array is prediction else ""
            msg = f"{what} has dims {array.dims}; it must have two{besides}: 'time' and 'fine' or 'coarse'"
            raise InvalidArgumentError(msg)
        for dim in own:
            if dim not in array.indexes:
                msg = f"{what} has no labels along {dim!r}; arrays are aligned by label only"
                raise InvalidArgumentError(msg)
            if not array.indexes[dim].is_unique:
                repeated = array.indexes[dim][array.indexes[dim].duplicated()].unique()
                msg = f"{what} has labels along {dim!r} more than once: {shorten(repeated)}"
                raise InvalidArgumentError(msg)
    scale = next(str(dim) for dim in dims if dim != "time")
    if set(dims) != set(observed.dims):
        msg = (
            f"prediction has dims {prediction.dims}, observed {observed.dims}; score one scale at a time: "
            f'give observations along {scale!r}, such as observed=ds["water_temperature_{scale}"]'
        )
        raise InvalidArgumentError(msg)
    return scale


def common_units(prediction: xr.DataArray, observed: xr.DataArray, called: str = "observed") -> str:
    """Return the units that a prediction and observations share; a temperature without units is in degC."""
    own = [str(array.attrs.get("units", "")).strip() for array in (prediction, observed)]
    stated = next(filter(None, own), "degC")
    mine, theirs = (units or ("degC" if conversion(stated, "degC") else stated) for units in own)
    if not same_units(mine, theirs):
        code = converted(called, theirs, tidy_units(mine))
        code = code or converted("prediction", mine, tidy_units(theirs))
        cure = f"convert: {code}" if code else "convert one of them"
        if not all(own):
            lacks = called if own[0] else "prediction"
            has = f"{lacks} has no units, which counts as degC; if it is in {stated!r}, state it: "
            cure = f'{has}{lacks}.attrs["units"] = "{stated}"; if not, {cure}'
        msg = f"the prediction is in {mine!r}, the observations in {theirs!r}; {cure}"
        raise InvalidArgumentError(msg)
    return tidy_units(mine)


def _blocks(array: xr.DataArray) -> Iterator[tuple[slice, slice]]:
    """Slices of the stored blocks along the last two dimensions; one block where the array is in memory."""
    chunks = (array.chunks or tuple((size,) for size in array.shape))[-2:]
    rows, columns = ([0, *accumulate(sizes)] for sizes in chunks)
    for row, column in product(pairwise(rows), pairwise(columns)):
        yield slice(*row), slice(*column)


def _observed_pairs(
    observed: xr.DataArray, times: pd.Index[Any], ids: pd.Index[Any]
) -> tuple[_Positions, _Positions, Floats]:
    row_of = times.get_indexer(observed.indexes["time"])
    column_of = ids.get_indexer(observed.indexes[str(observed.dims[1])])
    found: list[tuple[Any, Any, Any]] = []
    for rows, columns in _blocks(observed):
        if (row_of[rows] < 0).all() or (column_of[columns] < 0).all():
            continue
        block = observed[rows, columns].values
        row, column = np.nonzero(~np.isnan(block))
        time, reach = row_of[rows][row], column_of[columns][column]
        common = (time >= 0) & (reach >= 0)
        found.append((time[common], reach[common], block[row[common], column[common]]))
    time, reach, values = (np.concatenate(pieces) for pieces in zip(*found, strict=True))
    # One order for all storage layouts, so that sums are bit-equal for every chunking.
    order = np.lexsort((reach, time))
    return time[order], reach[order], values[order].astype("float64")


def _predicted_at(
    prediction: xr.DataArray, times: pd.Index[Any], ids: pd.Index[Any], time: _Positions, reach: _Positions
) -> Floats:
    row = prediction.indexes["time"].get_indexer(times)[time]
    column = prediction.indexes[str(prediction.dims[-1])].get_indexer(ids)[reach]
    predicted = np.full((*prediction.shape[:-2], row.size), np.nan)
    for rows, columns in _blocks(prediction):
        here = (row >= rows.start) & (row < rows.stop) & (column >= columns.start) & (column < columns.stop)
        if here.any():
            block = prediction[..., rows, columns].values
            predicted[..., here] = block[..., row[here] - rows.start, column[here] - columns.start]
    return predicted


def covering(mask: xr.DataArray, wanted: xr.DataArray, what: str) -> xr.DataArray:
    """Put a labelled boolean mask, on some dimensions of `wanted`, into its order."""
    if mask.dtype != bool or not mask.dims or not set(mask.dims) <= set(wanted.dims) & set(mask.indexes):
        msg = (
            f"{what} has dims {mask.dims} and dtype {mask.dtype}; "
            f"it must be boolean on some of {wanted.dims}, with labels"
        )
        raise InvalidArgumentError(msg)
    for dim in map(str, mask.dims):
        lost = wanted.indexes[dim].difference(mask.indexes[dim])
        if len(lost):
            named = dates(lost) if dim == "time" else shorten(lost)
            msg = f"{what} has no value for {named} along {dim!r}"
            raise InvalidArgumentError(msg)
    return mask.reindex({dim: wanted.indexes[dim] for dim in mask.dims})
