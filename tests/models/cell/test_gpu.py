"""The recurrent graph cell on a GPU: every backend that runs there against the reference on a CPU."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.parts.operator import GraphOperator

pytestmark = pytest.mark.gpu
BACKENDS = [
    "reference",
    "torch",
    pytest.param(
        "triton",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("triton") is None,
            reason='Triton is not installed: pip install "xmsgl[gpu]"',
        ),
    ),
]


def outcome(backend, device, dtype, *, sizes=(40, 300, 2, 7, 20), autocast=False):
    """Values and all gradients of a step, on the CPU; the same draws for every backend and device."""
    days, nodes, batch, features, hidden = sizes
    rng = np.random.default_rng(5)
    matrix = sparse.random_array((nodes, nodes), density=6 / nodes, rng=rng).tolil()
    matrix[::3] = 0
    operator = GraphOperator(matrix, dtype=dtype, device=device)
    torch.manual_seed(3)
    cell = RecurrentGraphCell(features, hidden, backend=backend)
    with torch.no_grad():  # biases start at zero, where an error in them would not show
        cell.b.normal_()
        cell.b_q.normal_()
    cell = cell.to(device, dtype)
    shapes = [(days, nodes, batch, features), (nodes, batch, hidden), (nodes, batch, hidden)]
    leaves = [
        torch.tensor(rng.normal(size=shape), dtype=dtype, device=device, requires_grad=True)
        for shape in shapes
    ]
    weight = torch.tensor(rng.normal(size=(days, nodes, batch, hidden)), dtype=dtype, device=device)
    with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=autocast):
        states, (_, last) = cell(leaves[0], operator, (leaves[1], leaves[2]))
    loss = (states * weight).sum() + last.square().sum()
    gradients = torch.autograd.grad(loss, [*leaves, *cell.parameters()])
    return [part.detach().cpu() for part in (states, last, *gradients)]


def assert_near(got, expected, tolerance):
    for fast, plain in zip(got, expected, strict=True):
        assert fast.dtype == plain.dtype
        torch.testing.assert_close(fast, plain, rtol=tolerance, atol=tolerance * float(plain.abs().max()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_equals_the_cpu(backend, dtype, tolerance):
    assert_near(outcome(backend, "cuda", dtype), outcome("reference", "cpu", dtype), tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_stays_near_single_precision(backend):
    got = outcome(backend, "cuda", torch.float32, autocast=True)
    assert_near(got, outcome("reference", "cpu", torch.float32), 0.05)


@pytest.mark.parametrize("backend", BACKENDS[2:])
def test_results_are_reproducible(backend):
    first, second = (outcome(backend, "cuda", torch.float32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_memory_of_a_year(backend):
    """At most 4 values per reach, day and channel beyond the inputs."""
    days, nodes = 365, 456
    operator = GraphOperator(sparse.eye_array(nodes), device="cuda")
    cell = RecurrentGraphCell(7, 20, backend=backend).cuda()
    x = torch.zeros(days, nodes, 1, 7, device="cuda", requires_grad=True)
    gradient = torch.ones(days, nodes, 1, 20, device="cuda")
    for _ in range(2):  # libraries allocate memory at first use
        cell.zero_grad()
        x.grad = None
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        cell(x, operator)[0].backward(gradient)
        taken = torch.cuda.max_memory_allocated() - before
    assert 2 < taken / 4 / (days * nodes * 20) <= 4
