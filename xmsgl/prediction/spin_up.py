"""The start of a record: substitutes for the weather before it, and the days that depend on them.

The days that a model needs before the first day of a record are replaced by the same days of the following
year, which have the right season, and in the last week by the first week mirrored, which is continuous. A
record shorter than a year is mirrored as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SPIN_UP_DAYS", "days_before", "flag_spin_up"]

#: Number of flagged days at the start of a record.
SPIN_UP_DAYS = 365
#: Days just before the record that mirror its first days.
_MIRRORED = 7
_YEAR = 365


def days_before(positions: npt.NDArray[np.int64], n_days: int) -> npt.NDArray[np.int64]:
    """Replace days before a record by days of the record."""
    before = -positions
    period = max(1, 2 * (n_days - 1))
    mirrored = before % period
    mirrored = np.minimum(mirrored, period - mirrored) if n_days > 1 else np.zeros_like(before)
    following = positions % _YEAR
    known = (before > _MIRRORED) & (following < n_days)
    return np.where(positions >= 0, positions, np.where(known, following, mirrored))


def flag_spin_up(time: xr.DataArray, measured: Sequence[tuple[int, float]], earlier: int = 0) -> xr.DataArray:
    """Flag the days of a record whose temperature depends on the weather before it, (time,).

    The record began `earlier` days before the first one.
    """
    flags = (np.arange(time.size) < SPIN_UP_DAYS - earlier).astype(np.int8)
    change = ", ".join(f"day {day}: {rms:.2f} degC" for day, rms in measured) or "not measured for this model"
    attrs = {
        "long_name": "day whose temperature depends on the weather before the record",
        "flag_values": np.array([0, 1], np.int8),
        "flag_meanings": "settled spin_up",
        "comment": "the days before the record are replaced by the same days of the following year; change "
        "is the root-mean-square change of the temperature where a training record was cut",
        "change": change,
    }
    return xr.DataArray(flags, dims="time", attrs=attrs)
