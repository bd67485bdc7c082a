"""The drawn basin: a tree by networkx's judgement, with attributes that fit together."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.simulate import Basin, River, random_basin


def graph(scale: River) -> nx.DiGraph:
    tree = nx.DiGraph()
    tree.add_nodes_from(range(scale.downstream.size))
    tree.add_edges_from((i, int(j)) for i, j in enumerate(scale.downstream) if j >= 0)
    return tree


@pytest.fixture(scope="module", params=[(40, 7, 0), (25, 5, 1), (6, 1, 2), (1, 4, 3), (3, 20, 4)], ids=str)
def basin(request: pytest.FixtureRequest) -> Basin:
    n_coarse, reaches, seed = request.param
    drawn = random_basin(n_coarse, reaches, np.random.default_rng(seed))
    assert drawn.coarse.length.size == n_coarse
    assert drawn.fine.length.size == n_coarse * reaches
    return drawn


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_is_one_tree_towards_one_outlet(basin: Basin, scale: str) -> None:
    reaches: River = getattr(basin, scale)
    tree = graph(reaches)
    assert nx.is_tree(tree.to_undirected())
    assert nx.is_directed_acyclic_graph(tree)
    assert (reaches.downstream < 0).sum() == 1
    if scale == "coarse":
        assert max(degree for _, degree in tree.in_degree()) <= 2


def test_segments_are_chains_that_hand_over_to_their_downstream_segment(basin: Basin) -> None:
    for segment, below in enumerate(basin.coarse.downstream):
        members = np.flatnonzero(basin.segment == segment)
        stem = members[basin.main_stem[members]]
        path = graph(basin.fine).subgraph(stem)
        assert nx.is_path(path, list(nx.topological_sort(path)))
        exits = [int(j) for j in basin.fine.downstream[members] if j not in members]
        assert len(exits) == 1
        assert (basin.segment[exits[0]] if exits[0] >= 0 else -1) == below
        for branch in members[~basin.main_stem[members]]:
            assert basin.fine.downstream[branch] in stem


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_attributes_go_downstream(basin: Basin, scale: str) -> None:
    reaches: River = getattr(basin, scale)
    linked = np.flatnonzero(reaches.downstream >= 0)
    below = reaches.downstream[linked]
    assert (reaches.drainage_area[below] > reaches.drainage_area[linked]).all()
    assert (reaches.stream_order[below] >= reaches.stream_order[linked]).all()
    if scale == "fine":
        assert (reaches.elevation[linked] > reaches.elevation[below]).all()
    for name in ("length", "slope", "elevation", "width", "drainage_area"):
        values = getattr(reaches, name)
        assert np.isfinite(values).all(), name
        assert (values > 0).all(), name


def test_area_is_the_sum_of_what_lies_upstream(basin: Basin) -> None:
    """The own areas that differences give are positive and add up at the outlet."""
    area, down = basin.fine.drainage_area, basin.fine.downstream
    own = area.copy()
    for i, j in enumerate(down):
        if j >= 0:
            own[j] -= area[i]
    assert (own > 0).all()
    tree = graph(basin.fine)
    for i in range(0, area.size, 7):
        assert area[i] == pytest.approx(own[[*nx.ancestors(tree, i), i]].sum())


def test_coarse_segments_summarise_their_main_stem(basin: Basin) -> None:
    for segment in range(basin.coarse.length.size):
        stem = (basin.segment == segment) & basin.main_stem
        length = basin.fine.length[stem]
        assert basin.coarse.length[segment] == pytest.approx(length.sum())
        for name in ("slope", "elevation", "width"):
            mean = np.average(getattr(basin.fine, name)[stem], weights=length)
            assert getattr(basin.coarse, name)[segment] == pytest.approx(mean)
        assert basin.coarse.drainage_area[segment] == basin.fine.drainage_area[stem].max()


def test_lines_join_and_measure_their_length(basin: Basin) -> None:
    fine = basin.fine
    for i, line in enumerate(fine.lines):
        assert np.hypot(*np.diff(line, axis=0).T).sum() * 1000 == pytest.approx(fine.length[i])
        if (j := fine.downstream[i]) >= 0:
            np.testing.assert_allclose(line[-1], fine.lines[j][0], atol=1e-9)


def test_hidden_factors_keep_their_stated_bounds(basin: Basin) -> None:
    assert ((basin.shade > 0) & (basin.shade < 1)).all()
    assert ((basin.groundwater > 0) & (basin.groundwater < 1)).all()
    assert ((basin.groundwater_offset >= -5.2) & (basin.groundwater_offset <= 8.8)).all()


def test_reaches_are_about_a_kilometre_and_widths_grow() -> None:
    fine = random_basin(60, 7, np.random.default_rng(5)).fine
    assert 700 < np.median(fine.length) < 1500
    assert np.corrcoef(np.log(fine.width), np.log(fine.drainage_area))[0, 1] > 0.9
    assert np.corrcoef(np.log(fine.slope), np.log(fine.drainage_area))[0, 1] < -0.3


def test_in_degrees_resemble_a_river_network() -> None:
    """Delaware: 236 sub-segments of 459 take in one other, 108 two."""
    down = random_basin(300, 1, np.random.default_rng(7)).coarse.downstream
    inflows = np.bincount(down[down >= 0], minlength=300)
    assert 0.35 < (inflows == 1).mean() < 0.65
    assert 0.15 < (inflows == 2).mean() < 0.35


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)], ids=["no-segment", "no-reach"])
def test_faults(sizes: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        random_basin(*sizes, np.random.default_rng(0))
