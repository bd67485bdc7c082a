"""Pairs of observed and predicted temperature, and their tidy scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.evaluate import score

if TYPE_CHECKING:
    from xmsgl.benchmark.protocols import Split

__all__ = ["GROUPS", "pair_up", "score_pairs"]

GROUPS = ("all", "month", "stream_order", "segment", "reach")
"""Groupings of the scores: months, stream orders, coarse segments and reaches; of forecasts also leads."""

# Redundant for a single reach.
_NOT_BY_REACH = ("rmse_median", "n_reaches", "n_reaches_median")
# Metrics of some of the reach-days only, and the count of these.
_COUNT_OF = {f"{score}_{part}": f"n_{part}" for score in ("rmse", "bias") for part in ("hot", "cold")}


def pair_up(prediction: xr.DataArray, split: Split) -> pd.DataFrame:
    """Put observed and predicted temperature side by side, float32; `prediction` (time, fine), degC."""
    observed = split.observed.transpose("time", "fine")
    chosen = prediction.transpose("time", "fine").sel(time=observed["time"]).sel(fine=observed["fine"])
    predicted = np.asarray(chosen.values, np.float32)
    values = np.asarray(observed.values, np.float32)
    reach, day = np.nonzero(np.isfinite(values).T)
    frame = pd.DataFrame(
        {
            "reach": observed["fine"].values[reach],
            "day": observed["time"].values[day].astype("datetime64[ms]"),
            "observed": values[day, reach],
            "predicted": predicted[day, reach],
            "stream_order": split.stream_order.values[reach].astype(np.int16),
            "segment": split.segment.values[reach],
        }
    )
    if split.sensors is not None and (issues := split.sensors.issues) is not None:
        days = pd.DatetimeIndex(frame["day"])
        last = issues[issues.searchsorted(days) - 1]
        frame["lead"] = (days - last).days.to_numpy(np.int16)
    return frame.sort_values(["reach", "day"], ignore_index=True)


def score_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Score pairs, over all and in groups."""
    table = pairs.set_index(["day", "reach"])[["observed", "predicted"]].to_xarray()
    field = table.rename(day="time", reach="fine").transpose("time", "fine")
    reaches = pairs.groupby("reach").first()
    ways: dict[str, str | xr.DataArray | None] = dict(zip(GROUPS, GROUPS, strict=True)) | {"all": None}
    for name in ("stream_order", "segment"):
        if name in reaches:
            coords = {"fine": reaches.index.to_numpy()}
            ways[name] = xr.DataArray(reaches[name].to_numpy(), coords, "fine", name=name)
        else:  # runs made before pairs had their segment
            del ways[name]
    if "lead" in pairs:
        days = pairs.groupby("day")["lead"].first()
        ways["lead"] = xr.DataArray(days.to_numpy(), {"time": days.index.to_numpy()}, "time", name="lead")
    parts = []
    for group, way in ways.items():
        scores = score(field["predicted"], field["observed"], by=way)
        parts.append(_tidy(scores if scores.sizes else scores.expand_dims(member=[""]), group))
    return pd.concat(parts, ignore_index=True)


def _tidy(scores: xr.Dataset, group: str) -> pd.DataFrame:
    """Turn one variable per metric into one row per number."""
    (dim,) = scores.sizes
    members = [str(member) for member in scores[dim].values]
    rows = []
    for metric in map(str, scores.data_vars):
        if metric == "n" or (group == "reach" and metric in _NOT_BY_REACH):
            continue
        values = scores[metric].values.astype(np.float64)
        counts = scores[_COUNT_OF.get(metric, "n")].values.astype(np.int64)
        rows.append(
            pd.DataFrame({"group": group, "member": members, "metric": metric, "value": values, "n": counts})
        )
    return pd.concat(rows, ignore_index=True)
