"""Forecasts of one record that are issued on many days."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.prediction.downscale import in_order
from xmsgl.reconstruct.correction import Correction
from xmsgl.reconstruct.given import LIMIT
from xmsgl.reconstruct.run import Run, accompanied, corrected, error_covariances, known_river, stepwise
from xmsgl.reconstruct.saved import drivers_from
from xmsgl.reconstruct.sensors import observations
from xmsgl.schema.arrays import sound_dataset

if TYPE_CHECKING:
    from xmsgl.models.file.model import Model

__all__ = ["forecasts"]


def forecasts(
    obj: xr.Dataset, model: Model, observed: xr.Dataset, issues: pd.DatetimeIndex, leads: int, device: str
) -> xr.DataArray:
    """Return the forecasts of the days after each issue, degC, (time, fine), at most `leads` days of each.

    They are those of :func:`xmsgl.reconstruct.door.reconstruct` for each issue, with the observations up to
    it and the drivers up to its last lead. What the model alone predicts is computed once for all issues
    whose predictions depend on no later day.
    """
    ds, _ = in_order(sound_dataset(obj, sizes=True))
    covariances, time = error_covariances(model, None), pd.DatetimeIndex(ds.indexes["time"])
    river, labels = known_river(ds, covariances), observations(ds, observed)
    companions = accompanied(ds, river, covariances)
    lasts = time.get_indexer(issues).tolist()
    spans = [slice(max(0, last + 1 - LIMIT), min(last + 1 + leads, len(time))) for last in lasts]
    # What stands in for drivers before the record is taken from all of it, later days included.
    later = [not stepwise(model) or drivers_from(model, time[span.start], None) < time[0] for span in spans]
    rest = [span for span, alone in zip(spans, later, strict=True) if not alone]
    if rest:
        days = slice(min(span.start for span in rest), max(span.stop for span in rest))
        whole = Run.of(ds, labels, days, None, model, None, device).computed()
    weeks, ahead = [], []
    for last, span, alone in zip(lasts, spans, later, strict=True):
        if alone:
            run = Run.of(ds.isel(time=slice(span.stop)), labels, span, None, model, None, device).computed()
        else:
            run = whole.cut(slice(span.start - days.start, span.stop - days.start), model)
        issue = last - span.start
        known = {scale: each.copy() for scale, each in run.labels.items()}
        for each in known.values():
            each[issue + 1 :] = np.nan
        task = Correction(river, run.gauged, covariances, "forecast", issue, None, companions)
        weeks.append(corrected(replace(run, labels=known), task, issue + 1))
        ahead.append(np.arange(last + 1, span.stop))
    coords = {"time": time[np.concatenate(ahead)], "fine": ds.indexes["fine"]}
    return xr.DataArray(np.concatenate(weeks), coords, ("time", "fine"), attrs={"units": "degC"})
