"""Selection of nodes with a fast backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmsgl.models.cell.compiled.scan import roomy

__all__ = ["choose_nodes"]


def choose_nodes(x: Tensor, nodes: Tensor) -> Tensor:
    """Select nodes of ``(time, node, ...)``; the same as ``x.index_select(1, nodes)``.

    The gradient of all nodes is mostly zeros and as large as all hidden states of a window. On the CPU most
    of its cost is the first use of that memory, which is therefore allocated in large pages.
    """
    chosen: Tensor = _Chosen.apply(x, nodes)  # type: ignore[no-untyped-call]
    return chosen


class _Chosen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, nodes: Tensor) -> Tensor:
        ctx.save_for_backward(nodes)
        ctx.shape = x.shape
        return x.index_select(1, nodes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (nodes,) = ctx.saved_tensors
        on_cpu = grad.device.type == "cpu" and grad.dtype in (torch.float32, torch.float64)
        whole = roomy(*ctx.shape, like=grad) if on_cpu else grad.new_empty(ctx.shape)
        return whole.zero_().index_add_(1, nodes, grad), None
