"""How much the error depends on the places learned from: ``python -m benchmarks.variance [FOLDER ...]``.

The folders are those of

    xmsgl benchmark delaware --config benchmarks/settings/variance.toml --out FOLDER

One row for each finished run is kept in ``docs/benchmarks/variance.json``; the tables are written into
``docs/benchmarks/variance.md``, between marks. Without a folder, the page is made again from the rows kept.
"""

from __future__ import annotations

import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.rows import fill, read_rows, write_rows
from benchmarks.strategies import ROOT, read_runs, stage_ends
from xmsgl.benchmark.protocols import FOLDS
from xmsgl.evaluate import variance_decomposition
from xmsgl.evaluate.table import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import xarray as xr

__all__ = ["components", "main", "scores_of", "written"]

SETTINGS = "benchmarks/settings/variance.toml"
RESULTS = "docs/benchmarks/variance.json"
PAGE = "docs/benchmarks/variance.md"
FIXED = "msgl"
_RUN = ("model", "fraction", "draw", "seed")
_KEPT = ("fraction", "seed", "draw", "rmse", "n", "cpu_s", "versions", "hardware", "finished")


def scores_of(rows: Sequence[dict[str, Any]]) -> xr.DataArray:
    """Return the RMSE by model, repeat, fold and seed, of the seeds that every model and fold has."""
    frame = pd.DataFrame(list(rows))
    frame["repeat"], frame["fold"] = frame["draw"] // FOLDS, frame["draw"] % FOLDS
    found = frame.set_index(["model", "repeat", "fold", "seed"])["rmse"].to_xarray()
    return found.sel(seed=found.notnull().all(["model", "repeat", "fold"]))


def components(groups: Iterable[tuple[str, list[dict[str, Any]]]], what: str, reference: str) -> str:
    """Write the two parts of the variance of each model, and their ratio to those of another model.

    Each group of rows has a name, and `what` says what the names are.
    """
    lines = [[name, *cells] for name, rows in groups for cells in _components(rows, reference)]
    head = [what, "model", "RMSE", "variance of the data", "of the training", "share of the data"]
    return markdown([*head, f"data, ratio to `{reference}`", "CPU [s]"], lines, left=(0, 1))


def _components(rows: list[dict[str, Any]], reference: str) -> Iterator[list[str]]:
    """Write one line for each model, of rows of one kind."""
    scores = scores_of(rows)
    found = variance_decomposition(scores, reference=reference)
    time = pd.DataFrame(rows).groupby("model")["cpu_s"].mean()
    for name in scores["model"].values:
        own = found.sel(model=name)
        parts = [_with_interval(own, part, ".3g") for part in ("data", "training")]
        share = f"{100 * float(own.data / (own.data + own.training)):.0f} %"
        cells = [f"{float(own['mean']):.3f}", *parts, share, _with_interval(own, "ratio", ".2f")]
        yield [f"`{name}`", *cells, f"{time[name]:,.0f}"]


def _with_interval(found: xr.Dataset, name: str, form: str) -> str:
    value, low, high = (float(found[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def _by_fraction(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Divide the rows by the fraction of the fine labels."""
    for fraction in sorted({row["fraction"] for row in rows}):
        yield f"{100 * fraction:g} %", [row for row in rows if row["fraction"] == fraction]


def folds(rows: Sequence[dict[str, Any]]) -> str:
    """Write the mean RMSE over the seeds of each fold."""
    lines = []
    for labels, some in _by_fraction(rows):
        means = scores_of(some).mean("seed")
        for name, repeat in product(means["model"].values, means["repeat"].values):
            cells = (f"{float(each):.2f}" for each in means.sel(model=name, repeat=repeat))
            lines.append([labels, f"`{name}`", str(repeat), *cells])
    return markdown(["labels", "model", "division", *(f"fold {k}" for k in range(FOLDS))], lines, left=(0, 1))


def written(root: Path = ROOT) -> str:
    """Return the page with the figures of the stored results."""
    rows = read_rows(root / RESULTS)
    parts = components(_by_fraction(rows), "labels", FIXED)
    tables = {"components": parts, "folds": folds(rows)}
    return fill((root / PAGE).read_text(encoding="utf-8"), tables, PAGE)


def main(folders: Sequence[str], root: Path = ROOT) -> None:
    """Store the rows of some folders, in place of those of the same runs, and write the page."""
    common = tomllib.loads((root / SETTINGS).read_text(encoding="utf-8"))["set"]
    kept = {tuple(row[key] for key in _RUN): row for row in read_rows(root / RESULTS)}
    for folder in folders:
        for run in read_runs("variance", Path(folder), common):
            row = {"model": run["method"].partition(",")[0], **{key: run[key] for key in _KEPT}}
            kept[tuple(row[key] for key in _RUN)] = {**row, "stages": stage_ends(run)}
    if folders:
        write_rows(root / RESULTS, [kept[key] for key in sorted(kept)])
    (root / PAGE).write_text(written(root), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
