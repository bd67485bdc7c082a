"""Pictures of skill: predicted against observed, scores by group, distributions over the reaches."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, UnknownNameError, shorten
from xmsgl.evaluate.names import MIN_DAYS
from xmsgl.evaluate.pairs import gather
from xmsgl.evaluate.probabilistic import levels
from xmsgl.plot import style

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["against_observed", "by_group"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IN_TURN = {"month", "year", "water_year"}  # consecutive, so that a missing one leaves a gap
_FROM_ZERO = {"rmse", "rmse_median", "mae", "rmse_hot", "rmse_cold", "crps", "pinball", "width"}
_FEW_PAIRS = 3000  # the most reach-days drawn as dots
_FEW_GROUPS = 14  # the most groups with their n below them


def against_observed(prediction: xr.DataArray, observed: xr.DataArray, ax: Any = None) -> Any:
    """Draw predicted against observed temperature on all observed reach-days."""
    prediction = _median(prediction)
    pairs = gather(prediction, observed)
    units = "°C" if pairs.units == "degC" else pairs.units
    ax = style.axes((5.4, 5.0)) if ax is None else ax
    low = float(min(pairs.observed.min(), pairs.predicted.min()))
    high = float(max(pairs.observed.max(), pairs.predicted.max()))
    margin = 0.03 * max(high - low, 1e-3)
    ends = (low - margin, high + margin)
    if pairs.observed.size <= _FEW_PAIRS:
        look = {"markersize": 3.0, "color": style.COLOURS[0], "alpha": 0.5, "markeredgewidth": 0}
        ax.plot(pairs.observed, pairs.predicted, "o", **look, zorder=2)
    else:
        grid = {"gridsize": 60, "extent": (*ends, *ends), "bins": "log", "mincnt": 1}
        look = {"cmap": style.strength_colours(), "linewidths": 0.2, "zorder": 2}
        cells = ax.hexbin(pairs.observed, pairs.predicted, **grid, **look)
        bar = ax.inset_axes((1.03, 0.0, 0.035, 1.0))
        ax.figure.colorbar(cells, cax=bar, label="reach-days per hexagon")
    ax.plot(ends, ends, color=style.MARK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.set_xlabel(f"observed water temperature [{units}]")
    which = style.which_quantile(prediction)
    ax.set_ylabel(f"predicted water temperature{which and f', {which}'} [{units}]")
    error = pairs.predicted - pairs.observed
    spread, bias = float(np.sqrt(np.mean(error**2))), float(np.mean(error))
    title = f"RMSE {spread:.2f} {units}, bias {bias:+.2f} {units}, n = {error.size:,}"
    ax.set_title(title, loc="left", fontsize="medium")
    style.frame(ax)
    return ax


def _median(prediction: xr.DataArray) -> xr.DataArray:
    if "quantile" not in prediction.dims:
        return prediction
    probabilities = levels(prediction)
    if 0.5 not in probabilities:
        msg = f"the prediction has quantiles {probabilities} but no median to draw; predict 0.5 too"
        raise InvalidArgumentError(msg)
    return prediction.isel(quantile=probabilities.index(0.5))


def by_group(scores: Mapping[str, xr.Dataset], metric: str = "rmse", ax: Any = None) -> Any:
    """Draw one score of one or several methods by group, or its distribution over the reaches."""
    dim = _checked(scores, metric)
    ax = style.axes((6.8, 4.0)) if ax is None else ax
    if dim in ("fine", "coarse"):
        _over_reaches(ax, scores, metric, dim)
    else:
        _over_groups(ax, scores, metric, dim)
    style.frame(ax)
    if any(scores):
        style.legend_above(ax)
    return ax


def _checked(scores: Mapping[str, xr.Dataset], metric: str) -> str:
    """Check that the scores can be drawn together, and return the dimension of the groups."""
    if not scores:
        msg = "there are no scores to draw; give at least one"
        raise InvalidArgumentError(msg)
    first = next(iter(scores.values()))
    for name, own in scores.items():
        if metric not in own:
            raise UnknownNameError("score", metric, map(str, own.data_vars))
        if own[metric].ndim != 1:
            msg = (
                f"{metric} of {name or 'the scores'} has dims {own[metric].dims} and must have groups alone: "
                'evaluate(prediction, by="month"), and select one interval with .sel(interval=0.9)'
            )
            raise InvalidArgumentError(msg)
        if not own["n"].equals(first["n"]):
            msg = (
                f"the scores {shorten(scores)} are for different groups or reach-days, so they cannot be "
                "compared; give the predictions themselves to score them on the reach-days they share"
            )
            raise InvalidArgumentError(msg)
    return str(first[metric].dims[0])


def _looks(scores: Mapping[str, xr.Dataset]) -> list[dict[str, Any]]:
    """Choose a colour and a marker for each method; when the colours repeat, the markers differ."""
    found = []
    for number, name in enumerate(scores):
        again, colour = divmod(number, len(style.COLOURS))
        marker = style.MARKERS[(colour + again) % len(style.MARKERS)]
        found.append({"color": style.COLOURS[colour], "marker": marker, "label": name or None})
    return found


def _over_groups(ax: Any, scores: Mapping[str, xr.Dataset], metric: str, dim: str) -> None:
    first = next(iter(scores.values()))
    labels, counts = first[dim].values, first["n"].values
    numeric = np.issubdtype(labels.dtype, np.number)
    joined = {"linewidth": 1.4} if numeric or dim == "season" else {"linestyle": "none"}
    # Numbers are drawn to scale, and a line breaks at a year or month without observations.
    places = labels.astype(float) if numeric else np.arange(len(labels), dtype=float)
    along = np.arange(places.min(), places.max() + 1) if dim in _IN_TURN else places
    for look, own in zip(_looks(scores), scores.values(), strict=True):
        drawn = pd.Series(own[metric].values, places).reindex(along)
        ax.plot(along, drawn, markersize=5, **joined, **look, zorder=3)
    if metric in _FROM_ZERO:
        ax.set_ylim(0, 1.08 * max(float(own[metric].max()) for own in scores.values()) or 1.0)
    elif metric == "bias":
        ax.axhline(0, color=style.MARK, linewidth=0.8, zorder=1)
    ax.set_ylabel(fill(style.describe(first[metric], metric), 36))
    what = style.in_short(str(first[dim].attrs.get("long_name", dim.replace("_", " "))))
    if len(labels) <= _FEW_GROUPS:
        names = [
            _MONTHS[int(label) - 1] if dim == "month" else f"{label:g}" if numeric else str(label)
            for label in labels
        ]
        ax.set_xticks(places, [f"{name}\n{n:,}" for name, n in zip(names, counts, strict=True)])
        ax.set_xlabel(f"{what} and number of observed reach-days\nn = {counts.sum():,} in total")
    else:
        ax.xaxis.set_major_locator(style.need("matplotlib.ticker").MaxNLocator(10, integer=True))
        ax.set_xlabel(f"{what}\nn = {counts.sum():,} observed reach-days")


def _over_reaches(ax: Any, scores: Mapping[str, xr.Dataset], metric: str, dim: str) -> None:
    first = next(iter(scores.values()))
    long = (first["n"] >= MIN_DAYS).values
    if not long.any():
        msg = (
            f"no score is based on {MIN_DAYS} observed days or more (at most {int(first['n'].max())}), "
            "so there is nothing to draw; give more observations"
        )
        raise InvalidArgumentError(msg)
    for look, own in zip(_looks(scores), scores.values(), strict=True):
        values = np.sort(own[metric].values[long])
        share = 100 * np.arange(1, values.size + 1) / values.size
        marker = look.pop("marker")
        ax.step(np.r_[values[0], values], np.r_[0.0, share], where="post", linewidth=1.6, **look, zorder=3)
        dot = {"color": look["color"], "marker": marker, "linestyle": "none"}
        ax.plot(np.median(values), 50.0, **dot, markersize=6, zorder=4)
    ax.set_ylim(0, 100)
    if metric in _FROM_ZERO:
        ax.set_xlim(left=0)
    what = "reaches" if dim == "fine" else "segments"
    ax.set_xlabel(fill(style.describe(first[metric], metric), 60))
    ax.set_ylabel(f"{what} with at most that value [%]")
    ax.set_title(
        f"{long.sum():,} {what} with at least {MIN_DAYS} observed days", loc="left", fontsize="medium"
    )
