"""The recurrent graph cell, forward and backward over a window, compared with the dense loop it replaces."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from benchmarks.dense import dense_cell
from benchmarks.harness import Bar, Group, Series, sized
from benchmarks.rivers import make_river
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.cell.given import CellWeights
from xmsgl.models.parts.operator import GraphOperator
from xmsgl.network.graph import RiverGraph

if TYPE_CHECKING:
    from benchmarks.harness import Runner, Step

FEATURES, HIDDEN = 7, 20
BACKENDS = ["dense", "reference", "torch", "numba"]

SMALL = Group(
    "Cell, 456 segments",
    "Forward and backward of the recurrent graph cell over a year of a coarse network: 456 segments, "
    "neighbours up to 5 hops, 7 inputs, 20 channels, one window, one thread. The reference is the cell as "
    "published: a loop over days through autograd with a dense graph matrix. `reference`, `torch`, `numba` "
    "are the backends of the package. The products alone are the matrix products that each of them needs. "
    "Every case keeps the memory freed by its last call, as steps of a training do.",
)
LARGE = Group(
    "Cell, 10,000 reaches",
    "The same for 10,000 reaches and two threads, per day, with memory kept. Only the compiled backend "
    "runs over a whole year, for which memory is given.",
)
PARTS = Group(
    "Parts of the compiled cell",
    "Forward alone (which stores less), backward alone, and two operations that the cell needs: "
    "the product of the graph with one day of all reaches, and gathering the drivers of reaches from their "
    "segments. Per reach and day; one thread.",
)
NODES = Group(
    "Cost against the number of reaches",
    "Forward and backward of the cell with the `numba` backend and of the dense loop, two threads, per reach "
    "and day; 1x throughout would be linear.",
)
DAYS = Group(
    "Cost against the number of days", "Backend `numba`, 456 segments, one thread, per reach and day."
)
CHANNELS = Group(
    "Cost against the number of channels",
    "Backend `numba`, 456 segments, 120 days, one thread, per reach and day. The products grow with the "
    "square of H, the rest with H.",
)


@lru_cache(maxsize=2)
def river_operator(nodes: int) -> Any:
    """Return the graph operator of a random river whose reaches are as long as coarse segments."""
    river = make_river(nodes, median_length=8_000.0)
    return RiverGraph.build(river.ids, river.downstream, river.length).operator


def build_cell(backend: str, nodes: int, days: int, hidden: int = HIDDEN) -> Step:
    """Prepare a window; the step returns the hidden states and the gradients of inputs and parameters."""
    cell, run, x = _setting(backend, nodes, days, hidden)
    pull = torch.randn(days, nodes, 1, hidden).view(*x.shape[:-1], hidden)

    def step() -> list[torch.Tensor]:
        x.grad = None
        cell.zero_grad()
        output = run(x)
        output.backward(pull)
        return [output.detach(), x.grad, *(parameter.grad for parameter in cell.parameters())]

    return step


def build_forward(backend: str, nodes: int, days: int) -> Step:
    """Prepare a window; the step runs forward as in prediction."""
    _, run, x = _setting(backend, nodes, days, HIDDEN)

    def step() -> torch.Tensor:
        with torch.no_grad():
            return run(x)

    return step


def build_backward(backend: str, nodes: int, days: int) -> Step:
    """Prepare a window and run forward; the step runs backward."""
    _, run, x = _setting(backend, nodes, days, HIDDEN)
    output = run(x)
    pull = torch.randn_like(output)
    return lambda: output.backward(pull, retain_graph=True)


def _setting(backend: str, nodes: int, days: int, hidden: int) -> tuple[Any, Any, torch.Tensor]:
    operator = river_operator(nodes)
    torch.manual_seed(0)
    cell = RecurrentGraphCell(FEATURES, hidden, backend="reference" if backend == "dense" else backend)
    x = torch.randn(days, nodes, 1, FEATURES)
    if backend == "dense":
        weights = CellWeights(cell.W_ih, cell.W_hh, cell.b, cell.W_q, cell.b_q)
        A = torch.from_numpy(operator.toarray()).float()
        return cell, lambda inputs: dense_cell(inputs, A, weights), x.squeeze(2).requires_grad_()
    prepared = GraphOperator(operator)
    return cell, lambda inputs: cell(inputs, prepared)[0], x.requires_grad_()


def build_products(nodes: int, days: int) -> Step:
    """Only the matrix products of a window: forward, the gates recomputed, and backward."""
    hidden, inputs, gates = HIDDEN, FEATURES + 1 + HIDDEN, 4 * HIDDEN
    shapes = {
        "u": (nodes, inputs), "h": (nodes, hidden + 1), "z": (nodes, gates), "q": (nodes, hidden),
        "W": (inputs, gates), "Wq": (hidden + 1, hidden),
    }  # fmt: skip
    m = {name: torch.randn(shape) for name, shape in shapes.items()}
    out = {name: torch.empty(shape) for name, shape in shapes.items()}

    def step() -> None:
        for _ in range(2 * days):  # forward, and recomputed in the backward pass
            torch.mm(m["u"], m["W"], out=out["z"])
            torch.mm(m["h"], m["Wq"], out=out["q"])
        for _ in range(days):
            torch.mm(m["z"], m["W"].t(), out=out["u"])
            torch.mm(m["q"], m["Wq"].t(), out=out["h"])
            torch.mm(m["u"].t(), m["z"], out=out["W"])
            torch.mm(m["h"].t(), m["q"], out=out["Wq"])

    return step


def build_mixing(nodes: int, days: int) -> Step:
    """Multiply the graph with every day."""
    operator = GraphOperator(river_operator(nodes))
    x = torch.randn(days, nodes, HIDDEN)
    return lambda: operator.matmul_days(x)


def build_gather(nodes: int, days: int) -> Step:
    """Gather the drivers of reaches from their segments."""
    river = make_river(nodes)
    segment = torch.from_numpy(river.segment)
    x = torch.randn(days, river.n_segments, FEATURES)
    return lambda: x[:, segment]


def cell_needs(nodes: int, days: int, *, forward: bool = True, backward: bool = True) -> dict[str, float]:
    """Count the least operations and bytes of a window, for the roofline.

    Forward, a reach and day: 2 operations for each entry of W_ih, W_hh and W_q, 2 H for each weight of the
    graph, and 14 H between (sums, products, five functions counted as one each). Backward as much for the
    gates again, and twice that for the gradients of inputs and weights. Bytes, each array once: x and h
    forward, and c if kept for the way back; backward x, h, c, the gradient of h, and that of x written.
    Weights and graph stay in the cache.
    """
    products = 2.0 * (4 * FEATURES * HIDDEN + 5 * HIDDEN * HIDDEN)
    mixing = 2.0 * HIDDEN * river_operator(nodes).nnz / nodes
    flops = numbers = 0.0
    if forward:
        flops += products + mixing + 14 * HIDDEN
        numbers += FEATURES + HIDDEN + (HIDDEN if backward else 0)
    if backward:
        flops += 3 * products + mixing + 40 * HIDDEN
        numbers += 2 * FEATURES + 3 * HIDDEN
    return {"flops": nodes * days * flops, "moved": 4 * nodes * days * numbers}


@pytest.mark.parametrize("backend", BACKENDS)
def bench_small(case: Runner, backend: str) -> None:
    nodes, days = sized(456, 20), sized(365, 4)
    found = case(
        SMALL,
        backend,
        build_cell,
        {"backend": backend, "nodes": nodes, "days": days},
        reference=backend == "dense",
        rounds=7,
        work=days,
        unit="day",
        kept=True,
        bars=[Bar("ratio", must=4, aim=8)] if backend == "numba" else [],
        **cell_needs(nodes, days),
    )
    for one, other in zip(found, build_cell("dense", nodes, days)(), strict=True):
        wanted = other.reshape(one.shape)
        torch.testing.assert_close(one, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def bench_small_products(case: Runner) -> None:
    nodes, days = sized(456, 20), sized(365, 4)
    case(
        SMALL,
        "products alone",
        build_products,
        {"nodes": nodes, "days": days},
        rounds=7,
        work=days,
        unit="day",
        kept=True,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def bench_large(case: Runner, backend: str) -> None:
    nodes = sized(10_000, 40)
    days = {"dense": sized(6, 2), "numba": sized(365, 4)}.get(backend, sized(30, 2))
    numba = backend == "numba"
    case(
        LARGE,
        f"{backend}, {days} days",
        build_cell,
        {"backend": backend, "nodes": nodes, "days": days},
        threads=2,
        reference=backend == "dense",
        rounds=5 if numba else 3,
        work=days,
        unit="day",
        kept=True,
        bars=[
            Bar("ratio", must=40, aim=80),
            Bar("memory", must=2e9, aim=1e9),
            Bar("process", must=2e9, aim=1e9),
        ]
        if numba
        else [],
        memory=numba,
        warm={"nodes": 40, "days": 2},
        **cell_needs(nodes, days),
    )


@pytest.mark.parametrize("nodes", [sized(456, 20), sized(10_000, 40)])
@pytest.mark.parametrize("part", ["forward", "backward"])
def bench_parts(case: Runner, part: str, nodes: int) -> None:
    days = sized(365 if nodes < 1_000 else 60, 4)
    case(
        PARTS,
        f"{part}, N = {nodes:,}",
        build_forward if part == "forward" else build_backward,
        {"backend": "numba", "nodes": nodes, "days": days},
        reference=part == "forward" and nodes == sized(456, 20),
        work=nodes * days,
        unit="reach-day",
        **cell_needs(nodes, days, forward=part == "forward", backward=part == "backward"),
    )


@pytest.mark.parametrize("nodes", [sized(456, 20), sized(10_000, 40)])
@pytest.mark.parametrize("part", ["graph product", "gather"])
def bench_shared(case: Runner, part: str, nodes: int) -> None:
    days = sized(60, 4)
    if part == "gather":
        flops, moved = 0.0, days * 4.0 * FEATURES * (nodes + make_river(nodes).n_segments) + 8.0 * nodes
    else:
        weights = river_operator(nodes).nnz
        flops, moved = 2.0 * HIDDEN * weights * days, days * (8.0 * HIDDEN * nodes) + 8.0 * weights
    case(
        PARTS,
        f"{part}, N = {nodes:,}",
        build_gather if part == "gather" else build_mixing,
        {"nodes": nodes, "days": days},
        work=nodes * days,
        unit="reach-day",
        flops=flops,
        moved=moved,
    )


SIZES = sized([456, 3_182, 16_033, 100_000], [20, 40])


@pytest.mark.parametrize(
    ("backend", "nodes"),
    [*(("numba", nodes) for nodes in SIZES), *(("dense", nodes) for nodes in SIZES if nodes < 10_000)],
)
def bench_nodes(case: Runner, backend: str, nodes: int) -> None:
    days = sized(6 if backend == "dense" else 30 if nodes < 50_000 else 10, 2)
    case(
        NODES,
        f"{backend}, N = {nodes:,}",
        build_cell,
        {"backend": backend, "nodes": nodes, "days": days},
        threads=2,
        reference=backend == "numba" and nodes == SIZES[0],
        work=nodes * days,
        unit="reach-day",
        series=Series(f"cell, {backend}", "N", nodes, per=days, most=1.1 if backend == "numba" else None),
    )


@pytest.mark.parametrize("days", sized([30, 120, 365, 1_460], [2, 4]))
def bench_days(case: Runner, days: int) -> None:
    nodes = sized(456, 20)
    case(
        DAYS,
        f"numba, T = {days:,}",
        build_cell,
        {"backend": "numba", "nodes": nodes, "days": days},
        reference=days == sized(30, 2),
        work=nodes * days,
        unit="reach-day",
        series=Series("cell, numba", "T", days),
    )


@pytest.mark.parametrize("hidden", sized([8, 20, 32, 64], [4, 8]))
def bench_channels(case: Runner, hidden: int) -> None:
    nodes, days = sized(456, 20), sized(120, 2)
    case(
        CHANNELS,
        f"numba, H = {hidden}",
        build_cell,
        {"backend": "numba", "nodes": nodes, "days": days, "hidden": hidden},
        reference=hidden == sized(8, 4),
        work=nodes * days,
        unit="reach-day",
        series=Series("cell, numba", "H", hidden, per=days),
    )
