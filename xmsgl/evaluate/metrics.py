"""Scores of a predicted temperature against sparse observations, labelled, with n.

Only observed reach-days count. The observed values are gathered first, one stored block at a time;
then each block of the prediction that holds an observed reach-day is computed once. Memory is one
block plus 24 bytes for each observed reach-day, whatever the size of the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError, shorten
from xmsgl.evaluate.splits import water_year

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["GROUPINGS", "MIN_DAYS", "TAIL", "score"]

Floats: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[np.int64]

MIN_DAYS = 30
"""Observed days a reach needs to enter the median over reaches."""

TAIL = 0.1
"""Part of the observed reach-days called hot, and part called cold."""

_TIME_GROUPS: dict[str, tuple[str, Callable[[xr.DataArray], xr.DataArray]]] = {
    "month": ("calendar month", lambda time: time.dt.month),
    "season": ("season", lambda time: time.dt.season),
    "year": ("calendar year", lambda time: time.dt.year),
    "water_year": ("water year (October to September)", water_year),
}
_SEASONS = ("DJF", "MAM", "JJA", "SON")

GROUPINGS = (*_TIME_GROUPS, "reach", "segment", "stream_order")
"""The words :func:`score` takes for ``by``."""

_LONG_NAMES = {
    "rmse": "root mean square error, pooled over observed reach-days",
    "rmse_median": f"median over reaches with at least {MIN_DAYS} observed days of the reach's RMSE",
    "mae": "mean absolute error",
    "bias": "mean of prediction minus observation",
    "nse": "Nash-Sutcliffe efficiency",
    "kge": "Kling-Gupta efficiency (2009)",
    "kge_r": "correlation, first part of the Kling-Gupta efficiency",
    "kge_alpha": "predicted over observed standard deviation, second part of the Kling-Gupta efficiency",
    "kge_beta": "predicted over observed mean, third part of the Kling-Gupta efficiency",
    "rmse_hot": f"RMSE over the hottest {TAIL:.0%} of the observations",
    "rmse_cold": f"RMSE over the coldest {TAIL:.0%} of the observations",
    "n": "observed reach-days scored",
    "n_reaches": "reaches with an observed day",
    "n_reaches_median": f"reaches with at least {MIN_DAYS} observed days, behind rmse_median",
    "n_hot": "observed reach-days behind rmse_hot",
    "n_cold": "observed reach-days behind rmse_cold",
}
_IN_DEGREES = {"rmse", "rmse_median", "mae", "bias", "rmse_hot", "rmse_cold"}


@dataclass(frozen=True)
class _Pairs:
    """Observed reach-days in the order of date and id: positions into ``times`` and ``ids``."""

    times: pd.DatetimeIndex
    ids: pd.Index[Any]
    time: Positions
    reach: Positions
    observed: Floats
    predicted: Floats


def score(
    prediction: xr.DataArray,
    observed: xr.DataArray,
    *,
    by: str | xr.DataArray | None = None,
    dataset: xr.Dataset | None = None,
) -> xr.Dataset:
    """Score a prediction on the observed reach-days.

    Both arrays are aligned by their labels: the order of days and reaches plays no part, and days or
    reaches that only one of them has are left out.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)`` or ``(time, coarse)``, degC. May be lazy: each block with an
        observed reach-day is computed once, the others never.
    observed
        Temperature with the same dims, NaN where not observed, degC. May be lazy.
    by
        Score in groups: ``"month"``, ``"season"``, ``"year"``, ``"water_year"``, ``"reach"``,
        ``"segment"``, ``"stream_order"``, or a one-dimensional DataArray of group labels on
        ``time`` or on the reaches (missing labels leave their reach-days out). Default: one score.
    dataset
        Where ``"segment"`` finds ``coarse_segment`` and ``"stream_order"`` finds
        ``stream_order_fine`` (or ``stream_order_coarse``). Not needed for the other groups, nor when the
        prediction carries them as coordinates.

    Returns
    -------
    xarray.Dataset
        Scalars, or one value a group along ``month``, ``season``, ``year``, ``water_year``, ``fine``
        or ``coarse`` (for ``"reach"``), ``coarse`` (for ``"segment"``), ``stream_order``, or the name
        of the given DataArray. Groups without an observation do not appear. In degC: ``rmse`` (pooled),
        ``rmse_median`` (over reaches with at least 30 observed days), ``mae``, ``bias`` (prediction
        minus observation), ``rmse_hot`` and ``rmse_cold`` (at and above the 90th, at and below the
        10th percentile of the group's observations). Without unit: ``nse``, ``kge`` and its parts
        ``kge_r``, ``kge_alpha``, ``kge_beta``. Counts: ``n`` and ``n_reaches``, ``n_reaches_median``,
        ``n_hot``, ``n_cold`` behind the numbers of those names. A number that is not defined (the NSE of
        one observation) is NaN.

    Raises
    ------
    InvalidArgumentError
        No observed reach-day in common; a prediction that is not finite where there is an
        observation (ids and dates are named); different units; wrong dims; unfit groups.
    UnknownNameError
        A ``by`` that is none of the words above.

    Notes
    -----
    ``kge_beta`` is a ratio of mean temperatures: in degC it means little for groups whose observed
    mean is near 0.

    References
    ----------
    Gupta, Kling, Yilmaz, Martinez (2009), doi 10.1016/j.jhydrol.2009.08.003. Nash, Sutcliffe (1970),
    doi 10.1016/0022-1694(70)90255-6.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2000-01-30", periods=4)
    >>> observed = xr.DataArray([[1.0], [2.0], [np.nan], [4.0]], coords={"time": days, "fine": [7]})
    >>> result = score(observed.fillna(0.0) + 0.5, observed)
    >>> result.rmse.item(), result.bias.item(), result.n.item()
    (0.5, 0.5, 3)
    >>> score(observed.fillna(0.0) + 0.5, observed, by="month").n.values.tolist()
    [2, 1]
    """
    dim = _reach_dim(prediction, observed)
    units = _common_units(prediction, observed)
    pairs = _gather(prediction, observed, dim)
    if by is None:
        return _label(_numbers(pairs, None), (), units)
    name, labels, attrs = _groups(pairs, by, dim, (prediction.coords, observed.coords, dataset))
    # Missing labels leave their reach-days out, as in xarray's groupby.
    known = ~pd.isna(labels)
    if not known.any():
        msg = f"every observed reach-day has a missing group label in {name!r}"
        raise InvalidArgumentError(msg)
    members = np.flatnonzero(known)
    values, code = np.unique(labels[members], return_inverse=True)
    order = np.argsort(code, kind="stable")
    pieces = np.split(members[order], np.cumsum(np.bincount(code))[:-1])
    if name == "season":
        places = sorted(range(len(values)), key=lambda place: _SEASONS.index(str(values[place])))
        values, pieces = values[places], [pieces[place] for place in places]
    rows = [_numbers(pairs, piece) for piece in pieces]
    result = _label({key: np.array([row[key] for row in rows]) for key in rows[0]}, (name,), units)
    return result.assign_coords({name: (name, values, attrs)})


def _reach_dim(prediction: xr.DataArray, observed: xr.DataArray) -> str:
    for what, array in (("prediction", prediction), ("observed", observed)):
        if array.ndim != 2 or "time" not in array.dims:
            msg = f"{what} has dims {array.dims}; it must have two, 'time' and 'fine' or 'coarse'"
            raise InvalidArgumentError(msg)
        for dim in array.dims:
            if dim not in array.indexes:
                msg = f"{what} has no labels along {dim!r}; arrays are aligned by label only"
                raise InvalidArgumentError(msg)
            if not array.indexes[dim].is_unique:
                repeated = array.indexes[dim][array.indexes[dim].duplicated()].unique()
                msg = f"{what} has labels along {dim!r} more than once: {shorten(repeated)}"
                raise InvalidArgumentError(msg)
    if set(prediction.dims) != set(observed.dims):
        msg = f"prediction has dims {prediction.dims}, observed {observed.dims}; score one scale at a time"
        raise InvalidArgumentError(msg)
    return next(str(dim) for dim in prediction.dims if dim != "time")


def _common_units(prediction: xr.DataArray, observed: xr.DataArray) -> str:
    given = [array.attrs["units"] for array in (prediction, observed) if "units" in array.attrs]
    if len(set(given)) > 1:
        msg = f"the prediction is in {given[0]!r}, the observations in {given[1]!r}; convert one of them"
        raise InvalidArgumentError(msg)
    return str(given[0]) if given else "degC"


def _blocks(array: xr.DataArray) -> Iterator[tuple[slice, slice]]:
    """Slices of the stored blocks of a two-dimensional array; all of it where it is in memory."""
    chunks = array.chunks or tuple((size,) for size in array.shape)
    bounds = [np.concatenate([[0], np.cumsum(sizes)]) for sizes in chunks]
    for first_row, last_row in zip(bounds[0][:-1], bounds[0][1:], strict=True):
        for first, last in zip(bounds[1][:-1], bounds[1][1:], strict=True):
            yield slice(int(first_row), int(last_row)), slice(int(first), int(last))


def _gather(prediction: xr.DataArray, observed: xr.DataArray, dim: str) -> _Pairs:
    prediction, observed = prediction.transpose("time", dim), observed.transpose("time", dim)
    times = prediction.indexes["time"].intersection(observed.indexes["time"]).sort_values()
    ids = prediction.indexes[dim].intersection(observed.indexes[dim]).sort_values()
    for label, common, what in (("time", times, "day"), (dim, ids, "id")):
        if not len(common):
            mine, theirs = prediction.indexes[label], observed.indexes[label]
            msg = (
                f"prediction and observations have no {what} in common along {label!r}: "
                f"{shorten(mine, 3)} against {shorten(theirs, 3)}"
            )
            raise InvalidArgumentError(msg)
    time, reach, values = _observed_pairs(observed, times, ids)
    if not values.size:
        msg = f"none of the {len(times)} days and {len(ids)} reaches in common has an observation"
        raise InvalidArgumentError(msg)
    predicted = _predicted_at(prediction, times, ids, time, reach)
    bad = ~np.isfinite(predicted)
    if bad.any():
        where = [f"{ids[r]} on {times[t]:%Y-%m-%d}" for t, r in zip(time[bad], reach[bad], strict=True)]
        msg = (
            f"the prediction is not finite at {bad.sum()} of {bad.size} observed reach-days: "
            f"{shorten(where)}; a score that left them out would not be honest: "
            "predict them, or select both arrays first"
        )
        raise InvalidArgumentError(msg)
    return _Pairs(pd.DatetimeIndex(times), ids, time, reach, values, predicted)


def _observed_pairs(
    observed: xr.DataArray, times: pd.Index[Any], ids: pd.Index[Any]
) -> tuple[Positions, Positions, Floats]:
    row_of = times.get_indexer(observed.indexes["time"])
    column_of = ids.get_indexer(observed.indexes[str(observed.dims[1])])
    found: list[tuple[Any, Any, Any]] = []
    for rows, columns in _blocks(observed):
        if (row_of[rows] < 0).all() or (column_of[columns] < 0).all():
            continue
        block = observed[rows, columns].values
        row, column = np.nonzero(np.isfinite(block))
        time, reach = row_of[rows][row], column_of[columns][column]
        common = (time >= 0) & (reach >= 0)
        found.append((time[common], reach[common], block[row[common], column[common]]))
    time = np.concatenate([piece[0] for piece in found]).astype("int64")
    reach = np.concatenate([piece[1] for piece in found]).astype("int64")
    values = np.concatenate([piece[2] for piece in found]).astype("float64")
    # One order for all storage layouts: sums are then equal to the last bit for every chunking.
    order = np.lexsort((reach, time))
    return time[order], reach[order], values[order]


def _predicted_at(
    prediction: xr.DataArray, times: pd.Index[Any], ids: pd.Index[Any], time: Positions, reach: Positions
) -> Floats:
    row = prediction.indexes["time"].get_indexer(times)[time]
    column = prediction.indexes[str(prediction.dims[1])].get_indexer(ids)[reach]
    predicted = np.full(row.size, np.nan)
    for rows, columns in _blocks(prediction):
        here = (row >= rows.start) & (row < rows.stop) & (column >= columns.start) & (column < columns.stop)
        if here.any():
            block = prediction[rows, columns].values
            predicted[here] = block[row[here] - rows.start, column[here] - columns.start]
    return predicted


def _groups(
    pairs: _Pairs, by: str | xr.DataArray, dim: str, places: tuple[Any, ...]
) -> tuple[str, npt.NDArray[Any], dict[str, str]]:
    """Name the dimension of the groups, the label of every pair, and the coordinate's attributes."""
    if isinstance(by, xr.DataArray):
        return _given_groups(pairs, by, dim, "group" if by.name is None else str(by.name))
    if by in _TIME_GROUPS:
        long_name, function = _TIME_GROUPS[by]
        days = xr.DataArray(pairs.times, dims="time", coords={"time": pairs.times})
        return by, function(days).values[pairs.time], {"long_name": long_name, "units": "1"}
    if by == "reach":
        return dim, pairs.ids.to_numpy()[pairs.reach], {"long_name": f"id along {dim}", "units": "1"}
    if by not in GROUPINGS:
        raise UnknownNameError("grouping", by, GROUPINGS)
    variable = "coarse_segment" if by == "segment" else f"stream_order_{dim}"
    if by == "segment" and dim == "coarse":
        msg = 'a prediction on segments is scored by segment with by="reach"'
        raise InvalidArgumentError(msg)
    for place in places:
        if place is not None and variable in place:
            return _given_groups(pairs, place[variable], dim, "coarse" if by == "segment" else by)
    msg = f"by={by!r} needs {variable!r}; give dataset=, a dataset that has it"
    raise InvalidArgumentError(msg)


def _given_groups(
    pairs: _Pairs, by: xr.DataArray, dim: str, name: str
) -> tuple[str, npt.NDArray[Any], dict[str, str]]:
    if by.ndim != 1 or by.dims[0] not in ("time", dim) or by.dims[0] not in by.indexes:
        msg = f"the groups {name!r} have dims {by.dims}; they must be labelled along 'time' or {dim!r}"
        raise InvalidArgumentError(msg)
    labels, position = (pairs.times, pairs.time) if by.dims[0] == "time" else (pairs.ids, pairs.reach)
    places = by.indexes[by.dims[0]].get_indexer(labels)[position]
    if (places < 0).any():
        lost = labels[np.unique(position[places < 0])]
        msg = f"the groups {name!r} say nothing about {shorten(lost)} along {by.dims[0]!r}"
        raise InvalidArgumentError(msg)
    return name, by.values[places], {"long_name": str(by.attrs.get("long_name", name)), "units": "1"}


def _rmse(error: Floats) -> float:
    return float(np.sqrt(np.mean(error**2))) if error.size else np.nan


def _numbers(pairs: _Pairs, members: Positions | None) -> dict[str, float | int]:
    """All metrics of some pairs."""
    chosen: Any = slice(None) if members is None else members
    observed, predicted, reach = pairs.observed[chosen], pairs.predicted[chosen], pairs.reach[chosen]
    error = predicted - observed
    days = np.bincount(reach)
    # Two steps keep the square roots to reaches that have days.
    long = days >= MIN_DAYS
    reach_rmse = np.sqrt(np.bincount(reach, error**2)[long] / days[long])
    hot = observed >= np.quantile(observed, 1 - TAIL)
    cold = observed <= np.quantile(observed, TAIL)
    spread = float(np.sum((observed - observed.mean()) ** 2))
    r, alpha, beta = _kge_parts(predicted, observed)
    return {
        "rmse": _rmse(error),
        "rmse_median": float(np.median(reach_rmse)) if reach_rmse.size else np.nan,
        "mae": float(np.mean(np.abs(error))),
        "bias": float(np.mean(error)),
        "nse": 1 - float(np.sum(error**2)) / spread if spread > 0 else np.nan,
        "kge": 1 - float(np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2)),
        "kge_r": r,
        "kge_alpha": alpha,
        "kge_beta": beta,
        "rmse_hot": _rmse(error[hot]),
        "rmse_cold": _rmse(error[cold]),
        "n": observed.size,
        "n_reaches": int(np.count_nonzero(days)),
        "n_reaches_median": int(np.count_nonzero(long)),
        "n_hot": int(np.count_nonzero(hot)),
        "n_cold": int(np.count_nonzero(cold)),
    }


def _kge_parts(predicted: Floats, observed: Floats) -> tuple[float, float, float]:
    """Correlation, ratio of deviations, ratio of means; NaN where one is not defined."""
    mean, deviation = float(observed.mean()), float(observed.std())
    spread = float(predicted.std())
    covariance = float(np.mean((predicted - predicted.mean()) * (observed - mean)))
    r = covariance / (deviation * spread) if deviation > 0 and spread > 0 else np.nan
    alpha = spread / deviation if deviation > 0 else np.nan
    beta = float(predicted.mean()) / mean if mean != 0 else np.nan
    return r, alpha, beta


def _label(numbers: dict[str, Any], dims: tuple[str, ...], units: str) -> xr.Dataset:
    variables = {}
    for key, value in numbers.items():
        dtype = "int64" if key == "n" or key.startswith("n_") else "float64"
        attrs = {"units": units if key in _IN_DEGREES else "1", "long_name": _LONG_NAMES[key]}
        variables[key] = xr.Variable(dims, np.asarray(value, dtype=dtype), attrs)
    return xr.Dataset(variables, attrs={"title": "scores on observed reach-days"})
