"""Figures of a folder: those that the scores allow; a missing one never fails the benchmark."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from xmsgl.benchmark import figures
from xmsgl.benchmark.figures import draw_figures, epochs_of
from xmsgl.benchmark.store import Store
from xmsgl.errors import MissingDependencyError

BASE = {"dataset": "tiny", "data": "{}", "protocol": "temporal", "draw": 0, "seed": 0, "n": 50}


def scores_of(*cases):
    """All groups of some cases: label, fraction, settings, degradation."""
    found = []
    for label, fraction, settings, degrade in cases:
        for group, members in {
            "all": [""],
            "month": ["1", "2"],
            "stream_order": ["1"],
            "reach": ["1", "5"],
        }.items():
            for member in members:
                row = {
                    "label": label,
                    "method": label.partition(":")[0],
                    "fraction": fraction,
                    "run": f"{label}-{fraction}",
                }
                row |= {"settings": settings, "degrade": degrade, "group": group, "member": member}
                found.append(BASE | row | {"metric": "rmse", "value": 1.0 + len(found) / 100})
    return pd.DataFrame(found)


def names(store):
    return sorted(path.stem for path in (store.folder / "figures").glob("*.png"))


def test_the_figures_are_those_that_the_scores_allow(tiny, tmp_path):
    store = Store(tmp_path)
    draw_figures(store, scores_of(("msgl", 1.0, "{}", "{}")))
    assert names(store) == [
        f"tiny-temporal-{name}" for name in ("reaches-msgl", "rmse-by-month", "rmse-by-stream-order")
    ]
    more = scores_of(
        ("msgl", 1.0, "{}", "{}"),
        ("msgl", 0.1, "{}", "{}"),
        ("msgl:hops=5", 1.0, '{"hops": 5}', "{}"),
        ("msgl", 1.0, "{}", '{"noise": 1.0}'),
    )
    draw_figures(store, more)
    added = {"rmse-by-fraction", "rmse-by-hops", "rmse-by-noise", "reaches-msgl_hops_5"}
    assert {f"tiny-temporal-{name}" for name in added} < set(names(store))


def test_settings_are_named_only_where_they_differ(tiny, tmp_path):
    store = Store(tmp_path)
    cases = [
        ("msgl:epochs=3", 1.0, "{}", "{}"),
        ("remap:hops=2", 1.0, "{}", "{}"),
        ("remap", 1.0, "{}", "{}"),
    ]
    draw_figures(store, scores_of(*cases))
    maps = [name.partition("reaches-")[2] for name in names(store) if "reaches-" in name]
    assert sorted(maps) == ["msgl", "remap", "remap_hops_2"]


def test_settings_that_do_not_vary_have_no_figure(tiny, tmp_path):
    store = Store(tmp_path)
    draw_figures(store, scores_of(("msgl", 1.0, '{"hops": 5}', "{}"), ("remap", np.nan, '{"hops": 3}', "{}")))
    assert not any("hops" in name for name in names(store))


def test_a_figure_of_one_degradation_shows_no_run_with_another(tiny, tmp_path, monkeypatch):
    shown = {}
    drawn = figures.pictures.sensitivity
    monkeypatch.setattr(
        figures.pictures,
        "sensitivity",
        lambda scores, name: shown.update({name: scores}) or drawn(scores, name),
    )
    degraded = ["{}", '{"noise": 1.0}', '{"bias": 2.0}']
    cases = [
        (method, part, "{}", text) for text in degraded for method, part in (("msgl", 1.0), ("remap", np.nan))
    ]
    draw_figures(Store(tmp_path), scores_of(*cases))
    assert {name: set(rows["degrade"]) for name, rows in shown.items()} == {
        "noise": {"{}", '{"noise": 1.0}'},
        "bias": {"{}", '{"bias": 2.0}'},
    }
    assert all(set(rows["method"]) == {"msgl", "remap"} for rows in shown.values())


def test_a_dataset_that_is_no_longer_registered_has_no_map(tmp_path, caplog):
    store = Store(tmp_path)
    with caplog.at_level(logging.WARNING, "xmsgl"):
        draw_figures(store, scores_of(("msgl", 1.0, "{}", "{}")))
    assert "tiny" in caplog.text
    assert "tiny-temporal-rmse-by-month" in names(store)
    assert not any("reaches" in name for name in names(store))


def test_without_matplotlib_there_is_only_a_warning(tiny, tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise MissingDependencyError("drawing needs matplotlib")

    monkeypatch.setattr(figures.pictures, "months", refuse)
    with caplog.at_level(logging.WARNING, "xmsgl"):
        draw_figures(Store(tmp_path), scores_of(("msgl", 1.0, "{}", "{}")))
    assert "drawing needs matplotlib" in caplog.text


def test_epochs_have_seconds_and_the_validation_error_of_fine_labels():
    names = ("msgl", "remap", "climatology", "stack")
    scores = scores_of(*((name, 1.0, "{}", "{}") for name in names))
    records = [
        {
            "id": "msgl-1.0",
            "epoch_seconds": [2.0, 1.0, 3.0],
            "history": {"validation_coarse": [3, 2, 1], "validation_fine": [None, 2.5, 2.0]},
        },
        {"id": "remap-1.0", "epoch_seconds": [1.0], "history": {"validation_coarse": [3]}},
        {"id": "climatology-1.0"},
        {"id": "stack-1.0", "epoch_seconds": [1.0], "history": {"part": [0, 1], "validation_fine": [1, 2]}},
        {"id": "of another section", "epoch_seconds": [1.0], "history": {"validation_fine": [1]}},
    ]
    epochs = epochs_of(scores, records)
    assert epochs["label"].tolist() == ["msgl"] * 3
    np.testing.assert_allclose(epochs["seconds"], [2, 3, 6])
    np.testing.assert_allclose(epochs["validation"], [np.nan, 2.5, 2.0])
    assert epochs_of(scores, []).empty


def test_the_members_of_an_ensemble_are_lines_one_after_another():
    record = {
        "id": "msgl-1.0",
        "epoch_seconds": [2.0, 1.0, 3.0],
        "history": {"member": [0.0, 0.0, 1.0], "validation_fine": [3.0, 2.5, 2.9]},
    }
    epochs = epochs_of(scores_of(("msgl", 1.0, "{}", "{}")), [record])
    assert epochs["run"].nunique() == 2
    assert epochs["run"].tolist()[0] == epochs["run"].tolist()[1]
    np.testing.assert_allclose(epochs["seconds"], [2, 3, 6])
    assert len(figures.pictures.convergence(epochs).lines) == 2


@pytest.mark.parametrize(
    ("data", "suffix"), [('{"forcing": "stations"}', ""), ('{"region": "0204"}', "-region_0204")]
)
def test_the_dataset_is_in_the_name(data, suffix):
    assert figures._suffix(data) == suffix
