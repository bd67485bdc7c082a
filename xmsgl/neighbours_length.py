"""How far along the river neighbours have something in common, learned from the labels.

A kernel needs a length. Which one is right differs from basin to basin: where springs and shade change from
brook to brook, a neighbour 10 km away says little. It shows in the labels: what a simple regression on
weather, season and attributes leaves over is alike, day by day, at segments close to one another, and the
less the farther they are apart.

References
----------
Skøien, Merz & Blöschl (2006), Top-kriging, doi:10.5194/hess-10-277-2006; Cressie (1985), Fitting variogram
models by weighted least squares, doi:10.1007/BF01032109.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.neighbours_regression import Regression, Rows
from xmsgl.network.distance import river_distance
from xmsgl.network.kernels import Exponential
from xmsgl.network.topology import link

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FITTED", "fit_length", "fitted_kernel"]

logger = logging.getLogger(__name__)

Floats: TypeAlias = npt.NDArray[np.float64]

#: What to give instead of a kernel to have its length fitted.
FITTED = "fitted"

_LABEL = f"{schema.LABEL}_coarse"
_INSTEAD = "give a length instead: kernel={'name': 'exponential', 'scale_m': 10_000}"
# A correlation of fewer days than this says nothing; with a year in common a pair counts half.
_LEAST_DAYS, _TRUSTED = 60, 365.0
_LEAST_SEGMENTS, _LEAST_PAIRS = 5, 10
_FARTHEST = 200_000.0  # m: beyond, no river is alike for being one river
# What all segments have in common, the faults of the regression, is not along the river; and the regression
# takes away the mean over the basin, which makes segments far apart a little unlike.
_COMMON = (-0.5, 1.0)
_STEPS = 60


def fitted_kernel(
    obj: xr.Dataset | xr.DataTree, kernel: Any, days: npt.NDArray[np.bool_] | None = None
) -> Any:
    """Return the kernel that is asked for, with its length fitted to labels where that is.

    Parameters
    ----------
    obj
        A dataset of the convention.
    kernel
        ``"fitted"``, or whatever else says what kernel is wanted, which is returned as it is.
    days
        Days whose labels may be used, boolean (time,). Default: all.

    Returns
    -------
    Kernel, or `kernel`

    Raises
    ------
    InvalidArgumentError
        The labels do not tell a length, see :func:`fit_length`.
    InvalidDatasetError
        A length is to be fitted, and the dataset has faults.

    Examples
    --------
    >>> import xarray as xr
    >>> fitted_kernel(xr.Dataset(), "gaussian")
    'gaussian'
    """
    if not (isinstance(kernel, str) and kernel == FITTED):
        return kernel
    ds = schema.as_dataset(obj)
    schema.validate(ds)
    return Exponential(fit_length(ds, days))


def fit_length(ds: xr.Dataset, days: npt.NDArray[np.bool_] | None = None) -> float:
    """Find the e-folding length of what a regression leaves over at the observed segments.

    The regression is that of :func:`xmsgl.neighbours_fit.fit_neighbours`. Its residuals of two segments are
    correlated over the days on which both have a label, each about its own mean over these days, so that a
    brook that is always colder than its kind plays no part. To the correlations of all pairs within 200 km
    along the river, around confluences too, ``near * exp(-d / length) + common`` is fitted by least squares,
    with ``near`` at least 0, ``common`` at least -0.5, and their sum at most 1. A pair counts
    ``days / (days + 365)``.

    Parameters
    ----------
    ds
        A valid dataset of the convention. Labels that are NaN play no part.
    days
        Days whose labels may be used, boolean (time,). Default: all.

    Returns
    -------
    float
        In m, whole.

    Raises
    ------
    InvalidArgumentError
        Fewer than 5 segments have labels, or fewer than 10 pairs of them 60 days in common; or the
        correlation does not fade within the distances there are.

    Notes
    -----
    One river in one period is one draw. In simulations with 60 segments, two years and a true length well
    within the basin, the fitted one is off by 20 % as a rule and by half at worst.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=40, reaches_per_segment=2, years=2, seed=1)
    >>> 1_000 < fit_length(ds) < 100_000
    True
    """
    residuals, places = _residuals(ds, days)
    pairs = _pairs(ds, residuals, places)
    if places.size < _LEAST_SEGMENTS or pairs.distance.size < _LEAST_PAIRS:
        msg = (
            f"kernel={FITTED!r} needs {_LEAST_PAIRS} pairs of at least {_LEAST_SEGMENTS} segments with "
            f"{_LEAST_DAYS} labelled days in common, in {_LABEL} and outside of the validation days; "
            f"{places.size} segments have labels, and {pairs.distance.size} pairs days enough; {_INSTEAD}"
        )
        raise InvalidArgumentError(msg)
    shortest, longest = pairs.distance.min() / 2, pairs.distance.max()
    steps = np.geomspace(shortest, longest, _STEPS)
    k = int(np.argmin([pairs.fit(length).left for length in steps]))
    if k in (0, _STEPS - 1) or pairs.fit(steps[k]).near <= 0:
        found = "is gone from the nearest on" if k == 0 else "does not fade with distance"
        msg = (
            f"kernel={FITTED!r}: the correlation of what a regression leaves over at {places.size} segments, "
            f"{pairs.distance.min() / 1000:.3g} to {longest / 1000:.3g} km apart, {found}; {_INSTEAD}"
        )
        raise InvalidArgumentError(msg)
    around = np.log(steps[k - 1]), np.log(steps[k + 1])
    best = minimize_scalar(lambda log: pairs.fit(np.exp(log)).left, bounds=around, method="bounded")
    length = max(1.0, float(np.round(np.exp(best.x))))
    fit = pairs.fit(length)
    logger.info(
        "residuals of %d segments, %d pairs: correlation %.2f * exp(-d / %.0f m) + %.2f",
        places.size,
        pairs.distance.size,
        fit.near,
        length,
        fit.common,
    )
    return length


class _Fit(NamedTuple):
    """Weighted sum of squares that is left, and the coefficients."""

    left: float
    near: float
    common: float


class _Pairs(NamedTuple):
    """Pairs of segments: distance (m), correlation and weight."""

    distance: Floats
    correlation: Floats
    weight: Floats

    def fit(self, length: float) -> _Fit:
        """Fit the coefficients for a length: least squares within a triangle.

        The minimum lies inside, or on a side: as the sum of squares is convex, at the best of the sides' own.
        """
        fade, rho, w = np.exp(-self.distance / length), self.correlation, self.weight
        low, high = _COMMON
        choices = [
            (0.0, float(np.clip(_slope(np.ones_like(w), rho, w), low, high))),
            (float(np.clip(_slope(fade, rho - low, w), 0.0, high - low)), low),
        ]
        near = float(np.clip(_slope(1.0 - fade, high - rho, w), 0.0, high - low))
        choices.append((near, high - near))
        centred = fade - np.average(fade, weights=w)
        near = _slope(centred, rho, w)
        common = float(np.average(rho - near * fade, weights=w))
        if near >= 0 and low <= common <= high - near:
            choices.append((near, common))
        return min(_Fit(float((w * (rho - a * fade - b) ** 2).sum()), a, b) for a, b in choices)


def _slope(x: Floats, y: Floats, weight: Floats) -> float:
    """Regress through the origin."""
    return float((weight * x * y).sum() / max((weight * x * x).sum(), np.finfo(np.float64).tiny))


def _residuals(ds: xr.Dataset, days: npt.NDArray[np.bool_] | None) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return observed minus regressed, (time, segment), NaN where not observed, and the segments' places."""
    if _LABEL not in ds:
        return np.zeros((ds.sizes["time"], 0)), np.zeros(0, np.int64)
    labels = np.array(ds[_LABEL].transpose("time", "coarse").values, np.float64)
    if days is not None:
        labels[~days] = np.nan
    ids = schema.id_values(ds.indexes["coarse"].to_numpy())
    places = np.flatnonzero(np.isfinite(labels).any(axis=0))
    places = places[np.argsort(ids[places])]  # the order of the file plays no part
    if not places.size:
        return labels[:, places], places
    rows = Rows.of(ds, places)
    labels = labels[:, places]
    ones = np.ones(len(labels))
    gram = np.sum(
        [_gram(np.column_stack([ones, rows(k), observed])) for k, observed in enumerate(labels.T)], axis=0
    )
    regression = Regression.fit(gram, rows.ridge(int(np.isfinite(labels).sum())))
    expected = [regression(np.column_stack([ones, rows(k)])) for k in range(places.size)]
    return labels - np.column_stack(expected), places


def _gram(columns: Floats) -> Floats:
    labelled = columns[np.isfinite(columns[:, -1])]
    return np.asarray(labelled.T @ labelled)


def _pairs(ds: xr.Dataset, residuals: Floats, places: npt.NDArray[np.int64]) -> _Pairs:
    """Correlate the residuals of all pairs that are not too far apart and have days enough in common."""
    ids = schema.id_values(ds.indexes["coarse"].to_numpy())
    below = link(ids, schema.id_values(ds["downstream_coarse"].values), what="coarse segment")
    length = ds["length_coarse"].values.astype(np.float64)
    apart = river_distance(below, length, places, limit=_FARTHEST)[places].tocoo()
    once = apart.row < apart.col
    one, other, distance = apart.row[once], apart.col[once], apart.data[once]
    seen = np.isfinite(residuals).astype(np.float64)
    value = np.where(seen > 0, residuals, 0.0)
    days = (seen.T @ seen)[one, other]
    enough = days >= _LEAST_DAYS
    one, other, distance, days = one[enough], other[enough], distance[enough], days[enough]
    total, square = value.T @ seen, (value * value).T @ seen  # (segment, of the days that both have)
    mean, its = total[one, other] / days, total[other, one] / days
    covariance = (value.T @ value)[one, other] / days - mean * its
    spread = (square[one, other] / days - mean**2) * (square[other, one] / days - its**2)
    moves = spread > 1e-12  # a residual that never changes is no fluctuation
    correlation = covariance[moves] / np.sqrt(spread[moves])
    return _Pairs(distance[moves], correlation, (days / (days + _TRUSTED))[moves])
