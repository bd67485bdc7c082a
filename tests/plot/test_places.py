from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from xmsgl.plot.places import lines
from xmsgl.schema.rivers import stream_orders


def test_stream_orders_are_strahlers_unless_stored():
    rng = np.random.default_rng(0)
    downstream = np.array(
        [0, *(int(rng.integers(1, k + 1)) for k in range(1, 60))]
    )  # id k drains to a smaller id
    ds = xr.Dataset({"downstream_fine": ("fine", downstream)}, {"fine": np.arange(60) + 1})
    graph = nx.DiGraph([(k + 1, to) for k, to in enumerate(downstream.tolist()) if to])
    order = {}
    for reach in nx.topological_sort(graph):
        above = sorted((order[k] for k in graph.predecessors(reach)), reverse=True)
        order[reach] = 1 if not above else above[0] + (above[1:2] == above[:1])
    assert stream_orders(ds, "fine").tolist() == [order[k] for k in range(1, 61)]
    stored = ds.assign(stream_order_fine=("fine", np.r_[np.nan, 0, np.arange(58) + 1.0]))
    assert stream_orders(stored, "fine").tolist() == [1, 1, *range(1, 59)]
    assert stream_orders(ds.drop_vars("downstream_fine"), "fine").tolist() == [1] * 60


def test_reaches_without_a_position_are_left_out():
    ds = xr.Dataset(
        {
            "downstream_fine": ("fine", [2, 3, 0]),
            "lat_fine": ("fine", [1, np.nan, 3.0]),
            "lon_fine": ("fine", [4, 5, 6.0]),
        },
        {"fine": [1, 2, 3]},
    )
    assert lines(ds, "fine").reach.tolist() == [2]


def test_the_middle_of_a_bent_reach_lies_on_it():
    shapely = pytest.importorskip("shapely")
    bend = shapely.LineString([(0, 0), (1, 5), (2, 0)])
    ds = xr.Dataset({"geometry_fine": ("fine", [shapely.to_wkb(bend, hex=True)])}, {"fine": [1]})
    found = lines(ds, "fine")
    assert found.middles(1).tolist() == [[1, 5]]
    assert found.shrink() == pytest.approx(np.cos(np.deg2rad(2.5)))
    assert found.shape() == pytest.approx(2 / 5 * found.shrink())


def test_the_middle_is_half_way_however_many_places_are_drawn():
    shapely = pytest.importorskip("shapely")
    winding = np.column_stack([np.zeros(50), np.linspace(0, 0.1, 50)]).tolist()
    drawn = shapely.LineString([*winding, (0, 0.3)])
    ds = xr.Dataset({"geometry_fine": ("fine", [shapely.to_wkb(drawn, hex=True)])}, {"fine": [1]})
    assert lines(ds, "fine").middles(2)[0] == pytest.approx((0, 0.15))
