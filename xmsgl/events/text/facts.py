"""What there is to say about an event: each fact as one of a few words, and the numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidDatasetError
from xmsgl.events.kinds import KINDS
from xmsgl.events.records import known_kinds, need, noise_in, places, residuals
from xmsgl.network.topology import distance_to_outlet, link, strahler

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Words = NDArray[np.str_]
    Floats = NDArray[np.float64]

__all__ = ["Facts", "place_ranks", "read_facts", "thirds"]

_PATTERNS = {
    "weekly_discharge": "weekly",
    "warm_dam_release": "rising",
    "tributary_heat_wave": "fading",
    "sensor_in_air": "erratic",
}
_SIZES = (6.75, 7.25, 7.75)  # log10 W
_LENGTHS = (2, 5, 10, 18)  # days, inclusive
_SEEN = 5.0  # a sensor sees an event whose residual is so many times its noise


class Facts(NamedTuple):
    """What is said of each event: words by fact, and for bulletins with numbers, those."""

    words: dict[str, Words]  # fact -> its value (event,)
    figures: list[dict[str, str]]  # reach, date, days and megawatts of each event


def read_facts(events: xr.Dataset, ds: xr.Dataset) -> Facts:
    """Read the facts of events, and of the reaches they begin at."""
    need(events, "residual", "source", "first_day", "kind", "onset", "duration", "magnitude")
    kinds = known_kinds(events)
    sign = np.array(["none", "warm", "cold"])[[KINDS[each].sign for each in kinds]]
    start = pd.DatetimeIndex(events["first_day"].values) + pd.to_timedelta(events["onset"].values, unit="D")
    duration = events["duration"].to_numpy().astype(np.int64)
    magnitude = events["magnitude"].to_numpy().astype(np.float64)
    seasons = np.array(["winter", "spring", "summer", "autumn"])
    words = {
        "kind": np.array(kinds, dtype=str),
        "sign": sign,
        "pattern": np.array([_PATTERNS.get(each, "steady") for each in kinds]),
        "size": _classes(magnitude, _SIZES, ("small", "moderate", "large", "huge")),
        "length": _classes(
            duration.astype(np.float64) - 0.5, _LENGTHS, ("days2", "days5", "week", "fortnight", "month")
        ),
        "season": seasons[(start.month.to_numpy() % 12) // 3],
        "spread": _spread(events),
    }
    words["size"] = np.where(np.isfinite(magnitude), words["size"], "none")
    words |= _places(ds, events["source"].to_numpy())
    figures = [
        {"reach": str(reach), "date": str(day.date()), "days": str(length), "megawatts": _megawatts(heat)}
        for reach, day, length, heat in zip(
            events["source"].values.tolist(), start, duration.tolist(), magnitude.tolist(), strict=True
        )
    ]
    return Facts(words, figures)


def thirds(values: Floats) -> NDArray[np.int64]:
    """Return 0, 1 or 2 for the lowest, the middle and the highest third; -1 for missing values."""
    rank = pd.Series(values).rank(pct=True, method="min").to_numpy()
    return np.where(np.isnan(rank), -1, np.minimum(np.nan_to_num(rank) * 3, 2.999).astype(np.int64))


def _classes(values: Floats, edges: tuple[float, ...], names: tuple[str, ...]) -> Words:
    return np.array(names)[np.searchsorted(np.asarray(edges, np.float64), values, side="right")]


def _megawatts(magnitude: float) -> str:
    return f"{10 ** (magnitude - 6):.3g}" if np.isfinite(magnitude) else "0"


def _spread(events: xr.Dataset) -> Words:
    """Say how many sensors saw the event on some day."""
    noise = noise_in(events["residual"].attrs)
    seen = (np.abs(residuals(events)) > _SEEN * noise).any(axis=1).sum(axis=1)
    return _classes(seen.astype(np.float64), (0.5, 1.5, 3.5), ("none", "one", "few", "many"))


def place_ranks(ds: xr.Dataset) -> Floats:
    """Rank reaches by order, drainage area, distance to the outlet and elevation, 0 to 1; 0.5 if unknown."""
    columns = _measures(ds)
    columns.setdefault("height", np.full(ds.sizes["fine"], np.nan))
    ranks = [pd.Series(each).rank(pct=True).fillna(0.5).to_numpy(np.float64) for each in columns.values()]
    return np.stack(ranks, axis=1)


def _measures(ds: xr.Dataset) -> dict[str, Floats]:
    if lacking := [name for name in ("length_fine", "drainage_area_fine") if name not in ds]:
        raise InvalidDatasetError([f"bulletins need the variable {name}" for name in lacking])
    down = link(ds["fine"].values, ds["downstream_fine"].values)
    length, area = (ds[f"{name}_fine"].to_numpy().astype(np.float64) for name in ("length", "drainage_area"))
    way = np.asarray(distance_to_outlet(down, length), np.float64)
    found = {"position": np.asarray(strahler(down), np.float64), "area": area, "way": way}
    if "elevation_fine" in ds:
        found["height"] = ds["elevation_fine"].to_numpy().astype(np.float64)
    return found


def _places(ds: xr.Dataset, reaches: NDArray[np.generic]) -> dict[str, Words]:
    """Describe the places of reaches by their rank in the basin; without elevation, nothing is said of it."""
    at, measures = places(ds["fine"].values, reaches), _measures(ds)
    orders = measures.pop("position")
    position = np.where(orders == 1, "headwater", np.where(orders == orders.max(), "mainstem", "middle"))
    names = {"area": ("small", "medium", "large"), "way": ("near", "middle", "far")}
    names["height"] = ("low", "middle", "high")
    thirded = {fact: np.array([*names[fact], ""])[thirds(each)][at] for fact, each in measures.items()}
    return {"position": position[at], **thirded}
