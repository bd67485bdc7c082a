"""The recurrent graph cell: an LSTM whose memory also receives messages from neighbouring nodes.

For every day t, with the graph operator A and gates i, f, o (sigmoid) and g (tanh) ::

    gates = x_t W_ih + h' W_hh + b
    q     = tanh(h' W_q + b_q)            the message of each reach
    c_t   = f * (c' + A q) + i * g
    h_t   = o * tanh(c_t)

References
----------
.. [1] Jia et al., Physics-guided recurrent graph model for predicting flow and temperature in river
   networks, SDM 2021, arXiv:2009.12575.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.cell.compiled.scan import compiled_scan
from xmsgl.models.cell.given import CellWeights
from xmsgl.models.cell.torch_scan import fused_scan
from xmsgl.models.cell.triton.scan import triton_scan
from xmsgl.models.parts.inherited import InheritedInputs

if TYPE_CHECKING:
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["CELL_BACKENDS", "RecurrentGraphCell", "State", "reference_scan"]

State: TypeAlias = tuple[Tensor, Tensor]


def reference_scan(
    x: Tensor, operator: GraphOperator, weights: CellWeights, state: State, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run the cell day by day through autograd: easy to read, and the reference for tests of the others.

    Shapes: `x` (time, node, batch, feature), `state` (node, batch, hidden), `mask` (node, batch, hidden),
    returns (time, node, batch, hidden).
    """
    W_ih, W_hh, b, W_q, b_q = weights
    h, c = state
    days = []
    for x_t in x:
        i, f, o, g = (x_t @ W_ih + h @ W_hh + b).chunk(4, dim=-1)
        i, f, o, g = i.sigmoid(), f.sigmoid(), o.sigmoid(), g.tanh()
        if mask is not None:
            g = g * mask
        q = torch.tanh(h @ W_q + b_q)
        c = f * (c + operator.matmul(q)) + i * g
        h = o * c.tanh()
        days.append(h)
    return torch.stack(days), c


#: Implementations of the loop over days. All give the same values up to rounding.
CELL_BACKENDS = {
    "torch": fused_scan,  # torch operations, any device
    "numba": compiled_scan,  # on the CPU, compiled in some seconds at first use
    "triton": triton_scan,  # on a GPU, needs the extra `gpu`; not benchmarked yet
    "reference": reference_scan,  # plain autograd, any device
}


class RecurrentGraphCell(nn.Module):
    """The recurrent graph cell over whole windows; its parameters do not depend on the number of nodes.

    `dropout` is the probability of dropping a channel of the candidate g in training. Each call draws one
    mask for all days, so that dropout does not erase the memory. `backend` is a name in `CELL_BACKENDS` or
    ``"auto"``: ``"numba"`` on the CPU, ``"torch"`` elsewhere.
    """

    def __init__(
        self, n_features: int, hidden: int = 20, *, dropout: float = 0.0, backend: str = "auto"
    ) -> None:
        super().__init__()
        if n_features < 1 or hidden < 1:
            msg = f"n_features and hidden must be at least 1, got {n_features} and {hidden}"
            raise InvalidArgumentError(msg)
        if not 0.0 <= dropout < 1.0:
            msg = f"dropout must be in [0, 1), got {dropout}"
            raise InvalidArgumentError(msg)
        if backend not in ("auto", *CELL_BACKENDS):
            raise UnknownNameError("cell backend", backend, ("auto", *CELL_BACKENDS))
        self.n_features, self.hidden, self.dropout, self.backend = n_features, hidden, dropout, backend
        self.W_ih = nn.Parameter(torch.empty(n_features, 4 * hidden))
        self.W_hh = nn.Parameter(torch.empty(hidden, 4 * hidden))
        self.b = nn.Parameter(torch.empty(4 * hidden))
        self.W_q = nn.Parameter(torch.empty(hidden, hidden))
        self.b_q = nn.Parameter(torch.empty(hidden))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new matrices (Xavier uniform) and set the biases to zero."""
        for matrix in (self.W_ih, self.W_hh, self.W_q):
            nn.init.xavier_uniform_(matrix)
        for bias in (self.b, self.b_q):
            nn.init.zeros_(bias)

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of the hidden and the cell state."""
        return [(nodes, windows, self.hidden)] * 2

    def weights(self) -> CellWeights:
        """Return the parameters in the form that the backends need."""
        return CellWeights(self.W_ih, self.W_hh, self.b, self.W_q, self.b_q)

    def forward(
        self, x: Tensor | InheritedInputs, operator: GraphOperator, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Run over a window.

        Shapes: `x` (time, node, batch, feature), `state` (node, batch, hidden), returns
        (time, node, batch, hidden).
        """
        hidden, cell = self._scan(x, operator, state, None)
        return hidden, (hidden[-1], cell)

    def at(self, x: Tensor | InheritedInputs, operator: GraphOperator, nodes: Tensor) -> Tensor:
        """Run over a window from a zero state and return the hidden states of `nodes`.

        Same values and gradients as from :meth:`forward`, but faster on the CPU, where the mostly zero
        gradient of all nodes is never written.

        Shapes: `nodes` (wanted node,), returns (time, wanted node, batch, hidden).
        """
        return self._scan(x, operator, None, nodes)[0]

    def _scan(
        self, x: Tensor | InheritedInputs, operator: GraphOperator, state: State | None, nodes: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        self._check(x, operator, state)
        like = x.rows if isinstance(x, InheritedInputs) else x
        sizes = x.shape[1], x.shape[2], self.hidden
        if state is None:
            zero = like.new_zeros(sizes)
            state = zero, zero
        mask = None
        if self.training and self.dropout > 0.0:
            mask = nn.functional.dropout(like.new_ones(sizes), self.dropout)
        weights, backend = self.weights(), self.backend
        if backend == "auto":  # chosen by device alone, so that pieces of a window equal the whole
            backend = "numba" if x.device.type == "cpu" else "torch"
        if backend == "numba":
            return compiled_scan(x, operator, weights, state, mask, nodes)
        given = x.expand() if isinstance(x, InheritedInputs) else x
        hidden, cell = CELL_BACKENDS[backend](given, operator, weights, state, mask)
        return hidden if nodes is None else choose_nodes(hidden, nodes), cell

    def _check(self, x: Tensor | InheritedInputs, operator: GraphOperator, state: State | None) -> None:
        if len(x.shape) != 4 or x.shape[0] < 1 or x.shape[3] != self.n_features:
            msg = f"inputs must be (time >= 1, node, batch, {self.n_features} features), got {tuple(x.shape)}"
            raise InvalidArgumentError(msg)
        if operator.shape != (x.shape[1], x.shape[1]):
            msg = f"the graph operator is {operator.shape}, but the inputs have {x.shape[1]} nodes"
            raise InvalidArgumentError(msg)
        wanted = (x.shape[1], x.shape[2], self.hidden)
        if state is not None and any(tuple(part.shape) != wanted for part in state):
            msg = f"both parts of the state must be {wanted}, got {[tuple(part.shape) for part in state]}"
            raise InvalidArgumentError(msg)

    def extra_repr(self) -> str:
        """Return the sizes, for the repr."""
        return f"{self.n_features}, {self.hidden}, dropout={self.dropout}, backend={self.backend!r}"
