"""Fit the anomalies of observed segments to a dataset, and assign them to their neighbours.

See :mod:`xmsgl.inputs.neighbours` for the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.neighbours import Neighbours, check_lengths, neighbour_features
from xmsgl.inputs.regression import Rows, fit_regression
from xmsgl.network.known import KnownSegments
from xmsgl.network.topology import link

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["assign_neighbours", "fit_neighbours", "has_labels"]

Floats: TypeAlias = npt.NDArray[np.float64]

_LABEL = f"{schema.LABEL}_coarse"
_SHRINK = 20.0  # weight, in days, of the year's anomaly in that of a season
_MONTHS = np.arange(1, 13)
# The five warmest months of either hemisphere.
_NORTH, _SOUTH = (5, 6, 7, 8, 9), (11, 12, 1, 2, 3)


def has_labels(ds: xr.Dataset) -> bool:
    """Say whether a dataset has any coarse observation."""
    return _LABEL in ds and bool(np.isfinite(ds[_LABEL]).any())


def fit_neighbours(ds: xr.Dataset, lengths: Sequence[float]) -> Neighbours:
    """Fit the anomaly of each observed segment.

    One regression for the basin: least squares of all coarse labels on means of air temperature over 1, 3, 7,
    30 and 90 days, of the other drivers over 1, 7 and 30 days, the season, and the static attributes, whose
    coefficients are shrunk to 0 with the weight of three segments. The anomaly of a segment is the mean of
    observed minus regressed temperature over its labelled days; those of the warm season and of the rest of
    the year are shrunk to the year's with the weight of 20 days. The warm season is May to September, or
    November to March where the regression is warmer then.
    """
    checked = check_lengths(lengths)
    if not checked or not has_labels(ds):
        what = f"labels of segments, {_LABEL} (time, coarse)" if checked else "a length along the river"
        msg = f"neighbour anomalies need {what}, but there are none; leave them out"
        raise InvalidArgumentError(msg)
    labels = np.asarray(ds[_LABEL].transpose("time", "coarse").values, np.float64)
    seen = np.isfinite(labels)
    ids = schema.id_values(ds.indexes["coarse"].to_numpy())
    observed = np.flatnonzero(seen.any(axis=0))
    observed = observed[np.argsort(ids[observed])]  # independent of the order in the file
    rows = Rows.of(ds, observed)
    month = pd.DatetimeIndex(ds.indexes["time"]).month.to_numpy()
    sums = [_sum_up(rows(k), labels[:, at], seen[:, at], month) for k, at in enumerate(observed)]
    gram = np.sum([each.gram for each in sums], axis=0)
    coefficients = fit_regression(gram, rows.ridge(int(seen.sum())))
    warm = _warm_months(coefficients, np.sum([each.climate for each in sums], axis=0))
    anomalies = [_anomalies(coefficients, each.by_month, warm) for each in sums]
    mean, warmth, cold = (tuple(column) for column in zip(*anomalies, strict=True))
    days = tuple(int(count) for count in seen[:, observed].sum(axis=0))
    return Neighbours(checked, tuple(ids[observed].tolist()), mean, warmth, cold, days)


def assign_neighbours(
    ds: xr.Dataset, neighbours: Neighbours | None, network: KnownSegments | None = None
) -> xr.Dataset:
    """Add neighbour anomalies to the static attributes of a dataset's segments.

    Observed segments are found by id. In another basin, which has none of them, all features are 0, as they
    are far from any observation. Labels of the dataset are not used. Lazy where the topology is.
    """
    if neighbours is None:
        return ds
    named = neighbour_features(neighbours.lengths)
    topology = [ds[f"{what}_coarse"].variable for what in ("downstream", "length")]
    table = xr.apply_ufunc(
        _table,
        *(variable.chunk(-1) if variable.chunks is not None else variable for variable in topology),
        kwargs={
            "ids": schema.id_values(ds.indexes["coarse"].to_numpy()),
            "neighbours": neighbours,
            "network": network,
        },
        input_core_dims=[["coarse"], ["coarse"]],
        output_core_dims=[["coarse", "feature"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"feature": len(named)}},
    )
    return ds.assign(
        {
            f"{name}_coarse": ("coarse", table.data[:, k], attrs)
            for k, (name, attrs) in enumerate(named.items())
        }
    )


def _table(
    downstream: npt.NDArray[Any],
    length: npt.NDArray[Any],
    *,
    ids: npt.NDArray[Any],
    neighbours: Neighbours,
    network: KnownSegments | None,
) -> npt.NDArray[np.float32]:
    downstream_ids = schema.id_values(downstream)
    below = link(ids, downstream_ids, what="coarse segment")
    if network is not None:
        known = network.recognise(KnownSegments.of(ids, downstream_ids, length))
        neighbours = neighbours.without(ids[~known].tolist())
    return neighbours.table(ids, below, length.astype(np.float64))


@dataclass(frozen=True)
class _Sums:
    """Sums of one segment over days. Columns: 1, the predictors, and the observed temperature."""

    gram: Floats  # products of columns on labelled days, (column, column)
    by_month: Floats  # columns on labelled days of each month, (12, column)
    climate: Floats  # all columns but the last on all days of each month, (12, column - 1)


def _sum_up(
    rows: Floats, labels: Floats, seen: npt.NDArray[np.bool_], month: npt.NDArray[np.integer[Any]]
) -> _Sums:
    own = month[:, None] == _MONTHS
    columns = np.column_stack([np.ones(len(rows)), rows])
    labelled = np.column_stack([columns[seen], labels[seen]])
    return _Sums(labelled.T @ labelled, own[seen].T @ labelled, own.T @ columns)


def _warm_months(coefficients: Floats, climate: Floats) -> npt.NDArray[np.bool_]:
    """Return the months of the warm season, (12,): the northern one, or the southern one if warmer."""
    seasons = [np.isin(_MONTHS, months) for months in (_NORTH, _SOUTH)]
    total, count = climate @ coefficients, climate[:, 0]
    north, south = (total[months].sum() / max(count[months].sum(), 1.0) for months in seasons)
    whole = all(count[months].any() for months in seasons)
    return seasons[1] if whole and south > north else seasons[0]


def _anomalies(
    coefficients: Floats, by_month: Floats, warm: npt.NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Return observed minus regressed over the year, in the warm season and in the rest."""
    excess, days = by_month[:, -1] - by_month[:, :-1] @ coefficients, by_month[:, 0]
    year = excess.sum() / days.sum()
    parts = [(excess[some].sum() + _SHRINK * year) / (days[some].sum() + _SHRINK) for some in (warm, ~warm)]
    return float(year), float(parts[0]), float(parts[1])
