"""The recurrent backbones: an LSTM that knows no graph, and one that reads what attention brings."""

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


class PlainLSTM(Backbone):
    """One LSTM for all nodes, each on its own: what a model learns without a graph.

    :class:`torch.nn.LSTM`, nodes and windows side by side as its batch. The state is the hidden and the cell
    state, each ``(node, window, hidden)``.

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

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of the hidden and the cell state."""
        return [(nodes, windows, self.hidden)] * 2

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:  # noqa: ARG002
        """Run over some days; the graph is not looked at."""
        return _scan(self.lstm, x, state)


class GraphAttentionLSTM(Backbone):
    """An LSTM that reads, beside a node's inputs, those of its neighbours, weighed by attention.

    Every day the graph attention of [1]_ runs on the inputs of that day, then the LSTM on
    ``[x_t, ELU(GAT(x_t))]``. A node attends to the nodes its row of A reads with a weight other than zero,
    and that weight, which falls with the distance along the river, is the feature of the edge: without it
    a reach could not tell its neighbour from a reach five steps away. There are four heads, or as many as
    divide both four and `hidden`. A node learns of the nodes it reads and of no others, for the LSTM passes
    nothing on.

    The attention is :class:`torch_geometric.nn.GATv2Conv`; the days of a piece are one graph to it, whose
    parts do not meet.

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
        from torch_geometric.nn import GATv2Conv  # takes seconds, so only for whom it is

        heads = math.gcd(4, hidden)
        self.attention = GATv2Conv(n_features, hidden // heads, heads, edge_dim=1, add_self_loops=False)
        self.lstm = nn.LSTM(n_features + hidden, hidden)

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of the hidden and the cell state."""
        return [(nodes, windows, self.hidden)] * 2

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days."""
        attended = functional.elu(self._attend(x, *_edges(operator)))
        return _scan(self.lstm, torch.cat([x, attended.to(x.dtype)], dim=-1), state)

    def places(self, operator: GraphOperator) -> int:
        """Return the number of messages."""
        return max(operator.nnz, super().places(operator))

    def _attend(self, x: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
        days, nodes, windows, _ = x.shape
        copies = days * windows
        first = torch.arange(0, copies * nodes, nodes, device=x.device)
        together = (edges[:, None, :] + first[:, None]).reshape(2, -1)
        flat = x.transpose(1, 2).reshape(copies * nodes, -1)
        output: Tensor = self.attention(flat, together, weights.to(x.dtype).repeat(copies))
        return output.reshape(days, windows, nodes, -1).transpose(1, 2)


def _edges(operator: GraphOperator) -> tuple[Tensor, Tensor]:
    """Return source and target of every weight that is not zero, ``(2, edge)``, and the weights."""
    start, columns, weights = operator.csr_tensors()
    rows = torch.repeat_interleave(torch.diff(start).long())
    kept = weights != 0
    return torch.stack([columns.long()[kept], rows[kept]]), weights[kept]


def _scan(lstm: nn.LSTM, x: Tensor, state: State) -> tuple[Tensor, State]:
    days, nodes, windows, features = x.shape
    h, c = (part.reshape(1, nodes * windows, -1) for part in state)
    hidden, after = lstm(x.reshape(days, nodes * windows, features), (h, c))
    return (
        hidden.reshape(days, nodes, windows, -1),
        tuple(part.reshape(nodes, windows, -1) for part in after),
    )
