"""Figures of a benchmark: skill by number of labels, month, stream order, training time, and on a map.

All take the tidy scores that :func:`xmsgl.benchmark.run` returns and draw all rows given: select rows first.
Methods differ in colour (those of Okabe and Ito) and in marker, for colour-blind readers and grey prints.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.benchmark.runs import in_common
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.plot.maps import network
from xmsgl.plot.style import COLOURS, MARKERS, axes, frame
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.structure import check_sizes
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xmsgl.plot.style import Axes

__all__ = ["convergence", "fractions", "months", "reaches", "sensitivity", "stream_orders"]

_SIZE = (6.4, 4.0)  # inches
_ASIDE = 0.06  # between the markers of two methods at the same x
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMES = {
    "rmse": "RMSE [°C]",
    "rmse_median": "RMSE of the median reach [°C]",
    "mae": "mean absolute error [°C]",
    "bias": "bias [°C]",
    "rmse_hot": "RMSE of the hottest 10 % [°C]",
    "rmse_cold": "RMSE of the coldest 10 % [°C]",
    "nse": "Nash-Sutcliffe efficiency",
    "kge": "Kling-Gupta efficiency",
}


@checked
def fractions(scores: pd.DataFrame, metric: str = "rmse", ax: Axes | None = None) -> Any:
    """Draw the skill of each method against the fraction of the fine labels it learned from."""
    chosen = _chosen(scores, "all", metric)
    ax = axes(_SIZE) if ax is None else ax
    for (label, rows), look in _lines(chosen):
        if rows["fraction"].isna().all():
            mean = rows["value"].mean()
            ax.axhline(mean, color=look["color"], linestyle="--", linewidth=1.2, label=label)
        else:
            _with_range(ax, rows["value"], 100 * rows["fraction"], label, look)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("fraction of the fine labels [%]")
    return _finish(ax, _NAMES.get(metric, metric))


@checked
def months(scores: pd.DataFrame, metric: str = "rmse", ax: Axes | None = None) -> Any:
    """Draw the error of each method by calendar month."""
    ax = _by_number(scores, "month", metric, ax)
    ax.set_xticks(range(1, 13), _MONTHS)
    ax.set_xlabel("month")
    return ax


@checked
def stream_orders(scores: pd.DataFrame, metric: str = "rmse", ax: Axes | None = None) -> Any:
    """Draw the error of each method by Strahler stream order."""
    chosen = _chosen(scores, "stream_order", metric)
    counts = chosen.groupby(chosen["member"].astype(int))["n"].mean()
    ax = _by_number(scores, "stream_order", metric, ax)
    ax.set_xticks(counts.index.tolist(), [f"{order}\nn = {n:,.0f}" for order, n in counts.items()])
    ax.set_xlabel("stream order (Strahler)")
    return ax


@checked
def sensitivity(scores: pd.DataFrame, setting: str, metric: str = "rmse", ax: Axes | None = None) -> Any:
    """Draw the skill against one setting of a method, or one degradation."""
    table = _spread_setting(_chosen(scores, "all", metric), setting)
    order = _order(table["at"].unique())
    ax = axes(_SIZE) if ax is None else ax
    for (label, rows), look in _lines(table):
        _with_range(ax, rows["value"], rows["at"].map(order.index), label, look)
    ax.set_xticks(range(len(order)), order)
    ax.set_xlabel(setting.replace("_", " "))
    return _finish(ax, _NAMES.get(metric, metric))


@checked
def convergence(epochs: pd.DataFrame, ax: Axes | None = None) -> Any:
    """Draw the validation error over the time that training took."""
    known = epochs[epochs["validation"].notna()]
    if known.empty:
        msg = "no epoch has a validation error, so there is nothing to draw"
        raise InvalidArgumentError(msg)
    ax = axes(_SIZE) if ax is None else ax
    for (label, rows), look in _lines(known):
        for number, (_, run) in enumerate(rows.groupby("run", sort=False)):
            style = {**look, "markersize": 3, "markevery": max(1, len(run) // 8), "linewidth": 1.0}
            ax.plot(run["seconds"], run["validation"], label=None if number else label, **style)
    ax.set_xlabel("wall time of training [s]")
    return _finish(ax, "validation RMSE [°C]")


@checked
def reaches(
    scores: pd.DataFrame,
    ds: xr.Dataset,
    metric: str = "rmse",
    ax: Axes | None = None,
    *,
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw the error of one method on a map of the reaches, the mean over seeds."""
    ds, chosen = sound_dataset(ds), _chosen(scores, "reach", metric)
    if faults := list(check_sizes(ds, ["fine"])):
        raise InvalidDatasetError(faults)
    if len(labels := chosen["label"].unique()) > 1:
        msg = f"a map shows one method, but these scores are of {shorten(labels)}; select one"
        raise InvalidArgumentError(msg)
    means = chosen.groupby("member")["value"].mean()
    ids = pd.Index(ds["fine"].values.astype(str))
    name = _NAMES.get(metric, metric).partition(" [")[0]
    values = xr.DataArray(
        means.reindex(ids).to_numpy(float),
        {"fine": ds["fine"]},
        "fine",
        attrs={"units": "degC" if "°C" in _NAMES.get(metric, "") else "1", "long_name": name},
    )
    ax = network(values, ds, ax, limits=limits)
    ax.set_title(str(labels[0]), loc="left")
    return ax


def _chosen(scores: pd.DataFrame, group: str, metric: str) -> pd.DataFrame:
    rows = scores[(scores["group"] == group) & (scores["metric"] == metric)]
    if rows.empty:
        known = shorten(scores["metric"].unique(), 20)
        msg = f"no score of {metric!r} in group {group!r}; the metrics are {known}"
        raise InvalidArgumentError(msg)
    return rows


def _lines(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, pd.DataFrame], dict[str, Any]]]:
    """Yield each label with its rows, and its colour and marker; colours repeat with other markers."""
    # Categories keep a method's colour in figures that do not show all methods.
    for number, label in enumerate(rows["label"].astype("category").cat.categories):
        part = rows[rows["label"] == label]
        again, colour = divmod(number, len(COLOURS))
        marker = MARKERS[(colour + again) % len(MARKERS)]
        if len(part):
            yield (str(label), part), {"color": COLOURS[colour], "marker": marker}


def _with_range(ax: Any, values: Any, x: Any, label: str, look: dict[str, Any]) -> None:
    """Draw the mean of the values at each x, with bars from the lowest to the highest."""
    means = values.groupby(x).agg(["mean", "min", "max"])
    bars = [means["mean"] - means["min"], means["max"] - means["mean"]]
    style = {**look, "markersize": 5, "linewidth": 1.4, "capsize": 2.5}
    ax.errorbar(means.index.to_numpy(float), means["mean"], yerr=bars, label=label, **style)


def _by_number(scores: pd.DataFrame, group: str, metric: str, ax: Any) -> Any:
    chosen = _chosen(scores, group, metric)
    ax = axes(_SIZE) if ax is None else ax
    lines = list(_lines(chosen))
    for number, ((label, rows), look) in enumerate(lines):
        aside = _ASIDE * (number - (len(lines) - 1) / 2)  # so that bars do not overlap
        _with_range(ax, rows["value"], rows["member"].astype(int) + aside, label, look)
    return _finish(ax, _NAMES.get(metric, metric))


def _spread_setting(chosen: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Move the value of a setting into the column ``at``; the label keeps what else differs."""
    everything = [
        json.loads(settings) | json.loads(degrade)
        for settings, degrade in zip(chosen["settings"], chosen["degrade"], strict=True)
    ]
    if not any(setting in each for each in everything):
        msg = f"no run has the setting or degradation {setting!r}"
        raise InvalidArgumentError(msg)
    default = "0" if any(setting in json.loads(text) for text in chosen["degrade"]) else "default"
    at = [_text(each.pop(setting, default)) for each in everything]
    methods = chosen["method"].astype(str).tolist()
    shared = {
        method: in_common([each for name, each in zip(methods, everything, strict=True) if name == method])
        for method in set(methods)
    }
    labels = []
    for method, each, fraction in zip(methods, everything, chosen["fraction"], strict=True):
        words = [f"{name}={_text(value)}" for name, value in each.items() if name not in shared[method]]
        if chosen["fraction"].nunique() > 1 and not np.isnan(fraction):
            words.append(f"{100 * fraction:g} % labels")
        labels.append(", ".join([method, *words]))
    return pd.DataFrame({"at": at, "label": labels, "value": chosen["value"].to_numpy()})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _order(texts: Any) -> list[str]:
    """Sort numbers by size, then words."""
    found = pd.DataFrame({"number": pd.to_numeric(texts, errors="coerce"), "text": texts})
    return list(found.sort_values(["number", "text"])["text"])


def _finish(ax: Any, label: str) -> Any:
    ax.set_ylabel(label)
    frame(ax)
    # Beside the axes, where it hides no curve.
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
    return ax
