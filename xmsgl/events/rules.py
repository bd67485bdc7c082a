"""Rules of thumb for the source of an event, which other methods have to surpass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmsgl.events.records import Found, noise_in
from xmsgl.network.topology import first_selected
from xmsgl.simulate.loops import HEAT_CAPACITY

if TYPE_CHECKING:
    from xmsgl.events.river import HeatedRiver

    Ints = NDArray[np.int64]

__all__ = ["largest", "travel_time"]

Floats = NDArray[np.float64]
Finder = Callable[[Floats, int], Found]

_SEEN = 4.0  # a sensor sees an event if its mean of three days is so many times the deviation of such means
_MEAN = np.ones(3) / 3


def largest(river: HeatedRiver, places: Ints, days: int, about: Mapping[str, Any]) -> Finder:
    """Take the sensor with the largest residual for the source."""
    noise = noise_in(about)

    def find(residual: Floats, first: int) -> Found:
        smooth = _smooth(residual)
        day, sensor = np.unravel_index(int(np.argmax(np.abs(smooth))), smooth.shape)
        place, onset = int(places[sensor]), _onset(smooth[:, sensor], noise)
        change = _mean_change(residual[:, sensor], onset, float(smooth[day, sensor]))
        return _found(place, onset, change * float(river.carried.water[first : first + days, place].mean()))

    return find


def travel_time(river: HeatedRiver, places: Ints, days: int, about: Mapping[str, Any]) -> Finder:
    """Go back from the most upstream sensor that sees the event, half-way to the next sensors."""
    noise = noise_in(about)
    rank = np.argsort(np.argsort(river.ids))  # of equally good reaches the one with the smallest id counts
    selected = np.zeros(river.downstream.size, dtype=bool)
    selected[places] = True
    seen_by = first_selected(river.downstream, selected)

    def find(residual: Floats, first: int) -> Found:
        smooth = _smooth(residual)
        peaks = np.abs(smooth).max(axis=0)
        top = int(np.argmax(peaks))
        seen = np.flatnonzero(peaks > _SEEN * noise / np.sqrt(3)).tolist()
        above = [k for k in seen if places[top] in river.path(int(places[k]))] or [top]
        sensor = max(above, key=lambda k: (float(river.to_outlet[places[k]]), -int(rank[places[k]])))
        reaches = np.flatnonzero(seen_by == places[sensor])
        way = river.to_outlet[reaches] - river.to_outlet[places[sensor]]
        source = int(reaches[np.lexsort([rank[reaches], np.abs(way - way.max() / 2)])[0]])
        path = river.path(source)
        path = path[: int(np.flatnonzero(path == places[sensor])[0]) + 1]
        lag, exponent = (
            float(values[first : first + days, path].mean(axis=0).sum())
            for values in (river.carried.lag, river.carried.exponent)
        )
        onset = _onset(smooth[:, sensor], noise)
        peak = float(smooth[np.argmax(np.abs(smooth[:, sensor])), sensor])
        change = _mean_change(residual[:, sensor], onset, peak) * np.exp(min(exponent, 3.0))
        flow = float(river.carried.flow[first : first + days, places[sensor]].mean())
        return _found(source, max(0, onset - round(lag)), change * flow)

    return find


def _found(source: int, onset: int, warmed: float) -> Found:
    """Return an estimate from degC x m3 s-1."""
    return Found(source, onset, float(np.log10(max(abs(warmed) * HEAT_CAPACITY, 1.0))), "")


def _smooth(residual: Floats) -> Floats:
    return np.stack([np.convolve(series, _MEAN, "same") for series in residual.T], axis=1)


def _onset(series: Floats, noise: float) -> int:
    """Return the first day above the noise and above half of the peak."""
    above = np.abs(series) >= max(_SEEN / 2 * noise / np.sqrt(3), 0.5 * np.abs(series).max())
    return int(np.argmax(above))


def _mean_change(series: Floats, onset: int, peak: float) -> float:
    """Return the mean from the first day until the series falls below a third of its peak."""
    after = series[onset:] * np.sign(peak) < np.abs(peak) / 3
    stop = int(np.argmax(after)) if after.any() else after.size
    return float(series[onset : onset + max(stop, 1)].mean())
