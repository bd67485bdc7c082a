"""The error of a model at reaches and days, given its errors at sensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.reconstruct.river import Apart

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = ["LIMIT", "Asked", "Errors", "error_given"]

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


@dataclass(frozen=True, eq=False)
class Asked:
    """Reaches and days to find the error of, each (n,)."""

    reach: Ints
    day: Ints
    until: Ints  # last day whose observations may be used
    hidden: Ints  # position of the segment whose sensors are not used, -1: none
    gap: Ints  # days around `day` on which they are not used; -1: all days


def error_given(
    errors: Errors, asked: Asked, apart: Apart, segment: Ints, covariance: ErrorCovariance
) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the error, degC, (n,).

    For each reach the eight sensors with the largest covariance are used that have an error within 120 days;
    the nearest two on several days before and after. The standard deviation is that of a new observation,
    with its noise. `apart` has the distances of all reaches from the sensors, `segment` those of the reaches.
    """
    from xmsgl.reconstruct import _loops

    targets, row = np.unique(asked.reach, return_inverse=True)
    near, far = apart.of(targets).correlations(covariance)
    between = apart.of(errors.reach).correlations(covariance)
    parts = (covariance.slow, covariance.fast)
    worth = np.zeros(near.shape)
    for part in parts:
        worth += part.variance * (part.along_river * near + part.across_land * far)
    # The sensor of the reach itself comes first.
    worth[targets[:, None] == errors.reach] += 1e3
    best = np.argsort(-worth, axis=1, kind="stable")[:, :_CANDIDATES]
    itself = np.full(len(targets), -1)
    at, sensor = np.nonzero(targets[:, None] == errors.reach)
    itself[at] = sensor
    lags = np.arange(2 * LIMIT + 1)
    mean, variance = np.empty(asked.day.size, np.float32), np.empty(asked.day.size, np.float32)
    _loops.krige(
        errors.values,
        *errors.near_days,
        segment[errors.reach],
        *between,
        best,
        np.take_along_axis(near, best, 1),
        np.take_along_axis(far, best, 1),
        itself,
        row.ravel(),
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
