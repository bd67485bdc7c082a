"""The continent of the benchmark: its network, its weather, a small run, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from benchmarks import continental
from benchmarks.rivers import make_river
from xmsgl import schema

ROOT = Path(__file__).parents[1]


def test_the_network_is_valid_and_its_segments_are_joined_as_its_reaches():
    ds = continental.network(make_river(3000, seed=1))
    below = dict(zip(ds.fine.values.tolist(), ds.downstream_fine.values.tolist(), strict=True))
    segment = dict(zip(ds.fine.values.tolist(), ds.coarse_segment.values.tolist(), strict=True))
    links = {(segment[a], segment[b]) for a, b in below.items() if b and segment[a] != segment[b]}
    found = zip(ds.coarse.values.tolist(), ds.downstream_coarse.values.tolist(), strict=True)
    assert {(a, b) for a, b in found if b} == links
    assert nx.is_directed_acyclic_graph(nx.DiGraph(links))
    assert float(ds.length_coarse.sum()) == pytest.approx(float(ds.length_fine.sum()))


def test_a_small_continent_runs_from_store_to_store(tmp_path):
    row = continental.run(tmp_path, 300, 40, 0)
    assert (row["reaches"], row["days"]) == (300, 40)
    assert row["rate"] == pytest.approx(300 * 40 / row["wall_s"])
    source = xr.open_zarr(tmp_path / "in-300-40.zarr")
    schema.validate(source, labels=False)
    again = continental._weather("precipitation", source.indexes["time"], source.sizes["coarse"])
    np.testing.assert_array_equal(source.precipitation_coarse, again)
    with xr.open_zarr(tmp_path / "out-300-40.zarr", consolidated=False) as made:
        memory = source.load().msgl.downscale(tmp_path / "model")
        np.testing.assert_allclose(made.water_temperature, memory, atol=1e-5)


def test_the_page_is_made_of_the_stored_rows():
    rows = json.loads((ROOT / continental.RESULTS).read_text(encoding="utf-8"))
    page = (ROOT / continental.PAGE).read_text(encoding="utf-8")
    assert continental.written(rows, page) == page


def test_the_plan_is_total_over_rate_and_no_shorter_than_the_longest_task():
    row = {"reaches": 1, "days": 400, "workers": 2, "rate": 2e6, "written_GB": 4e-9}
    lines = continental.planned([row]).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    hours = 2_700_000 * 14_610 / 1e6 / 60
    assert float(cells[0][2].replace(",", "")) == pytest.approx(hours, rel=1e-3)
    assert float(cells[-1][4]) == pytest.approx(1_249_733 * 365 / 1e6 / 60, rel=1e-2)
