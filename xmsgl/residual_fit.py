"""The baseline temperature of a dataset, which a model learns the rest of: found, fitted, computed.

See :mod:`xmsgl.residual` for what it is good for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.features import TRANSFORMS, Feature
from xmsgl.neighbours_regression import RIDGE, STATIC_STRENGTH, Regression
from xmsgl.residual import PROCESS, PROCESS_COARSE, Residual, air_means

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["baseline_temperature", "find_residual", "fit_residual"]

_AIR = "air_temperature"


def find_residual(ds: xr.Dataset, kind: str, features: Sequence[Feature]) -> Residual:
    """Find what the baseline temperature is to be computed from.

    Parameters
    ----------
    ds
        A valid dataset of the convention.
    kind
        A name in :data:`xmsgl.residual.RESIDUALS`.
    features
        Inputs of the model; a regression uses the static attributes among them.

    Returns
    -------
    Residual
        A regression is yet to be fitted.

    Raises
    ------
    InvalidArgumentError
        The dataset has no air temperature, or no temperature of a process model.
    """
    if kind == "process":
        if PROCESS_COARSE not in ds:
            msg = (
                f"residual='process' needs {PROCESS_COARSE} (time, coarse), a process model's temperature, "
                "and the dataset has none; add it, or use residual='regression'"
            )
            raise InvalidArgumentError(msg)
        return Residual(kind, (Feature(PROCESS, _units(ds, PROCESS), dynamic=True),))
    drivers = schema.drivers(ds)
    # The daily extremes, where the mean is missing.
    air = [_AIR] if _AIR in drivers else [name for name in drivers if name.startswith(_AIR)]
    if not air:
        msg = (
            f"residual='regression' needs {_AIR}_coarse (time, coarse), or its daily extremes, and the "
            "dataset has none; add it, or leave residual out"
        )
        raise InvalidArgumentError(msg)
    means = air_means({name: _units(ds, name) for name in air})
    return Residual(kind, means + tuple(feature for feature in features if not feature.dynamic))


def _units(ds: xr.Dataset, base: str) -> str:
    return str(ds[f"{base}_coarse"].attrs.get("units", ""))


def fit_residual(
    residual: Residual, ds: xr.Dataset, labels: Mapping[str, npt.NDArray[Any]], days: npt.NDArray[np.bool_]
) -> Residual:
    """Fit a regression that is not fitted yet.

    One relation for the basin, by least squares of the coarse labels, or of the fine ones where there are no
    coarse ones, each on the weather of its segment. All coefficients are drawn to 0 a little, those of
    attributes with the weight of three segments.

    Parameters
    ----------
    residual
        What it is to be computed from. A process model's, or one that is fitted, is returned as it is.
    ds
        Dataset in memory, with the drivers and attributes it needs.
    labels
        Observed temperature of the scales a model learns from, degC, (time, node), NaN where there is none.
    days
        Days to learn from, boolean (time,); on no other day is a label looked at.

    Returns
    -------
    Residual
    """
    if residual.kind == "process" or residual.coefficients:
        return residual
    coarse = "coarse" in labels and bool(np.isfinite(labels["coarse"][days]).any())
    values = labels["coarse" if coarse else "fine"]
    segment = np.arange(values.shape[1]) if coarse else schema.segment_positions(ds)
    weather, fixed, day = _inputs(residual, ds)
    moments = [_moments(feature, fixed[feature.name]) for feature in residual.attributes]
    plan = replace(
        residual,
        mean=tuple(mean for mean, _ in moments),
        deviation=tuple(deviation for _, deviation in moments),
    )
    labelled = np.flatnonzero(np.isfinite(values[days]).any(axis=0))
    gram = np.zeros((1, 1))
    places = np.unique(segment[labelled])
    for place in places:
        own = values[:, labelled[segment[labelled] == place]]
        seen = np.isfinite(own) & days[:, None]
        some = {name: series[:, [place]] for name, series in weather.items()}
        held = {name: attribute[[place]] for name, attribute in fixed.items()}
        rows = [np.broadcast_to(column[:, 0], day.shape) for column in plan.columns(some, held, day)]
        gram = gram + _sum_up(np.column_stack([np.ones(day.size), *rows]), own, seen)
    ridge = np.full(len(gram) - 2, RIDGE)
    if moments:
        ridge[-len(moments) :] = max(RIDGE, STATIC_STRENGTH * gram[0, 0] / places.size)
    fitted = Regression.fit(gram, ridge).coefficients
    return replace(plan, coefficients=tuple(fitted.tolist()))


def _sum_up(
    columns: npt.NDArray[np.float64], labels: npt.NDArray[Any], seen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Sum products of columns (time, column) and observed temperature over the labels (time, node)."""
    known = np.where(seen, labels, 0.0).astype(np.float64)
    within = columns.T @ (seen.sum(axis=1)[:, None] * columns)
    across = columns.T @ known.sum(axis=1)
    return np.block([[within, across[:, None]], [across[None], np.full((1, 1), np.square(known).sum())]])


def _moments(feature: Feature, values: npt.NDArray[Any]) -> tuple[float, float]:
    transformed = np.asarray(TRANSFORMS[feature.transform](values), np.float64)
    deviation = float(transformed.std())
    mean = float(transformed.mean())
    return mean, deviation if deviation > 1e-6 * (1.0 + abs(mean)) else 1.0


def baseline_temperature(
    residual: Residual, drivers: xr.Dataset, fixed: xr.Dataset | None = None
) -> npt.NDArray[np.float32]:
    """Compute the baseline temperature of the segments, degC, float32 (time, coarse).

    Parameters
    ----------
    residual
        Fitted, if it is a regression.
    drivers
        Consecutive days, in memory. A mean over days is over fewer on the first ones.
    fixed
        Dataset with the static attributes, in memory; default: `drivers`.
    """
    return residual.temperature(*_inputs(residual, drivers, fixed))


def _inputs(
    residual: Residual, drivers: xr.Dataset, fixed: xr.Dataset | None = None
) -> tuple[dict[str, Any], dict[str, Any], npt.NDArray[Any]]:
    """Read drivers (time, coarse), attributes (coarse,) and the day of the year (time,)."""
    held = drivers if fixed is None else fixed
    return (
        {name: drivers[f"{name}_coarse"].transpose("time", "coarse").values for name in residual.drivers},
        {feature.name: held[f"{feature.name}_coarse"].values for feature in residual.attributes},
        pd.DatetimeIndex(drivers.indexes["time"]).day_of_year.to_numpy(),
    )
