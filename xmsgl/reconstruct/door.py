"""Reconstruction: a model's prediction corrected by its errors at the sensors that report."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, UncalibratedModelError, UnknownNameError, shorten
from xmsgl.inputs.windows import calendar_windows
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.packaged import SENSORS
from xmsgl.prediction.downscale import held_out_shares, in_order, label_days, weighted_means
from xmsgl.prediction.predictor import FREEZING
from xmsgl.reconstruct.given import LIMIT, Asked, Places, error_given
from xmsgl.reconstruct.river import River
from xmsgl.reconstruct.sensors import join_days, sensor_errors
from xmsgl.schema.graphs import known_segments

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from xmsgl.inputs.windows import Window
    from xmsgl.models.file.covariance import ErrorCovariance, ErrorKind
    from xmsgl.reconstruct.given import Errors

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]
    _Both = Mapping[ErrorKind, Errors]  # of the trainings that left a sensor out, and of the mean

__all__ = ["MODES", "Correction", "reconstruct"]

logger = logging.getLogger(__name__)

#: Which observations may be used for a day.
MODES = {
    "smooth": "of days before and after it",
    "filter": "up to the day itself",
    "forecast": "up to the last day with an observation, for days after it",
}
_PAIRS = 500_000  # reach-days corrected at a time


def reconstruct(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    observed: xr.DataArray | xr.Dataset | None = None,
    mode: str = "smooth",
    lead: int | None = None,
    quantiles: Sequence[float] | None = None,
    warmup: int | None = None,
    device: str = "auto",
) -> xr.DataArray:
    """Predict the daily temperature of every reach given the sensors that report.

    The errors of the model at the sensors are interpolated along the river, across land and in time, and
    added to its prediction: kriging of residuals with the covariances that training found. For a reach whose
    segment had no gauge in training, the error at a sensor is that of the training that left it out; for one
    with a gauge, it is that of the mean of the trainings.

    Parameters
    ----------
    obj
        A dataset of the convention. Drivers may have a further dimension ``member``, of an ensemble forecast
        of the weather: each member is reconstructed alone.
    model
        A model trained with ``validation="folds"``, such as ``recipe="sensors"``, or its path. Default: the
        packaged ``"delaware-sensors"``, in that basin only.
    observed
        Observed temperature, degC, (time, fine) or (time, coarse), or a dataset of both with the names of the
        convention. Default: the observations in the dataset. Where a segment is observed at both scales on a
        day, the observation of the reach is used.
    mode
        ``"smooth"``: given the observations of 120 days before and after each day. ``"filter"``: given those
        up to the day. ``"forecast"``: given those up to the day of issue, for the days after it, whose
        drivers must be in the dataset. The day of issue is the last day of `observed`, or else the last day
        with an observation in the dataset.
    lead
        Number of days to forecast. Default: all that the dataset has.
    quantiles
        Probabilities such as ``[0.05, 0.5, 0.95]``: return these quantiles of an observation.
    warmup, device
        As in ``ds.msgl.downscale``.

    Returns
    -------
    xarray.DataArray
        degC, (time, fine), or (quantile, time, fine); lazy if the dataset is. A forecast has the dimension
        ``lead`` in place of ``time``, with the days as coordinate ``time`` and the day of issue as ``issue``.
        With members the first dimension is ``member``.

    Raises
    ------
    UncalibratedModelError
        The model has no covariance of its errors.
    InvalidArgumentError
        There is no observation, or nothing to forecast; or no model is given outside the Delaware.
    UnknownNameError
        No such mode.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=8, years=2, seed=3)
    >>> model = ds.msgl.train("trees", validation="folds:2", iterations=10, progress=False)
    >>> reconstruct(ds, model).sizes["fine"] == ds.sizes["fine"]
    True
    """
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    if lead is not None and (mode != "forecast" or lead < 1 or lead != int(lead)):
        msg = (
            f"lead is a number of days of at least 1 for mode='forecast', got lead={lead} with mode={mode!r}"
        )
        raise InvalidArgumentError(msg)
    whole = schema.as_dataset(obj)
    if "member" in whole.dims:
        alone = partial(
            reconstruct,
            model=model,
            observed=observed,
            mode=mode,
            lead=lead,
            quantiles=quantiles,
            warmup=warmup,
            device=device,
        )
        each = [alone(one) for one in _members(whole)]
        return xr.concat(each, whole["member"], coords="minimal", compat="override", combine_attrs="override")
    ds, order = in_order(whole)
    fitted = _packaged(ds) if model is None else model if isinstance(model, Model) else load_model(model)
    covariances = _covariances(fitted, quantiles)
    labels = _labels(ds, observed)
    wanted, last = slice(0, ds.sizes["time"]), None
    if mode == "forecast":
        last = _issue(ds, labels, observed)
        ds, labels, wanted, last = _for_forecast(ds, labels, fitted, lead, last)
    shares = [np.array(fitted.shares)[:, None], held_out_shares(fitted, ds)]
    predicted, own = weighted_means(ds, fitted, shares, warmup, device, carry=False)
    gauged = (shares[0] != shares[1]).any(axis=0)
    days = pd.DatetimeIndex(ds.indexes["time"])
    windows = calendar_windows(days, fitted.spec.window, fitted.spec.warmup, fitted.spec.first_day)
    asked = None if quantiles is None else tuple(quantiles)
    river = River.of(ds)
    if any(each.coordinates != (river.place is not None) for each in covariances.values()):
        had = (
            "no coordinates"
            if river.place is not None
            else "coordinates, lat and lon, of all reaches or segments"
        )
        msg = f"the model was trained with {had}, unlike this dataset; give it the same, or train again"
        raise InvalidArgumentError(msg)
    task = Correction(river, gauged, covariances, mode, last, asked)
    values = (_lazy if _is_lazy(predicted, labels) else _eager)(predicted, own, labels, windows, task)
    how = f", mode={mode!r}" + ("" if quantiles is None else f", quantiles={list(quantiles)}")
    result = _labelled(values, ds, fitted, how, quantiles, mode).isel(time=wanted)
    if last is not None:
        return _as_forecast(result, days[last])
    return result if order is None else result.isel(time=order)


def _members(ds: xr.Dataset) -> Iterator[xr.Dataset]:
    """Return the dataset of each member; only drivers may have members."""
    labels = {f"{schema.LABEL}_{scale}" for scale in ("fine", "coarse")}
    having = [str(name) for name, each in ds.data_vars.items() if "member" in each.dims]
    wrong = [name for name in having if name in labels or "time" not in ds[name].dims]
    if wrong:
        msg = (
            f"{shorten(wrong)} must not have the dimension 'member', which is for drivers; select one member"
        )
        raise InvalidArgumentError(msg)
    for number in range(ds.sizes["member"]):
        yield ds.isel(member=number, drop=True)


def _packaged(ds: xr.Dataset) -> Model:
    """Load the packaged model; refuse a basin in which it knows no segment."""
    model = load_model(SENSORS)
    if not model.spec.network.recognise(known_segments(ds)).any():
        msg = (
            f"no model is given, and the packaged {SENSORS} is of another basin; train one with "
            "ds.msgl.train(recipe='sensors')"
        )
        raise InvalidArgumentError(msg)
    logger.info("no model given: using the packaged model %s", SENSORS)
    return model


def _covariances(model: Model, quantiles: Sequence[float] | None) -> Mapping[ErrorKind, ErrorCovariance]:
    if not model.spec.errors:
        msg = (
            f"model {model.sha256[:12]} has no covariance of its errors, because no training left out the "
            "gauges in turn; train with ds.msgl.train(..., validation='folds')"
        )
        raise UncalibratedModelError(msg)
    for covariance in model.spec.errors.values() if quantiles is not None else ():
        covariance.spread.at(quantiles or ())
    return model.spec.errors


def _labels(ds: xr.Dataset, observed: xr.DataArray | xr.Dataset | None) -> dict[str, Any]:
    """Return observations of both scales on the days and ids of a dataset, (time, node), or None."""
    if observed is None:
        given = {scale: ds[name] for scale in ("fine", "coarse") if (name := f"{schema.LABEL}_{scale}") in ds}
    elif isinstance(observed, xr.Dataset):
        found = {str(name): observed[name] for name in observed}
        given = {s: found[name] for s in ("fine", "coarse") if (name := f"{schema.LABEL}_{s}") in found}
    else:
        given = {"coarse" if "coarse" in observed.dims else "fine": observed}
    if not given:
        names = f"{schema.LABEL}_fine and {schema.LABEL}_coarse"
        msg = f"there is no observation: {names} are missing; give observed="
        raise InvalidArgumentError(msg)
    return {scale: _aligned(ds, array, scale) for scale, array in given.items()}


def _aligned(ds: xr.Dataset, array: xr.DataArray, scale: str) -> Any:
    """Return observations on the days and nodes of a dataset; refuse unknown nodes and other units."""
    units = str(array.attrs.get("units", "degC"))
    if not schema.same_units(units, "degC"):
        msg = f"the observations are in {units}, not in degC; convert them and set the attribute units"
        raise InvalidArgumentError(msg)
    if set(array.dims) != {"time", scale} or not set(array.dims) <= set(array.indexes):
        msg = f"observations must have the dimensions time and {scale} with their ids, not {array.dims}"
        raise InvalidArgumentError(msg)
    if lost := sorted(set(array.indexes[scale]) - set(ds.indexes[scale]), key=str):
        msg = f"observations of {shorten(lost)}, which are not among the ids of {scale!r}; leave them out"
        raise InvalidArgumentError(msg)
    for dim in ("time", scale):
        if not (index := array.indexes[dim]).is_unique:
            twice = shorten(index[index.duplicated()].unique())
            msg = f"there are two observations or more of {dim} {twice}; keep one of each"
            raise InvalidArgumentError(msg)
    days = ds.indexes["time"]
    if not array.indexes["time"].isin(days).any():
        msg = (
            f"no observation lies on a day of the dataset, which has days from {days[0]} to {days[-1]}; give "
            "observations of these days, daily means at the same time of day"
        )
        raise InvalidArgumentError(msg)
    return array.transpose("time", scale).reindex({"time": days, scale: ds.indexes[scale]}).data


@dataclass(frozen=True, eq=False)
class Correction:
    """Corrects the prediction of windows of days; what is equal for all of them."""

    river: River
    gauged: NDArray[np.bool_]  # reaches whose segment had a gauge in training
    covariances: Mapping[ErrorKind, ErrorCovariance]
    mode: str
    last: int | None  # of a forecast: position of the last day with an observation
    quantiles: tuple[float, ...] | None

    def correct(self, predicted: Floats, errors: Sequence[_Both], before: int, window: Window) -> Floats:
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


def _spans(windows: Sequence[Window]) -> list[tuple[int, list[int]]]:
    """Return for each window the days before it that count, and the windows with days that count."""
    found = []
    for window in windows:
        near = [
            k
            for k, w in enumerate(windows)
            if w.stop > window.start - LIMIT and w.start < window.stop + LIMIT
        ]
        found.append((window.start - windows[near[0]].start, near))
    return found


def _errors(labels: dict[str, Any], predicted: Floats, own: Floats, river: River) -> _Both:
    """Return the errors at the sensors of some days."""
    fine = labels.get("fine", np.full(own.shape, np.nan, np.float32))
    coarse = labels.get("coarse", np.full((len(own), river.segment.max() + 1), np.nan, np.float32))
    fine, coarse = (np.asarray(each, np.float32) for each in (fine, coarse))
    return {
        "ungauged": sensor_errors(fine, coarse, own, river),
        "gauged": sensor_errors(fine, coarse, predicted, river),
    }


def _eager(
    predicted: Floats, own: Floats, labels: Any, windows: Sequence[Window], task: Correction
) -> Floats:
    spans = [slice(window.start, window.stop) for window in windows]
    errors = [
        _errors({s: each[span] for s, each in labels.items()}, predicted[span], own[span], task.river)
        for span in spans
    ]
    if not any(each["gauged"].reach.size for each in errors):
        logger.warning("no sensor reports, so the prediction is that of the model alone")

    around = _spans(windows)

    def one(number: int) -> Floats:
        before, near = around[number]
        return task.correct(predicted[spans[number]], [errors[k] for k in near], before, windows[number])

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.concatenate(list(pool.map(one, range(len(windows)))), axis=-2)


def _lazy(predicted: Any, own: Any, labels: Any, windows: Sequence[Window], task: Correction) -> Any:
    import dask.array as da
    from dask.delayed import delayed

    predicted, own = (da.asarray(each) for each in (predicted, own))
    spans = [slice(window.start, window.stop) for window in windows]
    shared, river = delayed(task, pure=True), delayed(task.river, pure=True)
    find, correct = delayed(_errors, pure=True), delayed(Correction.correct, pure=True)
    errors = [
        find({s: each[span] for s, each in labels.items()}, predicted[span], own[span], river)
        for span in spans
    ]
    more = () if task.quantiles is None else (len(task.quantiles),)
    blocks = []
    for (before, near), window, span in zip(_spans(windows), windows, spans, strict=True):
        values = correct(shared, predicted[span], [errors[k] for k in near], before, window)
        shape = (*more, window.stop - window.start, predicted.shape[1])
        blocks.append(da.from_delayed(values, shape, np.float32))
    return da.concatenate(blocks, axis=-2)


def _is_lazy(predicted: Any, labels: dict[str, Any]) -> bool:
    return any(not isinstance(each, np.ndarray) for each in (predicted, *labels.values()))


def _issue(ds: xr.Dataset, labels: dict[str, Any], observed: xr.DataArray | xr.Dataset | None) -> int:
    """Return the position of the last day whose observations are known."""
    if observed is not None:
        day = pd.DatetimeIndex(observed.indexes["time"]).max()
        return int(np.searchsorted(ds.indexes["time"].to_numpy(), day.to_datetime64(), side="right")) - 1
    seen = np.any([np.asarray(np.isfinite(each).any(axis=1)) for each in labels.values()], axis=0)
    return int(np.flatnonzero(seen)[-1]) if seen.any() else -1


def _for_forecast(
    ds: xr.Dataset, labels: dict[str, Any], model: Model, lead: int | None, last: int
) -> tuple[xr.Dataset, dict[str, Any], slice, int]:
    """Cut to the days that a forecast needs; return also the days to forecast and the day of issue."""
    if last < 0:
        msg = "no observation lies on a day of the dataset to forecast from; give observed=, or mode='smooth'"
        raise InvalidArgumentError(msg)
    days = ds.sizes["time"]
    stop = days if lead is None else last + 1 + lead
    if last + 1 == days or stop > days:
        ends = ds.indexes["time"][-1].date()
        msg = (
            f"the forecast is issued on {ds.indexes['time'][last].date()} and the drivers end on {ends}, so "
            f"there are drivers for {days - 1 - last} days of forecast; add drivers, ask for fewer days, or "
            "give observed= up to an earlier day"
        )
        raise InvalidArgumentError(msg)
    spec = model.spec
    time = pd.DatetimeIndex(ds.indexes["time"])
    windows = calendar_windows(time, spec.window, spec.warmup, spec.first_day)
    begin = next(w.start for w in windows if w.stop > last - LIMIT)
    memory = max(feature.days for part in (spec, *spec.parts) for feature in part.features)
    first = max(0, begin - spec.warmup - memory)
    kept = slice(first, stop)
    labels = {scale: each[kept] for scale, each in labels.items()}
    return ds.isel(time=kept), labels, slice(last + 1 - first, stop - first), last - first


def _labelled(
    values: Any, ds: xr.Dataset, model: Model, how: str, quantiles: Sequence[float] | None, mode: str
) -> xr.DataArray:
    first = values if quantiles is None else values[0]
    result = label_days(first, ds, model, how, "reconstruct")
    attrs = {
        **result.attrs,
        "long_name": "reconstructed daily mean stream water temperature",
        "observations": f"of sensors {MODES[mode]}",
    }
    if quantiles is None:
        return result.assign_attrs(attrs)
    axis = xr.Variable(
        "quantile",
        [float(p) for p in quantiles],
        {"long_name": "probability of the quantile", "units": "1"},
    )
    attrs["long_name"] = f"quantile of the {attrs['long_name']}"
    coords = {**result.coords, "quantile": axis}
    return xr.DataArray(values, dims=("quantile", *result.dims), coords=coords, name=result.name, attrs=attrs)


def _as_forecast(result: xr.DataArray, issue: pd.Timestamp) -> xr.DataArray:
    """Give the days their number from the day of issue."""
    lead = xr.Variable(
        "time", np.arange(1, result.sizes["time"] + 1), {"long_name": "days after issue", "units": "days"}
    )
    named = result.assign_coords(lead=lead, issue=issue).swap_dims(time="lead")
    return named.drop_vars("spin_up", errors="ignore")
