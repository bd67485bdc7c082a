"""Which days are kept for validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    import pandas as pd

    from xmsgl.inputs.windows import Window

__all__ = ["DayMask", "Validation"]


Validation: TypeAlias = float | slice | Sequence[slice] | None


DayMask = npt.NDArray[np.bool_]


# Fewer windows than this can not give one away; the validation days are then cut from each.
_MIN_WINDOWS = 5


def _validation_days(
    time: pd.DatetimeIndex, labelled: DayMask, windows: Sequence[Window], validation: Validation, seed: int
) -> DayMask:
    days = np.zeros(len(time), bool)
    if validation is None:
        return days
    if isinstance(validation, int | float):
        if not 0 < validation < 1:
            msg = f"validation must be a share between 0 and 1, slices of days, or None; got {validation!r}"
            raise InvalidArgumentError(msg)
        return _share_of_windows(days, labelled, windows, float(validation), seed)
    for period in [validation] if isinstance(validation, slice) else validation:
        days[_period(time, period)] = True
    if not (days & labelled).any():
        msg = (
            f"the validation days {validation!r} hold no label; the dataset covers "
            f"{time[0].date()} to {time[-1].date()}"
        )
        raise InvalidArgumentError(msg)
    return days


def _period(time: pd.DatetimeIndex, period: slice) -> slice:
    """Find the days as ``ds.sel(time=period)`` would: both ends count, "2003" means the whole year."""
    msg = f"validation holds {period!r}; give days as slices, for example slice('2003-10-01', '2004-09-30')"
    if not isinstance(period, slice):  # callers need not be type-checked
        raise InvalidArgumentError(msg)
    try:
        found: slice = time.slice_indexer(period.start, period.stop)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidArgumentError(msg) from error
    return found


def _share_of_windows(
    days: DayMask, labelled: DayMask, windows: Sequence[Window], share: float, seed: int
) -> DayMask:
    """Give whole windows away, so that no validation day has a training day beside it."""
    usable = [w for w in windows if labelled[w.start : w.stop].any()]
    if len(usable) >= _MIN_WINDOWS:
        count = max(1, round(share * len(usable)))
        for i in np.random.default_rng(seed).choice(len(usable), count, replace=False):
            days[usable[i].start : usable[i].stop] = True
        return days
    for window in usable:
        present = window.start + np.flatnonzero(labelled[window.start : window.stop])
        cut = present[max(1, round((1 - share) * present.size)) :]
        if cut.size:
            days[cut[0] : window.stop] = True
    return days
