from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import CycleError, InvalidArgumentError, InvalidDatasetError, UnknownNameError
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.schema.graphs import build_graph
from xmsgl.schema.tree import to_datatree


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_one_step_graph_is_the_topology(river, scale):
    graph = build_graph(river, scale, hops=1)
    assert isinstance(graph, RiverGraph)
    assert graph.scale == scale
    ids = river[scale].values.tolist()
    below = dict(zip(ids, river[f"downstream_{scale}"].values.tolist(), strict=True))
    linked = np.array([[a == b or below[a] == b or below[b] == a for b in ids] for a in ids])
    np.testing.assert_array_equal(graph.operator.toarray() > 0, linked)
    np.testing.assert_array_equal(graph.ids, ids)
    np.testing.assert_array_equal(graph.length, river[f"length_{scale}"])


def test_settings_reach_the_graph(river):
    graph = build_graph(river, "fine", kernel="gaussian", limit=4000.0, direction="upstream")
    assert graph.settings()["kernel"]["name"] == "gaussian"
    assert (graph.limit, graph.hops, graph.direction) == (4000.0, None, "upstream")
    assert build_graph(river, "fine", nearest=2).nearest == 2


def test_both_scales(river):
    graphs = build_graph(river)
    assert isinstance(graphs, RiverGraphs)
    assert (graphs.coarse.n, graphs.fine.n) == (5, 12)
    np.testing.assert_allclose(graphs.interpolation.sum(axis=1), 1.0)
    np.testing.assert_array_equal(
        river.coarse.values[graphs.remap.toarray().argmax(axis=1)], river.coarse_segment
    )


def test_order_of_the_dataset_does_not_matter(river):
    """The same reaches in another order give the same operators, permuted."""
    coarse, fine = [3, 0, 4, 2, 1], np.random.default_rng(1).permutation(12)
    straight, turned = build_graph(river), build_graph(river.isel(coarse=coarse, fine=fine))
    pairs = [
        (straight.coarse.operator.toarray()[np.ix_(coarse, coarse)], turned.coarse.operator),
        (straight.fine.operator.toarray()[np.ix_(fine, fine)], turned.fine.operator),
        (straight.interpolation.toarray()[np.ix_(fine, coarse)], turned.interpolation),
        (straight.remap.toarray()[np.ix_(fine, coarse)], turned.remap),
    ]
    for expected, operator in pairs:
        np.testing.assert_allclose(operator.toarray(), expected)


@pytest.mark.parametrize("form", [to_datatree, lambda ds: ds.chunk()], ids=["tree", "lazy"])
def test_other_forms(river, form):
    np.testing.assert_array_equal(
        build_graph(form(river)).interpolation.toarray(), build_graph(river).interpolation.toarray()
    )


def test_only_the_topology_is_needed(river):
    bare = river[["downstream_fine", "length_fine"]].drop_dims(["time", "coarse"], errors="ignore")
    assert build_graph(bare, "fine").n == 12
    with pytest.raises(InvalidDatasetError, match="coarse"):
        build_graph(bare)


def test_refused(river):
    with pytest.raises(InvalidArgumentError, match="'middle'"):
        build_graph(river, "middle")
    with pytest.raises(UnknownNameError, match="kernel 'cubic'"):
        build_graph(river, "fine", kernel="cubic")
    circle = river.assign(downstream_fine=xr.where(river.fine == 12, 11, river.downstream_fine))
    with pytest.raises(CycleError, match="11"):
        build_graph(circle, "fine")
