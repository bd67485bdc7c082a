"""STGCN: blocks of a gated convolution over days, one over the graph, and another over days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xmsgl.models.backbones.convolution import (
    CausalConvolution,
    ChebyshevConvolution,
    ConvolutionalBackbone,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.models.backbones.base import State
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["STGCN"]


class STGCN(ConvolutionalBackbone):
    """The spatio-temporal network STGCN, made causal.

    For each block of [1]_, with gated linear units [2]_ ``glu(z) = (z * P + z) sigmoid(z * Q)`` whose
    convolutions read three days ::

        u = glu_1(z)
        v = relu(u + sum_k T_k(-A) u W_k)        k = 0 to hops, Chebyshev polynomials
        z = norm(glu_2(v))

    and ``z = x W + b`` before the first. The hidden states of a day depend on that day and the `memory` days
    before it, 30 with the default dilations; longer memory has to come with the inputs. The days before a
    window are zeros in each layer.

    Differences from the published network: days are padded at the start instead of lost; the dilations of
    the two blocks are 1, 2, 4 and 8 days (published: ``dilations=((1, 1), (1, 1))``, 8 days back); norms are
    over the channels of a node and a day, where the published ones have parameters for each node; all layers
    have `hidden` channels; and there is no dropout.

    Parameters
    ----------
    n_features
        Number of inputs F.
    hidden
        Number of channels H, in all layers.
    dilations
        Days between the days that the two convolutions of each block read.
    hops
        Order of the polynomials.

    Raises
    ------
    InvalidArgumentError
        A size or a dilation is not positive, or there is no block.

    References
    ----------
    .. [1] Yu, Yin and Zhu, Spatio-temporal graph convolutional networks: a deep learning framework for
       traffic forecasting, IJCAI 2018, arXiv:1709.04875.
    .. [2] Dauphin et al., Language modeling with gated convolutional networks, ICML 2017, arXiv:1612.08083.

    Examples
    --------
    >>> STGCN(7, 20).memory, STGCN(7, 20, dilations=((1, 1), (1, 1))).memory
    (30, 8)
    """

    def __init__(
        self,
        n_features: int,
        hidden: int = 20,
        *,
        dilations: Sequence[tuple[int, int]] = ((1, 2), (4, 8)),
        hops: int = 2,
    ) -> None:
        super().__init__(n_features, hidden, dilations)
        self.blocks = nn.ModuleList(_Block(hidden, pair, hops) for pair in dilations)

    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days."""
        z: Tensor = self.start(x)
        after: list[Tensor] = []
        for block, first, second in zip(self.blocks, state[::2], state[1::2], strict=True):
            z, *left = block(z, operator, first, second)
            after += left
        return z, tuple(after)


class _Block(nn.Module):
    def __init__(self, hidden: int, dilations: tuple[int, int], hops: int) -> None:
        super().__init__()
        self.first, self.second = (
            CausalConvolution(hidden, 2 * hidden, taps=3, dilation=dilation) for dilation in dilations
        )
        self.graph = ChebyshevConvolution(hidden, hops)
        self.norm = nn.LayerNorm(hidden)

    def forward(
        self, z: Tensor, operator: GraphOperator, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the input of the next block, and the days that both convolutions still have to read."""
        u, first = _glu(self.first, z, first)
        v = torch.relu(u + self.graph(u, operator))
        w, second = _glu(self.second, v, second)
        return self.norm(w), first, second


def _glu(convolution: nn.Module, z: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    both, after = convolution(z, before)
    value, gate = both.chunk(2, dim=-1)
    return (value + z) * torch.sigmoid(gate), after
