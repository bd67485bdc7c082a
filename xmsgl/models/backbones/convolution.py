"""What the spatio-temporal backbones have in common: convolutions over days and over the graph.

For the backward pass they keep their inputs, and no product with the graph operator.

References
----------
.. [1] Van den Oord et al., WaveNet: a generative model for raw audio, 2016, arXiv:1609.03499.
.. [2] Li et al., Diffusion convolutional recurrent neural network, ICLR 2018, arXiv:1707.01926.
.. [3] Defferrard, Bresson and Vandergheynst, Convolutional neural networks on graphs with fast localized
   spectral filtering, NeurIPS 2016, arXiv:1606.09375.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.base import Backbone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["CausalConvolution", "ChebyshevConvolution", "ConvolutionalBackbone", "DiffusionConvolution"]

_MOST = 1000  # hops


class CausalConvolution(nn.Module):
    """A causal, dilated convolution over days: ``y_t = b + sum_j x_{t - j d} W_j``, j = 0 to taps - 1 [1]_.

    As :class:`torch.nn.Conv1d` with zeros before the first day, for days first and channels last.
    """

    def __init__(self, channels: int, outputs: int, *, taps: int, dilation: int = 1) -> None:
        super().__init__()
        if taps < 1 or dilation < 1:
            msg = f"taps and dilation must be at least 1, got {taps} and {dilation}"
            raise InvalidArgumentError(msg)
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(taps, outputs, channels))
        self.bias = nn.Parameter(torch.empty(outputs))
        for part in (self.weight, self.bias):  # torch's own initialisation of convolutions
            nn.init.uniform_(part, -1 / math.sqrt(channels * taps), 1 / math.sqrt(channels * taps))

    @property
    def span(self) -> int:
        """Days read before the first: the memory."""
        return (len(self.weight) - 1) * self.dilation

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Run over some days.

        Shapes: `x` (time, ..., channels), returns (time, ..., outputs).
        """
        days = len(x)
        padded = torch.cat([before, x])
        output = functional.linear(x, self.weight[0], self.bias)
        for tap in range(1, len(self.weight)):
            first = self.span - tap * self.dilation
            output = output + functional.linear(padded[first : first + days], self.weight[tap])
        return output, padded[days:].clone()  # a view would keep all days in memory


class ConvolutionalBackbone(Backbone):
    """A backbone of causal convolutions; its state is the days that each of them still has to read."""

    def __init__(self, n_features: int, hidden: int, dilations: Sequence[object]) -> None:
        super().__init__(n_features, hidden)
        if not dilations:
            msg = "dilations must have at least one entry, got none"
            raise InvalidArgumentError(msg)
        self.start = nn.Linear(n_features, hidden)

    @property
    def memory(self) -> int:
        """Number of earlier days that a day depends on."""
        return sum(self._spans())

    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shapes of the days that each convolution still has to read."""
        return [(span, nodes, windows, self.hidden) for span in self._spans()]

    def _spans(self) -> list[int]:
        return [part.span for part in self.modules() if isinstance(part, CausalConvolution)]


class _GraphConvolution(nn.Module):
    """A polynomial in the graph operator A, of order `hops`, each term with a channel matrix W_k."""

    least: ClassVar[int] = 0

    def __init__(self, channels: int, hops: int) -> None:
        super().__init__()
        if hops < self.least:
            msg = f"hops must be at least {self.least}, got {hops}"
            raise InvalidArgumentError(msg)
        if hops > _MOST:
            msg = f"hops must be at most {_MOST}, got {hops}"
            raise InvalidArgumentError(msg)
        self.hops = hops
        self.linear = nn.Linear(channels, (hops + 1) * channels)

    def terms(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return ``x W_k`` for every k, the bias added to the first."""
        count = self.hops + 1
        weights, width = self.linear.weight.chunk(count), self.linear.out_features // count
        biases = self.linear.bias[:width], *[None] * self.hops
        return tuple(functional.linear(x, matrix, bias) for matrix, bias in zip(weights, biases, strict=True))


class DiffusionConvolution(_GraphConvolution):
    """Mix channels and neighbours: ``b + sum_k A^k x W_k`` for k = 0 to `hops` [2]_.

    The published model also diffuses against the direction of the edges. Here that would make labels depend
    on nodes that do not influence them according to the graph.
    """

    def forward(self, x: Tensor, operator: GraphOperator) -> Tensor:
        """Map ``(time, node, window, channel)`` to the same shape."""
        # Horner's scheme: x W_0 + A (x W_1 + A (x W_2 + ...))
        *rest, output = self.terms(x)
        for term in reversed(rest):
            output = term + operator.matmul_days(output)
        return output


class ChebyshevConvolution(_GraphConvolution):
    """Mix channels and neighbours: ``b + sum_k T_k(L) x W_k`` with Chebyshev polynomials [3]_.

    ``L = 2 (1 - A) / 2 - 1 = -A`` is the random-walk Laplacian of a graph whose rows sum to 1, scaled by 2,
    its largest possible eigenvalue; a normalised Laplacian would need undirected edges.
    """

    least = 1

    def forward(self, x: Tensor, operator: GraphOperator) -> Tensor:
        """Map ``(time, node, window, channel)`` to the same shape."""
        first, *rest = self.terms(x)
        later, last = rest[-1], None
        for term in reversed(rest[:-1]):
            # Clenshaw's scheme: b_k = term_k + 2 L b_{k+1} - b_{k+2}, with L = -A
            now = term - 2 * operator.matmul_days(later)
            later, last = (now if last is None else now - last), later
        output = first - operator.matmul_days(later)
        return output if last is None else output - last
