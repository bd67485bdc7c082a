"""Join two datasets on the days that have weather, that is, drivers; count what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.schema.advice import counted
from xmsgl.schema.names import LABEL
from xmsgl.schema.roles import features_along
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["Joined", "day_spans", "join_days", "lost", "padded"]


@dataclass(frozen=True)
class Joined:
    """Two datasets on the same days."""

    coarse: xr.Dataset  # NaN on added days
    fine: xr.Dataset
    note: str = ""  # how many days of each were joined, for the history
    losses: tuple[str, ...] = ()  # a sentence for each dataset with days that are not used


def join_days(coarse: xr.Dataset, fine: xr.Dataset) -> Joined:
    """Reindex two datasets to the days of their weather, or to all days if neither has any.

    If both have weather, it is the days they have in common. Labels and simulated states are NaN elsewhere.
    """
    if "time" not in coarse.indexes or "time" not in fine.indexes:
        return Joined(coarse, fine)
    given: dict[Scale, xr.Dataset] = {"coarse": coarse, "fine": fine}
    own = {scale: ds.indexes["time"] for scale, ds in given.items()}
    if own["coarse"].equals(own["fine"]):
        return Joined(coarse, fine)
    days, with_weather = _days(given)
    kept = {scale: int((days.get_indexer(index) >= 0).sum()) for scale, index in own.items()}
    notes = [
        f"{kept[scale]} of {len(index)} days of the {scale} dataset joined"
        for scale, index in own.items()
        if not index.equals(days)
    ]
    losses = [_loss(ds, scale, days, with_weather) for scale, ds in given.items()]
    done = {scale: padded(ds, {"time": days}) for scale, ds in given.items()}
    return Joined(done["coarse"], done["fine"], "; ".join(notes), tuple(loss for loss in losses if loss))


def _days(given: Mapping[Scale, xr.Dataset]) -> tuple[pd.Index, list[Scale]]:
    """Choose the days, and return the scales with weather."""
    own = {scale: features_along(ds, scale, {"time", scale}) for scale, ds in given.items()}
    bases = set(own["coarse"] or own["fine"])
    with_weather = [scale for scale in SCALES if bases & set(own[scale])]
    indexes = [given[scale].indexes["time"] for scale in with_weather or SCALES]
    if len(indexes) == 1:
        return indexes[0], with_weather
    both = indexes[0].intersection(indexes[1]) if with_weather else indexes[0].union(indexes[1])
    return both.sort_values(), with_weather


def _loss(ds: xr.Dataset, scale: Scale, days: pd.Index, with_weather: list[Scale]) -> str:
    """Describe the days of a dataset that are not used; empty if all are."""
    gone = lost(ds, "time", days)
    if not len(gone):
        return ""
    other = "fine" if scale == "coarse" else "coarse"
    label = ds.get(f"{LABEL}_{scale}")
    with_labels = ""
    if label is not None and label.variable._in_memory and "time" in label.dims:
        labels = int(label.sel(time=gone).notnull().sum())
        with_labels = f" with {counted(labels, 'label', 'labels')}"
    if scale in with_weather:
        why = f"the weather of the {other} dataset lacks them"
        cure = "give both the weather of the same days to keep them"
    else:
        why = f"the {other} dataset has no weather on them"
        cure = "give the weather of these days to keep them"
    what = f"{counted(len(gone), 'day', 'days')}{with_labels} of the {scale} dataset left out"
    return f"{what}, because {why}: {day_spans(gone)}; {cure}"


def lost(ds: xr.Dataset, dim: str, kept: pd.Index) -> pd.Index:
    """Return the labels along a dimension that have values and are not in `kept`."""
    outside = kept.get_indexer(ds.indexes[dim]) < 0
    index = ds.indexes[dim][outside]
    along = [array for array in ds.data_vars.values() if dim in array.dims]
    if not len(index) or not all(array.variable._in_memory for array in along):
        return index
    valued = np.zeros(len(index), dtype=bool)
    for array in along:
        part = array.isel({dim: outside})
        valued |= part.notnull().any([name for name in part.dims if name != dim]).to_numpy()
    return index[valued]


def padded(ds: xr.Dataset, indexes: Mapping[str, pd.Index]) -> xr.Dataset:
    """Reindex a dataset, without loading what is not in memory."""
    if any((ds.indexes[dim].get_indexer(index) < 0).any() for dim, index in indexes.items()):
        stored = {
            name: array.chunk("auto" if array.dtype.kind in "biufcmM" else -1)
            for name, array in ds.variables.items()
            if set(array.dims) & set(indexes) and array.chunks is None and not array._in_memory
        }
        ds = ds.assign({name: array for name, array in stored.items() if name in ds.data_vars})
        ds = ds.assign_coords({name: array for name, array in stored.items() if name in ds.coords})
    return ds.reindex(indexes)


def day_spans(days: pd.Index) -> str:
    """Write days for a message, those in a row as one span."""
    if not isinstance(days, pd.DatetimeIndex) or days.tz is not None or not (days == days.normalize()).all():
        return shorten(days)
    days = days.sort_values()
    breaks = np.flatnonzero(np.diff(days.to_numpy()) > np.timedelta64(1, "D"))
    first, last = days[[0, *(breaks + 1)]], days[[*breaks, len(days) - 1]]
    spans = [
        f"{a:%Y-%m-%d}" if a == b else f"{a:%Y-%m-%d} to {b:%Y-%m-%d}"
        for a, b in zip(first, last, strict=True)
    ]
    return shorten(spans)
