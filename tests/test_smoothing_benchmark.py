"""The measures of over-smoothing against closed forms, and the page against the stored rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import smoothing

ROOT = Path(__file__).parents[1]
CHAIN = np.array([0, 1, 2]), np.array([1, 2, 3])


def states(*rows):
    return np.array([rows, rows], float)  # two days


def test_states_that_are_all_the_same_have_no_energy_and_rank_1():
    z = states(*[[3.0, 4.0]] * 4)
    assert smoothing.energy(z, *CHAIN) == 0
    assert smoothing.mean_distance(z) == 0
    assert smoothing.rank(z) == pytest.approx(1)
    assert smoothing.rank(states([1, 2], [2, 4], [3, 6])) == pytest.approx(1)  # multiples of one


def test_states_at_right_angles():
    """Each differs from each other by the square root of 2, and all directions count equally."""
    z = states(*np.eye(4))
    assert smoothing.energy(z, *CHAIN) == pytest.approx(2)
    assert smoothing.mean_distance(z) == pytest.approx(np.sqrt(2))
    assert smoothing.rank(z) == pytest.approx(4)


def test_the_size_of_states_does_not_count():
    z = np.random.default_rng(0).normal(size=(3, 6, 4))
    for measure in (smoothing.rank, smoothing.mean_distance, lambda z: smoothing.energy(z, *CHAIN)):
        assert measure(1e-4 * z) == pytest.approx(measure(z))


def test_a_probe_finds_what_is_linear_in_the_states_and_no_noise():
    rng = np.random.default_rng(1)
    z, group = rng.normal(size=(200, 3)), np.repeat(np.arange(20), 10)
    assert smoothing.probe(z, z @ [1.0, -2.0, 0.5] + 7, group) > 0.99
    assert smoothing.probe(z, rng.normal(size=200), group) < 0.1
    # What is known of a group itself does not help.
    assert smoothing.probe(np.eye(20)[group], np.arange(20.0)[group], group) < 0.1


def test_the_page_has_the_stored_rows():
    rows = json.loads((ROOT / smoothing.RESULTS).read_text(encoding="utf-8"))
    page = (ROOT / smoothing.PAGE).read_text(encoding="utf-8")
    assert smoothing.written(rows, page) == page
    some = [
        row["rmse"]
        for row in rows
        if row["trained"] and (row["depth"], row["graph"], row["output"]) == (16, "dynamic", "concatenated")
    ]
    after = page.split("## After training")[1].split("## Before training")[0]
    (line,) = [row for row in after.splitlines() if row.startswith("| dynamic | concatenated | 16 ")]
    assert f"| {np.mean(some):.3f} | {len(some)} |" in line


@pytest.mark.slow
def test_a_run_measures_before_and_after(river, monkeypatch):
    """On the small river of the tests; elevation of its segments is drawn."""
    ds = river.assign(elevation_coarse=("coarse", np.arange(5) * 100.0, {"units": "m"}))
    monkeypatch.setitem(smoothing.SETTINGS, "features", ["drivers", "statics"])
    monkeypatch.setitem(smoothing.SETTINGS, "epochs", 1)
    before, after = smoothing.run(ds.isel(time=slice(0, 200)), ds, 2, "dynamic", "concatenated", 0)
    assert not before["trained"]
    assert after["trained"]
    assert before["n"] == after["n"] == int(np.isfinite(ds["water_temperature_fine"].values[-365:]).sum())
    assert before["rmse"] != after["rmse"]
    assert 1 <= after["rank"] <= 20
