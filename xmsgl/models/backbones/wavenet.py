"""Graph WaveNet: dilated gated convolutions over days, with diffusion over the graph between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xmsgl.models.backbones.convolution import (
    CausalConvolution,
    ConvolutionalBackbone,
    DiffusionConvolution,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.models.backbones.base import State
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["GraphWaveNet"]


class GraphWaveNet(ConvolutionalBackbone):
    """The spatio-temporal network Graph WaveNet, with a given graph.

    See [1]_. For the layers l = 0, 1, ... with dilations d_l, ``*`` the causal convolution over two days
    d_l apart ::

        z_0     = x W + b
        g_l     = tanh(z_l * F_l) sigmoid(z_l * G_l)
        z_{l+1} = norm(z_l + sum_k A^k g_l D_{l,k})        k = 0 to hops
        h       = relu(relu(sum_l g_l S_l) E + e)

    The hidden states of a day depend on that day and the `memory` days before it, 63 with the default
    dilations; longer memory has to come with the inputs. The days before a window are zeros in each layer.

    Differences from the published network: there is no adaptive adjacency, because its embeddings depend on
    the number of nodes, and the model must work at two scales and on other rivers. Norms are over the
    channels of a node and a day, because batch norms would pass information from future days to past ones
    and mix the statistics of the two scales. Dilations increase to 32 (published: 1, 2, 1, 2, ...). There is
    no dropout. The last layer does not diffuse, because no layer would read the result.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of channels H, in all layers.
    dilations
        Days between the two days that each layer reads.
    hops
        Number of times A is applied in a layer.

    Raises
    ------
    InvalidArgumentError
        A size or a dilation is not positive, or there is no layer.

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
        super().__init__(n_features, hidden, dilations)
        self.gates = nn.ModuleList(
            CausalConvolution(hidden, 2 * hidden, taps=2, dilation=dilation) for dilation in dilations
        )
        self.skips = nn.ModuleList(nn.Linear(hidden, hidden) for _ in dilations)
        self.diffusions = nn.ModuleList(DiffusionConvolution(hidden, hops) for _ in dilations[1:])
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in dilations[1:])
        self.end = nn.Linear(hidden, hidden)

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days."""
        z: Tensor = self.start(x)
        skipped, after = z.new_zeros(()), []
        for number, before in enumerate(state):
            both, left = self.gates[number](z, before)
            candidate, gate = both.chunk(2, dim=-1)
            gated = torch.tanh(candidate) * torch.sigmoid(gate)
            if number < len(self.diffusions):
                z = self.norms[number](z + self.diffusions[number](gated, operator))
            skipped = skipped + self.skips[number](gated)
            after.append(left)
        return torch.relu(self.end(torch.relu(skipped))), tuple(after)
