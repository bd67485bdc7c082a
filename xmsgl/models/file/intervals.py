"""Prediction intervals from the residuals on days that were not used in training.

Split-conformal prediction: of n held-out residuals, the one of rank (n + 1) p bounds a new residual with
probability p for any distribution. Residuals are binned by predicted temperature, because errors differ
between cold and warm water. Where whole segments were held out, each of them is one draw, however many days
it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.util.arguments import checked
from xmsgl.util.plain import OPTIONAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["BINS", "LEAST", "PROBABILITIES", "RESIDUALS", "IntervalTable", "apply_table", "fit_table"]

Floats = npt.NDArray[np.float64]

#: Probabilities of the quantiles in a table, as far as its bins have enough residuals.
PROBABILITIES: tuple[float, ...] = (0.005, 0.01, *(k / 40 for k in range(1, 40)), 0.99, 0.995)
#: Smallest number of residuals for a table.
LEAST = 50
#: Smallest number of residuals in a bin, if there are several; with fewer the outer quantiles are unreliable.
RESIDUALS = 200
#: Largest number of bins.
BINS = 10

# Numbers processed at a time, so that intermediate results stay in the processor's cache.
_PIECE = 2**17


@dataclass(frozen=True)
class IntervalTable:
    """Quantiles of the residual (observed minus predicted temperature), by predicted temperature."""

    scale: str  # of the residuals: "fine", or "coarse" where there were too few fine labels
    probabilities: tuple[float, ...]  # increasing
    temperature: tuple[float, ...]  # median predicted temperature of each bin, degC, increasing
    counts: tuple[int, ...]  # residuals in each bin
    residuals: tuple[tuple[float, ...], ...]  # degC, (bin, probability)
    # Held out, that the residuals belong to; 0: residuals of held-out days.
    segments: int = field(default=0, metadata=OPTIONAL)

    @property
    def n(self) -> int:
        """Total number of residuals."""
        return sum(self.counts)

    def at(self, probabilities: Sequence[float]) -> Floats:
        """Return the residuals of some probabilities by linear interpolation, (bin, probability)."""
        asked = _checked(probabilities)
        first, last = self.probabilities[0], self.probabilities[-1]
        if beyond := [p for p in asked.tolist() if not first <= p <= last]:
            of = f"{self.segments} held-out segments" if self.segments else f"{min(self.counts)} residuals"
            more = "segments" if self.segments else "labels"
            msg = (
                f"quantiles {shorten(beyond)} cannot be estimated from {of}; choose {first:g} to {last:g}, "
                f"or train with more validation {more}"
            )
            raise InvalidArgumentError(msg)
        order = np.argsort(asked)
        rows = [np.interp(asked[order], self.probabilities, row) for row in self.residuals]
        result = np.empty((len(rows), asked.size))
        result[:, order] = np.maximum.accumulate(np.array(rows), axis=1)  # despite rounding
        return result


def _checked(probabilities: Sequence[float]) -> Floats:
    asked = np.asarray(probabilities, np.float64)
    if asked.ndim != 1 or not asked.size or not ((asked > 0) & (asked < 1)).all():
        msg = f"quantiles must be numbers between 0 and 1, for example [0.05, 0.5, 0.95]; got {probabilities}"
        raise InvalidArgumentError(msg)
    if np.unique(asked).size < asked.size:
        msg = f"quantiles must not repeat a number, got {shorten(asked.tolist(), 9)}"
        raise InvalidArgumentError(msg)
    return asked


@checked
def fit_table(
    predicted: ArrayLike, observed: ArrayLike, scale: str = "fine", segment: ArrayLike | None = None
) -> IntervalTable | None:
    """Make a table of residuals from predictions and observations.

    Parameters
    ----------
    predicted, observed
        Finite temperatures, degC, on days that were not used in training, one-dimensional.
    scale
        Scale of the temperatures, ``"fine"`` or ``"coarse"``.
    segment
        Segment of each temperature, where whole segments were held out.

    Returns
    -------
    IntervalTable or None
        Up to 10 bins of about equally many residuals, at least 200 each; one bin for fewer than 400
        residuals; None for fewer than 50. With `segment`, so few that each has half of the segments, and
        None for a single segment.

    Raises
    ------
    InvalidArgumentError
        The temperatures are not finite numbers in pairs, or `scale` or `segment` does not fit.

    Notes
    -----
    Ranks are rounded outwards. The interval between the quantiles a/2 and 1 - a/2 of a bin of n residuals
    holds a new residual with a probability of at least 1 - a and at most 1 - a + 2/(n + 1) [1]_ [2]_, if old
    and new residuals are exchangeable. Because successive days are correlated, the effective sample is
    smaller than n.

    With `segment`, the segments are exchangeable instead, and a new one has the next rank among them: each of
    the m segments of a bin has the weight 1 / (m + 1), shared by its residuals, and the rest of the weight
    lies beyond the smallest or the largest residual [3]_. Probabilities below 1 / (m + 1) have no quantile.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, chapter 4 (bins:
       "Mondrian").
    .. [2] Romano, Patterson & Candès (2019), Conformalized quantile regression, arXiv:1905.03222.
    .. [3] Lee, Barber & Willett (2023), Distribution-free inference with hierarchical data, arXiv:2306.06342.

    Examples
    --------
    >>> import numpy as np
    >>> table = fit_table(np.full(399, 8.0), 8.0 + np.arange(-199, 200) / 100)
    >>> table.temperature, table.counts, table.at([0.05, 0.5, 0.95]).round(2).tolist()
    ((8.0,), (399,), [[-1.8, 0.0, 1.8]])
    >>> fit_table([1.0] * 49, [1.0] * 49) is None
    True
    """
    x, y = _pairs(predicted, observed)
    if scale not in ("coarse", "fine"):
        msg = f"scale must be 'coarse' or 'fine', not {scale!r}"
        raise InvalidArgumentError(msg)
    if segment is not None and np.shape(segment) != x.shape:
        msg = f"segment must have one entry for each of the {x.size} temperatures"
        raise InvalidArgumentError(msg)
    if x.size < LEAST:
        return None
    order = np.argsort(x, kind="stable")
    x, residual = x[order], (y - x)[order]
    if segment is not None:
        return _by_segment(x, residual, np.asarray(segment)[order], scale)
    bounds = _bounds(x)
    smallest = int(np.diff(bounds).min())
    # A rank below 1 or above n would mean an infinite bound.
    usable = tuple(p for p in PROBABILITIES if 1 <= _rank(smallest, p) <= smallest)
    bins = [slice(first, last) for first, last in pairwise(bounds)]
    return IntervalTable(
        scale=scale,
        probabilities=usable,
        temperature=tuple(float(np.median(x[some])) for some in bins),
        counts=tuple(some.stop - some.start for some in bins),
        residuals=tuple(_quantiles(residual[some], usable) for some in bins),
    )


def _pairs(predicted: ArrayLike, observed: ArrayLike) -> tuple[Floats, Floats]:
    """Return the two as arrays; refuse what is not finite numbers in pairs."""
    try:
        x, y = (np.asarray(values, np.float64) for values in (predicted, observed))
    except (TypeError, ValueError) as error:
        msg = f"predicted and observed must be numbers: {error}"
        raise InvalidArgumentError(msg) from error
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        msg = (
            "predicted and observed must be one-dimensional, finite and of one length, "
            f"not of the shapes {x.shape} and {y.shape}"
        )
        raise InvalidArgumentError(msg)
    return x, y


def _by_segment(x: Floats, residual: Floats, segment: npt.NDArray[Any], scale: str) -> IntervalTable | None:
    """Make a table in which each segment of a bin has the same weight; None for a single segment."""
    total = np.unique(segment).size
    if total < 2:
        return None
    for most in range(BINS, 0, -1):
        bins = [slice(first, last) for first, last in pairwise(_bounds(x, most))]
        least = min(np.unique(segment[some]).size for some in bins)
        if 2 * least >= total:  # always so with one bin
            break
    outer = 1 / (least + 1)
    usable = tuple(p for p in PROBABILITIES if outer < p < 1 - outer)
    return IntervalTable(
        scale=scale,
        probabilities=usable,
        temperature=tuple(float(np.median(x[some])) for some in bins),
        counts=tuple(some.stop - some.start for some in bins),
        residuals=tuple(_weighted(residual[some], segment[some], usable) for some in bins),
        segments=int(total),
    )


def _weighted(
    residual: Floats, segment: npt.NDArray[Any], probabilities: Sequence[float]
) -> tuple[float, ...]:
    """Return quantiles in which all segments weigh the same, and an unseen one as much as each of them."""
    _, whose, counts = np.unique(segment, return_inverse=True, return_counts=True)
    order, m = np.argsort(residual), counts.size
    below = np.cumsum(1 / (m * counts[whose.ravel()][order]))
    # The weight 1 / (m + 1) of an unseen segment lies outside, on the side that widens the interval.
    p = np.asarray(probabilities)
    lower = np.searchsorted(below, (p * (m + 1) - 1) / m + 1e-9, side="right")
    upper = np.searchsorted(below, np.where(p == 0.5, p, p * (m + 1) / m) - 1e-9)
    places = np.minimum(np.where(p < 0.5, lower, upper), residual.size - 1)
    return tuple(residual[order][places].tolist())


def _bounds(x: Floats, most: int = BINS) -> list[int]:
    """Cut sorted temperatures into bins, never between equal ones, because many predictions are 0."""
    n = x.size
    wanted = min(most, n // RESIDUALS)
    bounds = [0]
    for k in range(1, wanted):
        place = int(np.searchsorted(x, x[k * n // wanted]))
        if place - bounds[-1] >= RESIDUALS and n - place >= RESIDUALS:
            bounds.append(place)
    return [*bounds, n]


def _rank(n: int, p: float) -> int:
    """Return the rank, from 1, of the residual out of n that bounds a new one with probability p."""
    exact = round((n + 1) * p, 9)  # so that 200 * 0.995 is 199
    return int(np.floor(exact) if p < 0.5 else np.ceil(exact))


def _quantiles(residual: Floats, probabilities: Sequence[float]) -> tuple[float, ...]:
    ranked = np.sort(residual)
    return tuple(
        float(np.median(ranked) if p == 0.5 else ranked[_rank(ranked.size, p) - 1]) for p in probabilities
    )


def apply_table(
    table: IntervalTable, predicted: npt.NDArray[np.float32], probabilities: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return quantiles of the temperature around a prediction, (quantile, ...).

    Residuals are interpolated linearly between the bins, and constant beyond the outer bins.
    """
    residuals = table.at(probabilities).T.astype(np.float32)
    centre = np.asarray(table.temperature, np.float32)
    width = np.append(np.diff(centre), np.float32(1.0))
    out = np.empty((len(residuals), predicted.size), np.float32)
    flat = np.ascontiguousarray(predicted).reshape(-1)
    for first in range(0, flat.size, _PIECE):
        some = slice(first, first + _PIECE)
        x = flat[some]
        left = np.clip(np.searchsorted(centre, x, side="right") - 1, 0, centre.size - 1)
        right = np.minimum(left + 1, centre.size - 1)
        share = np.clip((x - centre[left]) / width[left], 0, 1)
        # A mean with non-negative weights keeps the order of the quantiles despite rounding.
        for row, residual in zip(out, residuals, strict=True):
            between = (1 - share) * residual[left] + share * residual[right]
            np.maximum(x + between, 0, out=row[some])
    return out.reshape(len(residuals), *predicted.shape)
