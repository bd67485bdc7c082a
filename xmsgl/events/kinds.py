"""The kinds of events: how the heat of each is distributed over its days, and where it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "Kind", "profile"]

Profile = Callable[[int], "NDArray[np.float64]"]


@dataclass(frozen=True)
class Kind:
    """One kind of event."""

    about: str
    sign: int  # 1 warms, -1 cools, 0 is no heat at all
    shortest: int  # days
    longest: int
    profile: Profile  # relative heat of each day, with a mean of 1
    area: tuple[float, float] = (0.0, 1.0)  # range of the rank of its drainage area among all reaches


def _even(days: int) -> NDArray[np.float64]:
    return np.ones(days)


def _ramps(days: int) -> NDArray[np.float64]:
    """Rise and fall in straight lines."""
    rank = np.arange(1, days + 1)
    shape = np.minimum(rank, rank[::-1]).astype(np.float64)
    return np.asarray(shape / shape.mean())


def _recession(days: int) -> NDArray[np.float64]:
    shape = np.exp(-3.0 * np.arange(days) / days)
    return np.asarray(shape / shape.mean())


def _working_days(days: int) -> NDArray[np.float64]:
    """Five days on, two days off."""
    shape = (np.arange(days) % 7 < 5).astype(np.float64)
    return np.asarray(shape / shape.mean())


KINDS: dict[str, Kind] = {
    "industrial_discharge": Kind("cooling water, the same every day", 1, 7, 30, _even, (0.5, 1.0)),
    "weekly_discharge": Kind("cooling water on working days", 1, 14, 35, _working_days, (0.5, 1.0)),
    "effluent_pulse": Kind("warm sewage after a failure", 1, 1, 4, _even, (0.2, 1.0)),
    "warm_dam_release": Kind("surface water of a reservoir", 1, 5, 15, _ramps, (0.7, 1.0)),
    "cold_hypolimnetic_release": Kind("deep water of a reservoir", -1, 5, 30, _even, (0.7, 1.0)),
    "cold_flush": Kind("a short release of deep water", -1, 1, 3, _even, (0.6, 1.0)),
    "tributary_heat_wave": Kind("a headwater warmed for some days", 1, 4, 12, _recession, (0.0, 0.5)),
    "sensor_in_air": Kind("a sensor that has fallen dry reads the air", 0, 3, 15, _even),
}


def profile(kind: str, duration: int, days: int, onset: int) -> NDArray[np.float64]:
    """Return the relative heat of each of `days` days; the part after the last day is cut off."""
    shape = np.zeros(days)
    stop = min(onset + duration, days)
    shape[onset:stop] = KINDS[kind].profile(duration)[: stop - onset]
    return shape
