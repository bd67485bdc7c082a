"""Which sensors report while a method predicts: the protocols of reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.benchmark.sources import COARSE, FINE
from xmsgl.inputs.validation import label_values
from xmsgl.schema.rivers import segment_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Booleans = NDArray[np.bool_]

__all__ = ["LEADS", "WITH_SENSORS", "Sensors", "draw_gaps", "issue_days", "keep_some", "read_sensors"]

#: Days of a forecast, and between two issues: each day of the test is forecast once.
LEADS = 7
_QUIET = 60  # days before and after a gap, of which one at least is observed
_ENOUGH = 60  # observed days of a long gap
#: The protocols in which a method is given the sensors that report.
WITH_SENSORS = (
    *("spatial-observed", "forecast", "gaps-30", "gaps-180"),
    *(f"sensors-{percent}" for percent in (5, 10, 20, 50)),
)


@dataclass(frozen=True, eq=False)
class Sensors:
    """The observations that a method is given when it predicts."""

    observed: xr.Dataset  # of both scales, only where and when a segment reports
    learned: Booleans  # days of which training knew observations, (day,)
    issues: pd.DatetimeIndex | None  # days of issue, of a forecast


def draw_gaps(seen: Booleans, test: Booleans, length: int, seed: int) -> Booleans:
    """Draw gaps in the test years, about a quarter of the segments at a time; boolean (day, segment)."""
    rng, gap = np.random.default_rng(seed), np.zeros(seen.shape, np.bool_)
    for segment in range(seen.shape[1]):
        start = int(rng.integers(0, 4 * length))
        for first in range(start, len(seen), 4 * length):
            inside = slice(first, first + length)
            around = [slice(max(0, first - _QUIET), first), slice(first + length, first + length + _QUIET)]
            enough = seen[inside, segment].sum() >= min(2 * length // 3, _ENOUGH)
            if test[inside].all() and enough and all(seen[each, segment].any() for each in around):
                gap[inside, segment] = True
    return gap


def keep_some(seen: Booleans, test: Booleans, percent: int, seed: int) -> Booleans:
    """Draw the gauges that report, in the test years only, because others may report shortly before."""
    gauged = np.flatnonzero(seen[test].any(axis=0))
    kept = np.random.default_rng(seed).permutation(gauged)[: round(percent / 100 * gauged.size)]
    reports: Booleans = np.isin(np.arange(seen.shape[1]), kept) & test[:, None]
    return reports


def issue_days(test: Booleans) -> Booleans:
    """Say on which days a forecast is issued: every seventh of the record, of the test, not the last."""
    issued: Booleans = test & (np.arange(test.size) % LEADS == 0)
    issued[-1:] = False
    return issued


def _reports(protocol: str, seen: Booleans, unknown: Booleans, days: Booleans, draw: int) -> Booleans:
    """Say where a segment reports while a method predicts, (day, segment)."""
    kind, _, number = protocol.partition("-")
    if kind == "gaps":
        return ~draw_gaps(seen, days, int(number), draw)
    if kind == "sensors":
        return keep_some(seen, days, int(number), draw)
    return np.ones(seen.shape, np.bool_) if kind == "forecast" else ~unknown


def read_sensors(
    ds: xr.Dataset, protocol: str, hidden: xr.DataArray, draw: int
) -> tuple[Sensors, xr.DataArray]:
    """Return what a method is given when it predicts, and which reach-days are scored, (time, fine).

    `hidden` says which days, or reaches, training does not know.
    """
    segment = segment_positions(ds)
    labels = {scale: label_values(ds, scale) for scale in ("fine", "coarse")}
    seen = np.isfinite(labels["coarse"])
    day, reach = np.nonzero(np.isfinite(labels["fine"]))
    seen[day, segment[reach]] = True
    unknown = np.zeros(seen.shape, np.bool_)
    if hidden.dims == ("time",):
        unknown[hidden.values] = True
    else:
        unknown[:, np.unique(segment[hidden.values])] = True
    days: Booleans = np.logical_and.reduce(unknown, axis=1)
    reports = _reports(protocol, seen, unknown, days, draw)
    scored, issues = unknown & ~reports, None
    if protocol == "forecast":
        issued = issue_days(days)
        issues = pd.DatetimeIndex(ds.indexes["time"][issued])
        ahead = np.zeros(len(issued), np.bool_)
        for lead in range(1, LEADS + 1):
            ahead[lead:] |= issued[:-lead]
        scored = unknown & ahead[:, None]
    observed = {
        COARSE: (("time", "coarse"), np.where(reports, labels["coarse"], np.nan)),
        FINE: (("time", "fine"), np.where(reports[:, segment], labels["fine"], np.nan)),
    }
    given = xr.Dataset(observed, {name: ds.indexes[name] for name in ("time", "coarse", "fine")})
    where = xr.DataArray(scored[:, segment], {n: ds.indexes[n] for n in ("time", "fine")}, ("time", "fine"))
    return Sensors(given, ~days, issues), where
