"""UGRID networks: xugrid opens them, and edges are connected as in a loop over the reaches."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import xarray as xr
import xugrid

from tests.export.conftest import BELOW, MOUTH, TOPS
from xmsgl.errors import InvalidDatasetError
from xmsgl.export.ugrid import edges, ends


@pytest.fixture
def opened(placed, predicted, tmp_path):
    placed.msgl.export(predicted, convention="ugrid").to_netcdf(tmp_path / "network.nc")
    with xr.open_dataset(tmp_path / "network.nc") as raw:
        yield xugrid.UgridDataset(raw.load())


def test_xugrid_finds_a_network(opened):
    grid = opened.ugrid.grid
    assert isinstance(grid, xugrid.Ugrid1d)
    assert (grid.n_edge, grid.n_node) == (12, 13)
    assert grid.topology_dimension == 1


def test_edges_join_nodes_as_reaches_join(opened):
    """Compared by coordinates, not by positions in arrays."""
    grid = opened.ugrid.grid
    where = list(zip(grid.node_x.tolist(), grid.node_y.tolist(), strict=True))
    assert len(set(where)) == 13
    for reach, (start, end) in zip(
        opened.reach_id.values.tolist(), grid.edge_node_connectivity.tolist(), strict=True
    ):
        assert where[start] == TOPS[reach]
        assert where[end] == TOPS.get(BELOW[reach], MOUTH)


def test_values_lie_on_their_edges(opened, placed, predicted):
    temperature = opened["water_temperature"]
    assert temperature.ugrid.grid.edge_dimension in temperature.dims
    np.testing.assert_array_equal(temperature.values, predicted.values)
    np.testing.assert_array_equal(opened["elevation"].values, placed.elevation_fine)
    frame = temperature.isel(time=7).ugrid.to_geodataframe()
    np.testing.assert_array_equal(frame["water_temperature"], predicted.isel(time=7))
    assert frame.geometry.geom_type.unique().tolist() == ["LineString"]
    shapes = opened.ugrid.grid.to_shapely(opened.ugrid.grid.edge_dimension)
    assert shapes[0].equals(shapely.LineString([TOPS[1], TOPS[2]]))


def test_xugrid_walks_downstream(opened):
    """The graph of xugrid has the topology of the dataset."""
    grid = opened.ugrid.grid
    matrix = grid.directed_node_node_connectivity.tocsr()
    node_of = {reach: k for k, reach in enumerate(opened.reach_id.values.tolist())}
    for reach, below in BELOW.items():
        found = matrix[[node_of[reach]]].indices.tolist()
        assert found == ([node_of[below]] if below else [12])


def test_edges_against_a_loop():
    rng = np.random.default_rng(2)
    downstream = np.array([-1, *(int(rng.integers(-1, k)) for k in range(1, 40))])
    nodes, expected = 40, []
    for reach, below in enumerate(downstream.tolist()):
        expected.append([reach, below if below >= 0 else nodes])
        nodes += below < 0
    assert edges(downstream).tolist() == expected
    assert nodes > 42  # several outlets were drawn


@pytest.mark.parametrize("seed", range(4))
def test_ends_do_not_depend_on_how_lines_are_drawn(lines, seed):
    downstream = np.array([BELOW[reach] - 1 for reach in range(1, 13)])
    drawn = np.random.default_rng(seed).random(12) < 0.5
    turned = np.array([path.reverse() if turn else path for path, turn in zip(lines, drawn, strict=True)])
    upper, lower = ends(turned, downstream)
    assert [tuple(place) for place in upper.tolist()] == [TOPS[k] for k in range(1, 13)]
    assert tuple(lower[11].tolist()) == MOUTH


def test_reaches_above_one_that_is_not_exported_are_outlets(placed, predicted):
    done = placed.msgl.export(predicted.sel(fine=[8, 9, 3, 4]), convention="ugrid")
    assert done.network1d_edge_nodes.values.tolist() == [[0, 1], [1, 4], [2, 3], [3, 5]]
    ends_at = np.stack([done.network1d_node_x, done.network1d_node_y], axis=1)[4:]
    assert [tuple(place) for place in ends_at.tolist()] == [TOPS[10], TOPS[5]]


def test_points_without_lines(placed, predicted):
    segments = placed.water_temperature_coarse
    done = placed.msgl.export(segments, convention="ugrid")
    np.testing.assert_array_equal(done.network1d_node_y[:5], placed.lat_coarse)
    assert done.network1d_edge_nodes.values.tolist() == [[0, 2], [1, 2], [2, 4], [3, 4], [4, 5]]


def test_quantiles_and_scores_go_on_edges(placed, predicted, quantiles, tmp_path):
    done = placed.msgl.export(quantiles, convention="ugrid")
    assert done.water_temperature.dims == ("quantile", "time", "network1d_nEdges")
    scores = placed.msgl.evaluate(predicted, by="reach")
    on_edges = xugrid.UgridDataset(placed.msgl.export(scores, convention="ugrid"))
    frame = on_edges["rmse"].ugrid.to_geodataframe()
    np.testing.assert_array_equal(frame["rmse"], scores.rmse)


def test_nothing_is_computed(placed, predicted, refuse_to_compute):
    with refuse_to_compute():
        done = placed.msgl.export(predicted.chunk(time=90), convention="ugrid")
    np.testing.assert_array_equal(done.water_temperature, predicted)


def test_a_network_needs_a_topology(placed, predicted):
    with pytest.raises(InvalidDatasetError, match="'downstream_fine' over"):
        placed.drop_vars("downstream_fine").msgl.export(predicted, convention="ugrid")
    turned = placed.assign(downstream_fine=placed.fine)
    with pytest.raises(InvalidDatasetError, match="1, 2, 3, 4, 5 and 7 more flow into themselves"):
        turned.msgl.export(predicted, convention="ugrid")
