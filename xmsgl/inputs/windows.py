"""Windows of days: the scored days and the warm-up before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from xmsgl.inputs.scales import IntArray


@dataclass(frozen=True)
class Window:
    """Consecutive scored days and the warm-up before them."""

    start: int  # position of the first scored day
    stop: int  # position after the last scored day
    warmup: int  # days run before `start` to fill the memory of the cell

    def days(self, length: int, n_days: int) -> IntArray:
        """Return the positions of the days, (warmup + length,).

        The first day is repeated before the record and the last one after it, neither of them scored, so
        that windows of one batch have the same length.
        """
        return np.clip(
            np.arange(self.start - self.warmup, self.start + length, dtype=np.int64), 0, n_days - 1
        )

    def scored(self, length: int) -> npt.NDArray[np.bool_]:
        """Return which of :meth:`days` are scored, boolean (warmup + length,)."""
        day = np.arange(-self.warmup, length)
        return (day >= 0) & (day < self.stop - self.start)


def cut_windows(n_days: int, length: int, warmup: int, first: int = 0) -> list[Window]:
    """Cut a record into consecutive windows; the first and the last may be shorter."""
    if length < 1 or warmup < 0:
        msg = f"window must be at least 1 day and warmup at least 0, got window={length}, warmup={warmup}"
        raise InvalidArgumentError(msg)
    starts = range(first % length - length, n_days, length)
    cuts = [(max(start, 0), min(start + length, n_days)) for start in starts]
    return [Window(start, stop, warmup) for start, stop in cuts if start < stop]


def calendar_windows(days: pd.DatetimeIndex, length: int, warmup: int, first_day: str) -> list[Window]:
    """Cut a record into windows aligned with `first_day`, wherever the record begins."""
    first = (pd.Timestamp(first_day) - days[0]).days if len(days) else 0
    return cut_windows(len(days), length, warmup, first)
