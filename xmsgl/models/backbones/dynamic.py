"""The dynamic graph: layers over edges that are renewed every few days."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.base import Backbone, State
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.network.candidates import nearest_nodes
from xmsgl.util.spec import is_number

if TYPE_CHECKING:
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["DynamicGraph", "Edges", "graph_edges", "mix_nodes", "similarity"]

# Numbers in one tensor of hidden channels up to which a window keeps all that its backward pass needs.
_KEPT = 2**22
# Largest number of candidates, days of a block and layers.
_MOST = 1000


class Edges(NamedTuple):
    """The edges of the fixed graph and the candidates of the learned one, sorted by reader."""

    rows: Tensor  # (edge,) the node that reads
    fixed: Tensor  # (edge,) weight in the fixed graph
    distance: Tensor  # (edge,) log(1 + d), d as in `nearest_nodes`
    barred: Tensor  # (edge,) whether it is no candidate
    forward: tuple[Tensor, Tensor]  # row starts and columns of the CSR matrix of all edges
    backward: tuple[Tensor, Tensor]  # the same of its transpose
    order: Tensor  # (edge,) the edges in the order of the transpose


_edges: WeakKeyDictionary[GraphOperator, dict[int, Edges]] = WeakKeyDictionary()


def graph_edges(operator: GraphOperator, k: int) -> Edges:
    """Return the edges of an operator and those to the `k` nearest, found once for each operator."""
    found = _edges.setdefault(operator, {})
    if k not in found:
        found[k] = _find_edges(operator, k)
    return found[k]


def _find_edges(operator: GraphOperator, k: int) -> Edges:
    near, fixed, n = nearest_nodes(operator.to_scipy(), k), operator.to_scipy().copy(), operator.shape[0]
    fixed.eliminate_zeros()
    own, others = (np.repeat(np.arange(n), np.diff(m.indptr)) * n + m.indices for m in (fixed, near))
    both = np.union1d(own, others)
    weight, distance, barred = np.zeros(both.size), np.zeros(both.size), np.ones(both.size, np.bool_)
    weight[np.searchsorted(both, own)] = fixed.data
    candidate = np.searchsorted(both, others)
    distance[candidate], barred[candidate] = np.log1p(near.data), False
    rows, columns = np.divmod(both, max(n, 1))
    order = np.lexsort((rows, columns))

    def put(values: Any, kind: torch.dtype) -> Tensor:
        return torch.as_tensor(values).to(operator.device, kind)

    def pattern(rows: Any, columns: Any) -> tuple[Tensor, Tensor]:
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
        return put(starts, torch.int32), put(columns, torch.int32)

    return Edges(
        put(rows, torch.int64),
        put(weight, operator.dtype),
        put(distance, operator.dtype),
        put(barred, torch.bool),
        pattern(rows, columns),
        pattern(columns[order], rows[order]),
        put(order, torch.int64),
    )


def mix_nodes(weights: Tensor, x: Tensor, edges: Edges) -> Tensor:
    """Sum over the edges of each node what it reads, weighted.

    Shapes: `weights` (window, edge), `x` (window, node, channel), returns the shape of `x`.
    """
    return _Mix.apply(weights, x, edges)  # type: ignore[no-any-return, no-untyped-call]


def similarity(readers: Tensor, read: Tensor, edges: Edges) -> Tensor:
    """Return the inner product of both nodes of each edge.

    Shapes: `readers, read` (window, node, channel), returns (window, edge).
    """
    return _Similarity.apply(readers, read, edges)  # type: ignore[no-any-return, no-untyped-call]


class _Mix(torch.autograd.Function):
    """Torch's own gradient of a sparse matrix is dense; this one is of its edges alone."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, x: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(weights, x)
        ctx.edges = edges
        return _product(edges.forward, weights, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (weights, x), edges = ctx.saved_tensors, ctx.edges
        return _sampled(edges, grad, x), _product(edges.backward, weights[:, edges.order], grad), None


class _Similarity(torch.autograd.Function):
    """The gradients of one are the values of the other."""

    @staticmethod
    def forward(ctx: Any, readers: Tensor, read: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(readers, read)
        ctx.edges = edges
        return _sampled(edges, readers, read)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (readers, read), edges = ctx.saved_tensors, ctx.edges
        of_read = _product(edges.backward, grad[:, edges.order], readers)
        return _product(edges.forward, grad, read), of_read, None


def _product(pattern: tuple[Tensor, Tensor], weights: Tensor, x: Tensor) -> Tensor:
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    for values, each, written in zip(weights, x, out, strict=True):
        torch.addmm(written, _csr(pattern, values), each, beta=0, out=written)
    return out


def _sampled(edges: Edges, one: Tensor, other: Tensor) -> Tensor:
    empty = _csr(edges.forward, torch.zeros_like(edges.fixed))
    pairs = zip(one, other, strict=True)
    return torch.stack([torch.sparse.sampled_addmm(empty, a, b.t()).values() for a, b in pairs])


def _csr(pattern: tuple[Tensor, Tensor], values: Tensor) -> Tensor:
    n = len(pattern[0]) - 1
    return torch.sparse_csr_tensor(*pattern, values, size=(n, n), check_invariants=False)


class DynamicGraph(Backbone):
    """The recurrent graph cell, and graph layers whose edges are learned and renewed every few days.

    After [1]_. With the fixed graph operator A, z_0 the hidden states of the cell on A, and for each block of
    `update` days s, the state z_0 of the last day before it (zero before the first block) ::

        e_ij    = (s_i W_q + b_q) . (s_j W_k) / sqrt(H) + p log(1 + d_ij)
        D       = softmax_j(e_ij)                          over i itself and its k nearest
        g       = mix * sigmoid(s_i w + b)                 share of the learned edges
        z_{l+1} = relu(((1 - g) A z_l + g D z_l) W_l + b_l)    l = 0 to depth - 1
        h       = [z_0, ..., z_depth] U + u                or z_depth without `concat`

    The candidates are the `k` nearest by :func:`xmsgl.network.candidates.nearest_nodes`, whose distance d is
    read from A: for the exponential kernel it is that along the river. They are among the nodes that a node
    depends on by A, so a part of a basin gives the results of the whole.

    Edges by proximity and by similarity of embeddings, renewed, and the concatenation of all layers are
    those of [1]_, of which only an abstract is public; graphs renewed from embeddings are also in [2]_, and
    concatenated layers in [3]_. Formulas, renewal by days, the gate and the cell below are this package's.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of hidden channels H, of the cell and of all layers.
    dropout, backend
        As for ``RecurrentGraphCell``.
    k
        Number of candidates of a node besides itself; more if several are as far away as the last.
    update
        Days after which the edges are renewed.
    mix
        Largest share of the learned edges, from 0 (the fixed graph alone) to 1.
    depth
        Number of graph layers.
    concat
        Whether the hidden states are learned from the embeddings of all layers.

    Raises
    ------
    InvalidArgumentError
        A size is not from 1 to 1000, or `mix` not from 0 to 1.

    References
    ----------
    .. [1] Dynamic multi-scale graph embeddings for cross-modal representation of physical fields,
       WCCM-ECCOMAS 2026 (abstract).
    .. [2] Wang et al., Dynamic graph CNN for learning on point clouds, ACM Transactions on Graphics 2019,
       arXiv:1801.07829.
    .. [3] Xu et al., Representation learning on graphs with jumping knowledge networks, ICML 2018,
       arXiv:1806.03536.

    Examples
    --------
    >>> dynamic = DynamicGraph(7, 20, depth=4)
    >>> sum(parameter.numel() for parameter in dynamic.cell.parameters())
    2660
    """

    def __init__(
        self,
        n_features: int,
        hidden: int = 20,
        *,
        dropout: float = 0.0,
        backend: str = "auto",
        k: int = 8,
        update: int = 7,
        mix: float = 1.0,
        depth: int = 2,
        concat: bool = True,
    ) -> None:
        super().__init__(n_features, hidden)
        from torch_geometric.utils import softmax  # the import takes seconds

        sizes: dict[str, Any] = {"k": k, "update": update, "depth": depth}
        fit = {name: isinstance(n, int) and is_number(n) and 1 <= n <= _MOST for name, n in sizes.items()}
        fit |= {"mix": is_number(mix) and 0 <= mix <= 1, "concat": concat in (True, False)}
        given = {**sizes, "mix": mix, "concat": concat}
        if wrong := [f"{name}={given[name]!r}" for name, fits in fit.items() if not fits]:
            msg = (
                f"k, update and depth must be whole numbers from 1 to {_MOST}, mix a number from 0 to 1 and "
                f"concat True or False, got {', '.join(wrong)}"
            )
            raise InvalidArgumentError(msg)
        self.k, self.update, self.mix, self._softmax = k, update, mix, softmax
        self.cell = RecurrentGraphCell(n_features, hidden, dropout=dropout, backend=backend)
        self.query, self.key = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.decay = nn.Parameter(-torch.ones(()))  # nearer nodes count more at first
        self.gate = nn.Linear(hidden, 1)
        nn.init.zeros_(self.gate.bias)
        self.graph = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth))
        self.join = nn.Linear((depth + 1) * hidden, hidden) if concat else None

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of the cell's state, of the states that edges come from, and of a day counter."""
        return [(nodes, windows, self.hidden)] * 3 + [(1,)]

    def forward(self, x: Tensor, operator: GraphOperator, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a window, as every backbone."""
        shapes = self._check(x, operator, state)
        return self.run(x, operator, state or tuple(x.new_zeros(shape) for shape in shapes))

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days: the cell over all of them, then the layers block by block."""
        h, c, seed, counter = state
        hidden, cell = self.cell(x, operator, (h, c))
        done, edges = int(counter), graph_edges(operator, self.k)
        layers: Any = self._layers
        if torch.is_grad_enabled() and hidden.numel() > _KEPT:  # keep only the inputs of a block
            layers = partial(checkpoint, layers, use_reentrant=False, preserve_rng_state=False)
        outputs, before = [], seed
        for block in (hidden[: self.update - done], *hidden[self.update - done :].split(self.update)):
            if len(block):
                outputs.append(layers(block, seed, edges))
                before, seed = seed, block[-1]
        done = (done + len(x)) % self.update
        return torch.cat(outputs), (*cell, before if done else seed, torch.full_like(counter, done))

    def weigh(self, seed: Tensor, edges: Edges) -> Tensor:
        """Return the weights of all edges, fixed and learned together.

        Shapes: `seed` (window, node, hidden), returns (window, edge).
        """
        kind = edges.fixed.dtype
        alike = similarity(self.query(seed).to(kind), self.key(seed).to(kind), edges)
        score = alike / math.sqrt(self.hidden) + self.decay * edges.distance
        score = score.masked_fill(edges.barred, -math.inf)
        learned = self._softmax(score, edges.rows, num_nodes=seed.shape[1], dim=1)
        share = self.mix * torch.sigmoid(self.gate(seed).squeeze(-1)).to(kind)
        return torch.lerp(edges.fixed.expand_as(learned), learned, share.index_select(1, edges.rows))

    def _layers(self, block: Tensor, seed: Tensor, edges: Edges) -> Tensor:
        """Return the hidden states of the days of a block, (time, node, window, hidden)."""
        weights = self.weigh(seed.transpose(0, 1), edges)
        z = block.permute(2, 1, 0, 3).contiguous()  # one product for all days of a window
        shape, embeddings = z.shape, [z]
        for linear in self.graph:
            mixed = mix_nodes(weights, z.flatten(2).to(weights.dtype), edges)
            z = torch.relu(linear(mixed.view(shape)))
            embeddings.append(z)
        if self.join is not None:
            joined: Tensor = self.join.bias
            for each, part in zip(embeddings, self.join.weight.t().chunk(len(embeddings)), strict=True):
                joined = torch.addmm(joined, each.view(-1, self.hidden), part)
            z = joined.view(shape)
        return z.permute(2, 1, 0, 3)
