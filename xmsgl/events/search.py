"""Search for the source of an event with the process model itself, which no other method can surpass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmsgl.events.kinds import KINDS, profile
from xmsgl.events.records import Found
from xmsgl.network.topology import first_selected

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmsgl.events.river import HeatedRiver

__all__ = ["LikelihoodSearch", "likelihood"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CANDIDATES = 5  # the sensors with the largest residuals, whose own reaches upstream are searched


def likelihood(river: HeatedRiver, places: Ints, days: int, noise: float) -> Callable[[Floats, int], Found]:
    """Search with the process model."""
    del noise  # it is equal at all sensors
    return LikelihoodSearch(river, places, days).find


class LikelihoodSearch:
    """Compare all sources, first days, kinds and durations by the likelihood of the residuals.

    The heat of each is its best fit by least squares. Noise is independent and equal, so the logarithm of the
    likelihood is the sum of squares that the event explains.
    """

    def __init__(self, river: HeatedRiver, places: Ints, days: int) -> None:
        self._river, self._places, self._days = river, places, days
        selected = np.zeros(river.downstream.size, dtype=bool)
        selected[places] = True
        self._seen_by = first_selected(river.downstream, selected)
        onsets = range(5, days // 2)
        spans = [
            (kind, onset, duration)
            for kind, about in KINDS.items()
            for duration in range(about.shortest, about.longest + 1)
            for onset in onsets
        ]
        self._heat = [each for each in spans if KINDS[each[0]].sign != 0]
        self._dry = [each for each in spans if KINDS[each[0]].sign == 0]
        self._profiles = np.stack([profile(kind, length, days, onset) for kind, onset, length in self._heat])
        self._signs = np.array([KINDS[kind].sign for kind, _, _ in self._heat])
        self._dry_days = np.stack([profile(kind, length, days, at) > 0 for kind, at, length in self._dry])

    def find(self, residual: Floats, first: int) -> Found:
        """Find the most likely event of a record (day, sensor) whose first day is at a position."""
        smooth = np.apply_along_axis(lambda x: np.convolve(x, np.ones(3) / 3, "same"), 0, residual)
        nearest = self._places[np.argsort(-(smooth**2).sum(axis=0))[:_CANDIDATES]]
        best, found = self._in_air(residual, first)
        for source in np.flatnonzero(np.isin(self._seen_by, nearest)).tolist():
            gain, estimate = self._from(source, residual, first)
            if gain > best:
                best, found = gain, estimate
        return found

    def _from(self, source: int, residual: Floats, first: int) -> tuple[float, Found]:
        """Return the sum of squares that the best event of a source explains, and the event."""
        path = self._river.path(source)
        on_path, which = np.nonzero(path[:, None] == self._places)
        unit = self._river.response(first, self._days, path[: on_path[-1] + 1], np.eye(self._days))
        seen = unit[:, :, on_path].reshape(self._days, -1)
        along = self._profiles @ (seen @ residual[:, which].ravel())
        power = ((self._profiles @ (seen @ seen.T)) * self._profiles).sum(axis=1)
        heat = np.divide(along, power, out=np.zeros_like(along), where=power > 0)
        gain = np.where(heat * self._signs > 0, along * heat, -np.inf)
        number = int(np.argmax(gain))
        kind, onset, _ = self._heat[number]
        return float(gain[number]), Found(source, onset, float(np.log10(abs(heat[number]) or 1.0)), kind)

    def _in_air(self, residual: Floats, first: int) -> tuple[float, Found]:
        """Return the same for sensors in air."""
        window = slice(first, first + self._days)
        change = (self._river.air - self._river.temperature)[window][:, self._places]
        each_day = residual**2 - (residual - change) ** 2
        gain = self._dry_days @ each_day
        number, sensor = np.unravel_index(int(np.argmax(gain)), gain.shape)
        kind, onset, _ = self._dry[int(number)]
        return float(gain[number, sensor]), Found(int(self._places[sensor]), onset, float("nan"), kind)
