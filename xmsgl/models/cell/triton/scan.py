"""The recurrent graph cell on a GPU: the ``triton`` backend.

Like the torch backend it keeps the hidden and the cell state of every day and computes the gates again in
the backward pass. A day takes one matrix product and one kernel forward, two kernels and one product
backward. Products that do not depend on the day before are computed for many days at once. Kernels that
include the products exceed the registers of an H100 at 20 channels and take minutes to compile at 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError, MissingDependencyError
from xmsgl.models.cell.given import CellWeights, in_one_precision, scan

if TYPE_CHECKING:
    from types import ModuleType

    from xmsgl.models.cell.given import Given
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["triton_scan"]

#: Values per program, several for each of its 128 threads.
_BLOCK = 512

#: Parts of a window; the gates of one part are held at once, 5 values per reach, day and channel.
_PARTS = 16


def triton_scan(
    x: Tensor,
    operator: GraphOperator,
    weights: CellWeights,
    state: tuple[Tensor, Tensor],
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run the cell over a window on a GPU, with kernels in Triton.

    Matrix products follow :func:`torch.set_float32_matmul_precision`. Results are reproducible bit by bit.

    Shapes: `x` (time, node, batch, feature), `state` (node, batch, hidden), `mask` (node, batch, hidden),
    returns (time, node, batch, hidden).
    """
    _check(x, operator, _kernels())
    return scan(_forward, _backward, in_one_precision(x, state, weights, mask), operator)


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
        msg = 'the triton backend runs on a GPU, but the inputs are on the CPU; use backend="numba"'
        raise InvalidArgumentError(msg)
    if operator.device.type != x.device.type:
        msg = f"the graph operator is on {operator.device}, but the inputs are on {x.device}; use operator.to"
        raise InvalidArgumentError(msg)


class _Packed(NamedTuple):
    """The parameters side by side, so that one product gives the arguments of i, f, o, g and q."""

    inputs: Tensor  # (F, 5H)
    recurrent: Tensor  # (H, 5H)
    bias: Tensor  # (5H,)

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
    """Sizes of a window: `step` days are processed at once."""

    days: int
    rows: int
    hidden: int
    batch: int
    step: int

    @classmethod
    def of(cls, x: Tensor, h0: Tensor) -> _Plan:
        days, nodes, batch, _ = x.shape
        return cls(days, nodes * batch, h0.shape[-1], batch, -(-days // _PARTS))

    @property
    def count(self) -> int:
        """Values in a plane: the channels of all rows."""
        return self.rows * self.hidden

    @property
    def grid(self) -> tuple[int]:
        """Programs of a kernel."""
        return (-(-self.count // _BLOCK),)

    def gates(self, like: Tensor) -> Tensor:
        """Allocate the arguments of the gates and messages of `step` days."""
        return like.new_empty(self.step, self.rows, 5 * self.hidden)

    def spans(self) -> list[tuple[int, int]]:
        """List the parts of the window as (first day, day after the last)."""
        return [(first, min(first + self.step, self.days)) for first in range(0, self.days, self.step)]


def _flat(tensor: Tensor) -> Tensor:
    """Merge days and rows, ``(days * rows, channel)``."""
    return tensor.reshape(-1, tensor.shape[-1])


def _entries(operator: GraphOperator, dtype: torch.dtype, *, transposed: bool) -> tuple[Tensor, ...]:
    start, node, weight = operator.csr_tensors(transposed=transposed)
    return start, node, weight.to(dtype)


def _forward(given: Given[Tensor], operator: GraphOperator, *, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the hidden states, the last cell state, and the cell states, the first before day 0."""
    x, weights, mask, _, h0, c0 = given
    kernels, plan, packed = _kernels(), _Plan.of(x, h0), _Packed.of(weights)
    states = x.new_empty(plan.days, *h0.shape)
    cells = x.new_empty(plan.days + 1 if keep else 2, *h0.shape)
    cells[0] = c0
    z = plan.gates(x)
    drop = states if mask is None else mask.contiguous()
    arrays = z, states, cells, drop, *_entries(operator, x.dtype, transposed=False)
    constants = {"H": plan.hidden, "B": plan.batch, "BLOCK": _BLOCK, "DROPS": mask is not None}
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        for first, end in plan.spans():
            torch.addmm(packed.bias, _flat(x[first:end]), packed.inputs, out=_flat(z[: end - first]))
            for day in range(first, end):
                z[day - first].addmm_(_flat(states[day - 1] if day else h0), packed.recurrent)
                read, write = (day, day + 1) if keep else (day % 2, 1 - day % 2)
                days = day - first, day, read, write
                kernels.forward_day[plan.grid](*arrays, *days, plan.count, **constants)
    return states, cells[plan.days if keep else plan.days % 2].clone(), cells


def _backward(
    given: Given[Tensor],
    operator: GraphOperator,
    states: Tensor,
    cells: Tensor,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    *,
    wants_x: bool,
) -> tuple[Tensor | None, CellWeights, Tensor, Tensor]:
    x = given.x
    sweep = _Sweep(given, operator, states, cells, grad_h)
    if grad_c is not None:
        sweep.dc.copy_(grad_c)
    dx = torch.empty_like(x, memory_format=torch.contiguous_format) if wants_x else None
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        for first, end in reversed(sweep.plan.spans()):
            sweep.back(first, end, dx)
    return dx, sweep.gradient.unpack(), sweep.dh, sweep.dc


class _Sweep:
    """Gradients that the backward pass carries from a part of the window to the part before."""

    def __init__(
        self,
        given: Given[Tensor],
        operator: GraphOperator,
        states: Tensor,
        cells: Tensor,
        grad_h: Tensor | None,
    ) -> None:
        self.x, self.h0, self.packed = given.x, given.h, _Packed.of(given.weights)
        self.states, self.cells = states, cells
        self.drop = None if given.mask is None else given.mask.contiguous()
        self.grad_h = None if grad_h is None else grad_h.contiguous()
        self.plan = _Plan.of(self.x, self.h0)
        self.z = self.plan.gates(self.x)
        self.graph = _entries(operator, self.x.dtype, transposed=True)
        self.dh, self.dc = torch.zeros_like(states[0]), torch.zeros_like(states[0])
        self.gradient = _Packed(*(torch.zeros_like(part) for part in self.packed))

    def back(self, first: int, end: int, dx: Tensor | None) -> None:
        """Compute the gates of some days again, then the gradients; add to those of the weights."""
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
        """Replace the arguments of the gates and messages of a day by their gradients."""
        kernels, plan = _kernels(), self.plan
        drop = self.z if self.drop is None else self.drop
        grad_h = self.z if self.grad_h is None else self.grad_h
        given = {"DROPS": self.drop is not None, "GIVEN": self.grad_h is not None}
        sizes = {"H": plan.hidden, "BLOCK": _BLOCK}
        arrays = self.z, self.cells, drop, grad_h, self.dh, self.dc
        kernels.backward_gates[plan.grid](*arrays, slot, day, plan.count, **sizes, **given)
        kernels.backward_messages[plan.grid](
            self.z, self.dc, *self.graph, slot, plan.count, **sizes, B=plan.batch
        )
