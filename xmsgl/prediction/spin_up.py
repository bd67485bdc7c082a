"""The start of a record: what stands in for the weather before it, and which days feel it.

A model remembers weeks to months. The days it needs before the first day of a record are taken from the
record itself: the same days of the following year, which have the right season, and the first week
mirrored, which joins on to the first day. A record shorter than that is mirrored as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SPIN_UP_DAYS", "days_before", "flag_spin_up"]

#: Days at the start of a record that are flagged.
SPIN_UP_DAYS = 365
#: Days just before the record that mirror its first days.
_MIRRORED = 7
_YEAR = 365


def days_before(positions: npt.NDArray[np.int64], n_days: int) -> npt.NDArray[np.int64]:
    """Replace days before a record by days of the record.

    Parameters
    ----------
    positions
        Positions of days, int64 of any shape; negative ones lie before the record.
    n_days
        Days in the record.

    Returns
    -------
    numpy.ndarray
        Positions in the record. The seven days before the first are its first days mirrored, and earlier
        ones the same days of the following year; where the record does not reach that far, all are mirrored.

    Examples
    --------
    >>> days_before(np.array([-8, -2, -1, 0, 1]), 1000).tolist()
    [357, 2, 1, 0, 1]
    >>> days_before(np.array([-4, -3, -2, -1, 0]), 3).tolist()
    [0, 1, 2, 1, 0]
    """
    before = -positions
    period = max(1, 2 * (n_days - 1))
    mirrored = before % period
    mirrored = np.minimum(mirrored, period - mirrored) if n_days > 1 else np.zeros_like(before)
    following = positions % _YEAR
    known = (before > _MIRRORED) & (following < n_days)
    return np.where(positions >= 0, positions, np.where(known, following, mirrored))


def flag_spin_up(time: xr.DataArray, measured: Sequence[tuple[int, float]]) -> xr.DataArray:
    """Flag the days of a record whose temperature depends on the weather before it.

    Parameters
    ----------
    time
        Days of the record, ascending.
    measured
        Root-mean-square change, degC, of the temperature on some days (counted from 1) where a record was
        cut before them, see :func:`xmsgl.training.calibrate.measure_spin_up`; empty if it was not measured.

    Returns
    -------
    xarray.DataArray
        int8 (time,), 1 on the first :data:`SPIN_UP_DAYS` days, with CF's flag attributes and the change.

    Examples
    --------
    >>> import pandas as pd
    >>> days = xr.DataArray(pd.date_range("2001-01-01", periods=366), dims="time")
    >>> flag_spin_up(days, [(1, 0.9), (30, 0.17)]).attrs["change"]
    'day 1: 0.90 degC, day 30: 0.17 degC'
    """
    flags = (np.arange(time.size) < SPIN_UP_DAYS).astype(np.int8)
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
