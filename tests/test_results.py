"""The figures of the recipes in README and docs are those of the stored runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import recipes
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
