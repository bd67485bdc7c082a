"""Where, when and how much heat was released, from the residuals of sensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.events.river import HeatedRiver
from xmsgl.events.search import Found, LikelihoodSearch
from xmsgl.network.topology import first_selected
from xmsgl.schema.arrays import sound_dataset
from xmsgl.simulate.loops import HEAT_CAPACITY
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Finder = Callable[[Floats, int], Found]

__all__ = ["locate"]

_ABOVE = 2.0  # standard deviations of the mean of three days of noise, from which a sensor sees the event
_MEAN = np.ones(3) / 3


@checked
def locate(events: xr.Dataset, obj: xr.Dataset | xr.DataTree, method: str = "likelihood") -> xr.Dataset:
    """Estimate source, first day and heat of each event from the residuals of the sensors alone.

    Parameters
    ----------
    events
        ``residual`` (event, day, sensor) and ``first_day`` (event), as from :func:`simulate`.
    obj
        The dataset of the river.
    method
        ``"largest"``: the sensor with the largest mean residual of three days is the source.
        ``"travel-time"``: from the most upstream sensor that sees the event, half-way up to the next sensors,
        with travel time and decay of that way. ``"likelihood"``: search over all sources, first days, kinds
        and durations with the process model that simulated the events, the best that can be had.

    Returns
    -------
    xarray.Dataset
        ``source`` (a reach id), ``onset``, ``magnitude`` (log10 of W, NaN for a sensor in air) and ``kind``
        ("" where a method does not estimate it), all (event).

    Raises
    ------
    UnknownNameError
        No such method.
    InvalidArgumentError
        A sensor or a first day is not in the dataset.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> events = simulate(ds, n=5, sensors=0.2)
    >>> locate(events, ds, "largest").source.sizes
    Frozen({'event': 5})
    """
    ds = sound_dataset(obj, sizes=True)
    if method not in _METHODS:
        raise UnknownNameError("method", method, _METHODS)
    river = HeatedRiver.of(ds)
    places = pd.Index(river.ids).get_indexer(pd.Index(events["sensor"].values))
    firsts = river.days.get_indexer(pd.DatetimeIndex(events["first_day"].values))
    days = events.sizes["day"]
    if (places < 0).any() or (firsts < 0).any() or (firsts + days > river.days.size).any():
        msg = "the sensors and days of the events are not all in this dataset; give the one they were simulated on"
        raise InvalidArgumentError(msg)
    noise = float(events["residual"].attrs.get("noise", 0.1))
    find = _METHODS[method](river, places.astype(np.int64), days, noise)
    values = events["residual"].transpose("event", "day", "sensor").to_numpy().astype(np.float64)
    found = [find(each, int(first)) for each, first in zip(values, firsts, strict=True)]
    result = xr.Dataset(
        {
            "source": ("event", river.ids[[each.source for each in found]]),
            "onset": ("event", np.array([each.onset for each in found])),
            "magnitude": ("event", np.array([each.magnitude for each in found])),
            "kind": ("event", np.array([each.kind for each in found])),
        }
    )
    return stamp(result, f"locate(method={method!r})")


def _search(river: HeatedRiver, places: Ints, days: int, noise: float) -> Finder:
    del noise  # equal at all sensors
    return LikelihoodSearch(river, places, days).find


def _largest(river: HeatedRiver, places: Ints, days: int, noise: float) -> Finder:
    def find(residual: Floats, first: int) -> Found:
        smooth = _smooth(residual)
        day, sensor = np.unravel_index(int(np.argmax(np.abs(smooth))), smooth.shape)
        place = int(places[sensor])
        onset = _onset(smooth[:, sensor], noise)
        change = _mean_change(residual[:, sensor], onset, smooth[day, sensor])
        heat = abs(change) * HEAT_CAPACITY * river.carried.water[first : first + days, place].mean()
        return Found(place, onset, float(np.log10(max(heat, 1.0))), "")

    return find


def _travel_time(river: HeatedRiver, places: Ints, days: int, noise: float) -> Finder:
    selected = np.zeros(river.downstream.size, dtype=bool)
    selected[places] = True
    seen_by = first_selected(river.downstream, selected)

    def find(residual: Floats, first: int) -> Found:
        smooth = _smooth(residual)
        peaks = np.abs(smooth).max(axis=0)
        # The event is seen at the sensor with the largest residual and those above it on one river.
        largest = int(np.argmax(peaks))
        seen = np.flatnonzero(peaks > _ABOVE * 2 * noise / np.sqrt(3))
        above = [k for k in seen.tolist() if places[largest] in river.path(int(places[k]))] or [largest]
        sensor = max(above, key=lambda k: river.to_outlet[places[k]])
        place = int(places[sensor])
        reaches = np.flatnonzero(seen_by == place)
        way = river.to_outlet[reaches] - river.to_outlet[place]
        source = int(reaches[np.argmin(np.abs(way - way.max() / 2))])
        path = river.path(source)
        path = path[: int(np.flatnonzero(path == place)[0]) + 1]
        window = slice(first, first + days)
        carried = [values[window][:, path].mean(axis=0) for values in river.carried]
        lag, decay = float(carried[2].sum()), float(np.exp(-carried[3].sum()))
        seen_from = _onset(smooth[:, sensor], noise)
        change = _mean_change(residual[:, sensor], seen_from, smooth[np.argmax(np.abs(smooth[:, sensor])), sensor])
        heat = abs(change) / max(decay, 0.05) * HEAT_CAPACITY * float(carried[1][-1])
        return Found(source, max(0, seen_from - round(lag)), float(np.log10(max(heat, 1.0))), "")

    return find


def _smooth(residual: Floats) -> Floats:
    return np.stack([np.convolve(series, _MEAN, "same") for series in residual.T], axis=1)


def _onset(series: Floats, noise: float) -> int:
    """Return the first day above the noise, or the largest."""
    above = np.abs(series) > max(_ABOVE * noise / np.sqrt(3), 0.5 * np.abs(series).max())
    return int(np.argmax(above))


def _mean_change(series: Floats, onset: int, peak: float) -> float:
    """Return the mean from the first day until the series falls below a third of its peak."""
    after = series[onset:] * np.sign(peak) < np.abs(peak) / 3
    stop = int(np.argmax(after)) if after.any() else after.size
    return float(series[onset : onset + max(stop, 1)].mean())


_METHODS: dict[str, Callable[[HeatedRiver, Ints, int, float], Finder]] = {
    "largest": _largest,
    "travel-time": _travel_time,
    "likelihood": _search,
}
