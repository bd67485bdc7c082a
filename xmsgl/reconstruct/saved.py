"""The saved state of a reconstruction: the errors at the sensors of the last days, as a small dataset."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, ModelMismatchError, shorten
from xmsgl.reconstruct.given import LIMIT, Errors, join_days
from xmsgl.schema.advice import counted
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorKind
    from xmsgl.models.file.model import Model

__all__ = ["Saved", "drivers_from", "read_state", "write_state"]

_NAME, _VERSION = "xmsgl_state", 2  # attribute with the version of the format
_DAY = pd.Timedelta(1, "D")
_AGAIN = "make it again from the whole record with ds.msgl.state(model, day=...)"
_WHAT: dict[ErrorKind, str] = {
    "ungauged": "observed minus predicted temperature of the trainings that left the gauge out",
    "gauged": "observed minus predicted temperature of the mean of all trainings",
}


@dataclass(frozen=True, eq=False)
class Saved:
    """A state, checked against a model and a dataset."""

    day: pd.Timestamp  # its last one
    begin: int  # position in the dataset of the day after it
    errors: Mapping[ErrorKind, Errors]  # of the days up to `day`


def drivers_from(model: Model, day: pd.Timestamp, warmup: int | None) -> pd.Timestamp:
    """Return the first day whose drivers the prediction of a day depends on."""
    spec = model.spec
    within = -(pd.Timestamp(spec.first_day) - day).days % spec.window
    memory = max(feature.days for feature in spec.features) - 1
    return day - (within + (spec.warmup if warmup is None else warmup) + memory) * _DAY


def write_state(
    errors: Sequence[Mapping[ErrorKind, Errors]], ds: xr.Dataset, model: Model, warmup: int | None
) -> xr.Dataset:
    """Return the state of the last day of a dataset, given the errors of consecutive days up to it."""
    day = pd.Timestamp(ds.indexes["time"][-1])
    joined = {kind: join_days([each[kind] for each in errors]) for kind in _WHAT}
    about = {"units": "degC", "units_metadata": "temperature: difference"}
    variables = {
        f"error_{kind}": (("time", "fine"), each.values, {"long_name": _WHAT[kind], **about})
        for kind, each in joined.items()
    }
    days, reach = pd.date_range(end=day, periods=len(joined["gauged"].values)), joined["gauged"].reach
    about = {"long_name": "reach id", **ds["fine"].attrs, "cf_role": "timeseries_id"}
    coords = {"time": days, "fine": ("fine", ds["fine"].values[reach], about)}
    attrs = {
        "Conventions": "CF-1.11",
        "title": "errors of a model at sensors, with which a reconstruction starts",
        "source": str(ds.attrs.get("title", "")),
        _NAME: _VERSION,
        **_made_with(ds, model, warmup),
        "drivers_from": str(drivers_from(model, day + _DAY, warmup).date()),
    }
    state = xr.Dataset(variables, coords, attrs).reindex(time=pd.date_range(end=day, periods=LIMIT))
    state = state.dropna("fine", how="all")
    return stamp(state.assign_attrs(sensors=state.sizes["fine"]), f"state(day={str(day.date())!r})")


def read_state(state: xr.Dataset, model: Model, ds: xr.Dataset, warmup: int | None) -> Saved:
    """Check that a run on the days of a dataset can start from a state."""
    version, n = state.attrs.get(_NAME, "none"), state.sizes.get("time", 0)
    if version != _VERSION or n != LIMIT:
        msg = f"start must be made by ds.msgl.state, with version {_VERSION} and {LIMIT} days"
        raise InvalidArgumentError(f"{msg}; it has version {version} and {n} days; {_AGAIN}")
    expected = _made_with(ds, model, warmup)
    if wrong := [name for name, value in expected.items() if str(state.attrs.get(name)) != value]:
        found, wanted = (str(each[wrong[0]])[:12] for each in (state.attrs, expected))
        what = {
            "model_sha256": f"model {found}, not of {wanted}",
            "network_sha256": "other segments, reaches or links, or the same in another order",
            "warmup": f"a run with warmup={found}, not warmup={wanted}",
        }[wrong[0]]
        msg = f"the state is of {what}; give the one that belongs to them, or {_AGAIN}"
        raise ModelMismatchError(msg)
    reach = _sound(state, ds)
    days = pd.DatetimeIndex(ds.indexes["time"])
    begin = pd.Timestamp(state.indexes["time"][-1]) + _DAY
    lasts = f"the state lasts until {(begin - _DAY).date()}"
    if begin > days[-1]:
        msg = f"{lasts} and the dataset ends on {days[-1].date()}; give later days, or an earlier state"
        raise InvalidArgumentError(msg)
    if (needed := drivers_from(model, begin, warmup)) < days[0]:
        msg = (
            f"{lasts}, and for the days after it the model needs the drivers of the {(begin - needed).days} "
            f"days before, too; the dataset begins on {days[0].date()}; give all days from {needed.date()} on"
        )
        raise InvalidArgumentError(msg)
    errors: dict[ErrorKind, Errors] = {
        kind: Errors(state[f"error_{kind}"].transpose("time", "fine").values, reach) for kind in _WHAT
    }
    return Saved(begin - _DAY, (begin - days[0]).days, errors)


def _sound(state: xr.Dataset, ds: xr.Dataset) -> NDArray[np.int64]:
    """Refuse a state that was changed since it was made; return the positions of its reaches."""
    time, reach = state.indexes["time"], schema.positions(ds.indexes["fine"], state.indexes["fine"])
    if not time.equals(pd.date_range(time[0], periods=LIMIT).astype(time.dtype)):
        fault = "its days are not consecutive"
    elif (reach < 0).any():
        fault = f"it has reaches {shorten(state.indexes['fine'][reach < 0])}, which the dataset does not have"
    elif lost := [name for kind in _WHAT if (name := f"error_{kind}") not in state]:
        fault = f"it lacks {', '.join(lost)}"
    elif reach.size != (sensors := state.attrs.get("sensors")):
        fault = f"it has {counted(reach.size, 'sensor', 'sensors')} instead of {sensors}"
    else:
        return reach
    msg = f"start was changed since ds.msgl.state made it: {fault}; {_AGAIN}"
    raise InvalidArgumentError(msg)


def _made_with(ds: xr.Dataset, model: Model, warmup: int | None) -> dict[str, str]:
    """Return what must be the same when a state is made and when it is used."""
    sha = hashlib.sha256()
    for name in ("coarse", "fine", "downstream_coarse", "downstream_fine", "coarse_segment"):
        sha.update(repr(schema.id_values(ds[name].values).tolist()).encode())
    return {
        "model_sha256": model.sha256,
        "network_sha256": sha.hexdigest(),
        "warmup": "default" if warmup is None else str(warmup),
    }
