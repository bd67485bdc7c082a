"""Regression of segment temperatures on weather, season and attributes, for neighbour anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl import schema
from xmsgl.inputs.features import parse_feature, time_of_year, trailing_mean, weather_memory

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Rows", "fit_regression", "static_ridge"]

Floats: TypeAlias = npt.NDArray[np.float64]

# Ridge on standardised columns, which keeps collinear ones solvable.
_RIDGE = 1.0
_STATIC_STRENGTH = 3.0


def static_ridge(n_labels: int, n_places: int) -> float:
    """Return the ridge of a static attribute: the weight of three segments' labels.

    An attribute has one value for each segment, however many days are labelled. Without the ridge, a few
    attributes would fit a few segments exactly and leave no anomaly.
    """
    return _STATIC_STRENGTH * n_labels / n_places


@dataclass(frozen=True)
class Rows:
    """Predictors of the regression."""

    series: dict[str, npt.NDArray[Any]]  # (time, place) of each driver
    features: list[tuple[str, int]]  # driver, days of the mean
    season: Floats  # (time, 2)
    fixed: Floats  # (place, static attribute)

    @classmethod
    def of(cls, ds: xr.Dataset, places: npt.NDArray[np.int64]) -> Rows:
        """Read the predictors of some segments."""
        drivers, statics = schema.drivers(ds), schema.statics(ds)
        some = ds[[f"{base}_coarse" for base in (*drivers, *statics)]].isel(coarse=places).compute()
        series = {base: some[f"{base}_coarse"].transpose("time", "coarse").values for base in drivers}
        fixed = [some[f"{base}_coarse"].values.astype(np.float64) for base in statics]
        return cls(
            series,
            [parse_feature(label) for label in weather_memory(drivers)],
            time_of_year(pd.DatetimeIndex(ds.indexes["time"]).day_of_year),
            np.stack(fixed, axis=1) if fixed else np.zeros((places.size, 0)),
        )

    def ridge(self, n: int) -> Floats:
        """Return the ridge of the standardised columns for `n` labels, (column,)."""
        fixed = max(_RIDGE, static_ridge(n, len(self.fixed)))
        weather = len(self.features) + self.season.shape[1]
        return np.concatenate([np.full(weather, _RIDGE), np.full(self.fixed.shape[1], fixed)])

    def __call__(self, place: int) -> Floats:
        """Return the rows of a segment on all days, (time, column)."""
        means = [trailing_mean(self.series[name][:, place], days) for name, days in self.features]
        fixed = np.broadcast_to(self.fixed[place], (len(self.season), self.fixed.shape[1]))
        return np.concatenate([np.stack(means, axis=1), self.season, fixed], axis=1)


def fit_regression(gram: Floats, ridge: Floats) -> Floats:
    """Solve normal equations, (column, column), of standardised columns for intercept and slopes."""
    n, mean = gram[0, 0], gram[0, 1:] / gram[0, 0]
    spread = gram[1:, 1:] - n * np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diag(spread), 0.0) / n)[:-1]
    # The deviation of a constant column is rounding error.
    used = np.flatnonzero(deviation > 1e-6 * (1.0 + np.abs(mean[:-1])))
    scale = deviation[used]
    system = spread[np.ix_(used, used)] / np.outer(scale, scale) + np.diag(ridge[used])
    slopes = np.zeros(deviation.size)
    slopes[used] = np.linalg.solve(system, spread[used, -1] / scale) / scale
    return np.concatenate([[mean[-1] - mean[:-1] @ slopes], slopes])
