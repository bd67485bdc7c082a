"""Fit the covariance of a model's error to its errors at gauges.

The parameters maximise the likelihood of each of a sample of errors given the errors around it, a composite
likelihood [1]_. For ungauged reaches the errors are those of the training that left a gauge out; four in five
are given no sensor of the same segment, the others none for 15 days before and after. For gauged reaches the
errors are those of a training that knew the gauge but not the year, given no sensor of the same segment for
up to 30 days before and after; in a record too short for that, they are those of the mean. What this leaves
at gauges with a long record is regressed on the errors at others, see :mod:`.companions`.

References
----------
.. [1] Varin, Reid & Firth (2011), An overview of composite likelihood methods, Statistica Sinica 21, 5-42.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from xmsgl import schema
from xmsgl.inputs.validation import label_values, left_out_days
from xmsgl.models.file.covariance import ErrorCovariance, ErrorKind, ErrorPart
from xmsgl.models.file.intervals import LEAST, IntervalTable, fit_table
from xmsgl.models.file.model import Model
from xmsgl.prediction.downscale import held_out_shares, weighted_means
from xmsgl.reconstruct.companions import Accompanied, fit_companions
from xmsgl.reconstruct.given import Asked, Places, error_given
from xmsgl.reconstruct.river import River
from xmsgl.reconstruct.sensors import sensor_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.reconstruct.given import Errors

    Floats = NDArray[np.float64]

__all__ = ["fit_covariance", "fit_errors"]

logger = logging.getLogger(__name__)

_SAMPLE, _GAPS, _GAP = 4000, 0.2, 15  # errors, share of them in a gap, days on each side of it
_STEPS = 15
#: Logarithms of variances, days, distances; shares before they are normalised.
_START = {"slow": (1.0, 60.0, 1.0, -1.0), "fast": (0.7, 2.5, 1.0, -1.0)}
_RIVER, _LAND, _NOISE = 40e3, 150e3, 0.05
_NONE = IntervalTable("fine", (), (), (), ())


def fit_errors(ds: xr.Dataset, model: Model, folds: int, seed: int, device: str) -> Model:
    """Add to a model in folds the covariances of its errors; none where there are too few gauges."""
    river = River.of(ds)
    fine, coarse = (label_values(ds, scale) for scale in ("fine", "coarse"))
    found: dict[ErrorKind, ErrorCovariance] = {}
    of_years, useless = _days_left_out(ds, model, folds)
    shares = [held_out_shares(model, ds), of_years, np.array(model.shares)[:, None]]
    *predictions, mean = weighted_means(ds, model, shares, None, device, carry=False)
    ids, known = schema.id_values(ds.indexes["fine"].to_numpy()).tolist(), None
    for kind, predicted in zip(get_args(ErrorKind), predictions, strict=True):
        if kind == "gauged":
            # Those of the mean are of all days: how gauges differ matters more than how large errors are.
            known = sensor_errors(fine, coarse, np.asarray(mean), river), ids
            coarse = np.where(useless, np.float32(np.nan), coarse)
            fine = np.where(useless[:, river.segment], np.float32(np.nan), fine)
        errors = sensor_errors(fine, coarse, np.asarray(predicted), river)
        covariance = fit_covariance(errors, river, kind, seed, companions=known)
        if covariance is None:
            logger.warning(
                "too few errors at %s reaches to fit their covariance, at least %d at two segments; "
                "reconstruct cannot use this model: train on more gauges, days or folds",
                kind,
                LEAST,
            )
            return model
        found[kind] = covariance
    return Model(replace(model.spec, errors=found), model.weights, model.history)


def _days_left_out(ds: xr.Dataset, model: Model, folds: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the share of each part on a day, of those that left it out, (part, time, 1).

    Also where no training knew the segment but not the day, (time, coarse); nowhere if no day was left out.
    """
    years = left_out_days(pd.DatetimeIndex(ds.indexes["time"]), folds)
    left_out = np.repeat(years, len(model.parts) // folds, axis=0)
    shares = np.array(model.shares)[:, None]
    own = shares * left_out
    total = own.sum(axis=0)
    own = np.where(total > 0, own / np.where(total > 0, total, 1.0), shares)
    ids = schema.id_values(ds.indexes["coarse"].to_numpy())
    useless = np.repeat((total == 0)[:, None] & years.any(), ids.size, axis=1)
    for days, part in zip(left_out, model.parts, strict=True):
        useless |= days[:, None] & np.isin(ids, part.spec.held)
    return own[:, :, None], useless


def fit_covariance(
    errors: Errors,
    river: River,
    kind: ErrorKind = "ungauged",
    seed: int = 0,
    companions: tuple[Errors, Sequence[Any]] | None = None,
) -> ErrorCovariance | None:
    """Return the most likely covariance; None with fewer than 50 errors or two segments with sensors.

    With errors of all gauges and the ids of the reaches, regressions on other gauges are added.
    """
    day, sensor = np.nonzero(np.isfinite(errors.values))
    segment = river.segment[errors.reach]
    if day.size < LEAST or np.unique(segment[sensor]).size < 2:
        return None
    rng = np.random.default_rng(seed)
    # Short records are as informative about other places as long ones.
    weight = 1 / np.sqrt(np.bincount(sensor)[sensor])
    count = min(_SAMPLE, day.size)
    drawn = np.sort(rng.choice(day.size, count, replace=False, p=weight / weight.sum()))
    day, sensor = day[drawn], sensor[drawn]
    if kind == "ungauged":
        gap = np.where(rng.random(count) < _GAPS, _GAP, -1)
    else:
        gap = rng.integers(0, 2 * _GAP + 1, count)
    until = np.full(count, len(errors.values) - 1)
    asked = Asked(errors.reach[sensor], day, until, segment[sensor], gap)
    places = Places.of(river, np.unique(asked.reach), errors.reach)
    observed = errors.values[day, sensor].astype(np.float64)

    def unlikely(values: Floats) -> float:
        mean, deviation = error_given(errors, asked, places, _covariance(values))
        return float(np.mean(np.log(deviation) + 0.5 * ((observed - mean) / deviation) ** 2))

    parts = [(np.log(v), np.log(days), *shares) for v, days, *shares in _START.values()]
    start = np.concatenate([*parts, np.log([_NOISE, _RIVER, _LAND])])
    scale = max(float(np.var(observed)), 1e-4) / 1.75
    start[[0, 4, 8]] += np.log(scale)
    bounds = [(None, None), (np.log(0.2), np.log(365)), (-5, 5), (-5, 5)] * 2
    bounds += [(np.log(1e-4), None), (np.log(1e3), np.log(5e5)), (np.log(1e4), np.log(2e6))]
    found = minimize(
        unlikely, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS, "eps": 0.02}
    )
    covariance = _covariance(found.x)
    mean, deviation = error_given(errors, asked, places, covariance)
    if companions is not None:
        known, ids = companions
        covariance = replace(covariance, companions=fit_companions(known, river, covariance, ids, seed))
        accompanied = Accompanied.of(river, covariance, ids)
        mean, deviation = accompanied.add(errors, asked, covariance, mean, deviation)
    standard = (observed - mean) / deviation
    # Not by segment: in cross-validation over gauges the 90 % interval then holds 91 to 94 % of the days of
    # others, and so it holds 89 to 92 %.
    spread = fit_table(deviation, deviation + standard)
    logger.info(
        "covariance of the error: %s, %s, noise %.3f degC2, %d gauges regressed on others",
        covariance.slow,
        covariance.fast,
        covariance.noise,
        len(covariance.companions),
    )
    if spread is None:
        return None
    return replace(covariance, spread=spread, coordinates=river.place is not None)


def _covariance(values: Floats) -> ErrorCovariance:
    """Return the covariance of the values that are searched."""
    parts = []
    for variance, days, river, land in (values[:4], values[4:8]):
        shares = np.exp([river, land, 0.0])
        along, across, _ = (shares / shares.sum()).tolist()
        parts.append(ErrorPart(float(np.exp(variance)), float(np.exp(days)), along, across))
    noise, river, land = np.exp(values[8:]).tolist()
    return ErrorCovariance(parts[0], parts[1], noise, river, land, _NONE)
