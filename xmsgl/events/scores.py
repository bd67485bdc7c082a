"""How far estimates are from the events."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.events.records import need, stations
from xmsgl.events.river import HeatedRiver
from xmsgl.network.topology import contract
from xmsgl.schema.arrays import in_order_of, sound_dataset
from xmsgl.util.arguments import checked

__all__ = ["score"]


@checked
def score(found: xr.Dataset, events: xr.Dataset, obj: xr.Dataset | xr.DataTree) -> xr.Dataset:
    """Score estimated events.

    Parameters
    ----------
    found
        As from :func:`locate`, in the order of the events, or in any order with the same labels.
    events
        As from :func:`simulate`, with the truth.
    obj
        The dataset of the river.

    Returns
    -------
    xarray.Dataset
        ``distance``, the median distance along the river between true and estimated source (m), infinite
        where more than half are in other rivers; ``spacing``, the median distance of a sensor to the next
        one downstream (m); ``within``, the fraction of sources found within one spacing;
        ``magnitude_rmse`` and ``magnitude_bias`` (log10 W) of the events with heat for which heat was
        estimated, ``magnitude_n`` their number; ``onset_error``, the median absolute error in days; ``n``.

    Raises
    ------
    InvalidArgumentError
        There are more or fewer estimates than events, their labels differ, or a reach is not in the dataset.
    InvalidDatasetError
        The estimates or the events lack a variable.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import locate, simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> events = simulate(ds, n=5, sensors=0.2)
    >>> int(score(locate(events, ds), events, ds).n)
    5
    """
    ds = sound_dataset(obj, sizes=True)
    need(found, "source", "onset", "magnitude")
    need(events, "residual", "source", "onset", "magnitude")
    if found.sizes.get("event") != events.sizes.get("event"):
        msg = (
            f"{found.sizes.get('event')} estimates for {events.sizes.get('event')} events; locate all of them"
        )
        raise InvalidArgumentError(msg)
    if "event" in found.indexes and "event" in events.indexes:
        found = in_order_of(found, "event", events.indexes["event"], "estimates and events")
    river = HeatedRiver.of(ds)
    true, guess = (stations(river, each["source"].values) for each in (events, found))
    distance = river.distance(true, guess)
    spacing = sensor_spacing(river, stations(river, events["sensor"].values))
    error = found["magnitude"].to_numpy() - events["magnitude"].to_numpy()
    error = error[np.isfinite(error)]
    late = np.abs(found["onset"].to_numpy() - events["onset"].to_numpy())
    metres, exponent = {"units": "m"}, {"long_name": "log10 of W"}
    return xr.Dataset(
        {
            "distance": ((), float(np.median(distance)), metres),
            "spacing": ((), spacing, metres),
            "within": ((), float((distance <= spacing).mean())),
            "magnitude_rmse": ((), float(np.sqrt((error**2).mean())) if error.size else np.nan, exponent),
            "magnitude_bias": ((), float(error.mean()) if error.size else np.nan, exponent),
            "magnitude_n": ((), error.size),
            "onset_error": ((), float(np.median(late)), {"units": "d"}),
            "n": ((), distance.size),
        }
    )


def sensor_spacing(river: HeatedRiver, sensors: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Return the median distance of a sensor to the next one downstream (m)."""
    places = np.sort(sensors)
    selected = np.zeros(river.downstream.size, dtype=bool)
    selected[places] = True
    below = contract(river.downstream, selected)
    inner = below >= 0
    gaps = river.to_outlet[places[inner]] - river.to_outlet[places[below[inner]]]
    return float(np.median(gaps)) if gaps.size else float("inf")
