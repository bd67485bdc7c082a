"""Search for the source of an event with the process model itself, which no other method can surpass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmsgl.events.disturb import between
from xmsgl.events.kinds import KINDS, profile
from xmsgl.events.records import Found
from xmsgl.network.topology import first_selected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from xmsgl.events.river import HeatedRiver

__all__ = ["LikelihoodSearch", "likelihood"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CANDIDATES = 5  # the sensors with the largest residuals, whose own reaches upstream are searched


def likelihood(
    river: HeatedRiver, places: Ints, days: int, about: Mapping[str, Any]
) -> Callable[[Floats, int], Found]:
    """Search with the process model, whose noise is equal at all sensors."""
    return LikelihoodSearch(river, places, days, about["band"]).find


class LikelihoodSearch:
    """Compare all sources, first days, kinds and durations by the likelihood of the residuals.

    The heat of each is its best fit by least squares. Noise is independent and equal, so the logarithm of the
    likelihood is the sum of squares that the event explains. Sensors whose records are all zeros are left
    out.
    """

    def __init__(
        self, river: HeatedRiver, places: Ints, days: int, band: tuple[float, float] | None = None
    ) -> None:
        """`band` has the shortest and the longest period (days) that the records were filtered to."""
        self._river, self._places, self._days, self._band = river, places, days, band
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
        reports = (residual != 0).any(axis=0)
        if not reports.any():
            reports[:] = True
        residual, places = residual[:, reports], self._places[reports]
        selected = np.zeros(self._river.downstream.size, dtype=bool)
        selected[places] = True
        seen_by = first_selected(self._river.downstream, selected)
        smooth = np.apply_along_axis(lambda x: np.convolve(x, np.ones(3) / 3, "same"), 0, residual)
        nearest = places[np.argsort(-(smooth**2).sum(axis=0))[:_CANDIDATES]]
        best, found = self._in_air(places, residual, first)
        for source in np.flatnonzero(np.isin(seen_by, nearest)).tolist():
            gain, estimate = self._from(source, places, residual, first)
            if gain > best:
                best, found = gain, estimate
        return found

    def _from(self, source: int, places: Ints, residual: Floats, first: int) -> tuple[float, Found]:
        """Return the sum of squares that the best event of a source explains, and the event."""
        path = self._river.path(source)
        on_path, which = np.nonzero(path[:, None] == places)
        unit = self._river.response(first, self._days, path[: on_path[-1] + 1], np.eye(self._days))
        seen = self._recorded(unit[:, :, on_path]).reshape(self._days, -1)
        along = self._profiles @ (seen @ residual[:, which].ravel())
        power = ((self._profiles @ (seen @ seen.T)) * self._profiles).sum(axis=1)
        heat = np.divide(along, power, out=np.zeros_like(along), where=power > 0)
        gain = np.where(heat * self._signs > 0, along * heat, -np.inf)
        number = int(np.argmax(gain))
        kind, onset, _ = self._heat[number]
        return float(gain[number]), Found(source, onset, float(np.log10(abs(heat[number]) or 1.0)), kind)

    def _in_air(self, places: Ints, residual: Floats, first: int) -> tuple[float, Found]:
        """Return the same for sensors in air."""
        window = slice(first, first + self._days)
        change = (self._river.air - self._river.temperature)[window][:, places]
        if self._band is None:
            gain = self._dry_days @ (residual**2 - (residual - change) ** 2)
        else:
            dry = self._recorded(self._dry_days[:, :, None] * change)
            gain = (residual**2 - (residual - dry) ** 2).sum(axis=1)
        number, sensor = np.unravel_index(int(np.argmax(gain)), gain.shape)
        kind, onset, _ = self._dry[int(number)]
        return float(gain[number, sensor]), Found(int(places[sensor]), onset, float("nan"), kind)

    def _recorded(self, change: Floats) -> Floats:
        """Filter changes (..., day, sensor) as the records were."""
        return change if self._band is None else between(change, *self._band)
