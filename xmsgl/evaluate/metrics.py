"""Scores of a predicted temperature against sparse observations.

Memory is one block of the prediction plus 24 bytes for each observed reach-day (8 more for each quantile).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError, shorten
from xmsgl.evaluate.names import MIN_DAYS, TAIL, label_scores
from xmsgl.evaluate.pairs import gather
from xmsgl.evaluate.probabilistic import levels, quantile_coords, quantile_scores
from xmsgl.evaluate.splits import water_year
from xmsgl.schema.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmsgl.evaluate.pairs import Floats, Pairs

__all__ = ["score"]

_TIME_GROUPS: dict[str, tuple[str, Callable[[xr.DataArray], xr.DataArray]]] = {
    "month": ("calendar month", lambda time: time.dt.month),
    "season": ("season", lambda time: time.dt.season),
    "year": ("calendar year", lambda time: time.dt.year),
    "water_year": ("water year (October to September)", water_year),
}
_SEASONS = ("DJF", "MAM", "JJA", "SON")
_GROUPINGS = (*_TIME_GROUPS, "reach", "segment", "stream_order")


def score(
    prediction: xr.DataArray | xr.Dataset,
    observed: xr.DataArray | xr.Dataset,
    *,
    by: str | xr.DataArray | None = None,
    dataset: xr.Dataset | None = None,
) -> xr.Dataset:
    """Score a prediction on the observed reach-days.

    Both arrays are aligned by their labels, in any order. Days and reaches in only one of them are left out.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)`` or ``(time, coarse)``, degC. May be lazy: only blocks with an observed
        reach-day are computed. With a dimension ``quantile``, the median and the quantiles are scored.
    observed
        Temperature with the same dims, NaN where not observed, degC. May be lazy.
    by
        Score in groups: ``"month"``, ``"season"``, ``"year"``, ``"water_year"``, ``"reach"``,
        ``"segment"``, ``"stream_order"``, or a DataArray of group labels on ``time`` or on the reaches
        (reach-days without a label are left out). Default: one score.
    dataset
        Provides ``coarse_segment`` for ``"segment"`` and ``stream_order_fine`` (or ``stream_order_coarse``)
        for ``"stream_order"``, unless the prediction has them as coordinates.

    Returns
    -------
    xarray.Dataset
        Scalars, or one value per group along `by` (``fine`` or ``coarse`` for ``"reach"``, ``coarse`` for
        ``"segment"``, the name of a DataArray). Groups without an observation do not appear. In degC:
        ``rmse`` (pooled), ``rmse_median`` (the median over reaches with at least 30 observed days of the
        RMSE of each; the score of a median quantile is ``rmse``), ``mae``, ``bias`` (prediction minus
        observation), ``rmse_hot`` and ``rmse_cold`` (at and above the 90th, at and below the 10th percentile
        of the group's observations). Without units: ``nse``, ``kge`` and its parts ``kge_r``, ``kge_alpha``,
        ``kge_beta``. Counts: ``n``, ``n_reaches``, and ``n_reaches_median``, ``n_hot``, ``n_cold`` for the
        scores of those names. An undefined score (the NSE of one observation) is NaN. Quantiles add
        ``crps``, ``pinball``, ``coverage`` and ``width``, see :mod:`xmsgl.evaluate.probabilistic`.

    Raises
    ------
    InvalidArgumentError
        No observed reach-day in common; a prediction that is not finite where there is an observation;
        different units; wrong dims; groups without labels for some reach-days; quantiles without the median.
    UnknownNameError
        ``by`` is not one of the words above.

    Notes
    -----
    ``kge_beta``, a ratio of means in degC, means little for groups whose observed mean is near 0.

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
    prediction, observed = as_array(prediction), as_array(observed, "observed")
    probabilities = levels(prediction) if "quantile" in prediction.dims else None
    pairs = gather(prediction, observed, "quantile" if probabilities else None)
    coords = quantile_coords(probabilities) if probabilities else {}
    if by is None:
        return label_scores(_all_numbers(pairs, probabilities), (), pairs.units).assign_coords(coords)
    name, labels, attrs = _groups(pairs, by, (prediction.coords, observed.coords, dataset))
    # Reach-days with a missing label are in no group, as in groupby of xarray.
    places: dict[Any, Any] = pd.Series(np.arange(labels.size)).groupby(labels).indices
    if not places:
        msg = f"every observed reach-day has a missing group label in {name!r}"
        raise InvalidArgumentError(msg)
    groups = sorted(places)
    if isinstance(by, str) and by == "season":
        groups.sort(key=_SEASONS.index)
    rows = [_all_numbers(_part(pairs, places[group]), probabilities) for group in groups]
    numbers = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    members = np.array(groups, dtype=labels.dtype)
    result = label_scores(numbers, (name,), pairs.units)
    return result.assign_coords({name: (name, members, attrs), **coords})


def _part(pairs: Pairs, chosen: npt.NDArray[np.intp]) -> Pairs:
    return replace(
        pairs,
        time=pairs.time[chosen],
        reach=pairs.reach[chosen],
        observed=pairs.observed[chosen],
        predicted=pairs.predicted[..., chosen],
    )


def _groups(
    pairs: Pairs, by: str | xr.DataArray, places: tuple[Any, ...]
) -> tuple[str, npt.NDArray[Any], dict[str, str]]:
    """Return the dimension of the groups, the label of every pair, and the coordinate's attributes."""
    dim = pairs.dim
    if isinstance(by, xr.DataArray):
        return _given_groups(pairs, by, "group" if by.name is None else str(by.name))
    if by in _TIME_GROUPS:
        long_name, function = _TIME_GROUPS[by]
        days = xr.DataArray(pairs.times, dims="time", coords={"time": pairs.times})
        return by, function(days).values[pairs.time], {"long_name": long_name, "units": "1"}
    if by == "reach":
        return dim, pairs.ids.to_numpy()[pairs.reach], {"long_name": f"id along {dim}", "units": "1"}
    if by not in _GROUPINGS:
        raise UnknownNameError("grouping", by, _GROUPINGS)
    variable = "coarse_segment" if by == "segment" else f"stream_order_{dim}"
    if by == "segment" and dim == "coarse":
        msg = 'a prediction on segments is scored by segment with by="reach"'
        raise InvalidArgumentError(msg)
    for place in places:
        if place is not None and variable in place:
            return _given_groups(pairs, place[variable], "coarse" if by == "segment" else by)
    msg = f"by={by!r} needs {variable!r}; give a dataset that has it: dataset=ds"
    raise InvalidArgumentError(msg)


def _given_groups(pairs: Pairs, by: xr.DataArray, name: str) -> tuple[str, npt.NDArray[Any], dict[str, str]]:
    if by.ndim != 1 or by.dims[0] not in ("time", pairs.dim) or by.dims[0] not in by.indexes:
        msg = f"the groups {name!r} have dims {by.dims}; they must be labelled along 'time' or {pairs.dim!r}"
        raise InvalidArgumentError(msg)
    labels, position = (pairs.times, pairs.time) if by.dims[0] == "time" else (pairs.ids, pairs.reach)
    places = by.indexes[by.dims[0]].get_indexer(labels)[position]
    if (places < 0).any():
        lost = labels[np.unique(position[places < 0])]
        msg = f"the groups {name!r} have no label for {shorten(lost)} along {by.dims[0]!r}"
        raise InvalidArgumentError(msg)
    return name, by.values[places], {"long_name": str(by.attrs.get("long_name", name)), "units": "1"}


def _rmse(error: Floats) -> float:
    return float(np.sqrt(np.mean(error**2))) if error.size else np.nan


def _all_numbers(pairs: Pairs, probabilities: list[float] | None) -> dict[str, Any]:
    """All metrics of some pairs; for quantiles those of the median, and the scores of the quantiles."""
    if probabilities is None:
        return _numbers(pairs)
    if 0.5 not in probabilities:
        msg = (
            f"the prediction has the quantiles {probabilities} but no median to score; predict 0.5 "
            "too, or score the quantiles alone with xmsgl.evaluate.coverage, crps or pinball"
        )
        raise InvalidArgumentError(msg)
    median = replace(pairs, predicted=pairs.predicted[probabilities.index(0.5)])
    return {**_numbers(median), **quantile_scores(probabilities, pairs.predicted, pairs.observed)}


def _numbers(pairs: Pairs) -> dict[str, float | int]:
    """All metrics of some pairs."""
    observed, predicted, reach = pairs.observed, pairs.predicted, pairs.reach
    error = predicted - observed
    days = np.bincount(reach)
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
    """Correlation, ratio of deviations, ratio of means; NaN where undefined."""
    mean, deviation = float(observed.mean()), float(observed.std())
    spread = float(predicted.std())
    covariance = float(np.mean((predicted - predicted.mean()) * (observed - mean)))
    r = covariance / (deviation * spread) if deviation > 0 and spread > 0 else np.nan
    alpha = spread / deviation if deviation > 0 else np.nan
    beta = float(predicted.mean()) / mean if mean != 0 else np.nan
    return r, alpha, beta
