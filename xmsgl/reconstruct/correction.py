"""The correction of the prediction of some days by the errors at sensors around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.prediction.predictor import FREEZING
from xmsgl.reconstruct.given import Asked, Places, error_given, join_days

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from xmsgl.inputs.windows import Window
    from xmsgl.models.file.covariance import ErrorCovariance, ErrorKind
    from xmsgl.reconstruct.companions import Accompanied
    from xmsgl.reconstruct.given import Errors
    from xmsgl.reconstruct.river import River

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = ["Correction"]

_PAIRS = 500_000  # reach-days corrected at a time


@dataclass(frozen=True, eq=False)
class Correction:
    """Corrects the prediction of windows of days; what is equal for all of them."""

    river: River
    gauged: NDArray[np.bool_]  # reaches whose segment had a gauge in training
    covariances: Mapping[ErrorKind, ErrorCovariance]
    mode: str
    last: int | None  # of a forecast: position of the day of issue
    quantiles: tuple[float, ...] | None
    accompanied: Accompanied  # gauges with others, of the covariance of gauged reaches

    def correct(
        self, predicted: Floats, errors: Sequence[Mapping[ErrorKind, Errors]], before: int, window: Window
    ) -> Floats:
        """Correct the days of a window, given the errors from `before` days before it on."""
        length = len(predicted)
        result = np.array(predicted if self.quantiles is None else [predicted] * len(self.quantiles))
        step = max(1, _PAIRS // length)
        reaches: dict[ErrorKind, NDArray[np.bool_]] = {"ungauged": ~self.gauged, "gauged": self.gauged}
        for kind, where in reaches.items():
            known, covariance = join_days([each[kind] for each in errors]), self.covariances[kind]
            if not where.any() or (known.reach.size == 0 and self.quantiles is None):
                continue
            between, reaches_there = self.river.apart(known.reach, known.reach), np.flatnonzero(where)
            for some in np.split(reaches_there, range(step, reaches_there.size, step)):
                day = np.tile(np.arange(before, before + length), some.size)
                last = self._until(day, window.start - before, len(known.values))
                none = np.full(day.size, -1)
                asked = Asked(np.repeat(some, length), day, last, none, none)
                places = Places.of(self.river, some, known.reach, between)
                mean, deviation = error_given(known, asked, places, covariance)
                if kind == "gauged":
                    mean, deviation = self.accompanied.add(known, asked, covariance, mean, deviation)
                mean, deviation = (each.reshape(some.size, length).T for each in (mean, deviation))
                result[..., some] = self._temperature(predicted[:, some] + mean, deviation, covariance)
        return result

    def _until(self, day: Ints, origin: int, days: int) -> Ints:
        """Return the last day whose observations may be used, counted as `day`."""
        if self.mode == "smooth":
            return np.full(day.size, days - 1)
        return day if self.last is None else np.minimum(day, self.last - origin)

    def _temperature(self, mean: Floats, deviation: Floats, covariance: ErrorCovariance) -> Floats:
        if self.quantiles is None:
            return np.maximum(mean, np.float32(FREEZING))
        spread = covariance.spread
        standard = [np.interp(deviation, spread.temperature, row) for row in spread.at(self.quantiles).T]
        found: Floats = np.maximum(mean + deviation * np.array(standard), FREEZING).astype(np.float32)
        return found
