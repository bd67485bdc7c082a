"""Scores of a predicted temperature against sparse observations.

Memory is one block of the prediction plus 24 bytes for each observed reach-day (8 more for each quantile,
member or other label along further dimensions).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate.groups import group_pairs, segments_of
from xmsgl.evaluate.names import MIN_DAYS, TAIL, is_count, label_scores
from xmsgl.evaluate.pairs import gather
from xmsgl.evaluate.probabilistic import QUANTILE_DIMS, levels, member_crps, quantile_coords, quantile_scores
from xmsgl.evaluate.resample import check_confidence, segment_bounds
from xmsgl.schema.arrays import as_array

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

    from xmsgl.evaluate.groups import By, Groups
    from xmsgl.evaluate.pairs import Floats, Pairs

__all__ = ["Tails", "score"]

Tails = Literal["inclusive", "river-dl"]
"""Definitions of the hot and the cold tail."""

_RIVER_DL_DAYS = 10  # river-dl has no scores of groups with so few observations


def score(
    prediction: xr.DataArray | xr.Dataset,
    observed: xr.DataArray | xr.Dataset,
    *,
    by: By = None,
    dataset: xr.Dataset | None = None,
    confidence: float | None = None,
    seed: int = 0,
    tails: Tails = "inclusive",
) -> xr.Dataset:
    """Score a prediction on the observed reach-days.

    Both arrays are aligned by their labels, in any order. Days and reaches in only one of them are left out.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)`` or ``(time, coarse)``, degC. May be lazy: only blocks with an observed
        reach-day are computed. With a dimension ``quantile``, the median and the quantiles are scored.
        Scores keep any other dimension (``member``, ``lead``).
    observed
        Temperature with the dims ``time`` and ``fine`` or ``coarse``, NaN where not observed, degC. May be
        lazy.
    by
        Score in groups: ``"month"``, ``"season"``, ``"year"``, ``"water_year"``, ``"reach"``,
        ``"segment"``, ``"stream_order"``, the name of a variable on ``time`` or on the reaches, or a
        DataArray of group labels on one of them (reach-days without a label are left out). A list of these
        gives all combinations. A mapping gives the Grouper objects of xarray, as in its ``groupby``:
        ``{"time": TimeResampler("QS-DEC"), "elevation_fine": BinGrouper([0, 200, 500])}``. Default: one
        score.
    dataset
        Provides ``coarse_segment`` for ``"segment"`` and `confidence`, ``stream_order_fine`` (or
        ``stream_order_coarse``) for ``"stream_order"``, and other variables, unless the prediction has them
        as coordinates.
    confidence
        Add intervals of this confidence (0.9) for ``rmse``, ``mae`` and ``bias``, from the coarse segments
        of each group drawn again with replacement: days of a reach, and reaches of a segment, are not
        independent. Default: none.
    seed
        Seed of these draws.
    tails
        What is hot and cold: ``"inclusive"``, at and above the 90th and at and below the 10th percentile of
        the group's observations; ``"river-dl"``, as the USGS package, strictly above and below, and NaN for
        a group of ten observations or fewer.

    Returns
    -------
    xarray.Dataset
        Scalars, or one value per group along `by` (``fine`` or ``coarse`` for ``"reach"``, ``coarse`` for
        ``"segment"``, the name of a DataArray). Groups without an observation do not appear; a combination
        without one has ``n`` 0 and is NaN. In degC: ``rmse`` (pooled), ``rmse_median`` (the median over
        reaches with at least 30 observed days of the RMSE of each; the score of a median quantile is
        ``rmse``), ``mae``, ``bias`` (prediction minus observation), ``rmse_hot``, ``bias_hot``,
        ``rmse_cold`` and ``bias_cold`` (over `tails`). Without units: ``nse``, ``kge`` and its parts
        ``kge_r``, ``kge_alpha``, ``kge_beta``. Counts: ``n``, ``n_reaches``, and ``n_reaches_median``,
        ``n_hot``, ``n_cold`` for the scores of those names. An undefined score (the NSE of one observation)
        is NaN. Quantiles add ``crps``, ``pinball``, ``coverage`` and ``width``, members ``crps``, see
        :mod:`xmsgl.evaluate.probabilistic`. `confidence` adds ``rmse_low``, ``rmse_high`` and so on, and
        ``n_segments``; bounds are NaN for groups of fewer than 5 segments.

    Raises
    ------
    InvalidArgumentError
        No observed reach-day in common; a prediction that is not finite where there is an observation;
        different units; wrong dims; groups without labels for some reach-days; quantiles without the median;
        a grouper that does not fit its labels.
    UnknownNameError
        ``by`` or ``tails`` is not one of the words above.

    Notes
    -----
    ``kge_beta``, a ratio of means in degC, means little for groups whose observed mean is near 0.

    The intervals are percentiles of 2000 resamples. They do not include that all segments share the same
    weather, so the error in other years is less certain than they say. With few segments they are too
    narrow.

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
    >>> score(observed.fillna(0.0) + 0.5, observed, by=["month", "reach"]).n.to_series().to_dict()
    {(1, 7): 2, (2, 7): 1}
    """
    if tails not in get_args(Tails):
        raise UnknownNameError("definition of the tails", tails, get_args(Tails))
    check_confidence(confidence)
    prediction, observed = as_array(prediction), as_array(observed, "observed")
    probabilities = levels(prediction) if "quantile" in prediction.dims else None
    others = tuple(str(dim) for dim in prediction.dims if dim not in (*observed.dims, "quantile"))
    across = (*others, "quantile") if probabilities else others
    places = (prediction.coords, observed.coords, dataset)
    pairs, groups = group_pairs(gather(prediction, observed, *across), by, places)
    if clash := set(others) & set(groups.coords):
        msg = f"the prediction and the groups both have {sorted(clash)}; rename that of the prediction"
        raise InvalidArgumentError(msg)
    numbers: dict[str, tuple[tuple[str, ...], Any]] = _scores(pairs, groups, others, probabilities, tails)
    if confidence is not None:
        why = f"confidence={confidence}"
        median, segments = _median(pairs, probabilities), segments_of(pairs, places, why)
        found = segment_bounds(median, groups, segments, confidence, seed, _bounded)
        own = (*groups.coords, *others)
        for key, value in found.items():
            dims = own[: len(groups.shape) + value.ndim - 1]
            numbers[key] = (dims, value.reshape((*groups.shape, *value.shape[1:])))
    result = label_scores(numbers, pairs.units).transpose(*others, *groups.coords, ...)
    coords = {name: prediction.coords[name].variable for name in others if name in prediction.coords}
    return result.assign_coords(
        {**groups.coords, **coords, **(quantile_coords(probabilities) if probabilities else {})}
    )


def _median(pairs: Pairs, probabilities: list[float] | None) -> Pairs:
    """Keep the median of a prediction of quantiles."""
    if probabilities is None:
        return pairs
    if 0.5 not in probabilities:
        msg = (
            f"the prediction has the quantiles {probabilities} but no median to score; predict 0.5 "
            "too, or score the quantiles alone with xmsgl.evaluate.coverage, crps or pinball"
        )
        raise InvalidArgumentError(msg)
    return replace(pairs, predicted=pairs.predicted[..., probabilities.index(0.5), :])


def _scores(
    pairs: Pairs, groups: Groups, others: tuple[str, ...], probabilities: list[float] | None, tails: Tails
) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Compute all scores, and name their dimensions."""
    median, names = _median(pairs, probabilities), tuple(groups.coords)
    shape = median.predicted.shape[:-1]
    parts = _tails(pairs.observed, groups, tails)
    rows = []
    for place in np.ndindex(shape):
        row = _numbers(replace(median, predicted=median.predicted[place]), groups, parts)
        if probabilities is not None:
            row |= quantile_scores(probabilities, pairs.predicted[place], pairs.observed, groups.mean)
        rows.append(row)
    numbers: dict[str, tuple[tuple[str, ...], Any]] = {}
    for key, first in rows[0].items():
        own = (*groups.shape, *first.shape[1:])
        if is_count(key):  # the same for all predictions
            numbers[key] = (names, first.reshape(own))
            continue
        values = np.stack([row[key] for row in rows]).reshape((*shape, *own))
        numbers[key] = ((*others, *names, *QUANTILE_DIMS.get(key, ())), values)
    if "member" in others and probabilities is None:
        axis, rest = others.index("member"), tuple(name for name in others if name != "member")
        values = groups.mean(member_crps(np.moveaxis(pairs.predicted, axis, 0), pairs.observed))
        numbers["crps"] = ((*names, *rest), values.reshape((*groups.shape, *values.shape[1:])))
    return numbers


def _bounded(squares: Floats, absolute: Floats, plain: Floats) -> dict[str, Floats]:
    """Name the scores with an interval."""
    return {"rmse": np.sqrt(squares), "mae": absolute, "bias": plain}


def _tails(observed: Floats, groups: Groups, tails: Tails) -> dict[str, npt.NDArray[np.bool_]]:
    """Find the hot and the cold pairs of each group."""
    grouped = pd.Series(observed).groupby(groups.code)
    high, low = (grouped.quantile(p).reindex(groups.code).to_numpy() for p in (1 - TAIL, TAIL))
    if tails == "inclusive":
        return {"hot": observed >= high, "cold": observed <= low}
    enough = groups.total()[groups.code] > _RIVER_DL_DAYS
    return {"hot": (observed > high) & enough, "cold": (observed < low) & enough}


def _numbers(
    pairs: Pairs, groups: Groups, parts: dict[str, npt.NDArray[np.bool_]]
) -> dict[str, npt.NDArray[Any]]:
    """All metrics of the pairs, by group."""
    error = pairs.predicted - pairs.observed
    squares = groups.mean(error**2)
    numbers = {
        "rmse": np.sqrt(squares),
        "mae": groups.mean(np.abs(error)),
        "bias": groups.mean(error),
        **_efficiencies(pairs.predicted, pairs.observed, squares, groups),
    }
    counts: dict[str, npt.NDArray[Any]] = {"n": groups.total()}
    with np.errstate(invalid="ignore"):
        for name, part in parts.items():
            counts[f"n_{name}"] = groups.total(part)
            numbers[f"rmse_{name}"] = np.sqrt(groups.total(part * error**2) / counts[f"n_{name}"])
            numbers[f"bias_{name}"] = groups.total(part * error) / counts[f"n_{name}"]
    every = pd.RangeIndex(groups.size)
    reaches = pd.Series(error**2).groupby([groups.code, pairs.reach]).agg(["mean", "size"])
    long = np.sqrt(reaches["mean"])[reaches["size"] >= MIN_DAYS].groupby(level=0)
    numbers["rmse_median"] = long.median().reindex(every).to_numpy()
    counts["n_reaches"] = reaches["mean"].groupby(level=0).size().reindex(every, fill_value=0).to_numpy()
    counts["n_reaches_median"] = long.size().reindex(every, fill_value=0).to_numpy()
    return numbers | counts


def _efficiencies(
    predicted: Floats, observed: Floats, squares: Floats, groups: Groups
) -> dict[str, npt.NDArray[Any]]:
    """NSE and KGE with its parts, by group; NaN where undefined."""
    mean, own = groups.mean(observed), groups.mean(predicted)
    away, aside = _deviations(observed, groups), _deviations(predicted, groups)
    spread, variance = groups.mean(away**2), groups.mean(aside**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = groups.mean(away * aside) / np.sqrt(np.where(spread * variance > 0, spread * variance, np.nan))
        alpha = np.sqrt(variance / np.where(spread > 0, spread, np.nan))
        beta = own / np.where(mean != 0, mean, np.nan)
        nse = 1 - squares / np.where(spread > 0, spread, np.nan)
    kge = 1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2)
    return {"nse": nse, "kge": kge, "kge_r": r, "kge_alpha": alpha, "kge_beta": beta}


def _deviations(values: Floats, groups: Groups) -> Floats:
    """Subtract the mean of each group; the deviations of equal values are exactly zero."""
    one = np.zeros(groups.size)
    one[groups.code] = values
    shifted = values - one[groups.code]
    deviations: Floats = shifted - groups.mean(shifted)[groups.code]
    return deviations
