"""Residuals of a trained model on the validation days, for prediction intervals."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from xmsgl.inputs.windows import calendar_windows
from xmsgl.models.file.intervals import LEAST, fit_table
from xmsgl.models.file.model import Model
from xmsgl.prediction.predictor import FREEZING, Engine, split_inputs, window_days
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.schema.names import LABEL
from xmsgl.schema.rivers import segment_positions
from xmsgl.util.memory import training_memory

if TYPE_CHECKING:
    from collections.abc import Collection

    import xarray as xr

    from xmsgl.inputs.features import Scaling
    from xmsgl.inputs.scales import FloatArray, IntArray
    from xmsgl.inputs.validation import Use
    from xmsgl.inputs.windows import Window
    from xmsgl.models.file.intervals import IntervalTable
    from xmsgl.training.loop import Source

__all__ = ["calibrate", "fine_pairs", "measure_spin_up"]

logger = logging.getLogger(__name__)

#: Days after the start of a record, counted from 1, on which the effect of its start is measured.
SPIN_UP = (1, 7, 30, 90, 180, 365)
# Days after which the record is cut, and the number of reaches compared.
_CUTS, _REACHES = (365, 456, 547, 638), 1000


def calibrate(
    model: Model,
    ds: xr.Dataset,
    use: Use,
    source: Source,
    tasks: Collection[str],
    device: str,
) -> IntervalTable | None:
    """Return the table of a model's residuals, from which its intervals are made.

    The residuals, observed minus predicted, are those of the fine labels on the validation days, with the
    prediction of ``ds.msgl.downscale``: the mean of the members, at least 0. With too few fine labels for a
    table, the residuals are those of the coarse task at the coarse labels, if its last stage was trained on
    observations. The table then has ``scale="coarse"``, and its intervals do not include the error of the
    step from segments to reaches.

    Parameters
    ----------
    model
        The trained model.
    ds
        The dataset it was trained on.
    use
        The labels kept for validation.
    source
        Batches of these labels, for the coarse task.
    tasks
        Tasks of the last stage, trained on observed labels.
    device
        Where to compute: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    IntervalTable or None
        None if there are too few labels on these days at either scale, see
        :func:`xmsgl.models.file.intervals.fit_table`.

    Notes
    -----
    The best epoch was chosen on the same days, so that errors on independent days are slightly larger. More
    important, errors are correlated between the days of a window and between the reaches of a river: a few
    validation windows sample the weather a few times, however many labels they have, and in other years an
    interval of 90 % may contain 80 or 95 % of the observations. Check it with
    :func:`xmsgl.evaluate.coverage` where labels were held out. Only the mean of an ensemble is used:
    disagreement of its members does not widen the intervals.

    References
    ----------
    Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World; Romano, Patterson & Candès
    (2019), arXiv:1905.03222.
    """
    predicted, observed, segment = fine_pairs(model, ds, use, device)
    # Of whole segments held out, each is one draw.
    table = fit_table(predicted, observed, "fine", segment if use.nodes["coarse"].any() else None)
    if table is None and "coarse" in tasks:
        predicted, observed, segment = _coarse_pairs(model, source, device)
        table = fit_table(predicted, observed, "coarse", segment if use.nodes["coarse"].any() else None)
    if table is None:
        logger.info("fewer than %d labels on the validation days: the model has no intervals", LEAST)
    return table


def measure_spin_up(model: Model, ds: xr.Dataset, device: str) -> Model:
    """Add the RMS change of a model's prediction where the record begins later.

    The first three years of the record are predicted as a whole and again from day 365, 456, 547 and 638 on.
    """
    last = _CUTS[-1] + SPIN_UP[-1]
    if ds.sizes["time"] < last:
        logger.info("the record is shorter than %d days: the effect of its start is not measured", last)
        return model
    drivers, fixed = split_inputs(ds.isel(time=slice(0, last)), model.spec.features)
    if drivers.nbytes <= training_memory():  # otherwise each window reads its own days
        drivers = drivers.compute()
    only = np.unique(np.linspace(0, ds.sizes["fine"] - 1, _REACHES).astype(np.int64))
    engine = Engine(model, fixed, device, only=only)
    whole = _predict(engine, drivers, model)[:, only]
    squares = np.zeros(len(SPIN_UP))
    for cut in _CUTS:
        change = _predict(engine, drivers.isel(time=slice(cut, None)), model)[:, only] - whole[cut:]
        squares += [float(np.square(change[day - 1]).mean()) for day in SPIN_UP]
    rms = np.sqrt(squares / len(_CUTS)).round(3).tolist()
    return Model(
        replace(model.spec, spin_up=tuple(zip(SPIN_UP, rms, strict=True))), model.weights, model.history
    )


def _predict(engine: Engine, drivers: xr.Dataset, model: Model) -> FloatArray:
    """Predict all days of a record."""
    features = model.spec.features
    return np.concatenate(
        [engine.run(window_days(drivers, w, features), w) for w in _windows(drivers, model)]
    )


def _windows(ds: xr.Dataset, model: Model) -> list[Window]:
    spec = model.spec
    time = pd.DatetimeIndex(ds.indexes["time"])
    return calendar_windows(time, spec.window, spec.warmup, spec.first_day)


def fine_pairs(
    model: Model, ds: xr.Dataset, use: Use, device: str
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return predictions, observations and segments of the labels of a use; none if there are too few."""
    spec, name = model.spec, f"{LABEL}_fine"
    found = []
    for window in _windows(ds, model) if name in ds else []:
        span = slice(window.start, window.stop)
        mask = use.mask("fine", span)
        if not mask.any():
            continue
        observed = ds[name].isel(time=span).transpose("time", "fine").values
        day, reach = np.nonzero(np.isfinite(observed) & mask)
        if day.size:
            found.append((window, day, reach, observed[day, reach]))
    if sum(reach.size for _, _, reach, _ in found) < LEAST:
        return np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    drivers, fixed = split_inputs(ds, spec.features)
    only = np.unique(np.concatenate([reach for _, _, reach, _ in found])).astype(np.int64)
    engine = Engine(model, fixed, device, only=only)
    predicted = [
        engine.run(window_days(drivers, window, spec.features), window)[day, reach]
        for window, day, reach, _ in found
    ]
    observations = np.concatenate([values for *_, values in found]).astype(np.float32)
    segment = segment_positions(ds)[np.concatenate([reach for _, _, reach, _ in found])]
    return np.concatenate(predicted), observations, segment


def _coarse_pairs(model: Model, source: Source, device: str) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return predictions, observations and segments of the coarse validation labels."""
    modules = [module.to(resolve_device(device)) for module in model.modules()]
    scaling = model.spec.scaling["coarse"]
    none = np.zeros(0, np.float32)
    predicted, observed, segment = [none], [none], [np.zeros(0, np.int64)]
    for item in source.validation(("coarse",)):
        labels = item.labels["coarse"]
        known = torch.isfinite(labels)
        with torch.no_grad():
            outputs = [module.task_outputs(item.batch, ("coarse",))["coarse"] for module in modules]
        mean = torch.stack(outputs).mean(dim=0)
        predicted.append(np.maximum(_degrees(mean[known], scaling), np.float32(FREEZING)))
        observed.append(_degrees(labels[known], scaling))
        segment.append(item.batch.nodes("coarse").cpu().numpy()[known.nonzero()[:, 1].cpu().numpy()])
    return np.concatenate(predicted), np.concatenate(observed), np.concatenate(segment)


def _degrees(values: torch.Tensor, scaling: Scaling) -> FloatArray:
    """Return standardised temperatures in degC."""
    degrees: FloatArray = (values.float() * scaling.label_deviation + scaling.label_mean).cpu().numpy()
    return degrees
