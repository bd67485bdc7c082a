"""Gradient boosting of regression trees as a reference: fitted to all labels and evaluated at once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import torch
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate.references.pooled import FREEZING
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import weather_memory
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours, fit_neighbours
from xmsgl.inputs.scales import FloatArray, IntArray, ScaleInputs
from xmsgl.inputs.season import assign_season
from xmsgl.inputs.validation import label_values
from xmsgl.models.methods.trees import Trees
from xmsgl.schema.names import LABEL
from xmsgl.schema.rivers import segment_positions
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.validate import validate
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["boosting_features", "gradient_boosting"]


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
    """Predict water temperature by the trees of the method ``"trees"``, as a reference.

    They are fitted at the call to all labels of one scale in the dataset, so mask those to be held out first
    (:func:`xmsgl.evaluate.splits.mask_labels`). Trailing means are shorter at the start of the record.
    Returns (time, fine).
    """
    if labels not in SCALES:
        msg = f"labels are {labels!r}; they must be 'coarse' or 'fine'"
        raise InvalidArgumentError(msg)
    ds = as_dataset(obj)
    validate(ds)
    if neighbours:
        known = fit_neighbours(ds, neighbours)
        ds = assign_neighbours(ds, known)
        features = features and list(dict.fromkeys([*features, *neighbour_features(known.lengths)]))
    names = [*(boosting_features(ds) if features is None else features), "season"]
    ds = assign_season(ds)
    chosen = [replace(feature, transform="identity") for feature in choose_features(ds, names)]
    trees = Trees(
        len(chosen),
        labels=labels,
        iterations=iterations,
        min_samples_leaf=min_samples_leaf,
        max_features=max_features,
    )
    booster = _Booster(trees, ScaleInputs(ds, chosen, labels), ds.sizes["time"])
    rows, seen = booster.labelled(_labels(ds, labels), np.argsort(ds.indexes[labels]))
    trees.fit(rows, seen, learning_rate=learning_rate, seed=seed)
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


@dataclass(frozen=True, eq=False)
class _Booster:
    """Trees and their inputs; called for a block of one place."""

    trees: Trees
    inputs: ScaleInputs
    days: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __dask_tokenize__(self) -> str:
        return self.token  # otherwise dask would hash the trees and all series

    def labelled(self, labels: FloatArray, order: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the inputs, (row, feature), and the labels, (row,), place by place in a given order."""
        # In the order of the ids, so that the order of the file does not matter.
        days = {place: np.flatnonzero(np.isfinite(labels[:, place])) for place in order}
        rows = [self._rows(np.array([place]), some) for place, some in days.items() if some.size]
        return np.concatenate(rows), np.concatenate([labels[some, place] for place, some in days.items()])

    def __call__(self, places: IntArray) -> FloatArray:
        """Temperature (time, 1) of a place."""
        predicted = self.trees.predict(torch.from_numpy(self._rows(places, np.arange(self.days))))
        return predicted.clamp_(min=FREEZING).numpy()[:, None]

    def _rows(self, places: IntArray, days: IntArray) -> FloatArray:
        """Return the inputs of a place on some days, (day, feature)."""
        rows: FloatArray = self.inputs.prune(places).gather(days[None])[:, 0, 0]
        return rows


def _labels(ds: xr.Dataset, scale: Scale) -> FloatArray:
    values = label_values(ds, scale)
    if not np.isfinite(values).any():
        raise InvalidDatasetError([f"no label left: {LABEL}_{scale} is missing or NaN everywhere"])
    return values
