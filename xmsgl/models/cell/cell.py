"""The recurrent graph cell: an LSTM whose memory also takes what the neighbours pass on.

For every day t, with the graph operator A and gates i, f, o (sigmoid) and g (tanh) ::

    gates = x_t W_ih + h' W_hh + b
    q     = tanh(h' W_q + b_q)            what each reach passes on
    c_t   = f * (c' + A q) + i * g
    h_t   = o * tanh(c_t)

References
----------
.. [1] Jia et al., Physics-guided recurrent graph model for predicting flow and temperature in river
   networks, SDM 2021, arXiv:2009.12575.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.cell.compiled.scan import compiled_scan
from xmsgl.models.cell.given import CellWeights
from xmsgl.models.cell.torch_scan import fused_scan
from xmsgl.models.cell.triton.scan import triton_scan
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator

__all__ = [
    "CELL_BACKENDS",
    "CellWeights",
    "GraphOperator",
    "RecurrentGraphCell",
    "State",
    "auto_scan",
    "reference_scan",
    "register_cell_backend",
]

State: TypeAlias = tuple[Tensor, Tensor]
Scan: TypeAlias = Callable[[Tensor, GraphOperator, CellWeights, State, Tensor | None], tuple[Tensor, Tensor]]

#: Implementations of the loop over days, by name. All give the same numbers up to rounding.
CELL_BACKENDS: dict[str, Scan] = {
    "torch": fused_scan,
    "numba": compiled_scan,
    "triton": triton_scan,
}


def register_cell_backend(name: str) -> Callable[[Scan], Scan]:
    """Register a function as an implementation of the loop over days."""

    def keep(function: Scan) -> Scan:
        CELL_BACKENDS[name] = function
        return function

    return keep


@register_cell_backend("reference")
def reference_scan(
    x: Tensor, operator: GraphOperator, weights: CellWeights, state: State, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run the cell day by day through autograd: plain to read, and what the fast ones are tested against.

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


@register_cell_backend("auto")
def auto_scan(
    x: Tensor, operator: GraphOperator, weights: CellWeights, state: State, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run the fastest implementation for the device of the inputs.

    Measured for 40 to 10,000 nodes and 20 to 64 channels, the compiled one was never slower on the
    processor. Elsewhere it is the one in torch operations: Triton's has not been measured on a GPU. It
    depends on the device alone, so that a window in pieces gives the same as in one.
    """
    scan = compiled_scan if x.device.type == "cpu" else fused_scan
    return scan(x, operator, weights, state, mask)


class RecurrentGraphCell(nn.Module):
    """The recurrent graph cell over whole windows; no parameter depends on the number of nodes.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of hidden channels H.
    dropout
        Probability with which a channel of the candidate g is dropped while training. One mask a call,
        the same on every day, so that memory is not washed out. 0 drops nothing.
    backend
        ``"auto"`` (``"numba"`` on the processor, ``"torch"`` elsewhere), ``"numba"`` (compiled; takes
        some seconds the very first time), ``"torch"`` (torch operations, any device), ``"triton"`` (on a
        GPU, with the extra ``gpu``; not measured yet) or ``"reference"`` (plain autograd); see
        `CELL_BACKENDS`.
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
        if backend not in CELL_BACKENDS:
            raise UnknownNameError("cell backend", backend, CELL_BACKENDS)
        self.n_features, self.hidden, self.dropout, self.backend = n_features, hidden, dropout, backend
        self.W_ih = nn.Parameter(torch.empty(n_features, 4 * hidden))
        self.W_hh = nn.Parameter(torch.empty(hidden, 4 * hidden))
        self.b = nn.Parameter(torch.empty(4 * hidden))
        self.W_q = nn.Parameter(torch.empty(hidden, hidden))
        self.b_q = nn.Parameter(torch.empty(hidden))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrices anew (Xavier uniform) and set the biases to zero."""
        for matrix in (self.W_ih, self.W_hh, self.W_q):
            nn.init.xavier_uniform_(matrix)
        for bias in (self.b, self.b_q):
            nn.init.zeros_(bias)

    def weights(self) -> CellWeights:
        """Return the parameters as the backends take them."""
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
        """Run over a window from nothing and return the hidden states of some nodes.

        The same numbers and gradients as those nodes of :meth:`forward`, which on the processor cost less
        here: nobody writes out a gradient of all nodes that is zero for most.

        Shapes: returns (time, wanted node, batch, hidden).
        """
        return self._scan(x, operator, None, nodes)[0]

    def _scan(
        self,
        x: Tensor | InheritedInputs,
        operator: GraphOperator,
        state: State | None,
        nodes: Tensor | None,
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
        scan, weights = CELL_BACKENDS[self.backend], self.weights()
        if scan is compiled_scan or (scan is auto_scan and x.device.type == "cpu"):
            return compiled_scan(x, operator, weights, state, mask, nodes)
        given = x.expand() if isinstance(x, InheritedInputs) else x
        hidden, cell = scan(given, operator, weights, state, mask)
        return hidden if nodes is None else choose_nodes(hidden, nodes), cell

    def _check(self, x: Tensor | InheritedInputs, operator: GraphOperator, state: State | None) -> None:
        if len(x.shape) != 4 or x.shape[0] < 1 or x.shape[3] != self.n_features:
            msg = f"inputs must be (time >= 1, node, batch, {self.n_features} features), got {tuple(x.shape)}"
            raise InvalidArgumentError(msg)
        if operator.shape != (x.shape[1], x.shape[1]):
            msg = f"the graph operator is {operator.shape}, the inputs have {x.shape[1]} nodes"
            raise InvalidArgumentError(msg)
        wanted = (x.shape[1], x.shape[2], self.hidden)
        if state is not None and any(tuple(part.shape) != wanted for part in state):
            msg = f"both parts of the state must be {wanted}, got {[tuple(part.shape) for part in state]}"
            raise InvalidArgumentError(msg)

    def extra_repr(self) -> str:
        """Return the sizes, for torch's printout."""
        return f"{self.n_features}, {self.hidden}, dropout={self.dropout}, backend={self.backend!r}"
