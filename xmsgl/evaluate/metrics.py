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
from xmsgl.evaluate.names import MIN_DAYS, TAIL, label_scores
from xmsgl.evaluate.pairs import gather, observations
from xmsgl.evaluate.probabilistic import levels, member_crps, quantile_coords, quantile_scores
from xmsgl.evaluate.resample import check_confidence, segment_bounds
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

    from xmsgl.evaluate.groups import By, Groups
    from xmsgl.evaluate.pairs import Floats, Pairs

__all__ = ["Tails", "score"]

Tails = Literal["inclusive", "river-dl"]
"""Definitions of the hot and the cold tail."""

_RIVER_DL_DAYS = 10  # river-dl has no scores of groups with so few observations


@checked
def score(
    prediction: xr.DataArray | xr.Dataset,
    observed: xr.DataArray | xr.Dataset | None = None,
    *,
    by: By = None,
    dataset: xr.Dataset | xr.DataTree | None = None,
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
        lazy. Default: the labels in `dataset`.
    by
        Score in groups: ``"month"``, ``"season"``, ``"year"``, ``"water_year"``, ``"reach"``,
        ``"segment"``, ``"stream_order"``, the name of a variable on ``time`` or on the reaches, or a
        DataArray of group labels on one of them (reach-days without a label are left out). A list of these
        gives all combinations. A mapping gives the Grouper objects of xarray, as in its ``groupby``:
        ``{"time": TimeResampler("QS-DEC"), "elevation_fine": BinGrouper([0, 200, 500])}``. Default: one
        score.
    dataset
        Provides labels, ``coarse_segment`` for ``"segment"`` and `confidence`, ``stream_order_fine`` (or
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

    The intervals are bias-corrected and accelerated (BCa), from 2000 resamples. They do not include that all
    segments share the same weather, so the error in other years is less certain than they say. With few
    segments they are too narrow.

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
    check_confidence(confidence, seed)
    prediction, ds = as_array(prediction), None if dataset is None else sound_dataset(dataset)
    observed = observations(ds, prediction, observed)
    probabilities = levels(prediction) if "quantile" in prediction.dims else None
    placed = {*observed.dims, "time", "fine", "coarse", "quantile"}
    others = tuple(str(dim) for dim in prediction.dims if dim not in placed)
    across = (*others, "quantile") if probabilities else others
    places = (prediction.coords, observed.coords, ds)
    pairs, groups = group_pairs(gather(prediction, observed, *across), by, places)
    median = _median(pairs, probabilities)
    numbers = _numbers(median, groups, _tails(pairs.observed, groups, tails))
    if confidence is not None:
        segments = segments_of(pairs, places, f"confidence={confidence}")
        numbers |= segment_bounds(median, groups, segments, confidence, seed, _bounded)
    if probabilities is not None:
        numbers |= quantile_scores(probabilities, pairs.predicted, pairs.observed, groups.mean)
    elif "member" in others:
        members = np.moveaxis(pairs.predicted, others.index("member"), 0)
        numbers["crps"] = groups.mean(member_crps(members, pairs.observed))
    result = label_scores(numbers, others, tuple(groups.coords), pairs.units)
    labels = {name: prediction.coords[name].variable for name in others if name in prediction.coords}
    quantiles = quantile_coords(probabilities) if probabilities else {}
    return result.assign_coords({**groups.coords, **labels, **quantiles})


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


def _bounded(squares: Floats, absolute: Floats, plain: Floats) -> dict[str, Floats]:
    """Name the scores with an interval."""
    return {"rmse": np.sqrt(squares), "mae": absolute, "bias": plain}


def _tails(observed: Floats, groups: Groups, tails: Tails) -> dict[str, npt.NDArray[np.bool_]]:
    """Find the hot and the cold pairs of each group."""
    grouped = pd.Series(observed).groupby(groups.code)
    high, low = (grouped.quantile(p).reindex(groups.code).to_numpy() for p in (1 - TAIL, TAIL))
    if tails == "inclusive":
        return {"hot": observed >= high, "cold": observed <= low}
    enough = grouped.transform("size").to_numpy() > _RIVER_DL_DAYS
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
    counts = {"n": groups.total(np.ones(error.shape[-1]))}
    with np.errstate(invalid="ignore"):
        for name, part in parts.items():
            counts[f"n_{name}"] = groups.total(part)
            numbers[f"rmse_{name}"] = np.sqrt(groups.total(part * error**2) / counts[f"n_{name}"])
            numbers[f"bias_{name}"] = groups.total(part * error) / counts[f"n_{name}"]
    return numbers | counts | _by_reach(error, pairs.reach, groups)


def _by_reach(error: Floats, reach: npt.NDArray[np.int64], groups: Groups) -> dict[str, npt.NDArray[Any]]:
    """Count the reaches of each group, and take the median of the RMSE of those with enough days."""
    table = pd.DataFrame((error**2).reshape(-1, reach.size).T).groupby([groups.code, reach])
    days = table.size()
    group, long = days.index.get_level_values(0).to_numpy(), days.to_numpy() >= MIN_DAYS
    median = (table.mean()[long] ** 0.5).groupby(level=0).median().reindex(range(groups.size))
    return {
        "rmse_median": median.to_numpy().T.reshape((*error.shape[:-1], *groups.shape)),
        "n_reaches": np.bincount(group, None, groups.size).reshape(groups.shape),
        "n_reaches_median": np.bincount(group, long, groups.size).reshape(groups.shape),
    }


def _efficiencies(
    predicted: Floats, observed: Floats, squares: Floats, groups: Groups
) -> dict[str, npt.NDArray[Any]]:
    """NSE and KGE with its parts, by group; NaN where undefined."""
    away, aside = _deviations(observed, groups), _deviations(predicted, groups)
    spread, variance, mean = groups.mean(away**2), groups.mean(aside**2), groups.mean(observed)
    spread, mean = np.where(spread > 0, spread, np.nan), np.where(mean != 0, mean, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = groups.mean(away * aside) / np.sqrt(spread * np.where(variance > 0, variance, np.nan))
    alpha, beta = np.sqrt(variance / spread), groups.mean(predicted) / mean
    kge = 1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2)
    return {"nse": 1 - squares / spread, "kge": kge, "kge_r": r, "kge_alpha": alpha, "kge_beta": beta}


def _deviations(values: Floats, groups: Groups) -> Floats:
    """Subtract the mean of each group; the deviations of equal values are exactly zero."""
    one = np.zeros((*values.shape[:-1], groups.size))
    one[..., groups.code] = values
    shifted = values - one[..., groups.code]
    deviations: Floats = shifted - groups.mean(shifted).reshape(one.shape)[..., groups.code]
    return deviations
