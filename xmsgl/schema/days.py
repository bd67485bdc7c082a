"""Which days two datasets are joined on: those of the weather. Labels follow, and losses are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.schema.names import LABEL
from xmsgl.schema.roles import drivers, features_along
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["Joined", "day_spans", "join_days", "lost", "padded"]


@dataclass(frozen=True)
class Joined:
    """Two datasets on the same days.

    Attributes
    ----------
    coarse, fine
        The datasets, NaN on the days that were not theirs.
    note
        How many days of each were joined, for the history; empty where nothing had to be.
    losses
        One sentence for each dataset of which days are not used.
    """

    coarse: xr.Dataset
    fine: xr.Dataset
    note: str = ""
    losses: tuple[str, ...] = ()


def join_days(coarse: xr.Dataset, fine: xr.Dataset) -> Joined:
    """Bring two datasets to the days of their weather.

    Weather are the drivers: daily features by their names. Days are those that the weather of both has, or
    of the one that has any; without weather, all. Labels and simulated states are filled with NaN.
    """
    if "time" not in coarse.indexes or "time" not in fine.indexes:
        return Joined(coarse, fine)
    given: dict[Scale, xr.Dataset] = {"coarse": coarse, "fine": fine}
    own = {scale: ds.indexes["time"] for scale, ds in given.items()}
    if own["coarse"].equals(own["fine"]):
        return Joined(coarse, fine)
    days, told = _days(given)
    kept = {scale: int((days.get_indexer(index) >= 0).sum()) for scale, index in own.items()}
    notes = [
        f"{kept[scale]} of {len(index)} days of the {scale} dataset joined"
        for scale, index in own.items()
        if not index.equals(days)
    ]
    losses = [_loss(ds, scale, days, told) for scale, ds in given.items()]
    done = {scale: padded(ds, {"time": days}) for scale, ds in given.items()}
    return Joined(done["coarse"], done["fine"], "; ".join(notes), tuple(loss for loss in losses if loss))


def _days(given: Mapping[Scale, xr.Dataset]) -> tuple[pd.Index, list[Scale]]:
    """Choose the days, and say which datasets' weather they are of."""
    bases = drivers(given["coarse"]) or features_along(given["fine"], "fine", {"time", "fine"})
    told: list[Scale] = [
        scale for scale, ds in given.items() if set(bases) & set(features_along(ds, scale, {"time", scale}))
    ]
    indexes = [given[scale].indexes["time"] for scale in told or SCALES]
    if len(indexes) == 1:
        return indexes[0], told
    both = indexes[0].intersection(indexes[1]) if told else indexes[0].union(indexes[1])
    return both.sort_values(), told


def _loss(ds: xr.Dataset, scale: Scale, days: pd.Index, told: list[Scale]) -> str:
    """Say what of a dataset is not used; empty where nothing is lost."""
    gone = lost(ds, "time", days)
    if not len(gone):
        return ""
    other = "fine" if scale == "coarse" else "coarse"
    label = ds.get(f"{LABEL}_{scale}")
    with_labels = ""
    if label is not None and label.variable._in_memory and "time" in label.dims:
        with_labels = f" with {int(label.sel(time=gone).notnull().sum())} labels"
    what = f"{len(gone)} days{with_labels} of the {scale} dataset"
    if scale in told:
        return (
            f"{what} left out, because the weather of the {other} dataset lacks them: {day_spans(gone)}; "
            "give both the weather of the same days to keep them"
        )
    return (
        f"{what} left out, because the {other} dataset has no weather then: {day_spans(gone)}; "
        "give the weather of these days to keep them"
    )


def lost(ds: xr.Dataset, dim: str, kept: pd.Index) -> pd.Index:
    """Return the labels along a dimension that `kept` lacks and that hold values."""
    outside = kept.get_indexer(ds.indexes[dim]) < 0
    index = ds.indexes[dim][outside]
    along = [array for array in ds.data_vars.values() if dim in array.dims]
    if not len(index) or not all(array.variable._in_memory for array in along):
        return index
    holds = np.zeros(len(index), dtype=bool)
    for array in along:
        part = array.isel({dim: outside})
        holds |= part.notnull().any([name for name in part.dims if name != dim]).to_numpy()
    return index[holds]


def padded(ds: xr.Dataset, indexes: Mapping[str, pd.Index]) -> xr.Dataset:
    """Bring a dataset to other labels, NaN where it has none; what is not in memory stays so."""
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
