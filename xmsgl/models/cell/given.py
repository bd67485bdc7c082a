"""What the implementations of the cell share: arguments in one precision, and the link to autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmsgl.models.parts.inherited import InheritedInputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["CellWeights", "Given", "in_one_precision", "scan"]


Inputs = TypeVar("Inputs", bound=Tensor | InheritedInputs)


class CellWeights(NamedTuple):
    """The five parameters of the cell; gates in the order i, f, o, g."""

    W_ih: Tensor  # (F, 4H)
    W_hh: Tensor  # (H, 4H)
    b: Tensor  # (4H,)
    W_q: Tensor  # (H, H)
    b_q: Tensor  # (H,)


class Given(NamedTuple, Generic[Inputs]):
    """Inputs, weights, dropout mask, nodes whose hidden states are wanted, and the state before day 0."""

    x: Inputs
    weights: CellWeights
    mask: Tensor | None
    nodes: Tensor | None  # None: all nodes
    h: Tensor
    c: Tensor


def in_one_precision(
    x: Inputs,
    state: tuple[Tensor, Tensor],
    weights: CellWeights,
    mask: Tensor | None,
    nodes: Tensor | None = None,
) -> Given[Inputs]:
    """Convert all to float64 if the inputs have it, else to float32, also under autocast."""
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    h, c, *parameters = (tensor.to(kind) for tensor in (*state, *weights))
    mask = None if mask is None else mask.to(kind)
    return Given(cast("Inputs", x.to(kind)), CellWeights(*parameters), mask, nodes, h, c)


def scan(
    forward: Callable[..., tuple[Tensor, Tensor, Tensor]],
    backward: Callable[..., tuple[Tensor | None, CellWeights, Tensor, Tensor]],
    given: Given[Any],
    operator: GraphOperator,
) -> tuple[Tensor, Tensor]:
    """Run `forward`, with gradients from `backward` if they are wanted.

    `forward` returns all hidden states, the last cell state and the cell states that `backward` needs.
    """
    x, weights, _, nodes, h, c = given
    if torch.is_grad_enabled() and any(part.requires_grad for part in (x, *weights, h, c)):
        inputs = (x.rows, x.place, x.fixed) if isinstance(x, InheritedInputs) else (x, None, None)
        tensors = *inputs, *weights, given.mask, nodes, h, c
        hidden, cell = _Scan.apply(forward, backward, operator, *tensors)  # type: ignore[no-untyped-call]
        return hidden, cell
    with torch.no_grad():
        hidden, cell, _ = forward(given, operator, keep=False)
        return hidden if nodes is None else hidden.index_select(1, nodes), cell


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, forward: Any, backward: Any, operator: GraphOperator, *tensors: Any
    ) -> tuple[Tensor, Tensor]:
        given = _together(*tensors)
        hidden, last, cells = forward(given, operator, keep=True)
        ctx.save_for_backward(*tensors[:-1], hidden, cells)
        ctx.run_backward, ctx.operator = backward, operator
        ctx.set_materialize_grads(False)
        return hidden if given.nodes is None else hidden.index_select(1, given.nodes), last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, hidden, cells = ctx.saved_tensors
        given = _together(*tensors, tensors[-1])  # h in place of c, which is not needed
        wants_x = ctx.needs_input_grad[3]
        dx, parameters, dh, dc = ctx.run_backward(
            given, ctx.operator, hidden, cells, grad_h, grad_c, wants_x=wants_x
        )
        return None, None, None, dx, None, None, *parameters, None, None, dh, dc


def _together(rows: Tensor, place: Tensor | None, fixed: Tensor | None, *others: Any) -> Given[Any]:
    *weights, mask, nodes, h, c = others
    x = rows if place is None or fixed is None else InheritedInputs(rows, place, fixed)
    return Given(x, CellWeights(*weights), mask, nodes, h, c)
