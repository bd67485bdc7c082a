"""Pictures of a benchmark: skill against labels, by month, by river size, over training time, on the map.

All take the tidy scores that :func:`xmsgl.benchmark.run` gives, one row a number, and draw what they are
given: select rows first. Colours are those of Okabe and Ito, with a marker each, so that grey and
colour-blind eyes tell the methods apart too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.plot.maps import network
from xmsgl.plot.style import COLOURS, MARKERS, axes, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["convergence", "fractions", "months", "reaches", "sensitivity", "stream_orders"]

_SIZE = (6.4, 4.0)  # inches
_ASIDE = 0.06  # between the dots of two methods at the same place
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


def fractions(scores: pd.DataFrame, metric: str = "rmse", ax: Any = None) -> Any:
    """Draw the skill of each method against the part of the fine labels it learned from."""
    chosen = _chosen(scores, "all", metric)
    ax = axes(_SIZE) if ax is None else ax
    for (label, rows), look in _lines(chosen):
        means = rows.groupby("fraction", dropna=False)["value"].agg(["mean", "min", "max"])
        if means.index.isna().all():
            ax.axhline(means["mean"].iloc[0], color=look["color"], linestyle="--", linewidth=1.2, label=label)
            continue
        known = means[means.index.notna()]
        _with_range(ax, 100 * known.index.to_numpy(float), known, label, look)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("part of the fine labels [%]")
    return _finish(ax, metric)


def months(scores: pd.DataFrame, metric: str = "rmse", ax: Any = None) -> Any:
    """Draw the error of each method by calendar month."""
    ax = _by_number(scores, "month", metric, ax)
    ax.set_xticks(range(1, 13), _MONTHS)
    ax.set_xlabel("month")
    return ax


def stream_orders(scores: pd.DataFrame, metric: str = "rmse", ax: Any = None) -> Any:
    """Draw the error of each method by Strahler stream order."""
    chosen = _chosen(scores, "stream_order", metric)
    counts = chosen.groupby(chosen["member"].astype(int))["n"].mean()
    ax = _by_number(scores, "stream_order", metric, ax)
    ax.set_xticks(counts.index.tolist(), [f"{order}\nn = {n:,.0f}" for order, n in counts.items()])
    ax.set_xlabel("stream order (Strahler)")
    return ax


def sensitivity(scores: pd.DataFrame, setting: str, metric: str = "rmse", ax: Any = None) -> Any:
    """Draw the skill against one setting of a method, or against a degradation."""
    chosen = _chosen(scores, "all", metric)
    table = _spread_setting(chosen, setting)
    order = _order(table["at"].unique())
    places = {text: place for place, text in enumerate(order)}
    ax = axes(_SIZE) if ax is None else ax
    for (label, rows), look in _lines(table):
        means = rows.groupby("at")["value"].agg(["mean", "min", "max"])
        means = means.loc[sorted(means.index, key=lambda text: places[text])]
        _with_range(ax, np.array([places[text] for text in means.index], float), means, label, look)
    ax.set_xticks(range(len(order)), order)
    ax.set_xlabel(setting.replace("_", " "))
    return _finish(ax, metric)


def convergence(epochs: pd.DataFrame, ax: Any = None) -> Any:
    """Draw the validation error over the time that training took."""
    known = epochs[epochs["validation"].notna()]
    if known.empty:
        msg = "no epoch has a validation error: there is nothing to draw"
        raise InvalidArgumentError(msg)
    ax = axes(_SIZE) if ax is None else ax
    for (label, rows), look in _lines(known):
        for number, (_, run) in enumerate(rows.groupby("run", sort=False)):
            style = {"marker": look["marker"], "markersize": 3, "markevery": max(1, len(run) // 8)}
            name = None if number else label
            ax.plot(
                run["seconds"], run["validation"], color=look["color"], linewidth=1.0, label=name, **style
            )
    ax.set_xlabel("wall time of training [s]")
    ax.set_ylabel("validation RMSE [°C]")
    return _frame(ax)


def reaches(
    scores: pd.DataFrame,
    ds: xr.Dataset,
    metric: str = "rmse",
    ax: Any = None,
    *,
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw the error of one method at each reach on the map, the mean over seeds."""
    chosen = _chosen(scores, "reach", metric)
    if len(labels := chosen["label"].unique()) > 1:
        msg = f"a map shows one method, these scores are of {shorten(labels)}; select one"
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
        msg = f"no score of {metric!r} in group {group!r}; there are {shorten(scores['metric'].unique(), 20)}"
        raise InvalidArgumentError(msg)
    return rows


def _lines(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, pd.DataFrame], dict[str, Any]]]:
    """Give each label its rows, a colour and a marker; markers change when colours begin anew."""
    # Categories keep a method's colour through figures that do not show all methods.
    for number, label in enumerate(rows["label"].astype("category").cat.categories):
        part = rows[rows["label"] == label]
        again, colour = divmod(number, len(COLOURS))
        marker = MARKERS[(colour + again) % len(MARKERS)]
        if len(part):
            yield (str(label), part), {"color": COLOURS[colour], "marker": marker}


def _with_range(ax: Any, x: Any, means: pd.DataFrame, label: str, look: dict[str, Any]) -> None:
    bars = [means["mean"] - means["min"], means["max"] - means["mean"]]
    ax.errorbar(x, means["mean"], yerr=bars, **look, markersize=5, linewidth=1.4, capsize=2.5, label=label)


def _by_number(scores: pd.DataFrame, group: str, metric: str, ax: Any) -> Any:
    chosen = _chosen(scores, group, metric)
    ax = axes(_SIZE) if ax is None else ax
    lines = list(_lines(chosen))
    for number, ((label, rows), look) in enumerate(lines):
        means = rows.groupby(rows["member"].astype(int))["value"].agg(["mean", "min", "max"])
        aside = _ASIDE * (number - (len(lines) - 1) / 2)  # bars on top of each other say nothing
        _with_range(ax, means.index.to_numpy(float) + aside, means, label, look)
    return _finish(ax, metric)


def _spread_setting(chosen: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Take a setting out of the labels: its value becomes ``at``, what else differs the label."""
    rows = []
    for number, (_, row) in enumerate(chosen.iterrows()):
        settings, degrade = json.loads(row["settings"]), json.loads(row["degrade"])
        at = settings.pop(setting, "default")
        at = degrade.pop(setting) if setting in degrade else at
        rows.append((number, _text(at), settings, degrade, row))
    if all(at == "default" for _, at, *_ in rows):
        msg = f"no run has the setting or degradation {setting!r}"
        raise InvalidArgumentError(msg)
    degraded = any(setting in json.loads(text) for text in chosen["degrade"])
    shared = {
        method: _shared(
            [settings | degrade for *_, settings, degrade, row in rows if row["method"] == method]
        )
        for method in chosen["method"].unique()
    }
    found = []
    for _, at, settings, degrade, row in rows:
        same = shared[row["method"]]
        rest = {name: value for name, value in (settings | degrade).items() if name not in same}
        words = [f"{name}={_text(value)}" for name, value in rest.items()]
        if chosen["fraction"].nunique() > 1 and not np.isnan(row["fraction"]):
            words.append(f"{100 * row['fraction']:g} % labels")
        label = ", ".join([str(row["method"]), *words])
        found.append(
            {"at": "0" if degraded and at == "default" else at, "label": label, "value": row["value"]}
        )
    return pd.DataFrame(found)


def _shared(each: list[dict[str, Any]]) -> set[str]:
    return {name for name, value in each[0].items() if all(other.get(name) == value for other in each)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _order(texts: Any) -> list[str]:
    """Numbers by size, then words."""

    def key(text: str) -> tuple[bool, float, str]:
        try:
            return False, float(text), text
        except ValueError:
            return True, 0.0, text

    return sorted(map(str, texts), key=key)


def _finish(ax: Any, metric: str) -> Any:
    ax.set_ylabel(_NAMES.get(metric, metric))
    return _frame(ax)


def _frame(ax: Any) -> Any:
    frame(ax)
    # Beside the curves, where it hides none of them however many there are.
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
    return ax
