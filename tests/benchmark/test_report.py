"""The report: tidy scores, means and spreads, ensembles, and the page."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest

from xmsgl import benchmark
from xmsgl.benchmark.report import collect_scores, markdown_sections, shared_settings, write_report
from xmsgl.benchmark.runs import Run
from xmsgl.benchmark.scores import score_pairs
from xmsgl.benchmark.store import Store
from xmsgl.errors import InvalidArgumentError, UnknownNameError

DAYS = pd.date_range("2003-10-01", periods=60)


def pairs_of(error, spread):
    """Two reaches, each with its own error."""
    frame = pd.DataFrame(
        {
            "reach": np.repeat([3, 8], 60),
            "day": np.tile(DAYS, 2),
            "observed": np.tile(np.linspace(1, 20, 60), 2).astype(np.float32),
            "stream_order": np.repeat([1, 2], 60).astype(np.int16),
        }
    )
    wrong = np.repeat([error - spread, error + spread], 60).astype(np.float32)
    return frame.assign(predicted=frame["observed"] + wrong)


def add(store, run, pairs, *, trained=True, code="aaa", wall=12.0):
    record = {"id": run.id, "run": run.to_dict(), "n": len(pairs), "labels": {"fine": 100}, "wall_s": wall}
    record |= {"resumed": False, "device": "cpu", "hardware": {"threads": 1, "gpu": None}, "code": code}
    record |= {"versions": {"python": "3"}, "finished": "2030-01-01T00:00:00Z"}
    record |= {"sha256": "", "history": {}, "epoch_seconds": []} if trained else {}
    store.finish(run.id, record, pairs=pairs, scores=score_pairs(pairs))


def msgl(seed, draw=0, fraction=1.0, **settings):
    return Run("delaware", "temporal", "msgl", fraction, seed, draw, {"epochs": 4, **settings}, {}, {})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.note_command("xmsgl benchmark delaware")
    add(store, msgl(0), pairs_of(1.0, 0.0))
    add(store, msgl(1), pairs_of(-0.5, 0.0), wall=14.0)
    add(store, msgl(0, hops=5), pairs_of(0.0, 0.25))
    add(store, Run("delaware", "temporal", "climatology", 1.0, 0, 0), pairs_of(2.0, 0.0), trained=False)
    return store


def cells(page, label):
    (line,) = [line for line in page.splitlines() if f"| {label} |" in line and "`" not in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_scores_are_tidy(store):
    scores = write_report(store)
    wanted = [
        "run",
        "protocol",
        "method",
        "settings",
        "fraction",
        "seed",
        "group",
        "member",
        "metric",
        "value",
        "n",
    ]
    assert set(wanted) <= set(scores.columns)
    assert not scores.duplicated(["run", "group", "member", "metric"]).any()
    pd.testing.assert_frame_equal(pd.read_parquet(store.folder / "scores.parquet"), scores, check_dtype=False)
    (row,) = scores.query("run == @msgl(0).id and group == 'all' and metric == 'bias'").itertuples()
    assert row.value == pytest.approx(1.0, abs=1e-6)
    assert (row.n, row.seed, row.label, json.loads(row.settings)) == (120, 0, "msgl", {"epochs": 4})


def test_the_table_gives_mean_spread_and_n(store):
    page = markdown_sections(collect_scores(store), store.records())
    assert "## delaware, temporal protocol" in page
    fraction, _, rmse, *_, n, runs, wall, fine, coarse = cells(page, "msgl")
    assert (fraction, n, runs, fine, coarse) == ("100 %", "120", "2", "100", "-")
    assert rmse == f"0.750 ± {np.std([1.0, 0.5], ddof=1):.3f}"
    assert wall == f"13 ± {np.std([12, 14], ddof=1):.0f}"
    assert cells(page, "msgl:hops=5")[2] == "0.250"
    assert cells(page, "climatology")[2] == "2.000"


def test_settings_of_all_networks_are_listed_once(store):
    assert shared_settings(store.records()) == {"epochs": 4}
    write_report(store)
    assert "All networks: epochs = 4." in (store.folder / "table.md").read_text()


def test_a_reference_shows_all_its_settings(store):
    """Including those equal to the settings of all networks."""
    for settings in ({}, {"epochs": 4}):
        run = Run("delaware", "temporal", "booster-coarse", None, 0, 0, settings)
        add(store, run, pairs_of(1.0, 0.0), trained=False)
    assert {"booster-coarse", "booster-coarse:epochs=4", "msgl"} <= set(collect_scores(store)["label"])


def test_an_ensemble_is_the_mean_of_the_predictions(store):
    scores = collect_scores(store, ensembles=True)
    rows = scores.query("label == 'msgl, ensemble of 2 seeds' and group == 'all'").set_index("metric")[
        "value"
    ]
    assert rows["rmse"] == pytest.approx(0.25, abs=1e-6)
    assert rows["bias"] == pytest.approx(0.25, abs=1e-6)
    assert scores.query("label == 'msgl, ensemble of 2 seeds'")["seed"].isna().all()
    page = markdown_sections(scores, store.records())
    assert cells(page, "msgl, ensemble of 2 seeds")[-3:] == ["-", "-", "-"]


def test_a_blend_is_the_mean_of_methods_whatever_their_seeds(store):
    label = "climatology + msgl"
    rows = collect_scores(store, blends=[label]).query("label == @label and group == 'all'")
    values = rows.set_index("metric")["value"]
    parts = (
        collect_scores(store).query("group == 'all' and metric == 'bias'").groupby("label")["value"].mean()
    )
    assert values["bias"] == pytest.approx((parts["climatology"] + parts["msgl"]) / 2, abs=1e-6)
    assert rows["fraction"].unique() == [1.0]  # that of msgl; climatology is the same for all


def test_a_blend_uses_one_split(tmp_path):
    """Draws with other labels are not mixed; a method without fine labels is part of each blend."""
    store = Store(tmp_path)
    for draw, bias in ((0, 1.0), (1, 3.0)):
        add(store, msgl(draw, draw=draw, fraction=0.01), pairs_of(bias, 0.0))
    booster = Run("delaware", "temporal", "booster-coarse", None, 0, 0)
    add(store, booster, pairs_of(-1.0, 0.0), trained=False)
    rows = collect_scores(store, blends=["msgl + booster-coarse"]).query(
        "label == 'msgl + booster-coarse' and group == 'all' and metric == 'bias'"
    )
    assert dict(zip(rows["draw"], rows["value"], strict=True)) == pytest.approx({0: 0.0, 1: 1.0}, abs=1e-6)


@pytest.mark.parametrize(
    ("blend", "error", "words"),
    [
        ("msgl", InvalidArgumentError, "fewer than two"),
        ("msgl + lstm", UnknownNameError, "method in the results 'lstm'"),
    ],
)
def test_a_blend_of_unknown_methods_is_refused(store, blend, error, words):
    with pytest.raises(error, match=words):
        collect_scores(store, blends=[blend])


def test_seeds_that_saw_other_labels_are_no_ensemble(tmp_path, caplog):
    """Together they would have learned from twice as many labels."""
    store = Store(tmp_path)
    for seed in (0, 1):
        add(store, msgl(seed, draw=seed, fraction=0.01), pairs_of(1.0, 0.0))
    with caplog.at_level(logging.WARNING, "xmsgl"):
        scores = collect_scores(store, ensembles=True)
    assert not scores["label"].str.contains("ensemble").any()
    assert "--draw" in caplog.text


def test_the_page_lists_command_failures_machine_and_other_code(store):
    add(store, msgl(2), pairs_of(1.0, 0.0), code="bbb")
    store.fail("some-run", {}, "DivergenceError: the loss is not finite")
    write_report(store)
    page = (store.folder / "table.md").read_text()
    for words in (
        "xmsgl benchmark delaware",
        "`some-run`: DivergenceError",
        "python 3",
        "aaa, bbb",
        "threads 1",
    ):
        assert words in page
    assert "not all runs were made by the code of this page" in page
    assert f"`{msgl(2).id}`" in page


def test_commands_are_kept_once(store):
    store.note_command("xmsgl benchmark delaware --seeds 5")
    store.note_command("xmsgl benchmark delaware")
    assert store.commands() == ["xmsgl benchmark delaware", "xmsgl benchmark delaware --seeds 5"]


def test_a_degraded_dataset_has_its_own_row(store):
    worse = Run("delaware", "temporal", "msgl", 1.0, 0, 0, {"epochs": 4}, {}, {"noise": 2.0})
    add(store, worse, pairs_of(3.0, 0.0))
    page = markdown_sections(collect_scores(store), store.records())
    assert cells(page, "msgl, degraded: noise 2")[2] == "3.000"
    assert cells(page, "msgl")[-4] == "2"


def test_a_page_without_finished_runs(tmp_path):
    store = Store(tmp_path)
    assert write_report(store).empty
    assert "No run is finished" in (tmp_path / "table.md").read_text()


def test_runs_of_other_code_are_reported(tiny, tmp_path, caplog):
    run = Run("tiny", "temporal", "climatology", 1.0, 0, 0)
    add(Store(tmp_path), run, pairs_of(1.0, 0.0), trained=False)
    with caplog.at_level(logging.WARNING, "xmsgl"):
        scores = benchmark.run(
            "tiny", out=tmp_path, methods=["climatology"], fractions=[1], seeds=1, figures=False
        )
    assert "1 finished runs" in caplog.text
    assert scores.query("group == 'all' and metric == 'rmse'")["value"].item() == pytest.approx(1.0)
