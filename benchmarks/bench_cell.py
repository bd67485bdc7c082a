"""The recurrent graph cell, forward and backward over a window, against the dense loop it replaces."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.dense import dense_cell
from benchmarks.harness import Bar, Group, Runner, Step, sized
from benchmarks.rivers import make_river
from xmsgl.models.cell import CellWeights, RecurrentGraphCell
from xmsgl.models.operator import GraphOperator
from xmsgl.network.graph import RiverGraph

FEATURES, HIDDEN = 7, 20

SMALL = Group(
    "Cell, a small basin",
    "Forward and backward of the recurrent graph cell over a year of a coarse network (456 segments, 5 hops), "
    "7 inputs, 20 channels, one thread. The reference is the cell as published: a loop over days through "
    "autograd, with the graph as a dense matrix.",
)


def build_step(
    backend: str,
    nodes: int,
    days: int,
    hidden: int = HIDDEN,
    *,
    backward: bool = True,
    length: float = 10_000.0,
) -> Step:
    """Prepare a window of the cell; the step returns the hidden states and the gradient of the inputs."""
    cell, x, operator = _setting(backend, nodes, days, hidden, length)
    if backend == "dense":
        weights = CellWeights(cell.W_ih, cell.W_hh, cell.b, cell.W_q, cell.b_q)
        A = torch.from_numpy(operator.toarray()).float()
        inputs = x[:, :, 0].clone()
    else:
        prepared, inputs = GraphOperator(operator), x
    inputs.requires_grad_(backward)
    pull = torch.randn_like(inputs[..., :1]).expand(*inputs.shape[:-1], hidden).contiguous()

    def step() -> tuple[torch.Tensor, ...]:
        inputs.grad = None
        cell.zero_grad()
        with torch.set_grad_enabled(backward):
            output = dense_cell(inputs, A, weights) if backend == "dense" else cell(inputs, prepared)[0]
        if not backward:
            return (output,)
        output.backward(pull)
        gradients = [parameter.grad.clone() for parameter in cell.parameters()]
        return output.detach(), inputs.grad, *gradients

    return step


def _setting(
    backend: str, nodes: int, days: int, hidden: int, length: float
) -> tuple[RecurrentGraphCell, torch.Tensor, Any]:
    river = make_river(nodes, median_length=length)
    operator = RiverGraph.build(river.ids, river.downstream, river.length).operator
    torch.manual_seed(0)
    cell = RecurrentGraphCell(FEATURES, hidden, backend="reference" if backend == "dense" else backend)
    return cell, torch.randn(days, nodes, 1, FEATURES), operator


def edges(nodes: int, length: float = 10_000.0) -> int:
    """Count the weights of the operator that :func:`build_step` uses."""
    river = make_river(nodes, median_length=length)
    return int(RiverGraph.build(river.ids, river.downstream, river.length).operator.nnz)


def needs(nodes: int, days: int, hidden: int, weights: int, *, backward: bool) -> dict[str, float]:
    """Count what a window can not do without, for the roofline.

    Forward, a reach and day: 2 operations for each entry of W_ih, W_hh and W_q, 2 H for each weight of the
    graph, and 14 H between (sums, products, five functions counted as one each). Backward as much for the
    gates again, and twice that for the gradients of inputs and weights. Bytes, each array once: x and h
    forward, and c if kept for the way back; backward x, h, c, the gradient of h, and that of x written.
    Weights and graph stay in the cache.
    """
    products = 2 * (4 * FEATURES * hidden + 5 * hidden * hidden)
    mixing = 2 * hidden * weights / nodes
    forward = products + mixing + 14 * hidden
    if not backward:
        return {"flops": nodes * days * forward, "moved": 4.0 * nodes * days * (FEATURES + hidden)}
    # the way back computes gates, not messages, again; it mixes gradients with the transpose
    back = 3 * products + mixing + 40 * hidden
    numbers = (FEATURES + 2 * hidden) + (2 * FEATURES + 3 * hidden)
    return {"flops": nodes * days * (forward + back), "moved": 4.0 * nodes * days * numbers}


@pytest.mark.parametrize("backend", ["dense", "reference", "torch", "numba"])
def bench_small(case: Runner, backend: str) -> None:
    nodes, days = sized(456, 20), sized(365, 4)
    bars = [Bar("ratio", must=4, aim=8)] if backend == "numba" else []
    found = case(
        SMALL,
        backend,
        build_step,
        {"backend": backend, "nodes": nodes, "days": days},
        reference=backend == "dense",
        rounds=7,
        work=days,
        unit="day",
        bars=bars,
        **needs(nodes, days, HIDDEN, edges(nodes), backward=True),
    )
    if backend != "dense":
        with torch.random.fork_rng():
            expected = build_step("dense", nodes, days)()
        for one, other in zip(found, expected, strict=True):
            wanted = other.reshape(one.shape)
            torch.testing.assert_close(one, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))
