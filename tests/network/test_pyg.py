"""What PyTorch Geometric gets."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.network.graph import RiverGraph, RiverGraphs

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


@pytest.fixture
def graph(five):
    return RiverGraph.build([10, 20, 30, 40, 50], *five)


def message_sum(edges, values, n):
    """Sum weight times source value at each target: one step of message passing."""
    source, target = edges.edge_index
    return torch.zeros(n).index_add(0, target, edges.edge_weight * values[source])


def test_one_scale(graph):
    data = graph.to_pyg()
    assert data.validate(raise_on_error=True)
    assert data.node_types == ["fine"]
    assert data["fine"].id.tolist() == [10, 20, 30, 40, 50]
    assert data["fine"].length.tolist() == [1e3, 2e3, 3e3, 4e3, 5e3]
    edges = data["fine", "flows", "fine"]
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    np.testing.assert_allclose(message_sum(edges, values, 5), graph.operator @ values.numpy(), rtol=1e-6)
    to_outlet = {
        int(i): float(d)
        for (i, j), d in zip(edges.edge_index.T.tolist(), edges.edge_distance, strict=True)
        if j == 4
    }
    assert to_outlet == {0: 12e3, 1: 12e3, 2: 9e3, 3: 5e3, 4: 0.0}


def test_both_scales(graph):
    coarse = RiverGraph.build(["a", "b", "c"], [1, 2, -1], [1e3, 5e3, 9e3], scale="coarse")
    graphs = RiverGraphs.build(coarse, graph, [0, 1, 1, 2, 2])
    data = graphs.to_pyg()
    assert data.validate(raise_on_error=True)
    assert set(data.edge_types) == {
        ("coarse", "flows", "coarse"),
        ("fine", "flows", "fine"),
        ("coarse", "informs", "fine"),
    }
    assert "id" not in data["coarse"]  # tensors hold no strings
    assert data["fine"].segment.tolist() == [0, 1, 1, 2, 2]
    values = torch.tensor([3.0, 5.0, 7.0])
    informed = message_sum(data["coarse", "informs", "fine"], values, 5)
    np.testing.assert_allclose(informed, graphs.interpolation @ values.numpy(), rtol=1e-6)


def test_tensors_do_not_share_memory(graph):
    data = graph.to_pyg()
    before = graph.operator.data.copy()
    data["fine", "flows", "fine"].edge_weight.zero_()
    data["fine"].id.zero_()
    assert graph.operator.data.tolist() == before.tolist()
    assert graph.ids.tolist() == [10, 20, 30, 40, 50]
