"""Which days are kept for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.windows import Window, cut_windows
from xmsgl.schema.names import LABEL

if TYPE_CHECKING:
    from xmsgl.util.scales import Scale

__all__ = [
    "DayMask",
    "SplitDays",
    "Validation",
    "label_values",
    "read_validation",
    "split_days",
    "without_labels",
    "write_validation",
]

Validation: TypeAlias = float | str | slice | Sequence[slice] | None
DayMask = npt.NDArray[np.bool_]

# With fewer windows than this, the validation days are the last labelled ones of each.
_MIN_WINDOWS = 5


@dataclass(frozen=True)
class SplitDays:
    """Training days and validation days, boolean (time,) each; drawn before anything is fitted."""

    training: DayMask
    validation: DayMask


def split_days(
    ds: xr.Dataset, scales: Sequence[Scale], *, window: int, validation: float | str | None, seed: int
) -> SplitDays:
    """Divide the labelled days of a dataset into training and validation days."""
    labelled = np.any([np.isfinite(label_values(ds, scale)).any(axis=1) for scale in scales], axis=0)
    time = pd.DatetimeIndex(ds.indexes["time"])
    kept = _validation_days(time, labelled, cut_windows(len(time), window, 0), validation, seed)
    if not (labelled & ~kept).any():
        msg = (
            f"there is no label to learn from: {LABEL}_{' and _'.join(scales)} have no finite value outside "
            "the validation days; keep fewer days for validation, or add observations"
        )
        raise InvalidArgumentError(msg)
    return SplitDays(labelled & ~kept, kept)


def label_values(ds: xr.Dataset, scale: Scale, name: str | None = None) -> npt.NDArray[np.float32]:
    """Read the labels of a scale, float32 (time, node): observations or the variable `name`, else NaN."""
    name = name or f"{LABEL}_{scale}"
    if name not in ds:
        return np.full((ds.sizes["time"], ds.sizes[scale]), np.nan, np.float32)
    return np.asarray(ds[name].transpose("time", scale).values, np.float32)


def without_labels(ds: xr.Dataset, days: DayMask) -> xr.Dataset:
    """Return a dataset whose labels on some days, boolean (time,), are NaN at both scales."""
    names = [str(name) for name in ds.data_vars if str(name).startswith(LABEL) and "time" in ds[name].dims]
    keep = xr.DataArray(~days, dims="time")
    return ds.assign({name: ds[name].where(keep) for name in names}) if days.any() else ds


def write_validation(validation: Validation) -> float | str | None:
    """Write the validation days as a plain value: a fraction, date ranges as text, or None."""
    if validation is None or isinstance(validation, str | bool):
        return validation
    if isinstance(validation, Real):
        return float(validation)
    periods = [validation] if isinstance(validation, slice) else validation
    if not isinstance(periods, Sequence) or not all(isinstance(period, slice) for period in periods):
        raise InvalidArgumentError(_fault(validation))
    return ",".join(f"{_day(period.start)}/{_day(period.stop)}" for period in periods)


def read_validation(validation: float | str | None) -> float | list[slice] | None:
    """Read what :func:`write_validation` or a user wrote."""
    if validation is None:
        return None
    if not isinstance(validation, str):
        if isinstance(validation, bool) or not 0 < validation < 1:
            raise InvalidArgumentError(_fault(validation))
        return float(validation)
    periods = []
    for part in validation.split(","):
        start, sign, stop = (each.strip() for each in part.partition("/"))
        if not (start and sign and stop):
            raise InvalidArgumentError(_fault(validation))
        periods.append(slice(None if start == ".." else start, None if stop == ".." else stop))
    return periods


def _fault(validation: Any) -> str:
    return (
        "validation must be a fraction between 0 and 1, date ranges such as '2011-10-01/2012-09-30' (several "
        f"with commas), or None; got {validation!r}"
    )


def _day(end: Any) -> str:
    """Write one end of a period; text stays as it is, because "2003" means the whole year."""
    if end is None:
        return ".."
    if isinstance(end, str):
        return end.replace("/", "-")  # a slash separates the two ends
    if isinstance(end, Real):  # pandas would read it as nanoseconds since 1970
        raise InvalidArgumentError(_fault(end))
    return str(pd.Timestamp(end).date())


def _validation_days(
    time: pd.DatetimeIndex,
    labelled: DayMask,
    windows: Sequence[Window],
    validation: float | str | None,
    seed: int,
) -> DayMask:
    """Choose the validation days, boolean (time,): those of a fraction of the windows, or as given."""
    days = np.zeros(len(time), bool)
    kept = read_validation(validation)
    if kept is None:
        return days
    if isinstance(kept, float):
        return _share_of_windows(days, labelled, windows, kept, seed)
    for period in kept:
        days[_period(time, period)] = True
    if not (days & labelled).any():
        msg = (
            f"the validation days {validation!r} have no labels; the dataset covers "
            f"{time[0].date()} to {time[-1].date()}"
        )
        raise InvalidArgumentError(msg)
    return days


def _period(time: pd.DatetimeIndex, period: slice) -> slice:
    """Find the days as ``ds.sel(time=period)`` does: both ends included, "2003" means the whole year."""
    try:
        found: slice = time.slice_indexer(period.start, period.stop)
    except (ValueError, TypeError, KeyError) as error:
        msg = (
            f"validation contains {write_validation(period)!r}, which is not a valid date range; give days "
            "such as '2003-10-01/2004-09-30'"
        )
        raise InvalidArgumentError(msg) from error
    return found


def _share_of_windows(
    days: DayMask, labelled: DayMask, windows: Sequence[Window], share: float, seed: int
) -> DayMask:
    """Keep whole windows, so that few validation days are next to training days."""
    # The last window may be a few days long, too few to choose an epoch by.
    longest = max(w.stop - w.start for w in windows)
    usable = [w for w in windows if labelled[w.start : w.stop].any() and 2 * (w.stop - w.start) >= longest]
    if len(usable) >= _MIN_WINDOWS:
        count = max(1, round(share * len(usable)))
        for i in np.random.default_rng(seed).choice(len(usable), count, replace=False):
            days[usable[i].start : usable[i].stop] = True
        return days
    for window in usable or windows:
        present = window.start + np.flatnonzero(labelled[window.start : window.stop])
        cut = present[max(1, round((1 - share) * present.size)) :]
        if cut.size:
            days[cut[0] : window.stop] = True
    return days
