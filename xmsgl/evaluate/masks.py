"""Days and segments that are chosen, by their labels or by masks with labels, as plain masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.evaluate.pairs import covering
from xmsgl.network.ids import other_kind
from xmsgl.util.dates import day_ranges

__all__ = ["day_mask", "refuse_mask", "segment_mask"]


def refuse_mask(given: Any, what: str, cure: str) -> None:
    """Refuse truth values without labels, which would be compared with ids or days."""
    if isinstance(given, Mapping):  # a Dataset
        return
    if any(isinstance(each, bool | np.bool_) for each in np.ravel(np.asarray(given, dtype=object))):
        msg = f"{what} has True or False without labels; {cure}"
        raise InvalidArgumentError(msg)


def day_mask(days: Any, ds: xr.Dataset | xr.DataArray) -> npt.NDArray[np.bool_]:
    """Mark the days of a dataset that are given, (time,)."""
    if isinstance(days, xr.DataArray) and days.dtype == bool:
        return covering(days, ds["time"], "the mask of days").to_numpy()
    refuse_mask(days, "days", 'give them: xr.DataArray(mask, {"time": ds["time"]})')
    first, last = day_ranges(days, "days")
    time = ds["time"].values.astype("datetime64[D]")
    there = np.sort(time)
    start, stop = np.searchsorted(there, first), np.searchsorted(there, last, side="right")
    if (lost := start == stop).any():
        msg = f"days that are not in the dataset: {shorten(np.unique(first[lost]))}"
        raise InvalidArgumentError(msg)
    # +1 where a range of days starts and -1 after its end: above 0 inside.
    steps = np.bincount(start, minlength=time.size + 1) - np.bincount(stop, minlength=time.size + 1)
    return (np.cumsum(steps) > 0)[np.searchsorted(there, time)]


def segment_mask(segments: Any, ds: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Mark the segments of a dataset that are given, (coarse,)."""
    if "coarse" not in ds.coords:
        raise InvalidDatasetError(["no coordinate 'coarse': there are no segments to hide"])
    if isinstance(segments, xr.DataArray) and segments.dtype == bool:
        return covering(segments, ds["coarse"], "the mask of segments").to_numpy()
    refuse_mask(segments, "segments", 'give them: xr.DataArray(mask, {"coarse": ds["coarse"]})')
    wanted, ids = np.atleast_1d(np.asarray(segments)), ds["coarse"].values
    kind = other_kind(wanted, ids) if wanted.size else ""
    unknown = wanted if kind else wanted[~np.isin(wanted, ids)]
    if unknown.size:
        msg = f"segments that are not in the dataset: {shorten(unknown)}{kind}"
        raise InvalidArgumentError(msg)
    return np.isin(ids, wanted)
