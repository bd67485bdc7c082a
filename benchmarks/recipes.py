"""The test scores of the recipes: ``python -m benchmarks.recipes FOLDER ...``.

The folders are those of ``xmsgl benchmark``. One row for each finished run is kept in
``docs/benchmarks/recipes.json``; their table is written into ``docs/benchmarks/recipes.md`` and their means
into ``README.md``, between marks. Without a folder, the pages are written again from the rows kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.rows import fill
from xmsgl.benchmark.store import Store
from xmsgl.evaluate.table import markdown
from xmsgl.models.file.intervals import apply_table
from xmsgl.models.file.model import load_model
from xmsgl.util.spec import label_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["ROOT", "main", "read_runs", "summary", "table", "written"]

ROOT = Path(__file__).parents[1]
RESULTS = "docs/benchmarks/recipes.json"
_QUESTIONS = {"temporal": "gauged reaches, held-out years", "spatial": "ungauged reaches, held-out segments"}
_RUN = ("protocol", "method", "seed", "draw")
_HEAD = [
    "question",
    "method",
    "seed",
    "draw",
    "RMSE",
    "median reach",
    "bias",
    "90 % covers",
    "n",
    "wall time [s]",
]


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Return one row for each finished run of a folder."""
    store, rows = Store(folder), []
    for record in store.records():
        scores = store.scores(record["id"])
        overall = scores[scores["group"] == "all"].set_index("metric")["value"]
        run = record["run"]
        rows.append(
            {
                **{name: run[name] for name in ("protocol", "seed", "draw")},
                "method": _name(run["method"], run["settings"]),
                **{name: round(float(overall[name]), 4) for name in ("rmse", "rmse_median", "bias")},
                "coverage": _coverage(store, record["id"]),
                "n": record["n"],
                "wall_s": round(record["wall_s"]),
                **{name: record[name] for name in ("versions", "hardware", "finished")},
            }
        )
    return rows


def _name(method: str, settings: Mapping[str, Any]) -> str:
    recipe = settings.get("recipe")
    return label_of(method, settings) if recipe is None else f'recipe="{recipe}"'


def _coverage(store: Store, run: str) -> float | None:
    """Return the share of observations in the 90 % interval of the run's model, %."""
    path = store.runs / run / "model.safetensors"
    intervals = load_model(path).spec.intervals if path.is_file() else None
    if intervals is None:
        return None
    pairs = store.pairs(run)
    low, high = apply_table(intervals, pairs["predicted"].to_numpy("f4"), [0.05, 0.95])
    return round(100 * float(((low <= pairs["observed"]) & (pairs["observed"] <= high)).mean()), 1)


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Write all rows as a table, and the mean of each method."""
    frame = _frame(rows)
    lines = []
    for (protocol, method), some in frame.groupby(["protocol", "method"], sort=False):
        each = [
            [_QUESTIONS[protocol], f"`{method}`", f"{row.seed}", f"{row.draw}", *_figures(row), *_counts(row)]
            for row in some.itertuples()
        ]
        mean = some[["rmse", "rmse_median", "bias", "coverage"]].mean()
        last = [
            _QUESTIONS[protocol],
            f"`{method}`, mean",
            "",
            "",
            *_figures(mean),
            "",
            f"{some.wall_s.mean():,.0f}",
        ]
        lines += [*each, last] if len(each) > 1 else each
    return markdown(_HEAD, lines, left=(0, 1))


def summary(rows: Iterable[dict[str, Any]]) -> str:
    """Write the mean of each method as a list, the lowest RMSE first."""
    frame = _frame(rows)
    lines = []
    for protocol, question in _QUESTIONS.items():
        own = frame[frame["protocol"] == protocol]
        means = own.groupby("method").agg(rmse=("rmse", "mean"), runs=("rmse", "size")).sort_values("rmse")
        said = ", ".join(f"{row.rmse:.2f} with `{row.Index}`" for row in means.itertuples())
        least, most = own["n"].min(), own["n"].max()
        n = f"n = {most:,}" if least == most else f"n from {least:,} to {most:,}"
        fewest, many = means["runs"].min(), means["runs"].max()
        runs = f"{many} {'run' if many == 1 else 'runs'}" if fewest == many else f"{fewest} to {many} runs"
        lines.append(f"- {question[0].upper()}{question[1:]}, {n}, {runs} each: RMSE {said} (degC).")
    return "\n".join(lines)


def _frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows))
    order = frame["protocol"].map(list(_QUESTIONS).index)
    return frame.assign(order=order).sort_values(["order", "method", "draw", "seed"])


def _figures(row: Any) -> list[str]:
    covers = "" if row.coverage is None or row.coverage != row.coverage else f"{row.coverage:.1f}"
    return [f"{row.rmse:.3f}", f"{row.rmse_median:.3f}", f"{row.bias:+.3f}", covers]


def _counts(row: Any) -> list[str]:
    return [f"{row.n:,}", f"{row.wall_s:,}"]


def written(root: Path = ROOT) -> dict[str, str]:
    """Return the pages, by their paths, with the figures of the stored results."""
    rows = json.loads((root / RESULTS).read_text(encoding="utf-8"))
    parts = {"docs/benchmarks/recipes.md": table(rows), "README.md": summary(rows)}
    return {
        path: fill((root / path).read_text(encoding="utf-8"), {"recipes": text}, path)
        for path, text in parts.items()
    }


def main(arguments: Sequence[str], root: Path = ROOT) -> None:
    """Store the rows of some folders, in place of those of the same runs, and write the pages."""
    if arguments:
        stored = json.loads((root / RESULTS).read_text(encoding="utf-8"))
        found = [row for folder in arguments for row in read_runs(Path(folder))]
        rows = {tuple(row[key] for key in _RUN): row for row in (*stored, *found)}
        (root / RESULTS).write_text(json.dumps([*rows.values()], indent=1) + "\n", encoding="utf-8")
    for path, text in written(root).items():
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
