"""Gradient boosting of regression trees, a common choice for tabular data.

The trees use the weather of the last days and months, the season, and the attributes of the place, but not
the river network: a graph model that is no better than the trees has learned nothing from the graph.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate.references.pooled import FREEZING
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import Feature, time_of_year, trailing_mean, weather_memory
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours, fit_neighbours
from xmsgl.inputs.validation import label_values
from xmsgl.schema.inherit import fine_offset, fine_values
from xmsgl.schema.names import LABEL
from xmsgl.schema.rivers import segment_positions
from xmsgl.schema.roles import drivers, inherited, statics
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.validate import validate
from xmsgl.util.optional import require
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats: TypeAlias = npt.NDArray[np.float32]

__all__ = ["boosting_features", "gradient_boosting"]

_LEAVES = 63  # half as many trees as with 31 leaves, with the same skill, predict in half the time


def boosting_features(ds: xr.Dataset) -> list[str]:
    """List the features that :func:`gradient_boosting` uses by default."""
    return [*weather_memory(drivers(ds)), *statics(ds)]


def gradient_boosting(
    obj: xr.Dataset | xr.DataTree,
    *,
    labels: Scale = "fine",
    features: Sequence[str] | None = None,
    neighbours: Sequence[float] = (),
    iterations: int = 300,
    learning_rate: float = 0.1,
    min_samples_leaf: int = 20,
    max_features: float = 1.0,
    seed: int = 0,
) -> xr.DataArray:
    """Predict water temperature by gradient boosting of regression trees.

    scikit-learn's ``HistGradientBoostingRegressor``, fitted at the call to all labels of one scale in the
    dataset, so mask those to be held out first (:func:`xmsgl.evaluate.splits.mask_labels`). Returns
    (time, fine); each reach-day is predicted independently, with no graph, state or memory beyond the
    trailing means among its features.

    References
    ----------
    Friedman (2001), doi 10.1214/aos/1013203451; Ke and others (2017), *LightGBM*, on trees of binned
    features.
    """
    if labels not in SCALES:
        msg = f"labels are {labels!r}; they must be 'coarse' or 'fine'"
        raise InvalidArgumentError(msg)
    if iterations < 1 or not learning_rate > 0:
        msg = f"iterations={iterations} and learning_rate={learning_rate}; both must be above 0"
        raise InvalidArgumentError(msg)
    if min_samples_leaf < 1 or not 0 < max_features <= 1:
        msg = (
            f"min_samples_leaf={min_samples_leaf} and max_features={max_features}; the first must be "
            "at least 1, the second above 0 and at most 1"
        )
        raise InvalidArgumentError(msg)
    ensemble = require("sklearn.ensemble", "gradient boosting", extra="benchmark")
    trees = ensemble.HistGradientBoostingRegressor(
        max_iter=iterations,
        learning_rate=learning_rate,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=min_samples_leaf,
        max_features=float(max_features),
        early_stopping=False,
        random_state=seed,
    )
    ds = as_dataset(obj)
    validate(ds)
    if neighbours:
        known = fit_neighbours(ds, neighbours)
        ds = assign_neighbours(ds, known)
        features = features and list(dict.fromkeys([*features, *neighbour_features(known.lengths)]))
    booster = _Booster(trees, _rows(ds, labels, features))
    booster.fit(_labels(ds, labels), ds.indexes[labels])
    places = da.arange(ds.sizes[labels], chunks=1)
    values = da.map_blocks(
        booster, places, dtype=np.float32, new_axis=0, chunks=(ds.sizes["time"], 1), meta=np.empty((0, 0))
    )
    if labels == "coarse":
        values = values[:, segment_positions(ds)]
    attrs = {
        "units": "degC",
        "long_name": f"water temperature, gradient boosting on {labels} labels",
        "method": "gradient boosting",
        "labels": labels,
    }
    coords = {"time": ds["time"], "fine": ds["fine"]}
    return xr.DataArray(values, coords, ("time", "fine"), name=f"{LABEL}_fine", attrs=attrs)


@dataclass(frozen=True)
class _Driver:
    """A driver's series, and which series each place has."""

    series: Floats  # (source, time)
    source: npt.NDArray[np.int64]  # (place,)
    offset: npt.NDArray[np.float64]  # (place,)

    def of(self, place: int) -> Any:
        return self.series[self.source[place]] + self.offset[place]


@dataclass(frozen=True)
class _Rows:
    """The input of the trees."""

    features: tuple[Feature, ...]
    drivers: dict[str, _Driver]
    statics: dict[str, Floats]  # (place,)
    season: Floats  # (time, 2)

    def __call__(self, place: int) -> Floats:
        """Features of a place, (time, feature)."""
        series = {name: driver.of(place) for name, driver in self.drivers.items()}
        rows = np.empty((len(self.season), len(self.features) + self.season.shape[1]), np.float32)
        for k, feature in enumerate(self.features):
            name, days = feature.name, feature.days
            rows[:, k] = trailing_mean(series[name], days) if feature.dynamic else self.statics[name][place]
        rows[:, len(self.features) :] = self.season
        return rows


@dataclass(frozen=True, eq=False)
class _Booster:
    """Trees and their rows; called for a block of one place."""

    trees: Any
    rows: _Rows
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __dask_tokenize__(self) -> str:
        return self.token  # otherwise dask would hash the trees and all series

    def fit(self, labels: Floats, ids: pd.Index[Any]) -> None:
        """Fit the trees to the labels (time, place), NaN where there is none."""
        seen = np.isfinite(labels)
        # In the order of the ids, so that the order of the file does not matter.
        places = [place for place in np.argsort(ids) if seen[:, place].any()]
        rows = np.concatenate([self.rows(place)[seen[:, place]] for place in places])
        self.trees.fit(rows, np.concatenate([labels[seen[:, place], place] for place in places]))

    def __call__(self, places: npt.NDArray[np.int64]) -> Floats:
        """Temperature (time, 1) of a place."""
        (place,) = places
        predicted: Floats = self.trees.predict(self.rows(place)).astype(np.float32)
        return np.maximum(predicted, np.float32(FREEZING))[:, None]


def _labels(ds: xr.Dataset, scale: Scale) -> Floats:
    values = label_values(ds, scale)
    if not np.isfinite(values).any():
        raise InvalidDatasetError([f"no label left: {LABEL}_{scale} is missing or NaN everywhere"])
    return values


def _rows(ds: xr.Dataset, scale: Scale, names: Sequence[str] | None) -> _Rows:
    features = choose_features(ds, boosting_features(ds) if names is None else names)
    dynamic = {feature.name: _driver(ds, scale, feature.name) for feature in features if feature.dynamic}
    static = {feature.name: _static(ds, scale, feature.name) for feature in features if not feature.dynamic}
    season = time_of_year(pd.DatetimeIndex(ds.indexes["time"]).day_of_year).astype(np.float32)
    return _Rows(features, dynamic, static, season)


def _driver(ds: xr.Dataset, scale: Scale, base: str) -> _Driver:
    inherits = scale == "fine" and inherited(ds, base)
    where = "coarse" if inherits else scale
    series = np.ascontiguousarray(ds[f"{base}_{where}"].transpose(where, "time").values, dtype=np.float32)
    offset = fine_offset(ds, base) if inherits else None
    source = segment_positions(ds) if inherits else np.arange(ds.sizes[scale])
    return _Driver(series, source, np.zeros(len(source)) if offset is None else offset)


def _static(ds: xr.Dataset, scale: Scale, base: str) -> Floats:
    values = fine_values(ds, base) if scale == "fine" else ds[f"{base}_coarse"]
    return np.asarray(values.values, dtype=np.float32)
