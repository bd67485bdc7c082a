"""The summary of a folder of runs: one Parquet file and one page of tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.benchmark.averages import columns_of, score_blends, score_ensembles
from xmsgl.benchmark.intervals import CONFIDENCE, rmse_intervals
from xmsgl.benchmark.machine import code_digest
from xmsgl.benchmark.runs import in_common
from xmsgl.benchmark.store import write_table
from xmsgl.evaluate.table import markdown
from xmsgl.util.writing import whole, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.benchmark.store import Store

__all__ = ["SECTION", "collect_scores", "markdown_sections", "shared_settings", "write_report"]

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
_INTERVALS = [f"{100 * CONFIDENCE:g} % interval", "above the best"]
_RUN_HEAD = ["method", "run", "seed", "draw", "RMSE [degC]", "n", "wall time [s]"]
_RUN_HEAD += ["device, threads", "finished", "code"]
_HOW_TO_READ = """\
Numbers are means over runs ± their sample standard deviation. Temperatures are in degC. `n` is the number of
reach-days scored in one run; "median reach" is the median of the RMSE of each reach with at least 30 of them.
The interval of the RMSE is from coarse segments drawn again with replacement; "above the best" is the RMSE
minus the lowest one of the same fraction, on the same reach-days, with its interval.
Wall time is that of one run, including opening the dataset unless an earlier run did. Labels are those a run
learned from, validation included. Fraction "any": the method uses no fine labels."""


def write_report(store: Store, *, ensembles: bool = False, blends: Sequence[str] = ()) -> pd.DataFrame:
    """Write ``scores.parquet`` and ``table.md`` from all finished runs of a folder."""
    records = store.records()
    scores = collect_scores(store, ensembles=ensembles, blends=blends)
    with whole(store.folder / "scores.parquet") as part:
        write_table(scores, part)
    write_bytes(store.folder / "table.md", f"{_page(store, scores, records)}\n".encode())
    return scores


def _page(store: Store, scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> str:
    commands = "\n".join(store.commands())
    parts = ["# Benchmark", f"```sh\n{commands}\n```", _HOW_TO_READ]
    if shared := shared_settings(records):
        parts.append(
            f"All networks: {', '.join(f'{name} = {json.dumps(value)}' for name, value in shared.items())}."
        )
    parts.append(markdown_sections(scores, records) if records else "No run is finished.")
    if failures := [f"- `{failure['id']}`: {failure['error']}" for failure in store.failures()]:
        parts += ["## Failed runs", "\n".join(failures)]
    if records:
        parts += ["## Made with", _origin(records), "## Runs", _runs(scores, records)]
    return "\n\n".join(parts)


def _origin(records: Sequence[dict[str, Any]]) -> str:
    """List the versions, machines and states of the code of all runs."""
    lines = []
    for kind in ("versions", "hardware"):
        for text in sorted({json.dumps(record[kind]) for record in records}):
            known = [f"{name} {value}" for name, value in json.loads(text).items() if value is not None]
            lines.append(f"- {', '.join(known)}")
    codes = sorted({record["code"] for record in records})
    lines.append(f"- state of the code: {', '.join(codes)}")
    if codes != [code_digest()]:
        lines.append(
            f"- **not all runs were made by the code of this page ({code_digest()})**: to repeat a run, "
            "delete its folder under `runs/`"
        )
    return "\n".join(lines)


def _runs(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> str:
    overall = scores[(scores["group"] == "all") & (scores["metric"] == "rmse")].set_index("run")
    rows = []
    for record in sorted(records, key=lambda record: str(record["finished"])):
        row, run = overall.loc[record["id"]], record["run"]
        cells = [
            str(row["label"]),
            f"`{record['id']}`",
            str(run["seed"]),
            str(run["draw"]),
            f"{row['value']:.3f}",
            f"{record['n']:,}",
            f"{record['wall_s']:,.1f}{', resumed' if record['resumed'] else ''}",
            f"{record['device']}, {record['hardware']['threads']}",
            record["finished"],
            record["code"],
        ]
        rows.append(cells)
    return markdown(_RUN_HEAD, rows, left=(0, 1, 7, 8, 9))


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
        columns = [*SECTION, "degrade", "fraction", "label", "method", "settings", "seed", "draw", "run"]
        return pd.DataFrame(columns=columns)
    scores = pd.concat(frames, ignore_index=True).astype({"fraction": float, "seed": "Int64"})
    first = ["run", "dataset", "data", "protocol", "degrade", "method", "settings", "label", "fraction"]
    return scores[[*first, "seed", "draw", "group", "member", "metric", "value", "n"]]


def shared_settings(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings that all networks of a folder have in common."""
    return in_common([record["run"]["settings"] for record in records if "sha256" in record])


def markdown_sections(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> str:
    """Write one table per dataset and protocol: mean and spread over seeds, n, wall time."""
    wall = pd.Series({record["id"]: record["wall_s"] for record in records}, dtype=float)
    labels = {record["id"]: record["labels"] for record in records}
    parts = []
    for (dataset, data, protocol), section in scores.groupby(SECTION, sort=False):
        rows = []
        for _, block in section.groupby(["degrade", "fraction"], sort=False, dropna=False):
            intervals = rmse_intervals(block)
            overall = block[block["group"] == "all"]
            for label, case in overall.groupby("label", sort=False, observed=True):
                key, cells = _row(case, wall, labels)
                cells[3:3] = intervals.get(str(label), ("-", "-"))
                rows.append((key, cells))
        rows.sort(key=lambda row: row[0])
        rmse, *others = _COLUMNS.values()
        head = ["fraction", "method", rmse, *_INTERVALS, *others, "n", "runs", "wall time [s]"]
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
