"""The error of a model at reaches and days, given its errors at sensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.reconstruct.river import Apart, River

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = ["LIMIT", "Asked", "Errors", "Places", "error_given", "join_days"]

#: Days before and after a day within which errors at sensors are used.
LIMIT = 120
#: Sensors among which those with errors around a day are chosen, for each reach.
_CANDIDATES = 256


@dataclass(frozen=True, eq=False)
class Errors:
    """Observed minus predicted temperature at sensors, degC."""

    values: Floats  # (day, sensor), NaN where a sensor did not report
    reach: Ints  # position of the reach of each sensor

    @cached_property
    def near_days(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The last day with an error up to each day, and the first from it on, (sensor, day)."""
        from xmsgl.reconstruct import _loops

        found: tuple[NDArray[np.int32], NDArray[np.int32]] = _loops.nearest_days(self.values)
        return found


def join_days(parts: Sequence[Errors]) -> Errors:
    """Put the errors of consecutive days together."""
    reaches = np.unique(np.concatenate([part.reach for part in parts])).astype(np.int64)
    values = [np.full((len(part.values), reaches.size), np.nan, np.float32) for part in parts]
    for own, part in zip(values, parts, strict=True):
        own[:, np.searchsorted(reaches, part.reach)] = part.values
    return Errors(np.concatenate(values), reaches)


@dataclass(frozen=True, eq=False)
class Asked:
    """Reaches and days to find the error of, each (n,)."""

    reach: Ints
    day: Ints
    until: Ints  # last day whose observations may be used
    hidden: Ints  # position of the segment whose sensors are not used, -1: none
    gap: Ints  # days around `day` on which they are not used; -1: all days


@dataclass(frozen=True, eq=False)
class Places:
    """Where some reaches and the sensors lie."""

    reach: Ints  # positions of the reaches, in order
    apart: Apart  # of the reaches from the sensors
    between: Apart  # of the sensors from each other
    segment: Ints  # position of the segment of each sensor

    @classmethod
    def of(cls, river: River, reaches: Ints, sensors: Ints, between: Apart | None = None) -> Places:
        """Measure distances; those between the sensors may be known."""
        known = river.apart(sensors, sensors) if between is None else between
        return cls(reaches, river.apart(reaches, sensors), known, river.segment[sensors])


def error_given(
    errors: Errors, asked: Asked, places: Places, covariance: ErrorCovariance
) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the error, degC, (n,).

    For each reach the eight sensors with the largest covariance are used that have an error within 120 days;
    the nearest two on several days before and after. The standard deviation is that of a new observation,
    with its noise. All reaches asked for are among the `places`.
    """
    from xmsgl.reconstruct import _loops

    near, far = places.apart.correlations(covariance)
    parts = (covariance.slow, covariance.fast)
    worth = np.zeros(near.shape)
    for part in parts:
        worth += part.variance * (part.along_river * near + part.across_land * far)
    # The sensor of the reach itself comes first.
    at, sensor = np.nonzero(places.reach[:, None] == errors.reach)
    worth[at, sensor] += 1e3
    best = _largest(worth, _CANDIDATES)
    itself = np.full(len(places.reach), -1)
    itself[at] = sensor
    lags = np.arange(2 * LIMIT + 1)
    mean, variance = np.empty(asked.day.size, np.float32), np.empty(asked.day.size, np.float32)
    _loops.krige(
        errors.values,
        *errors.near_days,
        places.segment,
        *places.between.correlations(covariance),
        best,
        np.take_along_axis(near, best, 1),
        np.take_along_axis(far, best, 1),
        itself,
        np.searchsorted(places.reach, asked.reach),
        asked.day,
        asked.until,
        LIMIT,
        asked.hidden,
        asked.gap,
        np.array(
            [[part.variance, part.along_river, part.across_land] for part in parts]
            + [[covariance.noise, 0.0, 0.0]]
        ),
        np.array([np.exp(-lags / part.days) for part in parts]),
        mean,
        variance,
    )
    return mean, np.sqrt(variance + np.float32(covariance.noise))


def _largest(worth: NDArray[np.float64], n: int) -> Ints:
    """Return the columns of the largest values of each row, the largest first, equal ones in their order."""
    if worth.shape[1] > 2 * n:
        some = np.sort(np.argpartition(-worth, n - 1, axis=1)[:, :n], axis=1)
        order = np.argsort(-np.take_along_axis(worth, some, 1), axis=1, kind="stable")
        return np.take_along_axis(some, order, 1)
    return np.argsort(-worth, axis=1, kind="stable")[:, :n]
