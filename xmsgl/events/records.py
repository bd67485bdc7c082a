"""Events as plain arrays: positions instead of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.events.kinds import KINDS
from xmsgl.schema.units import steps_of_degc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.events.river import HeatedRiver

__all__ = [
    "Found",
    "Records",
    "bands",
    "known_kinds",
    "need",
    "noise_in",
    "places",
    "read_records",
    "residuals",
    "stations",
]

_TRUTH = ("source", "kind", "onset", "magnitude")


class Found(NamedTuple):
    """An estimate of one event."""

    source: int  # position of the reach
    onset: int
    magnitude: float  # log10 W, NaN for a sensor in air
    kind: str  # "" where it is not estimated


class Records(NamedTuple):
    """Residuals and, if they are known, the events; the others are empty."""

    residual: NDArray[np.float32]  # degC (event, day, sensor)
    first: NDArray[np.int64]  # position of the first day
    source: NDArray[np.int64]
    magnitude: NDArray[np.float64]
    onset: NDArray[np.int64]
    kind: NDArray[np.int64]


def need(events: xr.Dataset, *names: str) -> None:
    """Refuse a dataset without some variables of events."""
    for name in names:
        dims = {"event", "day", "sensor"} if name == "residual" else {"event"}
        if name not in events.variables or set(events[name].dims) != dims:
            have = f"{name!r} over {', '.join(sorted(dims))}"
            raise InvalidDatasetError([f"events lack {have}; make them with xmsgl.events.simulate"])


def read_records(events: xr.Dataset, river: HeatedRiver, *, truth: bool = False) -> Records:
    """Read events, with the truth if asked for; they must be of this river."""
    need(events, "residual", "first_day", *(_TRUTH if truth else ()))
    residual = residuals(events).astype(np.float32)
    first = river.days.get_indexer(pd.DatetimeIndex(events["first_day"].values))
    if (first < 0).any() or (first + residual.shape[1] > river.days.size).any():
        msg = "the days of the events are not all in this dataset; give the one they were simulated on"
        raise InvalidArgumentError(msg)
    none = np.zeros(0, np.int64)
    if not truth:
        return Records(residual, first.astype(np.int64), none, np.zeros(0), none, none)
    return Records(
        residual,
        first.astype(np.int64),
        stations(river, events["source"].values),
        events["magnitude"].to_numpy().astype(np.float64),
        events["onset"].to_numpy().astype(np.int64),
        np.array([list(KINDS).index(kind) for kind in known_kinds(events)], dtype=np.int64),
    )


def residuals(events: xr.Dataset) -> NDArray[np.float64]:
    """Return the residuals, degC (event, day, sensor); refuse other units, gaps, and none at all."""
    need(events, "residual")
    array = events["residual"].transpose("event", "day", "sensor")
    values, units = array.to_numpy().astype(np.float64), str(array.attrs.get("units", "degC"))
    if not values.size:
        fault = f"residual has no values, {dict(array.sizes)}; give at least one event, day and sensor"
    elif not steps_of_degc(units):
        fault = f"residual is in {units!r}, not in degC; convert these differences, without an offset"
    elif not np.isfinite(values).all():
        fault = "residual has missing values; set them to 0, which says that nothing changed"
    elif "day" in array.indexes and not array.indexes["day"].is_monotonic_increasing:
        fault = 'the days of residual are not in order; sort them: events = events.sortby("day")'
    else:
        return values
    raise InvalidDatasetError([fault])


def noise_in(about: Mapping[str, Any]) -> float:
    """Return the noise that the attributes of residuals state, degC."""
    noise = about.get("noise")
    if not isinstance(noise, int | float | np.number) or not 0 < noise < np.inf:
        fault = (
            f"the attribute 'noise' of residual is {noise!r}; it must be the deviation of a sensor in degC: "
            'events["residual"].attrs["noise"] = 0.1'
        )
        raise InvalidDatasetError([fault])
    return float(noise)


def bands(events: xr.Dataset) -> list[tuple[float, float] | None]:
    """Return the shortest and the longest period (days) that the record of each event was filtered to."""
    if "shortest_period" not in events and "longest_period" not in events:
        return [None] * events.sizes["event"]
    need(events, "shortest_period", "longest_period")
    ends = zip(events["shortest_period"].values, events["longest_period"].values, strict=True)
    return [(float(short), float(long)) if np.isfinite([short, long]).all() else None for short, long in ends]


def known_kinds(events: xr.Dataset) -> list[str]:
    """Return the kind of each event, and refuse those that there are not."""
    kinds = [str(kind) for kind in events["kind"].values]
    if strange := sorted(set(kinds) - KINDS.keys()):
        raise InvalidArgumentError(f"events of unknown kinds: {strange}; the kinds are {', '.join(KINDS)}")
    return kinds


def stations(river: HeatedRiver, ids: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Return the positions of reaches of a river by their ids."""
    return places(river.ids, ids)


def places(known: NDArray[Any], ids: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Return the positions of ids among those known."""
    found = pd.Index(known).get_indexer(pd.Index(ids))
    if (found < 0).any():
        lost = [each for each, place in zip(ids, found, strict=True) if place < 0][:3]
        msg = f"reaches {lost} are not in this dataset; give the one that the events were simulated on"
        raise InvalidArgumentError(msg)
    return np.asarray(found, dtype=np.int64)
