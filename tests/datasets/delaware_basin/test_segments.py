"""Figures of the coarse scale, against the published files and a table worked out elsewhere."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.delaware


@pytest.fixture(scope="module")
def subsegments(files):
    from xmsgl.datasets.delaware_basin.segments import read_subsegments

    return read_subsegments(files["segments"])


@pytest.fixture(scope="module")
def reference(beside_mirror):
    return pd.read_csv(beside_mirror("reference/drb_coarse_nhm_segments.csv"))


def test_counts_of_subsegments(subsegments):
    assert len(subsegments) == 459
    assert subsegments["segment"].nunique() == 456
    assert subsegments["length"].sum() / 1000 == pytest.approx(4798, abs=1)
    assert subsegments["length"].median() / 1000 == pytest.approx(8.55, abs=0.01)


def test_network_of_subsegments(subsegments):
    graph = nx.DiGraph()
    graph.add_nodes_from(subsegments.index)
    graph.add_edges_from((a, b) for a, b in subsegments["to_subsegment"].items() if b)
    assert len(graph) == 459
    degree = pd.Series(dict(graph.in_degree())).value_counts()
    assert (degree[1], degree[2]) == (236, 108)
    ends = [node for node in graph if not graph.out_degree(node)]
    assert len(ends) == 7
    assert max(len(nx.ancestors(graph, end)) + 1 for end in ends) == 435
    assert nx.dag_longest_path_length(graph) == 71


def test_network_of_segments(segments):
    table = segments.table
    assert len(table) == 456
    graph = nx.DiGraph(list(zip(table.index, table["to_segment"], strict=True)))
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.in_degree(0) == 7
    assert (segments.downstream < 0).sum() == 7


def test_links_agree_with_the_model_parameters(segments, files):
    import xarray as xr

    with xr.open_dataset(files["segment_parameters"]) as parameters:
        model = pd.Series(parameters["tosegment_nhm"].to_numpy(), parameters["nhm_seg"].to_numpy())
    table = segments.table["to_segment"]
    same = table == model.reindex(table.index)
    assert same.sum() >= 455
    linked = table != 0
    assert same[linked].sum() >= linked.sum() - 1


def test_agrees_with_the_reference_table(segments, reference):
    whole = reference.dropna(subset=["seg_id_nat"]).set_index(reference["seg_id_nat"].dropna().astype(int))
    table = segments.table
    assert sorted(table.index) == sorted(whole.index)
    whole = whole.reindex(table.index)
    for ours, theirs, scale in (
        ("slope", "seg_slope", 1.0),
        ("elevation", "seg_elev", 1.0),
        ("width", "seg_width", 1.0),
        ("drainage_area", "seg_cum_area", 0.0040468564224),
        ("length", "seg_length", 1.0),
    ):
        np.testing.assert_allclose(table[ours], whole[theirs] * scale, rtol=1e-3, atol=0.011)
    np.testing.assert_allclose(table["lat"], whole["seg_lat"], atol=0.15)


def test_halves_are_joined(segments, subsegments):
    shapely = pytest.importorskip("shapely")
    for segment in (1437, 1442, 1485):
        halves = subsegments[subsegments["segment"] == segment]
        assert len(halves) == 2
        assert segments.table.loc[segment, "length"] == pytest.approx(halves["length"].sum())
        assert shapely.from_wkb(segments.table.loc[segment, "geometry"]).geom_type == "LineString"


def test_drainage_area_never_falls_downstream(segments):
    area, to = segments.table["drainage_area"], segments.table["to_segment"]
    below = area.reindex(to[to != 0])
    assert (below.to_numpy() >= area[to != 0].to_numpy() - 1e-9).all()
