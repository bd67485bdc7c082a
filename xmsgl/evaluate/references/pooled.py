"""Reference methods: seasonal climatology and air-temperature regression.

Both are linear in a few features, with partial pooling over three levels:

1. **basin**: one relation fitted to all coarse labels (to the fine ones where there are none); for the
   regression with static attributes, so that places without a label differ;
2. **segment**: the departure of each segment from it, fitted to the segment's coarse labels;
3. **reach**: the departure of each reach from its segment, fitted to the reach's own labels.

A departure is a ridge fit, shrunk towards the level above with the weight of ``strength`` observed days. A
reach with years of labels thus has nearly its own fit, a reach without labels its segment's relation, and
one on a segment without labels the basin's.

All labels in the dataset are used: mask those to be held out first
(:func:`xmsgl.evaluate.splits.mask_labels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.inputs.checks import refuse_unfit
from xmsgl.inputs.features import AIR_WINDOWS, time_of_year, trailing_mean
from xmsgl.inputs.regression import static_ridge
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.inherit import fine_values
from xmsgl.schema.names import LABEL
from xmsgl.schema.ranges import refuse_impossible_water
from xmsgl.schema.rivers import segment_positions
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.structure import dates
from xmsgl.schema.units import need_units
from xmsgl.util.arguments import checked
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FREEZING", "air_temperature_regression", "climatology"]

Floats: TypeAlias = npt.NDArray[np.float64]

_HARMONICS = 2
_HINGE_WINDOW = 7  # days; below freezing, water no longer follows the air
_SLOW_WINDOW = 30  # days; spring water is colder than autumn water at the same air temperature
_NEGLIGIBLE = 1e-9  # relative ridge that keeps collinear features solvable
FREEZING = 0.0  # degC
_REACHES_AT_ONCE = 128  # bounds the memory for air temperature


@dataclass(frozen=True)
class _Design:
    """The features of a regression."""

    rows: Callable[[Floats], Floats]  # of a place, (time, feature), given its air temperature (time,)
    air: str | None  # base name of the air temperature; None: `rows` does not depend on it
    coarse_static: Floats  # (place, static attribute)
    fine_static: Floats


@dataclass(frozen=True)
class _Normal:
    """Normal equations of one place: Gram matrix, right-hand side, number of labels."""

    gram: Floats
    right: Floats
    n: int


@checked
def climatology(obj: xr.Dataset | xr.DataTree, *, strength: float = 30.0) -> xr.DataArray:
    """Predict the seasonal cycle: the same temperature on the same day of every year.

    Two harmonics of the year at each reach, with partial pooling over basin, segment and reach.

    Parameters
    ----------
    obj
        Dataset or DataTree of the convention, with labels; masked labels are never used.
    strength
        Weight, in observed days, with which a reach is shrunk to its segment and a segment to the basin.
        Near 0, each place with labels has its own fit.

    Returns
    -------
    xarray.DataArray
        Water temperature ``(time, fine)``, degC, float32, at least 0 degC; in memory, 8 bytes per reach-day
        including the labels.

    Raises
    ------
    InvalidDatasetError
        No label left, or no crosswalk.
    InvalidArgumentError
        A negative strength.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-01-01", periods=730)
    >>> season = 10 - 8 * np.cos(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
    >>> ds = xr.Dataset(
    ...     {
    ...         "water_temperature_coarse": (("time", "coarse"), season[:, None]),
    ...         "coarse_segment": ("fine", [1, 1]),
    ...     },
    ...     coords={"time": days, "coarse": [1], "fine": [10, 11]},
    ... )
    >>> bool(np.allclose(climatology(ds), season[:, None], atol=1e-3))
    True
    """
    ds = sound_dataset(obj, sizes=True)
    season = _season(ds)
    without_static = (np.zeros((ds.sizes[scale], 0)) for scale in SCALES)
    design = _Design(lambda _: season, None, *without_static)
    return _partial_pooling(ds, design, strength).assign_attrs(
        long_name="water temperature, seasonal climatology", method="climatology"
    )


@checked
def air_temperature_regression(
    obj: xr.Dataset | xr.DataTree, *, air: str = "air_temperature", strength: float = 30.0
) -> xr.DataArray:
    """Predict water temperature from air temperature and season by linear regression.

    Features: means of air temperature over the last 1, 3, 7, 30 and 90 days (fewer at the start), the 7-day
    mean above freezing, two harmonics of the year, and the first of them times the 30-day mean. The basin's
    relation also has the static attributes (standardised over the segments, very skewed ones as logarithms,
    cut at three deviations). Partial pooling as for :func:`climatology`.

    Parameters
    ----------
    obj
        As for :func:`climatology`, with air temperature; reaches without their own have their segment's.
    air
        Base name of the driver; if missing, the mean of its ``_min`` and ``_max`` is used.
    strength
        As for :func:`climatology`.

    Returns
    -------
    xarray.DataArray
        Water temperature ``(time, fine)``, degC, in the form of :func:`climatology`.

    Raises
    ------
    InvalidDatasetError
        No label left, no air temperature or NaN in it, missing days, or no crosswalk.
    InvalidArgumentError
        A negative strength.

    References
    ----------
    Mohseni, Stefan (1999), doi 10.1016/S0022-1694(99)00034-7, on air and stream temperature. Gelman, Hill
    (2007), *Data Analysis Using Regression and Multilevel Models*, chapter 12, on partial pooling.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-01-01", periods=400)
    >>> air = np.random.default_rng(0).normal(15, 5, (400, 1))
    >>> ds = xr.Dataset(
    ...     {
    ...         "air_temperature_coarse": (("time", "coarse"), air),
    ...         "water_temperature_coarse": (("time", "coarse"), 5 + 0.6 * air),
    ...         "coarse_segment": ("fine", [1]),
    ...     },
    ...     coords={"time": days, "coarse": [1], "fine": [10]},
    ... )
    >>> bool(np.allclose(air_temperature_regression(ds), np.maximum(5 + 0.6 * air, 0), atol=1e-3))
    True
    """
    ds = _with_air(sound_dataset(obj, sizes=True), air)
    known = ds[f"{air}_coarse"]
    refuse_unfit(known.to_dataset(), [str(known.name)])
    steps = np.diff(ds.indexes["time"].to_numpy())
    if (steps < np.timedelta64(0)).any():
        raise InvalidDatasetError(['time is not sorted; trailing means need it: ds = ds.sortby("time")'])
    gaps = np.flatnonzero(steps != np.timedelta64(1, "D"))
    if gaps.size:
        after = dates(ds.indexes["time"][gaps])
        fault = f"time: days are missing after {after}; trailing means need every day"
        raise InvalidDatasetError([fault])
    season, centre, spread = _season(ds), float(known.mean()), float(known.std()) or 1.0

    def rows(values: Floats) -> Floats:
        means = {window: trailing_mean(values, window) for window in AIR_WINDOWS}
        slow = (means[_SLOW_WINDOW] - centre) / spread
        warm = (np.maximum(means[_HINGE_WINDOW], 0.0) - centre) / spread
        scaled = [(mean - centre) / spread for mean in means.values()]
        return np.column_stack([season, *scaled, warm, slow * season[:, 1], slow * season[:, 2]])

    return _partial_pooling(ds, _Design(rows, air, *_static_features(ds)), strength).assign_attrs(
        long_name="water temperature, regression on air temperature and season",
        method="air-temperature regression",
    )


def _season(ds: xr.Dataset) -> Floats:
    """Constant and harmonics of the year, (time, 1 + 2 harmonics)."""
    day = pd.DatetimeIndex(ds.indexes["time"]).day_of_year.to_numpy()
    return np.column_stack([np.ones(day.size), *(time_of_year(k * day) for k in range(1, _HARMONICS + 1))])


def _with_air(ds: xr.Dataset, air: str) -> xr.Dataset:
    """Load the coarse air temperature, or the mean of its extremes."""
    known = drivers(ds)
    if air in known:
        values = ds[f"{air}_coarse"]
    elif {f"{air}_min", f"{air}_max"} <= set(known):
        values = 0.5 * (ds[f"{air}_min_coarse"] + ds[f"{air}_max_coarse"])
    else:
        there = ", ".join(known) or "none"
        extremes = [f"{air}_min", f"{air}_max"]
        fault = f"no driver {air!r} over (time, coarse), nor {extremes}; drivers: {there}"
        raise InvalidDatasetError([fault])
    for name in (air, f"{air}_min", f"{air}_max"):
        if name in known:
            need_units(ds[f"{name}_coarse"], "degC")
    values = values.astype(np.promote_types(values.dtype, np.float32))  # float16 overflows in sums
    return ds.assign({f"{air}_coarse": values.transpose("time", "coarse").load()})


def _static_features(ds: xr.Dataset) -> tuple[Floats, Floats]:
    """Standardise the static attributes of segments and of reaches; 0 where unknown."""
    coarse, fine = [np.zeros((ds.sizes["coarse"], 0))], [np.zeros((ds.sizes["fine"], 0))]
    for base in statics(ds):
        segments = np.asarray(ds[f"{base}_coarse"].values, dtype=np.float64)
        reaches = np.asarray(fine_values(ds, base).values, dtype=np.float64)
        finite = segments[np.isfinite(segments)]
        if finite.size < 2 or np.ptp(finite) == 0:
            continue
        # Areas and widths span orders of magnitude; a few large rivers would dominate a linear fit.
        if finite.min() > 0 and finite.max() > 10 * np.median(finite):
            segments, reaches = (np.log(np.maximum(place, finite.min())) for place in (segments, reaches))
            finite = np.log(finite)
        for place, columns in ((segments, coarse), (reaches, fine)):
            scaled = np.clip((place - finite.mean()) / finite.std(), -3, 3)
            columns.append(np.where(np.isfinite(place), scaled, 0.0)[:, None])
    return np.hstack(coarse), np.hstack(fine)


def _blocks(ds: xr.Dataset, scale: str, air: str | None) -> Iterator[tuple[slice, Floats]]:
    """Blocks of places with their air temperature (time, block), 0 where the design has none."""
    for first in range(0, ds.sizes[scale], _REACHES_AT_ONCE):
        block = slice(first, min(first + _REACHES_AT_ONCE, ds.sizes[scale]))
        if air is None:
            yield block, np.broadcast_to(0.0, (ds.sizes["time"], block.stop - first))
            continue
        if scale == "coarse":
            values = ds[f"{air}_coarse"].isel(coarse=block)
        else:
            values = fine_values(ds.isel(fine=block), air).transpose("time", "fine").compute()
            refuse_unfit(values.to_dataset(), [str(values.name)])
        yield block, np.asarray(values.values, dtype=np.float64)


def _normals(ds: xr.Dataset, scale: str, design: _Design) -> dict[int, _Normal]:
    """Sum up every place with labels; static attributes are the last columns."""
    found: dict[int, _Normal] = {}
    if f"{LABEL}_{scale}" not in ds.variables:
        return found
    # Loaded at once: stored blocks hold all reaches of some days, and each would be read many times.
    need_units(ds[f"{LABEL}_{scale}"], "degC")
    labels = ds[f"{LABEL}_{scale}"].transpose("time", scale).to_numpy()
    refuse_impossible_water(labels, f"{LABEL}_{scale}")
    static = design.coarse_static if scale == "coarse" else design.fine_static
    for block, air in _blocks(ds, scale, design.air):
        values = labels[:, block].astype(np.float64)
        seen = np.isfinite(values)
        for column in np.flatnonzero(seen.any(axis=0)):
            days, place = seen[:, column], block.start + int(column)
            rows = design.rows(air[:, column])[days]
            rows = np.column_stack([rows, np.broadcast_to(static[place], (len(rows), static.shape[1]))])
            found[place] = _Normal(rows.T @ rows, rows.T @ values[days, column], len(rows))
    return found


def _pooled(normals: list[_Normal], n_static: int) -> Floats:
    """Coefficients of the basin, static attributes last."""
    gram = np.sum([each.gram for each in normals], axis=0)
    right = np.sum([each.right for each in normals], axis=0)
    count = sum(each.n for each in normals)
    ridge = np.full(len(gram), _NEGLIGIBLE * count)
    if n_static:
        ridge[-n_static:] = static_ridge(count, len(normals))
    return np.asarray(np.linalg.solve(gram + np.diag(ridge), right), dtype=np.float64)


def _partial_pooling(ds: xr.Dataset, design: _Design, strength: float) -> xr.DataArray:
    if not strength >= 0:
        msg = f"strength is {strength}; it must be 0 or more observed days"
        raise InvalidArgumentError(msg)
    segment = segment_positions(ds)
    coarse, fine = _normals(ds, "coarse", design), _normals(ds, "fine", design)
    if not coarse and not fine:
        fault = f"no label left: {LABEL}_coarse and {LABEL}_fine are missing or NaN everywhere"
        raise InvalidDatasetError([fault])
    n_static = design.coarse_static.shape[1]
    basin = _pooled(list((coarse or fine).values()), n_static)
    n_dynamic = len(basin) - n_static
    dynamic, static = basin[:n_dynamic], basin[n_dynamic:]

    def fitted(normal: _Normal, above: Floats) -> Floats:
        """Coefficients of the dynamic features to add to those of the level above."""
        gram = normal.gram[:n_dynamic, :n_dynamic]
        rest = (normal.right - normal.gram[:, n_dynamic:] @ static)[:n_dynamic] - gram @ above
        ridge = max(strength, _NEGLIGIBLE * float(np.trace(gram)))
        return np.asarray(np.linalg.solve(gram + ridge * np.eye(n_dynamic), rest), dtype=np.float64)

    departure = {place: fitted(normal, dynamic) for place, normal in coarse.items()}
    predicted = np.empty((ds.sizes["time"], ds.sizes["fine"]), dtype=np.float32)
    for block, air in _blocks(ds, "fine", design.air):
        for reach in range(block.start, block.stop):
            weights = dynamic + departure.get(int(segment[reach]), 0.0)
            if reach in fine:
                weights = weights + fitted(fine[reach], weights)
            shift = float(design.fine_static[reach] @ static)
            rows = design.rows(air[:, reach - block.start])
            predicted[:, reach] = np.maximum(rows @ weights + shift, FREEZING)
    attrs = {"units": "degC", "pooling_strength_days": strength}
    coords = {"time": ds["time"], "fine": ds["fine"]}
    return xr.DataArray(predicted, coords, ("time", "fine"), name=f"{LABEL}_fine", attrs=attrs)
