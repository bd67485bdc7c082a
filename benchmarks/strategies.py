"""The tables in which every stage is trained: ``python -m benchmarks.strategies TABLE=FOLDER ...``.

``TABLE`` is the name of a file in ``benchmarks/settings``, whose command wrote the folder:

    xmsgl benchmark delaware --config benchmarks/settings/region.toml --out FOLDER

One row for each finished run is kept in ``docs/benchmarks/strategies.json``, with the validation RMSE of each
task by epoch; the tables are written into ``docs/benchmarks/strategies.md``, between marks, and the curves of
synchronous and asynchronous training are drawn. Without an argument, page and figure are made again from the
rows kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.rows import fill, read_rows
from xmsgl.benchmark.store import Store
from xmsgl.evaluate.table import markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ROOT", "main", "read_runs", "stage_ends", "table", "written"]

ROOT = Path(__file__).parents[1]
RESULTS = "docs/benchmarks/strategies.json"
PAGE = "docs/benchmarks/strategies.md"
FIGURE = "docs/images/strategies-curves.png"
_TASKS = ("coarse", "interpolation", "fine")
_DYNAMIC = "dynamic-"  # has a table of its own, because it was run on fewer draws


def read_runs(name: str, folder: Path, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each finished run of a folder; `common` are settings that the label leaves out."""
    store, rows = Store(folder), []
    for record in store.records():
        scores = store.scores(record["id"])
        overall = scores[scores["group"] == "all"].set_index("metric")["value"]
        run, history = record["run"], record.get("history") or {}
        plain = ", by default" if history and not run["settings"] else ""
        if run["method"] == "stack":
            history = {}  # those of its parts, one after the other
        rows.append(
            {
                "table": name,
                "method": _label(run, common) + plain,
                **{key: run[key] for key in ("fraction", "seed", "draw")},
                **{key: round(float(overall[key]), 4) for key in ("rmse", "rmse_median", "bias")},
                "n": record["n"],
                "cpu_s": round(record["cpu_s"]),
                "pretrain": run["settings"].get("pretrain"),
                "kept": _kept(run["settings"], history.get("validation")),
                "curves": {
                    task: [None if each is None else round(each, 3) for each in history[f"validation_{task}"]]
                    for task in _TASKS
                    if f"validation_{task}" in history
                },
                **{key: record[key] for key in ("versions", "hardware", "finished")},
            }
        )
    return rows


def _run(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells a run from the others."""
    return tuple(row[key] for key in ("table", "method", "fraction", "seed", "draw"))


def _label(run: Mapping[str, Any], common: Mapping[str, Any]) -> str:
    """Return the method, what it changes of the common settings, and how labels are degraded."""
    own = {
        key: value
        for key, value in run["settings"].items()
        if key not in common or json.dumps(common[key]) != json.dumps(value)
    }
    parts = [f"{key}={json.dumps(value)}" for key, value in {**own, **run["degrade"]}.items()]
    return ", ".join([run["method"], *parts])


def _kept(settings: Mapping[str, Any], validation: Sequence[float | None] | None) -> int | None:
    """Return the epoch whose weights are used: of the last stage, that with the lowest score."""
    if validation is None or "recipe" in settings:  # the published recipe keeps the last
        return None if validation is None else len(validation)
    given = settings.get("pretrain") or 0
    before = sum(given) if isinstance(given, list) else given
    scores = [np.inf if value is None else value for value in validation[before:]]
    return before + int(np.argmin(scores)) + 1


def stage_ends(row: Mapping[str, Any]) -> str:
    """Write the validation RMSE of the tasks at the end of each stage, and at the epoch kept."""
    curves = {task: values for task, values in row["curves"].items() if any(v is not None for v in values)}
    if not curves:
        return ""
    total = len(next(iter(curves.values())))
    given = row["pretrain"] or 0
    ends = {total, *np.cumsum(given if isinstance(given, list) else [given]).tolist()} - {0}
    best = int(row["kept"])
    texts = []
    for end in sorted(ends | {best}):
        found = [
            f"{task} {values[end - 1]:.2f}" for task, values in curves.items() if values[end - 1] is not None
        ]
        if found:  # nothing is validated where a process model gives the labels
            texts.append(f"{end}{' (kept)' if end == best else ''}: {', '.join(found)}")
    return "; ".join(texts)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a row for each method, the lowest RMSE first: mean and sample deviation over the runs."""
    frame = pd.DataFrame(list(rows))
    lines = []
    best_first = frame.groupby("method")["rmse"].mean().sort_values().index
    for method in best_first:
        some = frame[frame["method"] == method]
        spread = f" ± {some['rmse'].std():.3f}" if len(some) > 1 else ""
        lines.append(
            [
                f"`{method}`",
                f"{some['rmse'].mean():.3f}{spread}",
                f"{some['rmse_median'].mean():.3f}",
                f"{some['bias'].mean():+.3f}",
                str(len(some)),
                f"{some['cpu_s'].mean():,.0f}",
                stage_ends(some.iloc[0]),
            ]
        )
    head = [
        "method",
        "RMSE",
        "median reach",
        "bias",
        "runs",
        "CPU [s]",
        "validation RMSE at the end of each stage",
    ]
    return markdown(head, lines, left=(0, 6))


def dynamic(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a row for each run with renewed edges, beside that with fixed ones on the same observations."""
    runs, lines = {_run(row): row for row in rows}, []
    for row in rows:
        if row["method"].startswith(_DYNAMIC):
            fixed = runs[_run({**row, "method": row["method"].removeprefix(_DYNAMIC)})]
            held_out = f"segments, draw {row['draw']}" if row["table"].endswith("-spatial") else "years"
            pair = (row, fixed)
            lines.append(
                [
                    f"{held_out}, seed {row['seed']}",
                    *(f"{each['rmse']:.3f}" for each in pair),
                    *(f"{each['rmse_median']:.3f}" for each in pair),
                    *(f"{each['cpu_s']:,}" for each in pair),
                    stage_ends(row),
                ]
            )
    head = [
        "held out",
        "RMSE, renewed",
        "fixed",
        "median reach, renewed",
        "fixed",
        "CPU [s], renewed",
        "fixed",
    ]
    return markdown([*head, "validation RMSE at the end of each stage, renewed"], sorted(lines), left=(0, 7))


def _compared(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Leave out draws of held-out segments that not every method has, because draws differ in difficulty."""
    if not rows[0]["table"].endswith("-spatial"):
        return rows
    draws = pd.DataFrame(list(rows)).groupby("method")["draw"].agg(set)
    common = set.intersection(*draws)
    return [row for row in rows if row["draw"] in common]


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the validation RMSE of each task by epoch, of synchronous and asynchronous training."""
    import matplotlib.pyplot as plt

    shown = {
        name: next(
            r for r in rows if r["table"] == "delaware-temporal" and r["method"].startswith(f"{name}, epochs")
        )
        for name in ("msgl", "async-msgl")
    }
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, layout="constrained")
    for axis, task in zip(axes, _TASKS, strict=True):
        for (name, row), style in zip(shown.items(), ("-", "--"), strict=True):
            values = np.array(row["curves"][task], np.float64)
            epochs = np.arange(1, values.size + 1)
            axis.plot(epochs, values, style, label=name)
            axis.plot(row["kept"], values[row["kept"] - 1], "o", color=axis.lines[-1].get_color(), ms=4)
        axis.set(title=f"{task} task", xlabel="epoch", ylim=(1.3, 2.6), xlim=(0, 27))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("validation RMSE [degC]")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def written(root: Path = ROOT) -> str:
    """Return the page with the figures of the stored results."""
    rows = read_rows(root / RESULTS)
    names = dict.fromkeys(row["table"] for row in rows)
    others = [row for row in rows if not row["method"].startswith(_DYNAMIC)]
    tables = {name: table(_compared([row for row in others if row["table"] == name])) for name in names}
    tables["dynamic"] = dynamic(rows)
    return fill((root / PAGE).read_text(encoding="utf-8"), tables, PAGE)


def main(arguments: Sequence[str], root: Path = ROOT) -> None:
    """Store the rows of some folders, in place of those of the same runs, and write the page."""
    import tomllib

    path = root / RESULTS
    rows = read_rows(path)
    for argument in arguments:
        name, _, folder = argument.partition("=")
        settings = tomllib.loads((root / f"benchmarks/settings/{name}.toml").read_text(encoding="utf-8"))
        new = read_runs(name, Path(folder), settings["set"])
        again = {_run(row) for row in new}
        rows = [row for row in rows if _run(row) not in again] + new
    if arguments:
        path.write_text(
            json.dumps(rows, separators=(",", ":")).replace('{"table"', '\n{"table"') + "\n", encoding="utf-8"
        )
    (root / PAGE).write_text(written(root), encoding="utf-8")
    draw_curves(rows, root / FIGURE)


if __name__ == "__main__":
    main(sys.argv[1:])
