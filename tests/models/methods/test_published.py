"""The published pieces on a river of five reaches, against numbers worked out by hand.

    1 --> 3 --> 4 --> 5
    2 ----^

The lengths are 1.0, 2.0, 1.5, 3.0 and 2.5 km; the distance to the reach below is the length of the
reach entered. The literals were computed once with scalar arithmetic from the formulas of Fan et al.
(2025, doi:10.1609/aaai.v39i27.35014), Jia et al. (2021, arXiv:2009.12575) and Sener & Koltun (2018,
arXiv:1810.04650); the loops below spell the same formulas out, one number at a time.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from xmsgl.models.cell.cell import CELL_BACKENDS, RecurrentGraphCell
from xmsgl.models.methods.heads import FineHead, InterpolationHead, LinearHead
from xmsgl.models.parts.operator import GraphOperator
from xmsgl.network.graph import RiverGraph
from xmsgl.training.weighting import min_norm_weights, task_weights

DOWNSTREAM = [2, 2, 3, 4, -1]
LENGTH = [1000.0, 2000.0, 1500.0, 3000.0, 2500.0]

# Signed distances, negated, over their deviation of 4,576.51 m (the mean is 0), through the logistic
# function, plus 1 on the diagonal. 0.4188 = 1 / (1 + exp(1500 / 4576.51)).
KERNEL = [
    [1.0000, 0.0000, 0.4188, 0.2722, 0.1781],
    [0.0000, 1.0000, 0.4188, 0.2722, 0.1781],
    [0.5812, 0.5812, 1.0000, 0.3417, 0.2312],
    [0.7278, 0.7278, 0.6583, 1.0000, 0.3667],
    [0.8219, 0.8219, 0.7688, 0.6333, 1.0000],
]
ROW_SUMS = [1.8691, 1.8691, 2.7353, 3.4805, 4.0460]

INPUT = [[0.0, 0.5, 1.0, -0.5, -1.0], [1.0, 0.0, -0.5, 0.5, 0.25], [0.2, -0.2, 0.4, 0.0, -0.6]]
W_IH, W_HH, B = [0.5, -0.3, 0.8, 1.0], [0.2, 0.4, -0.1, 0.3], [0.0, 1.0, 0.1, -0.2]  # i, f, o, g
W_Q, B_Q = 0.7, 0.05
HIDDEN = [
    [-0.03259, 0.12212, 0.29803, -0.09484, -0.08916],
    [0.27799, 0.08175, 0.08212, 0.02697, -0.07432],
    [0.24473, 0.00701, 0.20277, 0.00993, -0.12147],
]
CELL_STATE = [0.47068, 0.01452, 0.35081, 0.01895, -0.30707]


@pytest.fixture
def graph():
    return RiverGraph.build(range(1, 6), DOWNSTREAM, LENGTH, kernel="reference")


def test_kernel(graph):
    expected = np.array(KERNEL) / np.array(ROW_SUMS)[:, None]
    np.testing.assert_allclose(graph.operator.toarray(), expected, atol=4e-5)


@pytest.mark.parametrize("backend", [name for name in CELL_BACKENDS if name != "triton"])
def test_cell(graph, backend):
    cell = RecurrentGraphCell(1, 1, backend=backend)
    with torch.no_grad():
        for parameter, values in zip(
            (cell.W_ih, cell.W_hh, cell.b, cell.W_q, cell.b_q), (W_IH, W_HH, B, [W_Q], [B_Q]), strict=True
        ):
            parameter.copy_(torch.tensor(values).view_as(parameter))
        hidden, (_, state) = cell(torch.tensor(INPUT)[..., None, None], GraphOperator(graph.operator))
    np.testing.assert_allclose(hidden[..., 0, 0], HIDDEN, atol=1e-5)
    np.testing.assert_allclose(state[:, 0, 0], CELL_STATE, atol=1e-5)


def test_parameter_counts():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(RecurrentGraphCell(7, 20)) == 7 * 80 + 20 * 80 + 80 + 20 * 20 + 20 == 2660
    assert count(LinearHead(20)) == 21


def test_fine_head():
    """Two channels: normalised, the larger is +1 and the smaller -1, whatever they are."""
    head = FineHead(1).eval()
    with torch.no_grad():
        head.norm.weight.copy_(torch.tensor([1.0, 2.0]))
        head.norm.bias.copy_(torch.tensor([0.5, 0.0]))
        head.inner.weight.copy_(torch.tensor([[1.0, 0.25]]))
        head.inner.bias.fill_(0.1)
        head.residual.weight.copy_(torch.tensor([[0.3, -0.2]]))
        head.residual.bias.fill_(0.05)
        head.out.linear.weight.fill_(2.0)
        head.out.linear.bias.fill_(-1.0)
        output = head(torch.tensor([[4.0], [1.0]]), torch.tensor([[2.0], [7.0]]))
    # First row: normalised (1.5, -2), inner 1.5 - 0.5 + 0.1 = 1.1, GELU(1.1) = 1.1 * 0.86433 = 0.95077,
    # residual 1.2 - 0.4 + 0.05 = 0.85, output 2 * 1.80077 - 1. Second row: (-0.5, 2), inner 0.1,
    # GELU(0.1) = 0.1 * 0.53983 = 0.05398, residual 0.3 - 1.4 + 0.05 = -1.05, output 2 * -0.99602 - 1.
    np.testing.assert_allclose(output, [2.60153, -2.99203], atol=2e-5)


def plain_attention(x, attention):
    """One sequence of (day, channel) lists through one block, number by number."""
    project, mix = attention.project, attention.mix
    size, heads = len(x[0]), attention.heads
    width = size // heads

    def affine(layer, vector):
        pairs = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in pairs]

    parts = [affine(project, day) for day in x]
    result = []
    for day, own in zip(x, parts, strict=True):
        mixed = []
        for head in range(heads):
            at = range(head * width, (head + 1) * width)
            scores = [sum(own[k] * other[size + k] for k in at) / math.sqrt(width) for other in parts]
            weights = [math.exp(score) for score in scores]
            mixed += [
                sum(w * other[2 * size + k] for w, other in zip(weights, parts, strict=True)) / sum(weights)
                for k in at
            ]
        added = [a + b for a, b in zip(day, affine(mix, mixed), strict=True)]
        mean = sum(added) / size
        deviation = math.sqrt(sum((a - mean) ** 2 for a in added) / size + 1e-5)
        result.append([(a - mean) / deviation for a in added])
    return result


def test_interpolation_head():
    torch.manual_seed(4)
    head = InterpolationHead(4, 2)
    h = torch.randn(6, 1, 1, 4)
    sequence = [day.ravel().tolist() for day in h]
    once = plain_attention(sequence, head.first)
    twice = plain_attention(once, head.second)
    weight, bias = head.out.linear.weight.ravel().tolist(), head.out.linear.bias.item()
    expected = [
        sum(w * (a + b) for w, a, b in zip(weight, one, two, strict=True)) + bias
        for one, two in zip(once, twice, strict=True)
    ]
    with torch.no_grad():
        np.testing.assert_allclose(head(h).ravel(), expected, rtol=1e-4, atol=1e-5)


def test_mgda_of_two_tasks():
    # The foot of the perpendicular from 0 on the line through (1, 0) and (0, 2) is (0.8, 0.4).
    np.testing.assert_allclose(min_norm_weights([[1.0, 0.0], [0.0, 4.0]]), [0.8, 0.2], atol=1e-9)
    # Divided by loss times norm they are (1/2, 0) and (0, 1): weights in the ratio of 1 to 1/4.
    weights = task_weights([torch.tensor([3.0, 0.0]), torch.tensor([0.0, 5.0])], [2.0, 1.0])
    np.testing.assert_allclose(weights, [0.8, 0.2], atol=1e-9)


def test_mgda_of_three_tasks():
    # The plane through (1, 0, 0), (0, 1, 0) and (0, 0, 2) is x + y + z / 2 = 1; its point nearest to 0 is
    # (4, 4, 2) / 9 = 4/9 a + 4/9 b + 1/9 c.
    gram = np.diag([1.0, 1.0, 4.0])
    np.testing.assert_allclose(min_norm_weights(gram), [4 / 9, 4 / 9, 1 / 9], atol=1e-9)
    # A task whose gradient lies beyond the hull of the others gets nothing.
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    np.testing.assert_allclose(min_norm_weights(vectors @ vectors.T), [0.5, 0.5, 0.0], atol=1e-9)
