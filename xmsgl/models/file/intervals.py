"""Intervals around a prediction, from how far it was off on days it was not trained on.

Split-conformal prediction: of n residuals that were kept apart, the one of rank (n + 1) p bounds a new one
with probability p, whatever their distribution. The residuals are sorted by predicted temperature into
bins, for a cold river errs otherwise than a warm one. Arrays only: no labels, no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = ["BINS", "LEAST", "PROBABILITIES", "RESIDUALS", "IntervalTable", "apply_table", "fit_table"]

Floats = npt.NDArray[np.float64]

#: Probabilities a table holds quantiles for, as far as its bins have residuals enough.
PROBABILITIES: tuple[float, ...] = (0.005, 0.01, *(k / 40 for k in range(1, 40)), 0.99, 0.995)
#: Residuals without which there is no table.
LEAST = 50
#: Residuals a bin has at least where there are several; with fewer its outer quantiles would be guesses.
RESIDUALS = 200
#: Bins at most.
BINS = 10

# Numbers worked on at a time, so that what is in between stays in the processor's cache.
_PIECE = 2**17


@dataclass(frozen=True)
class IntervalTable:
    """Quantiles of the residual, by predicted temperature.

    Attributes
    ----------
    scale
        Whose residuals they are: ``"fine"``, or ``"coarse"`` where there were too few fine labels.
    probabilities
        Of the quantiles, increasing.
    temperature
        Median predicted temperature of each bin, degC, increasing.
    counts
        Residuals in each bin.
    residuals
        Observed minus predicted temperature, degC, (bin, probability).
    """

    scale: str
    probabilities: tuple[float, ...]
    temperature: tuple[float, ...]
    counts: tuple[int, ...]
    residuals: tuple[tuple[float, ...], ...]

    @property
    def n(self) -> int:
        """Residuals in all."""
        return sum(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntervalTable:
        """Make a table from what :meth:`to_dict` returned."""
        rows = tuple(tuple(row) for row in values["residuals"])
        lists = {name: tuple(values[name]) for name in ("probabilities", "temperature", "counts")}
        return cls(scale=str(values["scale"]), residuals=rows, **lists)

    def at(self, probabilities: Sequence[float]) -> Floats:
        """Return the residuals of some probabilities, between those of the table by straight lines.

        Shapes: returns (bin, probability).
        """
        asked = _checked(probabilities)
        first, last = self.probabilities[0], self.probabilities[-1]
        if beyond := [p for p in asked.tolist() if not first <= p <= last]:
            msg = (
                f"quantiles {shorten(beyond)} are further out than {min(self.counts)} residuals can tell; "
                f"ask for {first:g} to {last:g}, or train with more validation labels"
            )
            raise InvalidArgumentError(msg)
        order = np.argsort(asked)
        rows = [np.interp(asked[order], self.probabilities, row) for row in self.residuals]
        result = np.empty((len(rows), asked.size))
        result[:, order] = np.maximum.accumulate(np.array(rows), axis=1)  # rounding must not cross lines
        return result


def _checked(probabilities: Sequence[float]) -> Floats:
    asked = np.asarray(probabilities, np.float64)
    if asked.ndim != 1 or not asked.size or not ((asked > 0) & (asked < 1)).all():
        msg = f"quantiles must be numbers between 0 and 1, for example [0.05, 0.5, 0.95]; got {probabilities}"
        raise InvalidArgumentError(msg)
    if np.unique(asked).size < asked.size:
        msg = f"quantiles holds a number twice: {shorten(asked.tolist(), 9)}"
        raise InvalidArgumentError(msg)
    return asked


def fit_table(predicted: ArrayLike, observed: ArrayLike, scale: str = "fine") -> IntervalTable | None:
    """Make a table from predictions and what was observed.

    Parameters
    ----------
    predicted, observed
        Temperature, degC, finite, on days the model was not trained on; one-dimensional, of equal length.
    scale
        Where they come from.

    Returns
    -------
    IntervalTable or None
        Bins of about equally many residuals, at least `RESIDUALS` and at most `BINS` bins; one bin where
        there are fewer than two times `RESIDUALS`; None where there are fewer than `LEAST`.

    Notes
    -----
    Between the lowest and the highest of n residuals the ranks are rounded outwards: an interval between
    the quantiles a/2 and 1 - a/2 of a bin holds a new residual with a probability of at least 1 - a and at
    most 1 - a + 2/(n + 1) [1]_ [2]_, if new residuals come from where the old ones came from. Days that
    follow each other resemble each other, so n tells more than there is to know.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, chapter 4 (bins:
       "Mondrian").
    .. [2] Romano, Patterson & Candès (2019), Conformalized quantile regression, arXiv:1905.03222.

    Examples
    --------
    >>> import numpy as np
    >>> table = fit_table(np.full(399, 8.0), 8.0 + np.arange(-199, 200) / 100)
    >>> table.temperature, table.counts, table.at([0.05, 0.5, 0.95]).round(2).tolist()
    ((8.0,), (399,), [[-1.8, 0.0, 1.8]])
    >>> fit_table([1.0] * 49, [1.0] * 49) is None
    True
    """
    x, y = (np.asarray(values, np.float64) for values in (predicted, observed))
    if x.size < LEAST:
        return None
    order = np.argsort(x, kind="stable")
    x, residual = x[order], (y - x)[order]
    bounds = _bounds(x)
    smallest = int(np.diff(bounds).min())
    # A rank below 1 or above n would be a bound at infinity.
    usable = tuple(p for p in PROBABILITIES if 1 <= _rank(smallest, p) <= smallest)
    bins = [slice(first, last) for first, last in pairwise(bounds)]
    return IntervalTable(
        scale=scale,
        probabilities=usable,
        temperature=tuple(float(np.median(x[some])) for some in bins),
        counts=tuple(some.stop - some.start for some in bins),
        residuals=tuple(_quantiles(residual[some], usable) for some in bins),
    )


def _bounds(x: Floats) -> list[int]:
    """Cut sorted temperatures into bins, never between equal ones: many predictions are 0."""
    n = x.size
    wanted = min(BINS, n // RESIDUALS)
    bounds = [0]
    for k in range(1, wanted):
        place = int(np.searchsorted(x, x[k * n // wanted]))
        if place - bounds[-1] >= RESIDUALS and n - place >= RESIDUALS:
            bounds.append(place)
    return [*bounds, n]


def _rank(n: int, p: float) -> int:
    """Return which of n sorted residuals, counted from 1, bounds a new one with probability p."""
    exact = round((n + 1) * p, 9)  # 200 * 0.995 is to be 199
    return int(np.floor(exact) if p < 0.5 else np.ceil(exact))


def _quantiles(residual: Floats, probabilities: Sequence[float]) -> tuple[float, ...]:
    ranked = np.sort(residual)
    return tuple(
        float(np.median(ranked) if p == 0.5 else ranked[_rank(ranked.size, p) - 1]) for p in probabilities
    )


def apply_table(
    table: IntervalTable, predicted: npt.NDArray[np.float32], probabilities: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return quantiles of the temperature around a prediction.

    The residuals of a probability are taken between the bins by a straight line, so that no step shows
    where a prediction passes from one to the next, and beyond the outer bins as they are there.
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
        # A mean with weights that are not negative keeps the order of the quantiles when it is rounded.
        for row, residual in zip(out, residuals, strict=True):
            between = (1 - share) * residual[left] + share * residual[right]
            np.maximum(x + between, 0, out=row[some])
    return out.reshape(len(residuals), *predicted.shape)
