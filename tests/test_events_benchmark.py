"""The benchmark of the location of events: its page, and what it does with sensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import xmsgl
from benchmarks import events as benchmark
from xmsgl.events import locate, score, sensor_weights, simulate, train

ROOT = Path(__file__).parents[1]


def test_the_page_has_the_stored_rows():
    rows = json.loads((ROOT / benchmark.RESULTS).read_text(encoding="utf-8"))
    page = (ROOT / benchmark.PAGE).read_text(encoding="utf-8")
    assert benchmark.written(rows, page) == page
    some = [
        row
        for row in rows
        if (row["network"], row["sensors"], row["size"], row["disturbed"]) == ("simulated", 0.2, 1000, "")
    ]
    assert len(some) == 3
    row = {key: np.mean([each[key] for each in some]) for key in ("distance", "spacing", "magnitude_rmse")}
    (line,) = [
        line for line in page.splitlines() if line.startswith("| simulated | 20% | network, 1,000 events |")
    ]
    assert f"| {row['distance'] / 1000:.2f} | {row['distance'] / row['spacing']:.2f} |" in line
    assert f"| {row['magnitude_rmse']:.3f} |" in line


def test_the_fifth_with_the_largest_weights_is_silenced(monkeypatch):
    basin = xmsgl.datasets.simulated(n_coarse=6, years=2, seed=4)
    events = simulate(basin, n=40, sensors=0.3, seed=2)
    trained = train(events, basin, epochs=2)
    seen, weights = [], sensor_weights(events, basin, trained)
    monkeypatch.setattr(
        benchmark, "locate", lambda given, *others: seen.append(given) or locate(given, *others)
    )
    found = benchmark.attention(events, basin, trained)
    heated = events.kind.values != "sensor_in_air"
    none, top, some = [(each.residual == 0).all("day").values for each in seen]
    assert none.sum() == 0
    assert (top.sum(1) == 3).all()  # a fifth of 13
    assert (some.sum(1) == 3).all()
    for silent, weight in zip(top, weights.values[heated], strict=True):
        assert weight[silent].min() >= weight[~silent].max()
    warmed = events.isel(event=np.flatnonzero(heated))
    clean = score(locate(warmed, basin, trained), warmed, basin)
    assert found["none_distance"] == float(clean.distance)
