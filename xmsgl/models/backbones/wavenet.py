"""Graph WaveNet: dilated gated convolutions over days, and diffusion over the graph between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.base import Backbone, State
from xmsgl.models.backbones.convolution import CausalConvolution, DiffusionConvolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["GraphWaveNet"]


class GraphWaveNet(Backbone):
    """The spatio-temporal network Graph WaveNet, with a graph that is given.

    After [1]_. For the layers l = 0, 1, ... with dilations d_l, ``*`` the causal convolution over two days
    d_l apart ::

        z_0     = x W + b
        g_l     = tanh(z_l * F_l) sigmoid(z_l * G_l)
        z_{l+1} = norm(z_l + sum_k A^k g_l D_{l,k})        k = 0 to hops
        h       = relu(relu(sum_l g_l S_l) E + e)

    A day is told by itself and the `memory` days before it, 63 with the default dilations and no more:
    what a river remembers for longer has to come with the inputs. The days before a window are zeros in
    each layer. The state is what each convolution still has to read, ``(days, node, window, hidden)``.

    Apart from the published network: its adaptive adjacency, the product of two learned embeddings of every
    node, is left out, for these parameters depend on the number of nodes, and a model that works at two
    scales and on other rivers can have none such. Norms are over the channels of a node and a day, where
    batch norms would let past days know future ones and mix the statistics of two scales. Dilations go on
    to 32 (published: 1, 2, 1, 2, ...), and there is no dropout. The last layer diffuses nothing, for no one
    would read it.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of channels H, everywhere.
    dilations
        Days between the two that each layer reads.
    hops
        Times A is applied in a layer.

    Raises
    ------
    InvalidArgumentError
        If a size or a dilation is not positive, or there is no layer.

    References
    ----------
    .. [1] Wu et al., Graph WaveNet for deep spatial-temporal graph modeling, IJCAI 2019, arXiv:1906.00121.

    Examples
    --------
    >>> GraphWaveNet(7, 20).memory
    63
    """

    def __init__(
        self,
        n_features: int,
        hidden: int = 20,
        *,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 32),
        hops: int = 2,
    ) -> None:
        super().__init__(n_features, hidden)
        if not dilations:
            msg = "dilations must name at least one layer, got none"
            raise InvalidArgumentError(msg)
        self.start = nn.Linear(n_features, hidden)
        self.gates = nn.ModuleList(
            CausalConvolution(hidden, 2 * hidden, taps=2, dilation=dilation) for dilation in dilations
        )
        self.skips = nn.ModuleList(nn.Linear(hidden, hidden) for _ in dilations)
        self.diffusions = nn.ModuleList(DiffusionConvolution(hidden, hops) for _ in dilations[1:])
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in dilations[1:])
        self.end = nn.Linear(hidden, hidden)

    @property
    def memory(self) -> int:
        """Days before a day that it depends on."""
        return sum(gate.span for gate in self._gates())

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of what each layer still has to read."""
        return [(gate.span, nodes, windows, self.hidden) for gate in self._gates()]

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days."""
        z: Tensor = self.start(x)
        skipped, after = z.new_zeros(()), []
        for number, before in enumerate(state):
            z, skip, left = self._layer(number, z, operator, before)
            skipped = skipped + skip
            after.append(left)
        return torch.relu(self.end(torch.relu(skipped))), tuple(after)

    def _layer(
        self, number: int, z: Tensor, operator: GraphOperator, before: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what goes to the next layer, to the output, and to the days after."""
        both, left = self.gates[number](z, before)
        candidate, gate = both.chunk(2, dim=-1)
        gated = torch.tanh(candidate) * torch.sigmoid(gate)
        if number < len(self.diffusions):
            z = self.norms[number](z + self.diffusions[number](gated, operator))
        return z, self.skips[number](gated), left

    def _gates(self) -> list[CausalConvolution]:
        return [gate for gate in self.gates if isinstance(gate, CausalConvolution)]
