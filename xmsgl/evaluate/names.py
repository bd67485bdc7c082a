"""Names and units of the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MIN_DAYS", "TAIL", "label_scores"]

MIN_DAYS = 30
"""Observed days a reach needs to enter the median over reaches."""

TAIL = 0.1
"""Fraction of the observed reach-days called hot, and fraction called cold."""

_LONG_NAMES = {
    "rmse": "root mean square error, pooled over observed reach-days",
    "rmse_median": f"median over reaches of each reach's RMSE, those with at least {MIN_DAYS} observed days; "
    "not the RMSE of a median quantile",
    "mae": "mean absolute error",
    "bias": "mean of prediction minus observation",
    "nse": "Nash-Sutcliffe efficiency",
    "kge": "Kling-Gupta efficiency (2009)",
    "kge_r": "correlation, first part of the Kling-Gupta efficiency",
    "kge_alpha": "predicted over observed standard deviation, second part of the Kling-Gupta efficiency",
    "kge_beta": "predicted over observed mean, third part of the Kling-Gupta efficiency",
    "rmse_hot": f"RMSE over the hottest {TAIL:.0%} of the observations",
    "rmse_cold": f"RMSE over the coldest {TAIL:.0%} of the observations",
    "bias_hot": f"bias over the hottest {TAIL:.0%} of the observations",
    "bias_cold": f"bias over the coldest {TAIL:.0%} of the observations",
    "rmse_difference": "RMSE minus that of the first method",
    "n": "observed reach-days scored",
    "n_reaches": "reaches with an observed day",
    "n_reaches_median": f"reaches with at least {MIN_DAYS} observed days, behind rmse_median",
    "n_hot": "observed reach-days behind rmse_hot and bias_hot",
    "n_cold": "observed reach-days behind rmse_cold and bias_cold",
    "n_segments": "coarse segments with an observed reach-day, resampled for the intervals",
    "crps": "continuous ranked probability score",
    "pinball": "mean pinball loss of a quantile",
    "coverage": "fraction of the observations inside the interval",
    "width": "mean width of the interval",
}
_WITHOUT_UNITS = {"nse", "kge", "kge_r", "kge_alpha", "kge_beta", "coverage"}
_BOUNDS = {"low": "lower", "high": "upper"}
_OWN_DIMS = {"pinball": ("quantile",), "coverage": ("interval",), "width": ("interval",)}


def label_scores(
    numbers: Mapping[str, Any], others: tuple[str, ...], groups: tuple[str, ...], units: str
) -> xr.Dataset:
    """Make a dataset of scores (*others, *groups); counts have no other dimensions than groups."""
    if clash := set(others) & set(groups):
        msg = f"the groups and the predictions both have a dimension {shorten(clash)}; rename one of them"
        raise InvalidArgumentError(msg)
    variables = {}
    order = list(_LONG_NAMES)
    named = {key: key if key in order else key.rpartition("_")[0] for key in numbers}
    for key in sorted(numbers, key=lambda key: order.index(named[key])):
        is_count = key == "n" or key.startswith("n_")
        own = () if is_count else (*others, *_OWN_DIMS.get(key, ()))
        if key == "crps" and "pinball" not in numbers:  # of the members together
            own = tuple(dim for dim in own if dim != "member")
        bound = "" if key in order else f"{_BOUNDS[key.rpartition('_')[2]]} bound of the interval: "
        long_name = f"{bound}{_LONG_NAMES[named[key]]}"
        attrs = {"units": "1" if is_count or key in _WITHOUT_UNITS else units, "long_name": long_name}
        values = np.asarray(numbers[key], "int64" if is_count else "float64")
        variables[key] = xr.Variable((*own, *groups), values, attrs)
    title = {"title": "scores on observed reach-days"}
    return xr.Dataset(variables, attrs=title).transpose(*others, *groups, ...)
