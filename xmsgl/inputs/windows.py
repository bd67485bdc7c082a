"""Windows of days: what is scored, and the warm-up before it."""

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
    """A run of days that is scored, and the warm-up before it.

    Attributes
    ----------
    start, stop
        Positions of the first scored day and the day after the last.
    warmup
        Days run before ``start`` to fill the memory of the cell.
    """

    start: int
    stop: int
    warmup: int

    def days(self, length: int, n_days: int) -> IntArray:
        """Return the day positions, (warmup + length,).

        Days before the record repeat its first day and days after it repeat the last, so that
        windows of one batch are equally long; neither is scored.
        """
        return np.clip(
            np.arange(self.start - self.warmup, self.start + length, dtype=np.int64), 0, n_days - 1
        )

    def scored(self, length: int) -> npt.NDArray[np.bool_]:
        """Return which of :meth:`days` count, boolean (warmup + length,)."""
        day = np.arange(-self.warmup, length)
        return (day >= 0) & (day < self.stop - self.start)


def cut_windows(n_days: int, length: int, warmup: int, first: int = 0) -> list[Window]:
    """Cut a record into windows that follow each other; the first and the last may be shorter."""
    if length < 1 or warmup < 0:
        msg = f"a window needs at least one day and no negative warm-up, got window={length}, warmup={warmup}"
        raise InvalidArgumentError(msg)
    starts = range(first % length - length, n_days, length)
    cuts = [(max(start, 0), min(start + length, n_days)) for start in starts]
    return [Window(start, stop, warmup) for start, stop in cuts if start < stop]


def calendar_windows(days: pd.DatetimeIndex, length: int, warmup: int, first_day: str) -> list[Window]:
    """Cut a record into windows whose first days do not depend on where the record begins."""
    first = (pd.Timestamp(first_day) - days[0]).days if len(days) else 0
    return cut_windows(len(days), length, warmup, first)
