"""Reconstruction: a model's prediction corrected by its errors at the sensors that report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, UnknownNameError, shorten
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.packaged import SENSORS
from xmsgl.prediction.downscale import in_order, label_days
from xmsgl.reconstruct.correction import Correction
from xmsgl.reconstruct.given import LIMIT
from xmsgl.reconstruct.run import (
    Run,
    accompanied,
    corrected,
    corrected_lazily,
    error_covariances,
    errors_of,
    known_river,
    stepwise,
)
from xmsgl.reconstruct.saved import read_state, write_state
from xmsgl.reconstruct.sensors import observations
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.graphs import known_segments
from xmsgl.util.arguments import checked
from xmsgl.util.dates import one_day

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorKind
    from xmsgl.reconstruct.given import Errors
    from xmsgl.reconstruct.saved import Saved

    Floats = NDArray[np.float32]
    _Both = Mapping[ErrorKind, Errors]  # of the trainings that left a sensor out, and of the mean

__all__ = ["MODES", "reconstruct", "state"]

logger = logging.getLogger(__name__)

#: Which observations may be used for a day.
MODES = {
    "smooth": "of days before and after it",
    "filter": "up to the day itself",
    "forecast": "up to the last day with an observation, for days after it",
}


@checked
def reconstruct(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    observed: xr.DataArray | xr.Dataset | None = None,
    mode: str = "smooth",
    lead: int | None = None,
    start: xr.Dataset | None = None,
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
        with an observation in the dataset or in `start`, whichever is later.
    lead
        Number of days to forecast. Default: all that the dataset has.
    start
        State of an earlier day, from :func:`state`, in place of the observations up to that day. The dataset
        then needs the drivers since the day in its attribute ``drivers_from``, and only the days after the
        state are returned.
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
        There is no observation, or nothing to forecast; no model is given outside the Delaware; or the
        dataset does not continue the state.
    ModelMismatchError
        The state is of another model or river network.
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
        msg = f"lead must be at least 1 for mode='forecast', and None else; got {lead} for mode={mode!r}"
        raise InvalidArgumentError(msg)
    whole = sound_dataset(obj, sizes=True)
    if "member" in whole.dims:
        options: dict[str, Any] = {"observed": observed, "mode": mode, "lead": lead, "start": start}
        options |= {"quantiles": quantiles, "warmup": warmup, "device": device}
        each = [reconstruct(one, model, **options) for one in _members(whole)]
        return xr.concat(each, whole["member"], coords="minimal", compat="override", combine_attrs="override")
    ds, order = in_order(whole)
    fitted = _packaged(ds) if model is None else model if isinstance(model, Model) else load_model(model)
    covariances = error_covariances(fitted, quantiles)
    saved = None if start is None else read_state(start, fitted, ds, warmup)
    begin, stop, last = 0 if saved is None else saved.begin, ds.sizes["time"], None
    labels = observations(ds, observed, required=saved is None)
    since = begin
    if mode == "forecast":
        last = _issue(ds, labels, saved, None if observed is None else observed.indexes["time"].max())
        since, stop = max(begin, last + 1 - LIMIT), _end(ds, lead, last)
    run = Run.of(ds, labels, slice(since, stop), saved, fitted, warmup, device)
    asked = None if quantiles is None else tuple(quantiles)
    issue = None if last is None else last - since
    river = known_river(ds, covariances)
    task = Correction(river, run.gauged, covariances, mode, issue, asked, accompanied(ds, river, covariances))
    first = 0 if issue is None else issue + 1
    values = (corrected_lazily if run.is_lazy else corrected)(run, task, first)
    how = f", mode={mode!r}" + ("" if quantiles is None else f", quantiles={list(quantiles)}")
    if saved is not None:
        how += f", start={str(saved.day.date())!r}"
    result = _labelled(values, run.ds.isel(time=slice(first, None)), fitted, how, quantiles, mode)
    if last is not None:
        return _as_forecast(result)
    if saved is not None:  # the drivers before these days are known
        result = result.assign_coords(spin_up=xr.zeros_like(result["spin_up"]))
    return result if order is None else result.isel(time=order[order >= begin] - begin)


@checked
def state(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    day: str | np.datetime64 | pd.Timestamp | None = None,
    observed: xr.DataArray | xr.Dataset | None = None,
    start: xr.Dataset | None = None,
    warmup: int | None = None,
    device: str = "auto",
) -> xr.Dataset:
    """Return what a later run needs to know of the days up to a day: the errors at the sensors.

    With the state of a day as `start`, :func:`reconstruct` gives for the days after it what it gives for the
    whole record. The dataset then needs the drivers from the day in the attribute ``drivers_from`` on.

    Parameters
    ----------
    obj, model, observed
        As in :func:`reconstruct`; of one member.
    day
        The last day whose observations count. Default: the day of issue of a forecast.
    start
        State of an earlier day, for a dataset that does not have the 120 days up to `day`.
    warmup, device
        As in ``ds.msgl.downscale``; a run that starts from the state must have the same `warmup`.

    Returns
    -------
    xarray.Dataset
        In memory: the errors of 120 days, degC, (time, fine), for the reaches with sensors, as
        ``error_ungauged`` and ``error_gauged``. Model, network and version of the format are attributes.

    Raises
    ------
    UncalibratedModelError
        The model has no covariance of its errors.
    ModelMismatchError
        `start` is of another model or river network.
    InvalidArgumentError
        There is no observation, the day is not in the dataset, the dataset does not continue `start`, or the
        model predicts a day from later days, too.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=8, years=2, seed=3)
    >>> model = ds.msgl.train("trees", validation="folds:2", iterations=10, progress=False)
    >>> before = state(ds, model, day="2003-06-30")
    >>> late = ds.sel(time=slice(before.drivers_from, "2003-07-07"))
    >>> reconstruct(late, model, start=before, mode="filter").sizes["time"]
    7
    """
    from dask.base import compute

    ds, _ = in_order(sound_dataset(obj, sizes=True))
    if "member" in ds.dims:
        msg = "a state is of one member of an ensemble; select one, of the weather that was observed"
        raise InvalidArgumentError(msg)
    fitted = _packaged(ds) if model is None else model if isinstance(model, Model) else load_model(model)
    river = known_river(ds, error_covariances(fitted, None))
    if not stepwise(fitted):
        msg = (
            f"model {fitted.sha256[:12]} predicts a day from later days, too, so that it has no state; "
            "train with the task 'fine', or reconstruct from the whole record"
        )
        raise InvalidArgumentError(msg)
    saved = None if start is None else read_state(start, fitted, ds, warmup)
    labels = observations(ds, observed, required=saved is None)
    days, begin = pd.DatetimeIndex(ds.indexes["time"]), 0 if saved is None else saved.begin
    day = None if day is None else pd.Timestamp(one_day(day, "day"))
    if day is not None and day not in days:
        msg = f"day {day.date()} is not a day of the dataset, which has {days[0].date()} to {days[-1].date()}"
        raise InvalidArgumentError(msg + "; give one of these")
    until = day if observed is None or day is not None else observed.indexes["time"].max()
    last = _issue(ds, labels, saved, until)
    if start is not None and last == begin - 1:
        return start
    since = max(begin, last + 1 - LIMIT)
    run = Run.of(ds, labels, slice(since, last + 1), saved, fitted, warmup, device)
    labels, predicted, own = compute(run.labels, run.predicted, run.own)
    errors = [*run.before, errors_of(labels, predicted, own, river)]
    return write_state(errors, run.ds, fitted, warmup)


def _members(ds: xr.Dataset) -> Iterator[xr.Dataset]:
    """Return the dataset of each member; only drivers may have members."""
    labels = {f"{schema.LABEL}_{scale}" for scale in ("fine", "coarse")}
    having = [str(name) for name, each in ds.data_vars.items() if "member" in each.dims]
    wrong = [name for name in having if name in labels or "time" not in ds[name].dims]
    if wrong:
        msg = f"{shorten(wrong)} must not have the dimension 'member', which is for drivers; select one"
        raise InvalidArgumentError(msg)
    if not ds.sizes["member"]:
        raise InvalidArgumentError("the dimension 'member' has no member; give at least one")
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


def _issue(ds: xr.Dataset, labels: dict[str, Any], saved: Saved | None, until: Any) -> int:
    """Return the position of the last day whose observations are used, by default the last that has some."""
    known = -1 if saved is None else saved.begin - 1
    if until is not None:
        last = int(ds.indexes["time"].searchsorted(pd.Timestamp(until), side="right")) - 1
    else:
        seen = [np.asarray(np.isfinite(each[known + 1 :]).any(axis=1)) for each in labels.values()]
        last = known + max((int(np.flatnonzero(each)[-1]) + 1 for each in seen if each.any()), default=0)
    if saved is not None and last < known:
        msg = (
            f"the state lasts until {saved.day.date()}, but the last day whose observations are used is "
            f"{pd.Timestamp(until).date()}; give an earlier state, or later observations"
        )
        raise InvalidArgumentError(msg)
    if saved is None and last < 0:
        msg = "no observation lies on a day of the dataset, so that no day of issue is known; give observed="
        raise InvalidArgumentError(msg)
    return last


def _end(ds: xr.Dataset, lead: int | None, last: int) -> int:
    """Return the position after the last day to forecast."""
    days, time = ds.sizes["time"], ds.indexes["time"]
    stop = days if lead is None else last + 1 + lead
    if last + 1 == days or stop > days:
        issue = time[0] + pd.Timedelta(last, "D")
        msg = (
            f"the forecast is issued on {issue.date()} and the drivers end on {time[-1].date()}, so there "
            f"are drivers for {days - 1 - last} days of forecast; add drivers, ask for fewer days, or give "
            "observed= up to an earlier day"
        )
        raise InvalidArgumentError(msg)
    return stop


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
    about = {"long_name": "probability of the quantile", "units": "1"}
    axis = xr.Variable("quantile", [float(p) for p in quantiles], about)
    attrs["long_name"] = f"quantile of the {attrs['long_name']}"
    coords = {**result.coords, "quantile": axis}
    return xr.DataArray(values, dims=("quantile", *result.dims), coords=coords, name=result.name, attrs=attrs)


def _as_forecast(result: xr.DataArray) -> xr.DataArray:
    """Give the days their number from the day of issue, the day before them."""
    issue = result.indexes["time"][0] - pd.Timedelta(1, "D")
    about = {"long_name": "days after issue", "units": "days"}
    lead = xr.Variable("time", np.arange(1, result.sizes["time"] + 1), about)
    return result.assign_coords(lead=lead, issue=issue).swap_dims(time="lead").drop_vars("spin_up")
