"""What a folder of runs amounts to: one Parquet file, one page of tables, figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.machine import code_digest
from xmsgl.benchmark.store import write_table
from xmsgl.benchmark.table import collect_scores, markdown_sections, shared_settings
from xmsgl.util.writing import whole, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from xmsgl.benchmark.store import Store

__all__ = ["write_report"]

_RUN_HEAD = (
    "method",
    "run",
    "seed",
    "draw",
    "RMSE [degC]",
    "n",
    "wall time [s]",
    "device, threads",
    "finished",
    "code",
)
_HOW_TO_READ = """\
Numbers are means over runs; after ± stands the sample standard deviation between them. Temperatures are in
degC. `n` counts the reach-days scored in one run; "median reach" is the median over reaches with at least 30
of them of the RMSE of each. Wall time is that of one run, with opening the dataset if no run before it did.
Labels are those a run learned from, validation included. Fraction "any": the method uses no fine label."""


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
    parts += [_failures(store), _origin(records), _runs(scores, records)]
    return "\n\n".join(part for part in parts if part)


def _failures(store: Store) -> str:
    lines = [f"- `{failure['id']}`: {failure['error']}" for failure in store.failures()]
    return "\n".join(["## Failed runs", "", *lines]) if lines else ""


def _origin(records: Sequence[dict[str, Any]]) -> str:
    """Say on what the runs were made; what differs between them is all listed."""
    if not records:
        return ""
    lines = [
        f"- {', '.join(f'{name} {version}' for name, version in json.loads(text).items())}"
        for text in _distinct(records, "versions")
    ]
    for text in _distinct(records, "hardware"):
        machine = json.loads(text)
        known = {name: value for name, value in machine.items() if value is not None}
        lines.append(f"- {', '.join(f'{name} {value}' for name, value in known.items())}")
    codes = sorted({record["code"] for record in records})
    lines.append(f"- state of the code: {', '.join(codes)}")
    if codes != [code_digest()]:
        lines.append(
            f"- **not all runs were made by the code of this page ({code_digest()})**: to repeat a run, "
            "delete its folder under `runs/`"
        )
    return "\n".join(["## Made with", "", *lines])


def _distinct(records: Sequence[dict[str, Any]], name: str) -> list[str]:
    return sorted({json.dumps(record[name]) for record in records})


def _runs(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> str:
    if not records:
        return ""
    overall = scores[(scores["group"] == "all") & (scores["metric"] == "rmse")].set_index("run")
    lines = []
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
        lines.append(f"| {' | '.join(cells)} |")
    head = ["## Runs", "", f"| {' | '.join(_RUN_HEAD)} |", "|:--|:--|--:|--:|--:|--:|--:|:--|:--|:--|"]
    return "\n".join([*head, *lines])
