"""What the errors at other gauges say of the error that is left at a gauge.

The covariance of a model's error depends on distances alone, but two gauges may have more in common than
others as far apart, or less: below the same kind of dam, on the same kind of rock. What kriging leaves of the
error at a gauge is therefore regressed on the errors at up to eight other gauges on the same day, with a
penalty on the coefficients (ridge regression [1]_). The second moments are kept, not the coefficients, so
that any of the gauges may be missing on a day. All regressors are multiplied by the share of the variance
that kriging leaves, up to that in a gap of some weeks, so that little changes where the gauge itself reports.

References
----------
.. [1] Hoerl & Kennard (1970), Ridge regression: biased estimation for nonorthogonal problems,
   doi:10.1080/00401706.1970.10488634.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.models.file.covariance import Companions
from xmsgl.reconstruct.given import Asked, Places, error_given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.reconstruct.given import Errors
    from xmsgl.reconstruct.river import River

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = ["Accompanied", "fit_companions"]

_MOST = 8  # other gauges
_DAYS, _TOGETHER = 365, 180  # least days with an error of a gauge, and of a pair of gauges
_SAMPLE = 2000  # most days used of a gauge
_GAP = 30  # longest gap in days before and after the day, in the fit
_FULL = 0.3  # share of the variance from which on the regression is not scaled up
_PENALTY = 0.3  # relative to the second moments
_DIGITS = 4


def fit_companions(
    errors: Errors, river: River, covariance: ErrorCovariance, ids: Sequence[Any], seed: int = 0
) -> tuple[Companions, ...]:
    """Return the second moments for each gauge with a year of errors, by the `ids` of the reaches."""
    rng = np.random.default_rng(seed)
    known = np.isfinite(errors.values)
    chosen = [
        (k, np.sort(rng.choice(np.flatnonzero(known[:, k]), min(_SAMPLE, count), replace=False)))
        for k, count in enumerate(known.sum(axis=0).tolist())
        if count >= _DAYS
    ]
    if not chosen:
        return ()
    sensor = np.repeat([k for k, _ in chosen], [days.size for _, days in chosen])
    day = np.concatenate([days for _, days in chosen])
    reach, last = errors.reach[sensor], np.full(day.size, len(known) - 1)
    asked = Asked(reach, day, last, river.segment[reach], rng.integers(0, _GAP + 1, day.size))
    places = Places.of(river, np.unique(reach), errors.reach)
    mean, deviation = error_given(errors, asked, places, covariance)
    left = errors.values[day, sensor].astype(np.float64) - mean
    share = _share_left(deviation, covariance)
    ends = np.cumsum([0, *(days.size for _, days in chosen)])
    found = []
    for (k, days), (start, stop) in zip(chosen, pairwise(ends.tolist()), strict=True):
        some, own = slice(start, stop), river.segment[errors.reach] == river.segment[errors.reach[k]]
        others = _most_alike(errors.values[days][:, ~own], left[some])
        columns = np.flatnonzero(~own)[others]
        values = np.column_stack([mean[some], errors.values[days][:, columns]]) * share[some, None]
        moments, products = _moments(values, left[some])
        found.append(
            Companions(
                ids[errors.reach[k]],
                tuple(ids[at] for at in errors.reach[columns].tolist()),
                _rounded(moments[np.tril_indices(len(moments))]),
                _rounded(products),
                *_rounded([np.mean(left[some] ** 2)]),
            )
        )
    return tuple(found)


def _share_left(deviation: Floats, covariance: ErrorCovariance) -> NDArray[np.float64]:
    """Return the share of the variance, without the noise, that kriging leaves, relative to `_FULL`."""
    whole = covariance.slow.variance + covariance.fast.variance
    variance = np.maximum(deviation.astype(np.float64) ** 2 - covariance.noise, 0)
    return np.minimum(variance / max(_FULL * whole, 1e-6), 1)


def _most_alike(values: Floats, left: NDArray[np.float64]) -> Ints:
    """Return the columns most correlated with what is left, fewer common days counting less."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    zeroed = np.where(known, values, 0).astype(np.float64)
    n = np.maximum(count, 1)
    means, own = zeroed.sum(axis=0) / n, (known * left[:, None]).sum(axis=0) / n
    spread = (zeroed**2).sum(axis=0) / n - means**2
    own_spread = (known * left[:, None] ** 2).sum(axis=0) / n - own**2
    common = (zeroed * left[:, None]).sum(axis=0) / n - means * own
    worth = np.abs(common) / np.sqrt(np.maximum(spread * own_spread, 1e-12)) * np.sqrt(n / (n + _TOGETHER))
    worth[count < _TOGETHER] = -1
    best: Ints = np.argsort(-worth, kind="stable")[:_MOST]
    return np.compress(worth[best] > 0, best)


def _moments(
    values: NDArray[np.floating[Any]], left: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean products with each other and with what is left, smaller for pairs with few common days.

    The root of both numbers of days as the divisor keeps the matrix positive semidefinite.
    """
    known = np.isfinite(values)
    zeroed = np.where(known, values, 0).astype(np.float64)
    count = np.maximum(known.sum(axis=0), 1)
    return zeroed.T @ zeroed / np.sqrt(count * count[:, None]), zeroed.T @ left / count


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)


@dataclass(frozen=True, eq=False)
class Accompanied:
    """The reaches of gauges with others, in one river."""

    gauge: Ints  # number of the gauge of each reach, -1: none, (reach,)
    common: NDArray[np.float64]  # correlation of a reach's error with that at the gauge, (reach,)
    others: list[Ints]  # reaches of the others, by gauge; -1: not in this river
    moments: list[NDArray[np.float64]]
    products: list[NDArray[np.float64]]
    left: list[float]

    @classmethod
    def of(cls, river: River, covariance: ErrorCovariance, ids: Sequence[Any]) -> Accompanied:
        """Find the gauges of a covariance in a river whose reaches have `ids`; each serves its segment."""
        place = {key: k for k, key in enumerate(ids)}
        here = [each for each in covariance.companions if each.reach in place]
        gauge, common = np.full(len(ids), -1), np.zeros(len(ids))
        parts = (covariance.slow, covariance.fast)
        for number, each in enumerate(here):
            at = place[each.reach]
            reaches = np.flatnonzero(river.segment == river.segment[at])
            near, far = river.apart(reaches, np.array([at])).correlations(covariance)
            worth = np.zeros(reaches.size)
            for part in parts:
                worth += part.variance * (part.along_river * near + part.across_land * far)[:, 0]
            worth = np.where(reaches == at, 1.0, worth / max(sum(p.variance for p in parts), 1e-6))
            better = worth > common[reaches]
            gauge[reaches[better]], common[reaches[better]] = number, worth[better]
        matrices = []
        for each in here:
            size = len(each.products)
            full = np.zeros((size, size))
            full[np.tril_indices(size)] = each.moments
            matrices.append(full + np.tril(full, -1).T)
        return cls(
            gauge,
            common,
            [np.array([place.get(key, -1) for key in each.others], np.int64) for each in here],
            matrices,
            [np.array(each.products) for each in here],
            [each.left for each in here],
        )

    def add(
        self,
        errors: Errors,
        asked: Asked,
        covariance: ErrorCovariance,
        mean: Floats,
        deviation: Floats,
    ) -> tuple[Floats, Floats]:
        """Correct mean and standard deviation of the error, (n,), by the others that report on the day."""
        gauge = np.where(asked.day <= asked.until, self.gauge[asked.reach], -1)
        some = np.flatnonzero(gauge >= 0)
        if not (some.size and errors.reach.size):
            return mean, deviation
        mean, variance = mean.copy(), deviation.astype(np.float64) ** 2
        column = np.full(self.gauge.size + 1, -1)
        column[errors.reach] = np.arange(errors.reach.size)
        some = some[np.argsort(gauge[some], kind="stable")]
        for rows in np.split(some, np.flatnonzero(np.diff(gauge[some])) + 1):
            number, share = int(gauge[rows[0]]), _share_left(deviation[rows], covariance)
            at = column[self.others[number]]
            values = np.where(at >= 0, errors.values[asked.day[rows]][:, at], np.nan)
            shift, explained = self._predicted(number, np.column_stack([mean[rows], values]))
            common = self.common[asked.reach[rows]]
            mean[rows] += (common * share * shift).astype(np.float32)
            variance[rows] -= common**2 * explained * (variance[rows] - covariance.noise).clip(0)
        return mean, np.sqrt(variance).astype(np.float32)

    def _predicted(
        self, number: int, values: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the regression on what is known on each day, and the share of the variance it explains."""
        moments, products = self.moments[number], self.products[number]
        shift, explained = np.zeros(len(values)), np.zeros(len(values))
        patterns, which = np.unique(np.isfinite(values), axis=0, return_inverse=True)
        for k, known in enumerate(patterns):
            if not known[1:].any():
                continue  # as in a forecast, where no other gauge can report
            there, days = np.flatnonzero(known), np.flatnonzero(which.ravel() == k)
            own = moments[np.ix_(there, there)]
            own = own + np.diag(_PENALTY * np.diag(own) + 1e-9)
            slope = np.linalg.solve(own, products[there])
            shift[days] = values[np.ix_(days, there)] @ slope
            explained[days] = min(float(slope @ products[there]) / max(self.left[number], 1e-6), 0.9)
        return shift, np.maximum(explained, 0)
