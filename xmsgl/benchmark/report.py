"""The summary of a folder of runs: one Parquet file and one page of tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.machine import code_digest
from xmsgl.benchmark.store import write_table
from xmsgl.benchmark.table import collect_scores, markdown_sections, shared_settings
from xmsgl.evaluate.table import markdown
from xmsgl.util.writing import whole, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from xmsgl.benchmark.store import Store

__all__ = ["write_report"]

_RUN_HEAD = ["method", "run", "seed", "draw", "RMSE [degC]", "n", "wall time [s]"]
_RUN_HEAD += ["device, threads", "finished", "code"]
_HOW_TO_READ = """\
Numbers are means over runs ± their sample standard deviation. Temperatures are in degC. `n` is the number of
reach-days scored in one run; "median reach" is the median of the RMSE of each reach with at least 30 of them.
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
