"""Scores of a predicted distribution: quantiles, or the members of an ensemble.

Arrays are aligned by label, and only observed reach-days count, as in :func:`xmsgl.evaluate.score`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate.groups import group_pairs
from xmsgl.evaluate.names import label_scores
from xmsgl.evaluate.pairs import gather
from xmsgl.schema.arrays import as_array
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xmsgl.evaluate.pairs import Floats, Pairs

__all__ = [
    "coverage",
    "crps",
    "intervals",
    "levels",
    "member_crps",
    "pinball",
    "quantile_coords",
    "quantile_scores",
]

_SAME = 1e-6  # difference of two equal probabilities, which may have been stored as float32


@checked
def coverage(prediction: xr.DataArray | xr.Dataset, observed: xr.DataArray | xr.Dataset) -> xr.Dataset:
    """Return the fraction of observations inside each interval, and its mean width.

    Intervals are reliable where their coverage equals the nominal coverage, and useful where they are narrow.

    Parameters
    ----------
    prediction
        Quantiles of the temperature, ``(quantile, time, fine)`` or ``(quantile, time, coarse)``, degC; may be
        lazy. Each pair of quantiles p and 1 - p bounds an interval.
    observed
        Temperature with the same dims except ``quantile``, NaN where not observed, degC.

    Returns
    -------
    xarray.Dataset
        ``coverage`` (bounds belong to the interval) and ``width`` (degC) along ``interval``, the nominal
        coverage; and ``n``, the number of observed reach-days.

    Raises
    ------
    InvalidArgumentError
        No two quantiles bound an interval, or as :func:`xmsgl.evaluate.score`.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> days = pd.date_range("2000-01-01", periods=4)
    >>> observed = xr.DataArray([[1.0], [2.0], [9.0], [4.0]], coords={"time": days, "fine": [7]})
    >>> bounds = xr.DataArray([1.0, 5.0], coords={"quantile": [0.1, 0.9]})
    >>> result = coverage(bounds + 0 * observed, observed)
    >>> result.interval.item(), result.coverage.item(), result.width.item(), result.n.item()
    (0.8, 0.75, 4.0, 4)
    """
    prediction, observed = as_array(prediction), as_array(observed, "observed")
    probabilities = levels(prediction)
    if not intervals(probabilities):
        msg = f"quantiles {probabilities} make no interval; give p and 1 - p, for example 0.05 and 0.95"
        raise InvalidArgumentError(msg)
    return _quantile_dataset(gather(prediction, observed, "quantile"), probabilities, "coverage", "width")


@checked
def pinball(prediction: xr.DataArray | xr.Dataset, observed: xr.DataArray | xr.Dataset) -> xr.Dataset:
    """Score each quantile p: the loss per degree is p where the observation is above it, else 1 - p.

    Parameters
    ----------
    prediction, observed
        As in :func:`coverage`.

    Returns
    -------
    xarray.Dataset
        ``pinball`` (degC) along ``quantile``, lowest for the true quantile, and ``n``.

    Raises
    ------
    InvalidArgumentError
        As :func:`coverage`.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> days = pd.date_range("2000-01-01", periods=2)
    >>> observed = xr.DataArray([[1.0], [2.0]], coords={"time": days, "fine": [7]})
    >>> low = xr.DataArray([1.5], coords={"quantile": [0.1]})
    >>> pinball(low + 0 * observed, observed).pinball.values  # (0.9 * 0.5 + 0.1 * 0.5) / 2
    array([0.25])
    """
    prediction, observed = as_array(prediction), as_array(observed, "observed")
    return _quantile_dataset(gather(prediction, observed, "quantile"), levels(prediction), "pinball")


@checked
def crps(
    prediction: xr.DataArray | xr.Dataset, observed: xr.DataArray | xr.Dataset, *, fair: bool = False
) -> xr.Dataset:
    """Score a whole distribution: the continuous ranked probability score, degC.

    For a single member, or the median alone, it equals the mean absolute error.

    Parameters
    ----------
    prediction
        Quantiles along ``quantile``, or the members of an ensemble along ``member``, with ``time`` and
        ``fine`` or ``coarse``. Members of a model: ``xr.concat([ds.msgl.downscale(model.member(k)) for k in
        range(model.members)], "member")``.
    observed
        Temperature without that dimension, NaN where not observed, degC.
    fair
        For members: score the distribution they are drawn from, as if there were infinitely many [1]_.

    Returns
    -------
    xarray.Dataset
        ``crps`` (degC) and ``n``.

    Raises
    ------
    InvalidArgumentError
        Neither dimension or both; `fair` without at least two members; or as :func:`coverage`.

    Notes
    -----
    For members x_i, exact: mean abs(x_i - y) minus half the mean abs(x_i - x_j) over all pairs (with `fair`,
    over pairs of different members). For quantiles: twice the integral of the pinball loss over p [2]_,
    where each quantile represents the probabilities nearest to it. This approximation is close for quantiles
    such as 0.01 to 0.99 by 0.02, and poor for few quantiles.

    References
    ----------
    .. [1] Ferro (2014), Fair scores for ensemble forecasts, doi:10.1002/qj.2270.
    .. [2] Laio & Tamea (2007), doi:10.5194/hess-11-1267-2007 (CRPS as an integral of pinball losses).
    .. [3] Gneiting & Raftery (2007), Strictly proper scoring rules, doi:10.1198/016214506000001437.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> days = pd.date_range("2000-01-01", periods=2)
    >>> observed = xr.DataArray([[1.0], [2.0]], coords={"time": days, "fine": [7]})
    >>> members = xr.DataArray([-1.0, 1.0], dims="member")
    >>> crps(observed + members, observed).crps.item()  # 1 - 2 / 2 / 2
    0.5
    """
    prediction, observed = as_array(prediction), as_array(observed, "observed")
    dims = [dim for dim in ("quantile", "member") if dim in prediction.dims]
    if len(dims) != 1 or (fair and dims != ["member"]):
        wanted = "'member'" if fair else "either 'quantile' or 'member'"
        msg = f"a prediction with dims {prediction.dims} has no such CRPS; it must have {wanted}"
        raise InvalidArgumentError(msg)
    if dims == ["quantile"]:
        return _quantile_dataset(gather(prediction, observed, "quantile"), levels(prediction), "crps")
    pairs = gather(prediction, observed, "member")
    count = len(pairs.predicted)
    if fair and count < 2:
        msg = "a fair CRPS compares members with each other, but there is only one; leave out fair=True"
        raise InvalidArgumentError(msg)
    value = group_pairs(pairs, None, ())[1].mean(member_crps(pairs.predicted, pairs.observed, fair=fair))
    return label_scores({"crps": value, "n": pairs.observed.size}, (), (), pairs.units)


def member_crps(predicted: Floats, observed: Floats, *, fair: bool = False) -> Floats:
    """Score the members of an ensemble, `predicted` (member, ..., pair), for each pair."""
    count = len(predicted)
    # Sorted members give the sum of the distances between all pairs of members in one pass.
    weight = 2 * np.arange(1, count + 1) - count - 1
    apart = 2 * np.tensordot(weight, np.sort(predicted, axis=0), axes=1)
    error = np.mean(np.abs(predicted - observed), axis=0)
    values: Floats = error - apart / (2 * count * (count - 1 if fair else count))
    return values


def levels(prediction: xr.DataArray) -> list[float]:
    """Return the probabilities along ``quantile``."""
    if "quantile" not in prediction.dims or "quantile" not in prediction.coords:
        msg = (
            f"the prediction has dims {prediction.dims}, no labelled 'quantile' among them; "
            "ds.msgl.downscale(..., quantiles=[...]) makes one"
        )
        raise InvalidArgumentError(msg)
    given = prediction["quantile"].values
    try:
        found = [float(str(p)) for p in given]  # float32 0.95 is written so, but becomes 0.949999988
    except ValueError:
        found = [np.nan]
    if not all(0 < p < 1 for p in found) or len(set(found)) < len(found):
        msg = f"quantile is {given.tolist()}; it must be different numbers between 0 and 1"
        if all(0 < p < 100 for p in found) and max(found, default=0) > 1:
            msg += '; if it is in per cent: .assign_coords(quantile=prediction["quantile"] / 100)'
        raise InvalidArgumentError(msg)
    return found


def intervals(probabilities: Sequence[float]) -> dict[float, tuple[int, int]]:
    """Find the pairs of quantiles p and 1 - p: positions of the bounds by nominal coverage."""
    found = {
        round(q - p, 6): (low, high)
        for low, p in enumerate(probabilities)
        for high, q in enumerate(probabilities)
        if p < q and abs(p + q - 1) < _SAME
    }
    return dict(sorted(found.items()))


def quantile_scores(
    probabilities: Sequence[float],
    predicted: Floats,
    observed: Floats,
    mean: Callable[[npt.NDArray[Any]], Floats],
) -> dict[str, Any]:
    """Score the quantiles of some reach-days, `predicted` (..., quantile, pair), `observed` (pair,)."""
    p, axis = np.asarray(probabilities), predicted.ndim - 2
    above = observed - predicted
    losses = mean(np.maximum(p[:, None] * above, (p[:, None] - 1) * above))
    # The CRPS weights each quantile by the width of the range of probabilities nearest to it.
    order = np.argsort(p)
    weights = np.empty_like(p)
    weights[order] = np.diff((p[order][1:] + p[order][:-1]) / 2, prepend=0.0, append=1.0)
    bounds = np.array(list(intervals(probabilities).values()), int).reshape(-1, 2).T
    low, high = (np.take(predicted, places, axis) for places in bounds)
    return {
        "crps": 2 * np.tensordot(losses, weights, (axis, 0)),
        "pinball": losses,
        "coverage": mean((low <= observed) & (observed <= high)),
        "width": mean(high - low),
    }


def quantile_coords(probabilities: Sequence[float]) -> dict[str, xr.Variable]:
    """Return the coordinates of the scores of quantiles and intervals."""
    about = {"quantile": "probability of the quantile", "interval": "nominal coverage of the interval"}
    values = {"quantile": list(probabilities), "interval": list(intervals(probabilities))}
    return {
        name: xr.Variable((name,), np.array(values[name]), {"long_name": text, "units": "1"})
        for name, text in about.items()
    }


def _quantile_dataset(pairs: Pairs, probabilities: Sequence[float], *names: str) -> xr.Dataset:
    mean = group_pairs(pairs, None, ())[1].mean
    scores = quantile_scores(probabilities, pairs.predicted, pairs.observed, mean)
    numbers = {name: scores[name] for name in names} | {"n": pairs.observed.size}
    result = label_scores(numbers, (), (), pairs.units)
    coords = quantile_coords(probabilities)
    return result.assign_coords({name: coords[name] for name in coords if name in result.dims})
