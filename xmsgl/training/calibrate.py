"""How far a trained model is off: its residuals on the validation days, ready for intervals."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from xmsgl.inputs.windows import calendar_windows
from xmsgl.models.file.intervals import LEAST, fit_table
from xmsgl.models.file.model import Model
from xmsgl.prediction.predictor import FREEZING, Engine, split_inputs, window_days
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.schema.names import LABEL

if TYPE_CHECKING:
    from collections.abc import Collection

    import xarray as xr

    from xmsgl.inputs.features import Scaling
    from xmsgl.inputs.scales import FloatArray
    from xmsgl.training.loop import Source

__all__ = ["calibrate", "measure_spin_up"]

logger = logging.getLogger(__name__)

#: Days after the start of a record, counted from 1, on which its influence is measured.
SPIN_UP = (1, 7, 30, 90, 180, 365)
#: Days of the record after which it is cut, and reaches that are looked at.
_CUTS, _REACHES = (365, 456, 547, 638), 1000


def calibrate(
    model: Model,
    ds: xr.Dataset,
    days: npt.NDArray[np.bool_],
    source: Source,
    tasks: Collection[str],
    device: str,
) -> Model:
    """Give a model the table of its residuals that intervals are made of.

    The residuals, observed minus predicted, are those of the fine labels on the validation days, and the
    prediction is what ``ds.msgl.downscale`` gives there: the mean of the members, not below 0. Where there
    are fewer fine labels than a table takes, the coarse task is compared with the coarse labels in their
    stead, if it was trained to the end. The table says so (``scale``): such intervals leave out what the
    step from segments to reaches adds.

    Parameters
    ----------
    model
        As trained.
    ds
        What it was trained on.
    days
        The validation days, boolean (time,).
    source
        Batches of these days, for the coarse task.
    tasks
        What was trained on observed labels at last.
    device
        Where to compute.

    Returns
    -------
    Model
        With a table; the same model if there are too few labels on these days at either scale, see
        :func:`xmsgl.models.file.intervals.fit_table`.

    Notes
    -----
    The best epoch was chosen on the same days. A choice among some dozen epochs explains little of the
    errors away, yet on days that nobody has looked at they are a little larger. What matters more is that
    the days of a window and the reaches of a river err alike: a few validation windows are a few draws of
    weather, however many labels they hold, and on other years an interval of 90 % may hold 80 or 95.
    Check it with :func:`xmsgl.evaluate.coverage` where labels were held out. Of an ensemble only the mean
    enters: where its members disagree, the intervals are no wider.

    References
    ----------
    Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World; Romano, Patterson & Candès
    (2019), arXiv:1905.03222.
    """
    table = fit_table(*_fine_pairs(model, ds, days, device), "fine")
    if table is None and "coarse" in tasks:
        table = fit_table(*_coarse_pairs(model, source, device), "coarse")
    if table is None:
        logger.info("fewer than %d labels on the validation days: the model can tell no intervals", LEAST)
        return model
    return Model(replace(model.spec, intervals=table), model.weights, model.history)


def measure_spin_up(model: Model, ds: xr.Dataset, device: str) -> Model:
    """Give a model the changes of its prediction where a record begins later.

    The first three years of the record are predicted as a whole and cut after 365, 456, 547 and 638 days.
    """
    last = _CUTS[-1] + SPIN_UP[-1]
    if ds.sizes["time"] < last:
        logger.info("a record of less than %d days: what its start changes is not measured", last)
        return model
    drivers, fixed = split_inputs(ds.isel(time=slice(0, last)), model.spec.features)
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
    spec = model.spec
    time = pd.DatetimeIndex(drivers.indexes["time"])
    windows = calendar_windows(time, spec.window, spec.warmup, spec.first_day)
    return np.concatenate([engine.run(window_days(drivers, w, spec.features), w) for w in windows])


def _fine_pairs(
    model: Model, ds: xr.Dataset, days: npt.NDArray[np.bool_], device: str
) -> tuple[FloatArray, FloatArray]:
    """Predicted and observed temperature of the labelled reaches on some days; none if these are too few."""
    spec, name = model.spec, f"{LABEL}_fine"
    found = []
    time = pd.DatetimeIndex(ds.indexes["time"])
    windows = calendar_windows(time, spec.window, spec.warmup, spec.first_day)
    for window in windows if name in ds else []:
        span = slice(window.start, window.stop)
        if not days[span].any():
            continue
        observed = ds[name].isel(time=span).transpose("time", "fine").values
        day, reach = np.nonzero(np.isfinite(observed) & days[span, None])
        if day.size:
            found.append((window, day, reach, observed[day, reach]))
    if sum(reach.size for _, _, reach, _ in found) < LEAST:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    drivers, fixed = split_inputs(ds, spec.features)
    only = np.unique(np.concatenate([reach for _, _, reach, _ in found])).astype(np.int64)
    engine = Engine(model, fixed, device, only=only)
    predicted = [
        engine.run(window_days(drivers, window, spec.features), window)[day, reach]
        for window, day, reach, _ in found
    ]
    return np.concatenate(predicted), np.concatenate([values for *_, values in found]).astype(np.float32)


def _coarse_pairs(model: Model, source: Source, device: str) -> tuple[FloatArray, FloatArray]:
    """Predicted and observed temperature of the labelled segments on the validation days."""
    modules = [module.to(resolve_device(device)) for module in model.modules()]
    scaling = model.spec.scaling["coarse"]
    none = np.zeros(0, np.float32)
    predicted, observed = [none], [none]
    for item in source.validation(("coarse",)):
        labels = item.labels["coarse"]
        known = torch.isfinite(labels)
        with torch.no_grad():
            outputs = [module.task_outputs(item.batch, ("coarse",))["coarse"] for module in modules]
        mean = torch.stack(outputs).mean(dim=0)
        predicted.append(np.maximum(_degrees(mean[known], scaling), np.float32(FREEZING)))
        observed.append(_degrees(labels[known], scaling))
    return np.concatenate(predicted), np.concatenate(observed)


def _degrees(values: torch.Tensor, scaling: Scaling) -> FloatArray:
    """Return temperature: standardised values in degC."""
    degrees: FloatArray = (values.float() * scaling.label_deviation + scaling.label_mean).cpu().numpy()
    return degrees
