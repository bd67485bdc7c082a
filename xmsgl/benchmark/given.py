"""Predictions given the sensors that report, by the model's reconstruction and by simple rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xmsgl.benchmark.sensors import LEADS
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.validation import label_values
from xmsgl.prediction.downscale import downscale, held_out_shares, weighted_means
from xmsgl.reconstruct import reconstruct
from xmsgl.reconstruct.issues import forecasts
from xmsgl.reconstruct.river import River
from xmsgl.reconstruct.sensors import sensor_errors
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.benchmark.sensors import Sensors
    from xmsgl.models.file.model import Model
    from xmsgl.reconstruct.given import Errors

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["RULES", "damped_persistence", "predict_given", "same_day"]

#: What a prediction is given.
RULES: Registry[str] = Registry(
    "rule for given",
    {
        "sensors": "the model, corrected as ds.msgl.reconstruct does",
        "nothing": "the model alone",
        "nearest": "the model, and its error of the day at the nearest sensor",
        "inverse-distance": "the model, and its errors of the day weighted with the inverse squared distance",
        "persistence": "the model, and its last error at the segment, damped with its age",
    },
)
_NEAREST = 100.0  # m, the least distance of a weight


def predict_given(
    inputs: xr.Dataset, sensors: Sensors, scored: xr.DataArray, model: Model, rule: str, device: str
) -> xr.DataArray:
    """Predict (time, fine), degC; rules correct only the reach-days with a number in `scored`."""
    if rule == "nothing":
        return downscale(inputs, model, device=device)
    if rule != "sensors":
        return _by_rule(inputs, sensors, scored, model, rule, device)
    if sensors.issues is None:
        return reconstruct(inputs, model, observed=sensors.observed, device=device)
    return forecasts(inputs, model, sensors.observed, sensors.issues, LEADS, device)


def _by_rule(
    inputs: xr.Dataset, sensors: Sensors, scored: xr.DataArray, model: Model, rule: str, device: str
) -> xr.DataArray:
    """Add a simple estimate of the error to the prediction of each scored reach-day."""
    from dask.base import compute

    shares = [np.array(model.shares)[:, None], held_out_shares(model, inputs)]
    predicted, own = compute(*weighted_means(inputs, model, shares, None, device, carry=False))
    gauged = (shares[0] != shares[1]).any(axis=0)
    river, time = River.of(inputs), inputs.indexes["time"]
    fine, coarse = (label_values(sensors.observed, scale) for scale in ("fine", "coarse"))
    seen = scored.transpose("time", "fine")
    row, column = np.nonzero(np.isfinite(seen.values))
    day = time.get_indexer(seen.indexes["time"])[row]
    reach = inputs.indexes["fine"].get_indexer(seen.indexes["fine"])[column]
    until = day
    if sensors.issues is not None:
        issued = time.get_indexer(sensors.issues)
        until = issued[np.searchsorted(issued, day) - 1]
    correction = np.zeros(day.size)
    for known, values in ((True, predicted), (False, own)):
        some = gauged[reach] == known  # as `reconstruct`, which has the errors of left-out gauges for others
        errors = sensor_errors(fine, coarse, values, river)
        at = reach[some], day[some], until[some]
        if rule == "persistence":
            correction[some] = damped_persistence(errors, river, *at, sensors.learned)
        else:
            correction[some] = same_day(errors, river, at[0], at[2])[rule]
    result = predicted.astype(np.float32)
    result[day, reach] = np.maximum(result[day, reach] + correction, 0)
    coords = {"time": time, "fine": inputs.indexes["fine"]}
    return xr.DataArray(result, coords, ("time", "fine"), attrs={"units": "degC"})


def same_day(errors: Errors, river: River, reach: Ints, day: Ints) -> dict[str, Floats]:
    """Return the error of the day by inverse squared distance, that of the nearest, and its distance, m."""
    targets, row = np.unique(reach, return_inverse=True)
    metres = river.apart(targets, errors.reach).river.astype(np.float64)
    nearest, inverse, apart = (np.zeros(day.size) for _ in range(3))
    for s, (at, t) in enumerate(zip(row.ravel(), day, strict=True)):
        there = np.isfinite(errors.values[t]) & np.isfinite(metres[at])
        distance, value = metres[at, there], errors.values[t, there]
        apart[s] = distance.min(initial=np.inf)
        if value.size:
            weight = 1 / np.maximum(distance, _NEAREST) ** 2
            nearest[s], inverse[s] = value[distance.argmin()], weight @ value / weight.sum()
    return {"nearest": nearest, "inverse-distance": inverse, "distance": apart}


def damped_persistence(
    errors: Errors,
    river: River,
    reach: Ints,
    day: Ints,
    until: Ints,
    learned: NDArray[np.bool_],
    *,
    both: bool = False,
) -> Floats:
    """Return the last error of the segment up to a day (with `both`: the nearest in time), damped by its age.

    The damping is the regression of a day's error on that of the day before, in the days `learned`.
    """
    whole = np.full((len(errors.values), river.segment.max() + 1), np.nan)
    for k, place in enumerate(errors.reach):
        seen = np.isfinite(errors.values[:, k])
        whole[seen, river.segment[place]] = errors.values[seen, k]
    pair = learned[:-1] & learned[1:]
    one, next_one = whole[:-1][pair], whole[1:][pair]
    both_seen = np.isfinite(one) & np.isfinite(next_one)
    if day.size and not (both_seen.any() and np.isfinite(whole[:, river.segment[reach]]).any()):
        msg = (
            "persistence needs segments with observations in training and before the days predicted; use it "
            "in the protocols gaps and forecast"
        )
        raise InvalidArgumentError(msg)
    if not day.size:
        return np.zeros(0)
    damping = (one[both_seen] @ next_one[both_seen]) / (one[both_seen] @ one[both_seen])
    found = np.zeros(day.size)
    for s, (r, t, u) in enumerate(zip(reach, day, until, strict=True)):
        column = whole[:, river.segment[r]]
        days = np.flatnonzero(np.isfinite(column[: (len(column) if both else min(t, u) + 1)]))
        if days.size:
            nearest = days[np.abs(days - t).argmin()]
            found[s] = column[nearest] * damping ** abs(int(nearest) - int(t))
    return found
