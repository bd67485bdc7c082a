"""The recurrent graph cell on a GPU: the ``triton`` backend.

Like the torch backend it keeps the hidden and the cell state of every day and computes the gates again
on the way back. A day forward is one matrix product and one kernel, which gathers the messages of the
neighbours and does everything element by element; a day back is two kernels and one product. What does
not depend on the day before, the products with the inputs and those of the weights' gradients, is done
for many days at once.

Kernels that do the products too were tried. Compiled for an H100 in single precision, such a backward
pass keeps more than the registers hold at 20 channels, and takes minutes to compile at 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmsgl.errors import InvalidArgumentError, MissingDependencyError
from xmsgl.models.cell.given import CellWeights, in_one_precision

if TYPE_CHECKING:
    from types import ModuleType

    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["triton_scan"]

#: Numbers a program does: some for each of its 128 threads.
_BLOCK = 512

#: Days whose gates are held at once, as a share of the window: 5 numbers a reach, day and channel.
_SHARE = 16


def triton_scan(
    x: Tensor,
    operator: GraphOperator,
    weights: CellWeights,
    state: tuple[Tensor, Tensor],
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run the cell over a window on a GPU, with kernels in Triton.

    Computes in double precision if the inputs have it and in single precision otherwise, under autocast
    too. Matrix products obey :func:`torch.set_float32_matmul_precision`. The same inputs give the same
    bits.

    Shapes: `x` (time, node, batch, feature), `state` (node, batch, hidden), `mask` (node, batch, hidden),
    returns (time, node, batch, hidden).
    """
    _check(x, operator, _kernels())
    x, h, c, weights, mask, differentiable = in_one_precision(x, state, weights, mask)
    if differentiable:
        hidden, cell = _TritonScan.apply(x, h, c, *weights, mask, operator)  # type: ignore[no-untyped-call]
        return hidden, cell
    with torch.no_grad():
        hidden, cells = _forward(x, h, c, weights, mask, operator, keep=False)
    return hidden, cells[len(x) % 2].clone()


def _kernels() -> ModuleType:
    try:
        from xmsgl.models.cell.triton import kernels as triton_kernels
    except ImportError as error:
        msg = 'the triton backend needs Triton: pip install "xmsgl[gpu]", or use backend="torch"'
        raise MissingDependencyError(msg) from error
    return triton_kernels


def _check(x: Tensor, operator: GraphOperator, kernels: ModuleType) -> None:
    import triton

    compiled = isinstance(kernels.forward_day, triton.JITFunction)
    if compiled and x.device.type == "cpu":
        msg = 'the triton backend runs on a GPU, the inputs are on the processor; use backend="numba"'
        raise InvalidArgumentError(msg)
    if operator.device.type != x.device.type:
        msg = f"the graph operator is on {operator.device}, the inputs are on {x.device}; use operator.to"
        raise InvalidArgumentError(msg)


class _Packed(NamedTuple):
    """The parameters side by side, so that one product gives what goes into all gates and the messages.

    Attributes
    ----------
    inputs, recurrent, bias
        ``(F, 5H)``, ``(H, 5H)`` and ``(5H,)``, in the order i, f, o, g, q.
    """

    inputs: Tensor
    recurrent: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: CellWeights) -> _Packed:
        W_ih, W_hh, b, W_q, b_q = weights
        unused = W_ih.new_zeros(len(W_ih), len(W_q))  # messages do not read the inputs
        return cls(torch.cat([W_ih, unused], 1), torch.cat([W_hh, W_q], 1), torch.cat([b, b_q]))

    def unpack(self) -> CellWeights:
        hidden = len(self.recurrent)
        four = 4 * hidden
        return CellWeights(
            self.inputs[:, :four].contiguous(),
            self.recurrent[:, :four].contiguous(),
            self.bias[:four].clone(),
            self.recurrent[:, four:].contiguous(),
            self.bias[four:].clone(),
        )


@dataclass(frozen=True)
class _Plan:
    """Sizes of a window and how it is cut: rows, channels, windows, days at once, programs."""

    days: int
    rows: int
    hidden: int
    batch: int
    step: int

    @classmethod
    def of(cls, x: Tensor, h0: Tensor) -> _Plan:
        days, nodes, batch, _ = x.shape
        return cls(days, nodes * batch, h0.shape[-1], batch, -(-days // _SHARE))

    @property
    def count(self) -> int:
        """Numbers in a plane: the channels of all rows."""
        return self.rows * self.hidden

    @property
    def grid(self) -> tuple[int]:
        """Programs of a kernel."""
        return (-(-self.count // _BLOCK),)

    def gates(self, like: Tensor) -> Tensor:
        """Make room for what goes into the gates of as many days as are done at once."""
        return like.new_empty(self.step, self.rows, 5 * self.hidden)

    def spans(self) -> list[tuple[int, int]]:
        """List the parts of the window: first day, and the day after the last."""
        return [(first, min(first + self.step, self.days)) for first in range(0, self.days, self.step)]


def _flat(tensor: Tensor) -> Tensor:
    """Return days and rows as one long row of vectors."""
    return tensor.reshape(-1, tensor.shape[-1])


def _forward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: CellWeights,
    mask: Tensor | None,
    operator: GraphOperator,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Return the hidden states, and the cell states from that before the window on: all, or two in turn."""
    kernels, plan, packed = _kernels(), _Plan.of(x, h0), _Packed.of(weights)
    start, node, weight = operator.csr_tensors()
    weight = weight.to(x.dtype)
    drop = None if mask is None else mask.contiguous()
    states = x.new_empty(plan.days, *h0.shape)
    cells = x.new_empty(plan.days + 1 if keep else 2, *h0.shape)
    cells[0] = c0
    z = plan.gates(x)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        for first, end in plan.spans():
            torch.addmm(packed.bias, _flat(x[first:end]), packed.inputs, out=_flat(z[: end - first]))
            for day in range(first, end):
                z[day - first].addmm_(_flat(states[day - 1] if day else h0), packed.recurrent)
                read, write = (day, day + 1) if keep else (day % 2, 1 - day % 2)
                kernels.forward_day[plan.grid](
                    z,
                    states,
                    cells,
                    states if drop is None else drop,
                    start,
                    node,
                    weight,
                    day - first,
                    day,
                    read,
                    write,
                    plan.count,
                    H=plan.hidden,
                    B=plan.batch,
                    BLOCK=_BLOCK,
                    DROPS=drop is not None,
                )
    return states, cells


class _TritonScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        W_ih: Tensor,
        W_hh: Tensor,
        b: Tensor,
        W_q: Tensor,
        b_q: Tensor,
        mask: Tensor | None,
        operator: GraphOperator,
    ) -> tuple[Tensor, Tensor]:
        weights = CellWeights(W_ih, W_hh, b, W_q, b_q)
        states, cells = _forward(x, h0, c0, weights, mask, operator, keep=True)
        ctx.save_for_backward(x, h0, *weights, mask, states, cells)
        ctx.operator = operator
        ctx.set_materialize_grads(False)
        return states, cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None) -> tuple[Tensor | None, ...]:
        x, h0, *weights, mask, states, cells = ctx.saved_tensors
        packed = _Packed.of(CellWeights(*weights))
        sweep = _Sweep(x, h0, packed, states, cells, mask, ctx.operator, grad_h)
        if grad_c is not None:
            sweep.dc.copy_(grad_c)
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if ctx.needs_input_grad[0] else None
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            for first, end in reversed(sweep.plan.spans()):
                sweep.back(first, end, dx)
        return dx, sweep.dh, sweep.dc, *sweep.gradient.unpack(), None, None


class _Sweep:
    """What the backward pass carries from a part of the window to the one before it."""

    def __init__(
        self,
        x: Tensor,
        h0: Tensor,
        packed: _Packed,
        states: Tensor,
        cells: Tensor,
        mask: Tensor | None,
        operator: GraphOperator,
        grad_h: Tensor | None,
    ) -> None:
        self.x, self.h0, self.packed, self.states, self.cells = x, h0, packed, states, cells
        self.drop = None if mask is None else mask.contiguous()
        self.given = None if grad_h is None else grad_h.contiguous()
        self.plan = _Plan.of(x, h0)
        self.z = self.plan.gates(x)
        start, node, weight = operator.csr_tensors(transposed=True)
        self.graph = start, node, weight.to(x.dtype)
        self.dh, self.dc = torch.zeros_like(states[0]), torch.zeros_like(states[0])
        self.gradient = _Packed(*(torch.zeros_like(part) for part in packed))

    def back(self, first: int, end: int, dx: Tensor | None) -> None:
        """Go back over some days: compute their gates, then the gradients; add to the weights'."""
        packed, gradient, hidden = self.packed, self.gradient, self.plan.hidden
        states = self.states[max(first - 1, 0) : end - 1]
        x, before = _flat(self.x[first:end]), _flat(states if first else torch.cat([self.h0[None], states]))
        z = _flat(self.z[: end - first])
        torch.addmm(packed.bias, x, packed.inputs, out=z)
        z.addmm_(before, packed.recurrent)
        turned = packed.recurrent.t()
        for day in range(end - 1, first - 1, -1):
            self._day(day, day - first)
            torch.mm(self.z[day - first], turned, out=_flat(self.dh))
        gradient.inputs.addmm_(x.t(), z)
        gradient.recurrent.addmm_(before.t(), z)
        gradient.bias.add_(z.sum(0))
        if dx is not None:
            torch.mm(z[:, : 4 * hidden], packed.inputs[:, : 4 * hidden].t(), out=_flat(dx[first:end]))

    def _day(self, day: int, slot: int) -> None:
        """Turn the arguments of a day's gates and messages into their gradients."""
        kernels, plan = _kernels(), self.plan
        kernels.backward_gates[plan.grid](
            self.z,
            self.cells,
            self.z if self.drop is None else self.drop,
            self.z if self.given is None else self.given,
            self.dh,
            self.dc,
            slot,
            day,
            plan.count,
            H=plan.hidden,
            BLOCK=_BLOCK,
            DROPS=self.drop is not None,
            GIVEN=self.given is not None,
        )
        kernels.backward_messages[plan.grid](
            self.z,
            self.dc,
            *self.graph,
            slot,
            plan.count,
            H=plan.hidden,
            B=plan.batch,
            BLOCK=_BLOCK,
        )
