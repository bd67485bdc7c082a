"""The dynamic graph, forward and backward over some days, compared with the recurrent graph cell below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.bench_cell import FEATURES, HIDDEN, river_operator
from benchmarks.harness import Bar, Group, Series, sized
from xmsgl.models.backbones.registry import create_backbone
from xmsgl.models.parts.operator import GraphOperator

if TYPE_CHECKING:
    from benchmarks.harness import Runner, Step

SIZES = sized([456, 3_182, 16_033], [20, 40])
ABOUT = (
    "Forward and backward over 60 days, 7 inputs, 20 channels, one window, one thread; the reference is the "
    "cell with its compiled backend. The dynamic graph has its default settings: the same cell, and 2 layers "
    "with 8 candidates a node, renewed after 7 days. Its candidates are found once, before."
)
GROUPS = {nodes: Group(f"Dynamic graph, N = {nodes:,}", ABOUT) for nodes in SIZES}


def build_backbone(name: str, nodes: int, days: int) -> Step:
    """Prepare a window; the step returns the hidden states and the gradient of the inputs."""
    torch.manual_seed(0)
    backbone, operator = create_backbone(name, FEATURES, HIDDEN), GraphOperator(river_operator(nodes))
    x = torch.randn(days, nodes, 1, FEATURES).requires_grad_()
    pull = torch.randn(days, nodes, 1, HIDDEN)

    def step() -> list[torch.Tensor]:
        x.grad = None
        backbone.zero_grad()
        output = backbone(x, operator)[0]
        output.backward(pull)
        return [output.detach(), x.grad]

    return step


@pytest.mark.parametrize("nodes", SIZES)
@pytest.mark.parametrize("name", ["rgcn", "dynamic"])
def bench_backbones(case: Runner, name: str, nodes: int) -> None:
    days = sized(60, 4)
    case(
        GROUPS[nodes],
        name,
        build_backbone,
        {"name": name, "nodes": nodes, "days": days},
        reference=name == "rgcn",
        rounds=7,
        work=nodes * days,
        unit="reach-day",
        kept=True,
        bars=[Bar("ratio", must=0.2)] if name == "dynamic" else [],
        series=Series(f"backbone, {name}", "N", nodes, per=days, most=1.15 if name == "dynamic" else None),
    )
