"""The dynamic graph: its edges, their gradients, and what they may depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.dynamic import DynamicGraph, graph_edges, mix_nodes, similarity
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.parts.operator import GraphOperator
from xmsgl.network.graph import RiverGraph


@pytest.fixture
def river_graph():
    """Two rivers of 13 and 7 reaches, with confluences whose branches are equally far."""
    downstream = [2, 2, 5, 5, 5, 6, 12, 8, 9, 12, 11, 12, -1, 15, 15, 17, 17, 18, 19, -1]
    return RiverGraph.build(range(20), downstream, [1_000.0, 2_000.0] * 10, hops=2)


@pytest.fixture
def operator(river_graph):
    return GraphOperator(river_graph.operator, dtype=torch.float64)


@pytest.fixture
def days():
    return torch.tensor(np.random.default_rng(5).normal(size=(24, 20, 2, 3)))


def dynamic(seed=0, **options):
    torch.manual_seed(seed)
    backbone = DynamicGraph(3, 4, **{"k": 4, "update": 5, **options}).double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return backbone


def seeds(nodes=20, windows=2):
    rng = np.random.default_rng(9)
    return torch.tensor(rng.normal(size=(windows, nodes, 4)), requires_grad=True)


# ------------------------------------------------------------------ edges


def test_weights_of_a_node_sum_to_one(operator):
    edges = graph_edges(operator, 4)
    weights = dynamic().weigh(seeds(), edges)
    sums = torch.zeros(2, 20, dtype=torch.float64).index_add(1, edges.rows, weights)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_edges_are_found_once_for_each_operator(operator, river_graph):
    assert graph_edges(operator, 4) is graph_edges(operator, 4)
    assert graph_edges(operator, 5) is not graph_edges(operator, 4)
    again = graph_edges(GraphOperator(river_graph.operator, dtype=torch.float64), 4)
    assert again is not graph_edges(operator, 4)


def test_nearer_nodes_count_more_at_first(operator):
    """Without a day before, only the distance counts."""
    edges = graph_edges(operator, 4)
    weights = DynamicGraph(3, 4, k=4).double().weigh(torch.zeros(1, 20, 4).double(), edges)[0]
    learned = weights - 0.5 * edges.fixed  # half of either
    for node in range(20):
        own = (edges.rows == node) & ~edges.barred
        expected = 1 / (edges.distance[own]).exp()
        torch.testing.assert_close(learned[own], 0.5 * expected / expected.sum())


def test_similarity_and_products_equal_dense_ones(operator):
    edges = graph_edges(operator, 4)
    columns = edges.forward[1].long()
    one, other = seeds().detach(), seeds().detach().flip(1)
    alike = torch.einsum("wnc,wmc->wnm", one, other)[:, edges.rows, columns]
    torch.testing.assert_close(similarity(one, other, edges), alike)
    weights = torch.rand(2, len(columns), dtype=torch.float64)
    dense = torch.zeros(2, 20, 20, dtype=torch.float64)
    dense[:, edges.rows, columns] = weights
    torch.testing.assert_close(mix_nodes(weights, one, edges), dense @ one)


def test_gradients_of_the_edges_are_those_of_finite_differences(operator):
    edges, backbone = graph_edges(operator, 4), dynamic()
    weights = torch.rand(2, len(edges.rows), dtype=torch.float64, requires_grad=True)
    one, other = seeds(), seeds().detach().flip(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, x: mix_nodes(w, x, edges), (weights, one))
    assert torch.autograd.gradcheck(lambda a, b: similarity(a, b, edges), (one, other))
    assert torch.autograd.gradcheck(lambda seed: backbone.weigh(seed, edges), (one,))
    scores = [backbone.query.weight, backbone.query.bias, backbone.key.weight, backbone.decay]
    scores += [backbone.gate.weight, backbone.gate.bias]
    assert torch.autograd.gradcheck(lambda *_: backbone.weigh(one, edges), tuple(scores))


def test_gradients_reach_what_scores_the_edges(operator, days):
    backbone = dynamic()
    backbone(days, operator)[0].square().sum().backward()
    for part in (backbone.query, backbone.key, backbone.gate):
        assert part.weight.grad.abs().sum() > 0
    assert backbone.decay.grad.abs() > 0


def test_the_gradient_of_weights_is_no_larger_than_the_edges(operator):
    edges = graph_edges(operator, 4)
    weights = torch.rand(1, len(edges.rows), dtype=torch.float64, requires_grad=True)
    mix_nodes(weights, seeds(windows=1), edges).sum().backward()
    assert weights.grad.shape == weights.shape
    assert len(edges.rows) < 20 * 20


# ------------------------------------------------- what states depend on


@pytest.mark.parametrize("concat", [True, False])
def test_without_learned_edges_it_is_the_fixed_graph(concat, river_graph, operator, days):
    backbone = dynamic(mix=0.0, depth=3, concat=concat)
    A = torch.tensor(river_graph.operator.toarray())
    layers = [backbone.cell(days, operator)[0]]
    for linear in backbone.graph:
        layers.append(torch.relu(linear(torch.einsum("ij,tjbc->tibc", A, layers[-1]))))
    expected = backbone.join(torch.cat(layers, -1)) if concat else layers[-1]
    torch.testing.assert_close(backbone(days, operator)[0], expected, rtol=1e-6, atol=1e-6)
    with_edges = DynamicGraph(3, 4, k=4, update=5, depth=3, concat=concat).double()
    with_edges.load_state_dict(backbone.state_dict())
    assert (with_edges(days, operator)[0] - expected).abs().max() > 1e-3


def test_the_cell_below_is_the_recurrent_graph_cell(operator, days):
    backbone, cell = dynamic(), RecurrentGraphCell(3, 4).double()
    cell.load_state_dict(backbone.cell.state_dict())
    _, (h, c, *_) = backbone(days, operator)
    torch.testing.assert_close((h, c), cell(days, operator)[1])


@pytest.mark.parametrize("update", [1, 5, 100])
def test_no_later_day_is_read(update, operator, days):
    backbone = dynamic(update=update)
    expected = backbone(days, operator)[0]
    for day in range(1, len(days)):
        changed = days.clone()
        changed[day:] = changed[day:].flip(0) * 3 + 1
        hidden = backbone(changed, operator)[0]
        assert torch.equal(hidden[:day], expected[:day])
        assert not torch.equal(hidden[day], expected[day])


def test_edges_are_those_of_the_last_day_before_the_block(operator, days):
    """A carried state whose seed is exchanged changes the days until the block ends, through edges alone."""
    backbone = dynamic(update=5)
    _, (h, c, seed, counter) = backbone(days[:7], operator)
    assert counter.item() == 2
    torch.testing.assert_close(seed, backbone(days[:5], operator)[1][0])
    changed = backbone(days[7:], operator, (h, c, seed + 1, counter))[0]
    expected = backbone(days[7:], operator, (h, c, seed, counter))[0]
    touched = (changed != expected).flatten(1).any(1)
    assert touched.tolist() == [True] * 3 + [False] * 14


def test_reaches_in_another_order_are_the_same_reaches(river_graph, operator, days):
    order = np.random.default_rng(2).permutation(20)
    moved = GraphOperator(river_graph.operator[order][:, order], dtype=torch.float64)
    backbone = dynamic()
    expected = backbone(days, operator)[0][:, order]
    torch.testing.assert_close(backbone(days[:, order], moved)[0], expected)


def test_a_river_alone_gives_what_it_gives_among_others(operator, days):
    part = np.arange(13, 20)
    backbone = dynamic()
    alone = backbone(days[:, part], operator.submatrix(part, part))[0]
    torch.testing.assert_close(alone, backbone(days, operator)[0][:, part])


# --------------------------------------------------------------- arguments


def test_layers_and_channels():
    assert len(DynamicGraph(3, 4, depth=6).graph) == 6
    assert DynamicGraph(3, 4, depth=6).join.in_features == 7 * 4
    assert DynamicGraph(3, 4, concat=False).join is None
    assert sum(parameter.numel() for parameter in DynamicGraph(7, 20).parameters()) == 5562


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "got k=0"),
        ({"update": 2.5}, r"got update=2\.5"),
        ({"depth": True}, "got depth=True"),
        ({"depth": 10**9}, "got depth=1000000000"),
        ({"mix": 1.5, "k": "8"}, r"got k='8', mix=1\.5"),
        ({"mix": float("nan")}, "got mix=nan"),
        ({"concat": "no"}, "got concat='no'"),
    ],
)
def test_what_is_not_valid_is_refused(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        DynamicGraph(3, 4, **options)
