"""The predictions, observations and errors of consecutive days, and the correction of these days."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, UncalibratedModelError
from xmsgl.inputs.windows import Window, calendar_windows
from xmsgl.prediction.downscale import held_out_shares, weighted_means
from xmsgl.reconstruct.companions import Accompanied
from xmsgl.reconstruct.correction import Correction
from xmsgl.reconstruct.given import LIMIT
from xmsgl.reconstruct.river import River
from xmsgl.reconstruct.saved import drivers_from
from xmsgl.reconstruct.sensors import sensor_errors
from xmsgl.schema.ranges import refuse_impossible_water

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance, ErrorKind
    from xmsgl.models.file.model import Model
    from xmsgl.reconstruct.given import Errors
    from xmsgl.reconstruct.saved import Saved

    Floats = NDArray[np.float32]
    _Both = Mapping[ErrorKind, Errors]  # of the trainings that left a sensor out, and of the mean

__all__ = [
    "Run",
    "accompanied",
    "corrected",
    "corrected_lazily",
    "error_covariances",
    "errors_of",
    "known_river",
    "stepwise",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """The predictions on consecutive days, the observations, and the errors before."""

    ds: xr.Dataset
    labels: dict[str, Any]
    predicted: Any  # the mean of the trainings, (day, reach)
    own: Any  # that of those which left the segment of a reach out
    gauged: NDArray[np.bool_]
    windows: list[Window]
    before: list[Any]  # errors of the days of a saved state

    @classmethod
    def of(cls, ds: xr.Dataset, labels: Any, days: slice, saved: Saved | None, *options: Any) -> Run:
        """Predict some days, from no more drivers than they depend on."""
        model, warmup, device = options
        time = pd.DatetimeIndex(ds.indexes["time"])
        first = max(0, (drivers_from(model, time[days.start], warmup) - time[0]).days) if days.start else 0
        ds = ds.isel(time=slice(first, days.stop))
        shares = [np.array(model.shares)[:, None], held_out_shares(model, ds)]
        predicted, own = weighted_means(ds, model, shares, warmup, device, carry=False)
        kept = slice(days.start - first, None)
        return cls(
            ds.isel(time=kept),
            {scale: each[days] for scale, each in labels.items()},
            predicted[kept],
            own[kept],
            gauged=(shares[0] != shares[1]).any(axis=0),
            windows=_windows(time[days], model),
            before=[saved.errors] if saved is not None and saved.begin == days.start else [],
        )

    @property
    def is_lazy(self) -> bool:
        """Whether anything is still to be computed."""
        return any(not isinstance(each, np.ndarray) for each in (self.predicted, *self.labels.values()))

    def computed(self) -> Run:
        """Return the same with all arrays in memory."""
        from dask.base import compute

        labels, predicted, own, before = compute(self.labels, self.predicted, self.own, self.before)
        return replace(self, labels=labels, predicted=predicted, own=own, before=before)

    def cut(self, days: slice, model: Model) -> Run:
        """Return some of the days, without errors before them."""
        return replace(
            self,
            ds=self.ds.isel(time=days),
            labels={scale: each[days] for scale, each in self.labels.items()},
            predicted=self.predicted[days],
            own=self.own[days],
            windows=_windows(pd.DatetimeIndex(self.ds.indexes["time"])[days], model),
            before=[],
        )

    def errors(self, find: Callable[..., Any], river: Any) -> list[Any]:
        """Find the errors of each window, after those before."""

        def one(span: slice) -> Any:
            labels = {scale: each[span] for scale, each in self.labels.items()}
            return find(labels, self.predicted[span], self.own[span], river)

        return [*self.before, *(one(slice(window.start, window.stop)) for window in self.windows)]

    def spans(self, first: int) -> list[tuple[int, list[int], Window]]:
        """Return the windows from a day on, each with the days before it that count and their errors."""
        known = [*(Window(-LIMIT, 0, 0) for _ in self.before), *self.windows]
        found = []
        for window in (replace(w, start=max(w.start, first)) for w in self.windows if w.stop > first):
            around = window.start - LIMIT, window.stop + LIMIT
            near = [k for k, w in enumerate(known) if w.stop > around[0] and w.start < around[1]]
            found.append((window.start - known[near[0]].start, near, window))
        return found


def _windows(days: pd.DatetimeIndex, model: Model) -> list[Window]:
    return calendar_windows(days, model.spec.window, 0, model.spec.first_day)


def errors_of(labels: dict[str, Any], predicted: Floats, own: Floats, river: River) -> _Both:
    """Return the errors at the sensors of some days."""
    fine = labels.get("fine", np.full(own.shape, np.nan, np.float32))
    coarse = labels.get("coarse", np.full((len(own), river.segment.max() + 1), np.nan, np.float32))
    fine, coarse = (np.asarray(each, np.float32) for each in (fine, coarse))
    refuse_impossible_water(fine, "reaches")
    refuse_impossible_water(coarse, "segments")
    return {
        "ungauged": sensor_errors(fine, coarse, own, river),
        "gauged": sensor_errors(fine, coarse, predicted, river),
    }


def corrected(run: Run, task: Correction, first: int) -> Floats:
    """Return the corrected prediction from a day on, (day, reach) or (quantile, day, reach)."""
    errors = run.errors(errors_of, task.river)
    if not any(each["gauged"].reach.size for each in errors):
        logger.warning("no sensor reports, so the prediction is that of the model alone")

    def one(before: int, near: list[int], window: Window) -> Floats:
        predicted = run.predicted[window.start : window.stop]
        return task.correct(predicted, [errors[k] for k in near], before, window)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        blocks = pool.map(one, *zip(*run.spans(first), strict=True))
        return np.concatenate(list(blocks), axis=-2)


def corrected_lazily(run: Run, task: Correction, first: int) -> Any:
    """Return the same as a Dask array."""
    import dask.array as da
    from dask.delayed import delayed

    before = [delayed(each, pure=True) for each in run.before]
    run = replace(run, predicted=da.asarray(run.predicted), own=da.asarray(run.own), before=before)
    shared, river = delayed(task, pure=True), delayed(task.river, pure=True)
    find, correct = delayed(errors_of, pure=True), delayed(Correction.correct, pure=True)
    errors = run.errors(find, river)
    more = () if task.quantiles is None else (len(task.quantiles),)
    blocks = []
    for start, near, window in run.spans(first):
        predicted = run.predicted[window.start : window.stop]
        values = correct(shared, predicted, [errors[k] for k in near], start, window)
        blocks.append(da.from_delayed(values, (*more, *predicted.shape), np.float32))
    return da.concatenate(blocks, axis=-2)


def known_river(ds: xr.Dataset, covariances: Mapping[ErrorKind, ErrorCovariance]) -> River:
    """Read the river of a dataset; refuse other coordinates than in training."""
    river = River.of(ds)
    placed = river.place is not None
    if any(each.coordinates != placed for each in covariances.values()):
        had = "no coordinates" if placed else "coordinates, lat and lon, of all reaches or segments"
        msg = f"the model was trained with {had}, unlike this dataset; give it the same, or train again"
        raise InvalidArgumentError(msg)
    return river


def accompanied(
    ds: xr.Dataset, river: River, covariances: Mapping[ErrorKind, ErrorCovariance]
) -> Accompanied:
    """Find the gauges whose errors are regressed on those of others in the river of a dataset."""
    ids = schema.id_values(ds.indexes["fine"].to_numpy()).tolist()
    return Accompanied.of(river, covariances["gauged"], ids)


def error_covariances(model: Model, quantiles: Sequence[float] | None) -> Mapping[ErrorKind, ErrorCovariance]:
    """Return the covariances of a model's errors; refuse a model without, or without one of the quantiles."""
    if not model.spec.errors:
        msg = (
            f"model {model.sha256[:12]} has no covariance of its errors: either no training left out the "
            "gauges in turn, then train with ds.msgl.train(..., validation='folds'), or there were too few "
            "errors, of which the training warned, then train on more gauges, days or folds"
        )
        raise UncalibratedModelError(msg)
    for covariance in model.spec.errors.values() if quantiles is not None else ():
        covariance.spread.at(() if quantiles is None else quantiles)
    return model.spec.errors


def stepwise(model: Model) -> bool:
    """Say whether the prediction of a day needs no later day."""
    return all(module.stepwise for part in model.parts for module in part.modules())
