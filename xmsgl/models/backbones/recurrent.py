"""The recurrent backbones: an LSTM without a graph, and one whose inputs include graph attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmsgl.models.backbones.base import Backbone, State

if TYPE_CHECKING:
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["GraphAttentionLSTM", "PlainLSTM"]


class _Recurrent(Backbone):
    """An LSTM with all nodes and windows as its batch; the state is its hidden and its cell state."""

    lstm: nn.LSTM

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of the hidden and the cell state."""
        return [(nodes, windows, self.hidden)] * 2

    def _scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        days, nodes, windows, features = x.shape
        h, c = (part.reshape(1, nodes * windows, -1) for part in state)
        hidden, after = self.lstm(x.reshape(days, nodes * windows, features), (h, c))
        return (
            hidden.reshape(days, nodes, windows, -1),
            tuple(part.reshape(nodes, windows, -1) for part in after),
        )


class PlainLSTM(_Recurrent):
    """One :class:`torch.nn.LSTM` for all nodes, each on its own: what a model learns without a graph.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of hidden channels H.

    References
    ----------
    .. [1] Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 1997,
       doi:10.1162/neco.1997.9.8.1735.

    Examples
    --------
    >>> from scipy import sparse
    >>> from xmsgl.models.parts.operator import GraphOperator
    >>> lstm = PlainLSTM(7, 20)
    >>> hidden, state = lstm(torch.zeros(30, 5, 2, 7), GraphOperator(sparse.eye_array(5)))
    >>> hidden.shape
    torch.Size([30, 5, 2, 20])
    """

    def __init__(self, n_features: int, hidden: int = 20) -> None:
        super().__init__(n_features, hidden)
        self.lstm = nn.LSTM(n_features, hidden)

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:  # noqa: ARG002
        """Run over some days, without the graph."""
        return self._scan(x, state)


class GraphAttentionLSTM(_Recurrent):
    """An LSTM that reads a node's inputs and those of its neighbours, weighted by attention.

    On each day the graph attention of [1]_ (:class:`torch_geometric.nn.GATv2Conv`) is applied to the inputs,
    and the LSTM reads ``[x_t, ELU(GAT(x_t))]``. A node attends to the nodes with a weight other than zero in
    its row of A. The weight is the feature of the edge, so that attention can depend on the distance along
    the river. There are four heads, or as many as divide both four and `hidden`. A node depends on the nodes
    that it reads and on no others, because the LSTM does not pass states between nodes.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of hidden channels H, of the attention and of the LSTM.

    References
    ----------
    .. [1] Brody, Alon and Yahav, How attentive are graph attention networks?, ICLR 2022, arXiv:2105.14491.
    .. [2] Velickovic et al., Graph attention networks, ICLR 2018, arXiv:1710.10903.

    Examples
    --------
    >>> GraphAttentionLSTM(7, 20).attention.heads
    4
    """

    def __init__(self, n_features: int, hidden: int = 20) -> None:
        super().__init__(n_features, hidden)
        from torch_geometric.nn import GATv2Conv  # the import takes seconds

        heads = math.gcd(4, hidden)
        self.attention = GATv2Conv(n_features, hidden // heads, heads, edge_dim=1, add_self_loops=False)
        self.lstm = nn.LSTM(n_features + hidden, hidden)

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days."""
        attended = functional.elu(self._attend(x, operator))
        return self._scan(torch.cat([x, attended.to(x.dtype)], dim=-1), state)

    def rows(self, operator: GraphOperator) -> int:
        """Return the number of messages."""
        return max(operator.nnz, super().rows(operator))

    def _attend(self, x: Tensor, operator: GraphOperator) -> Tensor:
        """Apply the attention to all days and windows at once, as one graph of disconnected copies."""
        start, columns, weights = operator.csr_tensors()
        rows = torch.repeat_interleave(torch.diff(start).long())
        kept = weights != 0
        edges = torch.stack([columns.long()[kept], rows[kept]])
        days, nodes, windows, _ = x.shape
        copies = days * windows
        first = torch.arange(0, copies * nodes, nodes, device=x.device)
        together = (edges[:, None, :] + first[:, None]).reshape(2, -1)
        flat = x.transpose(1, 2).reshape(copies * nodes, -1)
        output: Tensor = self.attention(flat, together, weights[kept].to(x.dtype).repeat(copies))
        return output.reshape(days, windows, nodes, -1).transpose(1, 2)
