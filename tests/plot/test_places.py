from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import CycleError, InvalidDatasetError
from xmsgl.plot.places import lines, tree
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


def by_recursion(downstream):
    """The tree by a plain recursion: headwaters side by side, every other reach above their middle."""
    above = {k: [i for i, to in enumerate(downstream) if to == k] for k in [-1, *range(len(downstream))]}
    across, free = {}, iter(range(len(downstream)))

    def place(reach):
        ends = [end for other in above[reach] for end in place(other)] or [next(free)]
        across[reach] = (ends[0] + ends[-1]) / 2
        return ends[0], ends[-1]

    for outlet in above[-1]:
        place(outlet)

    def hops(reach):
        return 1 + (hops(downstream[reach]) if downstream[reach] >= 0 else 0)

    return [(across[reach], hops(reach)) for reach in range(len(downstream))]


def shuffled(down, seed):
    """The same network with its reaches in another order."""
    order = np.random.default_rng(seed).permutation(len(down))
    moved = np.empty(len(down), dtype=np.int64)
    moved[order] = [order[to] if to >= 0 else -1 for to in down]
    return moved


networks = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).map(
    lambda drawn: [k % (i + 1) - 1 for i, k in enumerate(drawn)]
)


@settings(max_examples=60, deadline=None)
@given(networks, st.integers(0, 99))
def test_a_tree_has_no_shared_places_and_no_crossings(down, seed):
    downstream = shuffled(down, seed)
    places = tree(downstream)
    plain = np.array(by_recursion(downstream.tolist()))
    wide = places[:, 0].max() / max(plain[:, 0].max(), 1)
    np.testing.assert_allclose(places, plain * [wide or 1, 1], atol=1e-9)
    assert plain[:, 0].max() == 0 or places[:, 0].max() == pytest.approx(places[:, 1].max())
    assert len({tuple(place) for place in places.round(9)}) == len(places)
    links = [(places[i], places[to]) for i, to in enumerate(downstream) if to >= 0]
    assert all(start[1] == end[1] + 1 for start, end in links)  # a reach lies upstream of the next one
    for k, (start, end) in enumerate(links):
        for other, to in links[:k]:
            if start[1] == other[1]:  # others lie between other levels
                assert (start[0] - other[0]) * (end[0] - to[0]) >= -1e-9


def test_a_long_river_is_a_line_and_a_large_basin_a_tree():
    np.testing.assert_array_equal(
        tree(np.arange(400) - 1), np.column_stack([np.zeros(400), np.arange(400) + 1])
    )
    large = np.array([-1, *np.random.default_rng(0).integers(0, np.arange(1, 50_000))])
    assert len(np.unique(tree(large).round(9), axis=0)) == 50_000
    with pytest.raises(CycleError):
        tree(np.array([1, 2, 0]))


def test_a_dataset_without_coordinates_has_a_schematic():
    ds = xr.Dataset({"downstream_fine": ("fine", [3, 3, 0])}, {"fine": [1, 2, 3]})
    found = lines(ds, "fine")
    assert found.schematic
    assert found.shrink() == 1
    ends = [path.tolist() for path in found.paths]
    assert ends == [[[0, 2], [1, 1]], [[2, 2], [1, 1]], [[1, 1], [1, 0]]]
    assert found.part(np.array([2])).schematic
    with pytest.raises(InvalidDatasetError, match="so is lat_fine; add"):
        lines(ds.assign(lon_fine=("fine", [1.0, 2, 3])), "fine")
    with pytest.raises(InvalidDatasetError, match="so is lat_fine, lon_fine, downstream_fine; add"):
        lines(ds.drop_vars("downstream_fine"), "fine")


@pytest.mark.parametrize(("east", "north"), [(0.5, 0.05), (0.0, 0.01), (0.004, 0.0), (0.0, 0.0)])
def test_the_frame_of_a_flat_basin_has_room(east, north):
    ds = xr.Dataset(
        {
            "downstream_fine": ("fine", [2, 0]),
            "lat_fine": ("fine", [40, 40 + north]),
            "lon_fine": ("fine", [-75, -75 + east]),
        },
        {"fine": [1, 2]},
    )
    found = lines(ds, "fine")
    low, high = found.frame()
    wide, high_ = (high - low) * [np.cos(np.deg2rad(40 + north / 2)), 1]
    assert 1 / 3 - 1e-6 <= wide / high_ <= 3 + 1e-6
    assert found.shape() == pytest.approx(wide / high_)
    assert 0.001 <= max(wide, high_) <= max(1.1 * east, 1.1 * north, 0.0011)
    np.testing.assert_allclose((low + high) / 2, [-75 + east / 2, 40 + north / 2])
