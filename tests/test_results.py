"""The figures of the recipes in README and docs are those of the stored runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import recipes, strategies, variance
from xmsgl.benchmark.store import Store
from xmsgl.models.file.intervals import fit_table
from xmsgl.models.file.model import Model
from xmsgl.training.train import train


def test_the_pages_have_the_stored_figures():
    for path, text in recipes.written().items():
        assert (recipes.ROOT / path).read_text(encoding="utf-8") == text
        assert text.count("recipes: start") == 1


def test_means_in_the_readme_are_those_of_the_runs():
    """By hand, from the file of the results."""
    rows = pd.DataFrame(json.loads((recipes.ROOT / recipes.RESULTS).read_text(encoding="utf-8")))
    readme = (recipes.ROOT / "README.md").read_text(encoding="utf-8")
    for _, some in rows.groupby(["protocol", "method"]):
        assert f"{np.mean(some['rmse']):.2f} with `{some['method'].iloc[0]}`" in readme


def test_a_row_is_that_of_its_run(river, tmp_path):
    model = train(river, "remap", hidden=2, window=60, epochs=1, device="cpu", progress=False)
    pairs = pd.DataFrame({"observed": [1.0, 5.0, 9.0, 20.0], "predicted": [2.0, 5.0, 9.5, 12.0]})
    table = fit_table(np.full(399, 8.0), 8.0 + np.arange(-199, 200) / 100)
    calibrated = Model(model.spec.__class__(**{**vars(model.spec), "intervals": table}), model.weights)
    scores = pd.DataFrame(
        {"group": "all", "member": "", "metric": ["rmse", "rmse_median", "bias"], "value": [1.5, 1.25, -0.5]}
    )
    run = {"protocol": "spatial", "seed": 3, "draw": 1, "method": "remap", "settings": {"hidden": 2}}
    record = {"id": "one", "run": run, "n": 4, "wall_s": 7.2, "versions": {}, "hardware": {}, "finished": ""}
    Store(tmp_path).finish("one", record, pairs=pairs, scores=scores, model=calibrated.payload)
    (row,) = recipes.read_runs(tmp_path)
    assert row["method"] == "remap:hidden=2"
    assert (row["rmse"], row["rmse_median"], row["bias"], row["n"], row["wall_s"]) == (1.5, 1.25, -0.5, 4, 7)
    assert row["coverage"] == 75.0  # the interval is 1.8 degC to either side
    lines = recipes.table([row, {**row, "draw": 2, "rmse": 2.5}]).splitlines()
    assert "| 2.000 |" in lines[-1]
    assert "RMSE 2.00 with `remap:hidden=2`" in recipes.summary([row, {**row, "draw": 2, "rmse": 2.5}])


@pytest.mark.parametrize("lost", [[], ["model.safetensors"]])
def test_a_run_without_intervals_has_no_coverage(river, tmp_path, lost):
    model = train(river, "remap", hidden=2, window=60, epochs=1, validation=None, progress=False)
    pairs = pd.DataFrame({"observed": [1.0], "predicted": [2.0]})
    Store(tmp_path).finish("one", {}, pairs=pairs, scores=pairs, model=model.payload)
    for name in lost:
        (tmp_path / "runs" / "one" / name).unlink()
    assert recipes._coverage(Store(tmp_path), "one") is None


def test_the_tables_of_strategies_are_those_of_the_stored_runs():
    page = (strategies.ROOT / strategies.PAGE).read_text(encoding="utf-8")
    assert strategies.written() == page
    rows = pd.DataFrame(json.loads((strategies.ROOT / strategies.RESULTS).read_text(encoding="utf-8")))
    renewed = rows[rows["method"].str.startswith("dynamic-")]
    for row in renewed.itertuples():
        assert f"| {row.rmse:.3f} |" in page
        same = rows[rows["method"] == row.method.removeprefix("dynamic-")]
        (fixed,) = same[(same["table"] == row.table) & (same["seed"] == row.seed)]["rmse"]
        assert f"seed {row.seed} | {row.rmse:.3f} | {fixed:.3f} |" in page
    rows = rows.drop(renewed.index)
    spatial = rows["table"] == "delaware-spatial"
    methods = rows[spatial].groupby("draw")["method"].nunique()
    others = methods.index[methods < methods.max()]  # draws that some method was not run on
    rows = rows[~(spatial & rows["draw"].isin(others))]
    for (_, method), some in rows.groupby(["table", "method"]):
        (line,) = {
            line
            for line in page.splitlines()
            if line.startswith(f"| `{method}` | {np.mean(some['rmse']):.3f}") and f"| {len(some)} |" in line
        }
        assert f"{np.mean(some['rmse_median']):.3f}" in line


def test_the_tables_of_the_variance_are_those_of_the_stored_runs():
    page = (variance.ROOT / variance.PAGE).read_text(encoding="utf-8")
    assert variance.written() == page
    rows = json.loads((variance.ROOT / variance.RESULTS).read_text(encoding="utf-8"))
    for fraction in {row["fraction"] for row in rows}:
        parts = {}
        for model in ("msgl", "dynamic-msgl"):
            own = [row for row in rows if (row["model"], row["fraction"]) == (model, fraction)]
            seeds, draws = (sorted({row[key] for row in own}) for key in ("seed", "draw"))
            table = np.array(
                [[r["rmse"] for s in seeds for r in own if (r["draw"], r["seed"]) == (d, s)] for d in draws]
            )
            training = np.mean([np.var(each, ddof=1) for each in table])
            parts[model] = max(0.0, np.var(table.mean(axis=1), ddof=1) - training / len(seeds))
            labels = f"| {100 * fraction:g} % | `{model}` | {table.mean():.3f} | {parts[model]:.3g} ("
            (line,) = (each for each in page.splitlines() if each.startswith(labels))
            assert f"| {training:.3g} (" in line
            assert f"| {parts[model] / parts['msgl']:.2f} (" in line


def test_the_ends_of_the_stages():
    curves = {
        "coarse": [3.0, 2.0, None, 1.75, 1.5],
        "interpolation": [None, None, 4.0, 3.5, 3.0],
        "fine": [None, None, None, 1.25, 1.375],
    }
    row = {"curves": curves, "pretrain": [2, 1], "kept": 4}
    assert strategies.stage_ends(row) == (
        "2: coarse 2.00; 3: interpolation 4.00; 4 (kept): coarse 1.75, interpolation 3.50, fine 1.25; "
        "5: coarse 1.50, interpolation 3.00, fine 1.38"
    )
    assert strategies.stage_ends({"curves": {}, "pretrain": None, "kept": None}) == ""
    later = {"curves": {"fine": [None, 2.0]}, "pretrain": 1, "kept": 2}
    assert strategies.stage_ends(later) == "2 (kept): fine 2.00"
    assert strategies.stage_ends({**row, "kept": 5}).endswith(
        "; 5 (kept): coarse 1.50, interpolation 3.00, fine 1.38"
    )


def test_a_row_of_strategies_says_what_it_changes(tmp_path):
    scores = pd.DataFrame(
        {"group": "all", "member": "", "metric": ["rmse", "rmse_median", "bias"], "value": [1.5, 1.25, -0.5]}
    )
    settings = {"epochs": 4, "identity": 0, "pretrain": 2}
    run = {
        "method": "msgl",
        "settings": settings,
        "fraction": 0.01,
        "seed": 1,
        "draw": 1,
        "degrade": {"bias": 2},
    }
    record = {"id": "one", "run": run, "n": 4, "cpu_s": 7.2, "versions": {}, "hardware": {}, "finished": ""}
    record["history"] = {
        "epoch": [1, 2, 3, 4],
        "validation_coarse": [2.0004, None, 1.5, 1.5],
        "validation": [
            1.0,
            0.5,
            2.5,
            2.25,
        ],  # of the last stage, which begins with epoch 3, the second is lower
    }
    Store(tmp_path).finish("one", record, pairs=scores, scores=scores, model=b"")
    (row,) = strategies.read_runs("region", tmp_path, {"epochs": 4, "identity": 8})
    assert row["method"] == "msgl, identity=0, pretrain=2, bias=2"
    assert row["curves"] == {"coarse": [2.0, None, 1.5, 1.5]}
    assert row["kept"] == 4
    lines = strategies.table([row, {**row, "seed": 2, "rmse": 2.5}]).splitlines()
    assert "| 2.000 ± 0.707 |" in lines[-1]
