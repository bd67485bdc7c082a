"""Intervals of scores, from the coarse segments drawn again with replacement."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from xmsgl.evaluate.groups import Groups
    from xmsgl.evaluate.pairs import Floats, Pairs

__all__ = ["MIN_SEGMENTS", "bounds", "check_confidence", "segment_bounds", "sums"]

MIN_SEGMENTS = 5
"""Segments that an interval needs."""

_RESAMPLES = 2000


def check_confidence(confidence: float | None, seed: int) -> None:
    """Refuse what is not a confidence, or not the seed of a draw."""
    if not 0 <= seed < 2**32:
        msg = f"seed is {seed!r}; it must be a whole number of at least 0 and below 2**32"
        raise InvalidArgumentError(msg)
    if confidence is not None and not 0 < confidence < 1:
        msg = f"confidence is {confidence!r}; it must be a number between 0 and 1, such as 0.9"
        raise InvalidArgumentError(msg)


def sums(values: Floats, seed: int) -> Floats:
    """Sum values (..., segment) over samples of segments: all, resamples, all but one in turn."""
    before, after = np.cumsum(values, axis=-1), np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    without = np.zeros_like(before)
    without[..., 1:] += before[..., :-1]
    without[..., :-1] += after[..., 1:]
    return np.concatenate([before[..., -1:], values @ _draws(values.shape[-1], seed), without], axis=-1)


@lru_cache(maxsize=4)
def _draws(count: int, seed: int) -> Floats:
    """Count how often each of some segments is drawn, (segment, resample)."""
    rng = np.random.default_rng(seed)
    drawn: Floats = rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES).T.astype(np.float64)
    return drawn


def bounds(values: Floats, confidence: float) -> npt.NDArray[Any]:
    """Return the lower and the upper bound from values in the samples of :func:`sums` (..., sample)."""
    return np.moveaxis(np.apply_along_axis(_bca, -1, values, confidence), -1, 0)


def _bca(values: Floats, confidence: float) -> Floats:
    """Bias-corrected and accelerated percentiles (Efron 1987, doi:10.2307/2289144)."""
    estimate, resampled, without = values[0], values[1 : _RESAMPLES + 1], values[_RESAMPLES + 1 :]
    resampled, without = resampled[np.isfinite(resampled)], without[np.isfinite(without)]
    if not resampled.size:
        return np.full(2, np.nan)
    below = (np.sum(resampled < estimate) + np.sum(resampled <= estimate) + 1) / (2 * resampled.size + 2)
    away = without.mean() - without
    spread = np.sum(away**2) ** 1.5
    acceleration = np.sum(away**3) / (6 * spread) if spread > 0 else 0.0
    score = ndtri(below) + ndtri(np.array([1 - confidence, 1 + confidence]) / 2)
    levels = ndtr(ndtri(below) + score / (1 - acceleration * score))
    found: Floats = np.quantile(resampled, levels)
    return found


def segment_bounds(
    pairs: Pairs,
    groups: Groups,
    segments: npt.NDArray[Any],
    confidence: float,
    seed: int,
    statistics: Callable[[Floats, Floats, Floats], dict[str, Floats]],
) -> dict[str, npt.NDArray[Any]]:
    """Bound statistics of the mean squared, absolute and plain error in each group: (..., *groups)."""
    error = pairs.predicted - pairs.observed
    missing = np.full((*error.shape[:-1], 1), np.nan)  # for a group of few segments
    rows, counts = [], []
    ends = np.bincount(groups.code, None, groups.size).cumsum()
    for chosen in np.split(np.argsort(groups.code, kind="stable"), ends[:-1]):
        names, segment, days = np.unique(segments[chosen], return_inverse=True, return_counts=True)
        counts.append(names.size)
        means = [missing] * 3
        if names.size >= MIN_SEGMENTS:
            own = error[..., chosen[np.argsort(segment, kind="stable")]]
            starts, total_days = np.cumsum(days) - days, sums(days.astype(np.float64), seed)
            parts = (np.add.reduceat(each, starts, axis=-1) for each in (own**2, np.abs(own), own))
            means = [sums(part, seed) / total_days for part in parts]
        rows.append({name: bounds(value, confidence) for name, value in statistics(*means).items()})
    found = {"n_segments": np.reshape(counts, groups.shape)}
    for name in rows[0]:
        both = np.stack([row[name] for row in rows], axis=-1)
        low, high = both.reshape((*both.shape[:-1], *groups.shape))
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found
