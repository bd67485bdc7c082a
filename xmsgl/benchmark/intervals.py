"""Intervals of the RMSE of methods, and of its difference between them, from resampled segments."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xmsgl.evaluate.resample import MIN_SEGMENTS, bounds, sums

__all__ = ["CONFIDENCE", "rmse_intervals"]

CONFIDENCE = 0.9


def rmse_intervals(scores: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Write the interval of the RMSE of each label, and how far it is above the lowest."""
    rows = scores[(scores["group"] == "segment") & (scores["metric"] == "rmse")]
    if rows["member"].nunique() < MIN_SEGMENTS:
        return {}
    rows = rows.assign(squares=rows["value"] ** 2 * rows["n"], label=rows["label"].astype(str))
    table = rows.set_index(["label", "run", "member"])[["n", "squares"]].unstack(fill_value=0)
    days, squares = (np.asarray(table[name], np.float64) for name in ("n", "squares"))
    with np.errstate(invalid="ignore"):  # a resample may have none of the segments of a run
        roots = pd.DataFrame(np.sqrt(sums(squares, seed=0) / sums(days, seed=0)))
    label = table.index.get_level_values("label")
    means = roots.groupby(label).mean()
    best = str(means[0].idxmin())  # with all segments once
    # Runs scored on the same reach-days have the same number of them in each segment.
    split = np.unique(days, axis=0, return_inverse=True)[1].ravel()
    paired = {str(name): own.groupby(split[own.index]).mean() for name, own in roots.groupby(label)}
    found = {}
    for name, own in paired.items():
        low, high = bounds(means.loc[name].to_numpy(), CONFIDENCE)
        above = (own - paired[best]).mean().to_numpy()
        least, most = bounds(above, CONFIDENCE)
        text = f"{above[0]:.3f} ({least:.3f} to {most:.3f})" if name != best and np.isfinite(least) else "-"
        found[name] = (f"{low:.3f} to {high:.3f}", text)
    return found
