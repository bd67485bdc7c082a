"""The recurrent graph cell over a whole window in torch operations: the ``torch`` backend.

Autograd keeps every gate, about 15 values per reach, day and channel. Here two are kept, the hidden and the
cell state, and the backward pass computes the gates again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xmsgl.models.cell.given import CellWeights, in_one_precision, scan

if TYPE_CHECKING:
    from xmsgl.models.cell.given import Given
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["fused_scan"]

_aten = torch.ops.aten


def fused_scan(
    x: Tensor,
    operator: GraphOperator,
    weights: CellWeights,
    state: tuple[Tensor, Tensor],
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run the cell over a window with torch operations.

    Shapes: `x` (time, node, batch, feature), `state` (node, batch, hidden), `mask` (node, batch, hidden),
    returns (time, node, batch, hidden).
    """
    return scan(_forward, _backward, in_one_precision(x, state, weights, mask), operator)


class _Workspace:
    """Buffers of one day, and weights packed so that one batched product gives i, f, o, g and q.

    Each ``z[k]`` is contiguous: element-wise operations on columns of one ``(rows, 5H)`` product are several
    times slower.
    """

    def __init__(self, x: Tensor, weights: CellWeights) -> None:
        _, nodes, batch, features = x.shape
        hidden = weights.W_q.shape[0]
        self.features, self.rows, self.hidden = features, nodes * batch, hidden
        packed = x.new_zeros(5, features + 1 + hidden, hidden)
        packed[:4, :features] = weights.W_ih.view(features, 4, hidden).transpose(0, 1)
        packed[:4, features] = weights.b.view(4, hidden)
        packed[:4, features + 1 :] = weights.W_hh.view(hidden, 4, hidden).transpose(0, 1)
        packed[4, features] = weights.b_q
        packed[4, features + 1 :] = weights.W_q
        self.packed = packed
        self.xh = x.new_ones(self.rows, features + 1 + hidden)  # the column of ones carries the bias
        self.z = x.new_empty(5, self.rows, hidden)

    def gates(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """Compute i, f, o, g and q of one day from its input and the hidden state before it."""
        nodes, batch, features = x.shape
        self.xh.view(nodes, batch, -1)[..., :features].copy_(x)
        self.xh[:, features + 1 :].copy_(hidden)
        torch.bmm(self.xh.expand(5, -1, -1), self.packed, out=self.z)
        self.z[:3].sigmoid_()
        self.z[3:].tanh_()
        return self.z.unbind(0)


def _forward(given: Given[Tensor], operator: GraphOperator, *, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    x, weights, mask, _, h, c = given
    days, nodes, batch, _ = x.shape
    work = _Workspace(x, weights)
    rows, hidden = work.rows, work.hidden
    h_all = x.new_empty(days, rows, hidden)
    c_all = x.new_empty(days if keep else 2, rows, hidden)
    drop = None if mask is None else mask.reshape(rows, hidden)
    h, c = h.reshape(rows, hidden), c.reshape(rows, hidden)
    for day in range(days):
        i, f, o, g, q = work.gates(x[day], h)
        if drop is not None:
            g.mul_(drop)
        new = c_all[day if keep else day % 2]
        operator.add_matmul(c.view(nodes, -1), q.view(nodes, -1), new.view(nodes, -1))
        c = new.mul_(f).addcmul_(i, g)
        h = torch.tanh(c, out=h_all[day]).mul_(o)
    return h_all.view(days, nodes, batch, hidden), c.reshape(nodes, batch, hidden).clone(), c_all


def _backward(
    given: Given[Tensor],
    operator: GraphOperator,
    h_all: Tensor,
    c_all: Tensor,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    *,
    wants_x: bool,
) -> tuple[Tensor | None, CellWeights, Tensor, Tensor]:
    x, h0, sweep = given.x, given.h, _Sweep(given, operator)
    plane = sweep.rows, sweep.hidden
    if grad_c is not None:
        sweep.dc.copy_(grad_c.reshape(plane))
    dx = torch.empty_like(x, memory_format=torch.contiguous_format) if wants_x else None
    flat = None if grad_h is None else grad_h.reshape(len(x), *plane)
    h_flat, first = h_all.view(len(x), *plane), h0.reshape(plane)
    for day in range(len(x) - 1, -1, -1):
        if flat is not None:
            sweep.dh.add_(flat[day])
        sweep.day(x[day], h_flat[day - 1] if day else first, h_flat[day], c_all[day])
        if dx is not None:
            sweep.input_gradient(dx[day])
    return dx, sweep.parameter_gradients(), sweep.dh.view(h0.shape), sweep.dc.view(h0.shape)


class _Sweep(_Workspace):
    """Gradients that the backward pass carries from a day to the day before."""

    def __init__(self, given: Given[Tensor], operator: GraphOperator) -> None:
        super().__init__(given.x, given.weights)
        self.operator, self.nodes = operator, len(given.h)
        self.mask = None if given.mask is None else given.mask.reshape(self.rows, self.hidden)
        like = self.z[0]
        self.dh, self.dc = torch.zeros_like(like), torch.zeros_like(like)
        self.t1, self.t2 = torch.empty_like(like), torch.empty_like(like)
        self.grad = torch.zeros_like(self.packed)

    def day(self, x: Tensor, before: Tensor, h: Tensor, c: Tensor) -> None:
        """Replace the gradients of h and c by those of the day before, and the gates by their gradients."""
        dh, dc, t1, t2, mask = self.dh, self.dc, self.t1, self.t2, self.mask
        i, f, o, g, q = self.gates(x, before)
        torch.tanh(c, out=t1).mul_(dh)
        dc.addcmul_(dh, o).addcmul_(t1, h, value=-1)  # o (1 - tanh(c)^2) dh, since h = o tanh(c)
        _aten.sigmoid_backward(t1, o, grad_input=o)
        torch.mul(i, g, out=t1)
        if mask is not None:
            t1.mul_(mask)
        torch.sub(c, t1, out=t1).mul_(dc)  # c - i g = f (c' + A q), without the product
        torch.mul(dc, i, out=t2)
        i_gradient = torch.mul(dc, g, out=self.dh)
        if mask is not None:
            t2.mul_(mask)
            i_gradient.mul_(mask)
        _aten.sigmoid_backward(i_gradient, i, grad_input=i)
        _aten.tanh_backward(t2, g, grad_input=g)
        dc.mul_(f)
        torch.addcmul(t1, t1, f, value=-1, out=f)
        self.operator.rmatmul_into(dc.view(self.nodes, -1), t2.view(self.nodes, -1))
        _aten.tanh_backward(t2, q, grad_input=q)
        torch.baddbmm(self.grad, self.xh.t().expand(5, -1, -1), self.z, out=self.grad)
        self._project(self.packed[:, self.features + 1 :], 5, dh)

    def input_gradient(self, out: Tensor) -> None:
        """Write the gradient of the inputs of the last day done."""
        self._project(self.packed[:, : self.features], 4, out.view(self.rows, -1))

    def _project(self, weights: Tensor, gates: int, out: Tensor) -> None:
        torch.mm(self.z[0], weights[0].t(), out=out)
        for gate in range(1, gates):
            out.addmm_(self.z[gate], weights[gate].t())

    def parameter_gradients(self) -> CellWeights:
        """Unpack the gradients of the weights."""
        features, hidden = self.features, self.hidden
        inputs = self.grad[:4, :features].transpose(0, 1).reshape(features, 4 * hidden)
        recurrent = self.grad[:4, features + 1 :].transpose(0, 1).reshape(hidden, 4 * hidden)
        bias = self.grad[:4, features].reshape(-1)
        return CellWeights(
            inputs, recurrent, bias, self.grad[4, features + 1 :].clone(), self.grad[4, features].clone()
        )
