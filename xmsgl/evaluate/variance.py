"""How much a score depends on the data trained on, and how much on the training itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate.resample import check_confidence
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["variance_decomposition"]

_RESAMPLES = 4000


@checked
def variance_decomposition(
    scores: xr.DataArray,
    *,
    data: Sequence[Hashable] = ("repeat", "fold"),
    training: Hashable = "seed",
    reference: Any = None,
    along: Hashable = "model",
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Divide the variance of a score into that of the data and that of the training.

    A model that is trained again with another seed, or on another part of the data, has another error. The
    variance over seeds is that of the training: initial weights, order of batches, dropout. What the means
    over seeds vary by, beyond that, is the variance of the data: which places were held out and which were
    learned from.

    Parameters
    ----------
    scores
        Score of each training, such as its RMSE in degC: one dimension of the seeds, one or more of the
        divisions of the data, and any others, such as models, which are treated one by one.
    data
        Dimensions of the divisions of the data: repeats of K-fold cross-validation, and folds.
    training
        Dimension of the seeds.
    reference
        Label along `along` whose variance of the data the others are divided by. Default: no ratio.
    along
        Dimension of `reference`.
    confidence
        Probability of the intervals.
    seed
        Seed of the intervals.

    Returns
    -------
    xarray.Dataset
        Over the other dimensions of `scores`: ``mean``; ``training`` and ``data``, the two variances, in the
        square of the units of the score; ``data_low`` and ``data_high``, ``training_low`` and
        ``training_high``, their intervals; with a reference, ``ratio`` of the variances of the data,
        ``ratio_low`` and ``ratio_high``, infinite where that of the reference is 0. ``n_data`` and
        ``n_training`` are the numbers of divisions and seeds.

    Raises
    ------
    InvalidArgumentError
        A dimension is missing or has fewer than two labels, a score is not finite, or the reference is
        unknown.

    Notes
    -----
    With the score e[d, s] of division d and seed s, of D and S: ``training`` is the mean over d of the
    variance over s; ``data`` is the variance over d of the means over s, less ``training`` / S, and not below
    0 [1]_. Variances have the divisor n - 1. The intervals are percentiles of these numbers for divisions
    drawn with replacement, the same for all models. Folds of one repeat share most of their data, so that
    they are not independent and the intervals are too narrow rather than too wide [2]_.

    References
    ----------
    .. [1] Searle, Casella & McCulloch (1992), Variance Components, chapter 3.
    .. [2] Bengio & Grandvalet (2004), No unbiased estimator of the variance of K-fold cross-validation,
       Journal of Machine Learning Research 5, 1089-1105.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> rng = np.random.default_rng(0)
    >>> of_data = rng.normal(0, 0.3, (100, 5, 1))
    >>> values = 1.5 + of_data + rng.normal(0, 0.1, (100, 5, 8))
    >>> found = variance_decomposition(xr.DataArray(values, dims=("repeat", "fold", "seed")))
    >>> round(found.data.item(), 2), round(found.training.item(), 2)
    (0.09, 0.01)
    """
    check_confidence(confidence, seed)
    divisions = [dim for dim in data if dim in scores.dims]
    for dim in (training, *(data or (None,))):
        if dim not in scores.dims:
            msg = f"the scores have no dimension {dim!r}, but {scores.dims}; name the dimensions they have"
            raise InvalidArgumentError(msg)
    if scores.dtype.kind not in "iuf":
        msg = f"the scores have dtype {scores.dtype}; give numbers, such as scores.astype(float)"
        raise InvalidArgumentError(msg)
    stacked = scores.stack(_division=divisions).transpose(..., "_division", training)
    values = stacked.to_numpy().astype(np.float64)
    count, seeds = values.shape[-2:]
    if min(count, seeds) < 2:
        msg = f"{count} divisions and {seeds} seeds are too few for a variance; give two or more of each"
        raise InvalidArgumentError(msg)
    if (lost := np.argwhere(~np.isfinite(scores.to_numpy()))).size:
        first = ", ".join(
            f"{dim} {scores[dim].values[k]}" for dim, k in zip(scores.dims, lost[0], strict=True)
        )
        msg = f"{len(lost)} scores are not finite, the first of {first}; train these again or leave them out"
        raise InvalidArgumentError(msg)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(np.float64)
    both = _components(values, np.ones((1, count))), _components(values, drawn)
    about = stacked.isel(_division=0, drop=True).isel({training: 0}, drop=True)
    found = {"mean": about.copy(data=values.mean(axis=(-2, -1)))}
    levels = [(1 - confidence) / 2, (1 + confidence) / 2]
    for number, name in enumerate(("training", "data")):
        found[name] = about.copy(data=both[0][number][..., 0])
        found |= _bounds(about, name, both[1][number], levels)
    if reference is not None:
        if along not in about.dims or reference not in about.indexes.get(along, ()):
            msg = f"{reference!r} is not a label along {along!r} of the scores; give one that is"
            raise InvalidArgumentError(msg)
        place = [*about.dims].index(along), about.indexes[along].get_loc(reference)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio, resampled = (each[1] / np.take(each[1], [place[1]], axis=place[0]) for each in both)
        found["ratio"] = about.copy(data=ratio[..., 0])
        found |= _bounds(about, "ratio", resampled, levels)
    result = xr.Dataset({name: each.rename(name) for name, each in found.items()})
    return result.assign(n_data=count, n_training=seeds)


def _components(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the variances of training and data (..., sample) of scores (..., division, seed)."""
    within, means = values.var(axis=-1, ddof=1), values.mean(axis=-1)
    n = weight.sum(axis=1)
    training = within @ weight.T / n
    # Around a value near the mean, so that the difference of squares keeps its digits.
    away = means - means.mean(axis=-1, keepdims=True)
    between = (away**2 @ weight.T - (away @ weight.T) ** 2 / n) / (n - 1)
    return training, np.maximum(between - training / values.shape[-1], 0.0)


def _bounds(
    about: xr.DataArray, name: str, values: Floats, levels: Sequence[float]
) -> dict[str, xr.DataArray]:
    """Return percentiles of resampled numbers, which may be infinite."""
    low, high = np.quantile(np.where(np.isnan(values), np.inf, values), levels, axis=-1, method="nearest")
    return {f"{name}_low": about.copy(data=low), f"{name}_high": about.copy(data=high)}
