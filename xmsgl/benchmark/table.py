"""All scores of a folder in one frame, and their summary in Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.benchmark.averages import columns_of, score_blends, score_ensembles
from xmsgl.evaluate.table import markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.benchmark.store import Store

__all__ = ["SECTION", "collect_scores", "in_common", "markdown_sections", "shared_settings"]

# The seeds of a case are averaged.
_CASE = ["dataset", "data", "protocol", "degrade", "fraction", "label"]
SECTION = ["dataset", "data", "protocol"]
_COLUMNS = {
    "rmse": "RMSE [degC]",
    "rmse_median": "median reach",
    "mae": "MAE",
    "bias": "bias",
    "nse": "NSE",
    "kge": "KGE",
    "rmse_hot": "RMSE hottest 10 %",
    "rmse_cold": "RMSE coldest 10 %",
}


def collect_scores(store: Store, *, ensembles: bool = False, blends: Sequence[str] = ()) -> pd.DataFrame:
    """Put the scores of all finished runs into one tidy frame, labelled by method and settings not shared."""
    records = store.records()
    shared = shared_settings(records)
    frames = [
        store.scores(record["id"]).assign(**columns_of(record, shared), run=record["id"])
        for record in records
    ]
    if ensembles:
        frames += list(score_ensembles(store, records, shared))
    frames += list(score_blends(store, records, shared, blends))
    if not frames:
        return pd.DataFrame(columns=[*_CASE, "method", "settings", "seed", "draw", "run"])
    scores = pd.concat(frames, ignore_index=True).astype({"fraction": float, "seed": "Int64"})
    first = ["run", "dataset", "data", "protocol", "degrade", "method", "settings", "label", "fraction"]
    return scores[[*first, "seed", "draw", "group", "member", "metric", "value", "n"]]


def shared_settings(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings that all networks of a folder have in common."""
    return in_common([record["run"]["settings"] for record in records if "sha256" in record])


def in_common(mappings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the names and values that are in all of the mappings."""
    first = mappings[0] if mappings else {}
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in mappings)
    }


def markdown_sections(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> str:
    """Write one table per dataset and protocol: mean and spread over seeds, n, wall time."""
    wall = pd.Series({record["id"]: record["wall_s"] for record in records}, dtype=float)
    labels = {record["id"]: record["labels"] for record in records}
    overall = scores[scores["group"] == "all"]
    parts = []
    for (dataset, data, protocol), section in overall.groupby(SECTION, sort=False):
        rows = [_row(case, wall, labels) for _, case in section.groupby(_CASE, sort=False, dropna=False)]
        rows.sort(key=lambda row: row[0])
        head = ["fraction", "method", *_COLUMNS.values(), "n", "runs", "wall time [s]"]
        head += ["fine labels", "coarse labels"]
        title = f"## {dataset}, {protocol} protocol" + ("" if data == "{}" else f", `{data}`")
        parts += [title, markdown(head, [cells for _, cells in rows], left=(0, 1))]
    return "\n\n".join(parts)


def _row(case: pd.DataFrame, wall: pd.Series, labels: dict[str, dict[str, int]]) -> tuple[Any, list[str]]:
    """Return the sorting key of a case in its table, and its cells."""
    first = case.iloc[0]
    values = case.pivot_table(index="run", columns="metric", values="value", dropna=False)
    known = [run for run in values.index if run in wall.index]
    degradations = ", ".join(f"{name} {amount:g}" for name, amount in json.loads(first["degrade"]).items())
    fraction = "any" if np.isnan(first["fraction"]) else f"{100 * first['fraction']:g} %"
    took = _spread(wall[known].to_numpy(), 1 if wall[known].mean() < 10 else 0) if known else "-"
    counts = [[labels[run][scale] for run in known if scale in labels[run]] for scale in ("fine", "coarse")]
    counted = case.loc[case["metric"] == "rmse", "n"]
    n = f"{counted.iloc[0]:,}" if counted.nunique() == 1 else f"{counted.min():,} to {counted.max():,}"
    cells = [
        fraction,
        f"{first['label']}, degraded: {degradations}" if degradations else first["label"],
        *(_spread(values[metric].to_numpy(), 3) for metric in _COLUMNS),
        n,
        str(len(values)),
        took,
        *(f"{np.mean(count):,.0f}" if count else "-" for count in counts),
    ]
    last = 2.0  # behind all fractions
    key = (
        first["degrade"],
        last if np.isnan(first["fraction"]) else first["fraction"],
        values["rmse"].mean(),
    )
    return key, cells


def _spread(values: np.ndarray[Any, np.dtype[np.float64]], digits: int) -> str:
    """Write mean and sample standard deviation."""
    mean = f"{np.mean(values):,.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):,.{digits}f}"
