"""The two convolutions of the spatio-temporal backbones: over days, and over the graph.

Both keep little for the way back: their inputs, and no product of the graph operator.

References
----------
.. [1] Van den Oord et al., WaveNet: a generative model for raw audio, 2016, arXiv:1609.03499.
.. [2] Li et al., Diffusion convolutional recurrent neural network, ICLR 2018, arXiv:1707.01926.
.. [3] Defferrard, Bresson and Vandergheynst, Convolutional neural networks on graphs with fast localized
   spectral filtering, NeurIPS 2016, arXiv:1606.09375.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["CausalConvolution", "ChebyshevConvolution", "DiffusionConvolution"]


class CausalConvolution(nn.Module):
    """A dilated convolution over days that sees no later one: ``y_t = b + sum_j x_{t - j d} W_j`` [1]_.

    What :class:`torch.nn.Conv1d` computes with zeros put before the first day, for days in front and channels
    last, so that nothing has to be turned.

    Parameters
    ----------
    channels, outputs
        Channels read and written.
    taps
        Days that are read, j = 0 to ``taps - 1``.
    dilation
        Days d between them.
    """

    def __init__(self, channels: int, outputs: int, *, taps: int, dilation: int = 1) -> None:
        super().__init__()
        if taps < 1 or dilation < 1:
            msg = f"taps and dilation must be at least 1, got {taps} and {dilation}"
            raise InvalidArgumentError(msg)
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(taps, outputs, channels))
        self.bias = nn.Parameter(torch.empty(outputs))
        for part in (self.weight, self.bias):  # as torch draws a convolution
            nn.init.uniform_(part, -1 / math.sqrt(channels * taps), 1 / math.sqrt(channels * taps))

    @property
    def span(self) -> int:
        """Days that are read before the first: the memory."""
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
        return output, padded[days:].clone()  # not a view, which would hold all days


class DiffusionConvolution(nn.Module):
    """Mix channels and neighbours: ``b + sum_k A^k x W_k`` for k = 0 to `hops` [2]_.

    Horner's scheme, ``x W_0 + A (x W_1 + A (x W_2 + ...))``: as many products with A, none of them kept.
    Only what A lets a node read is diffused; the published model also diffuses against the direction of its
    edges, which here would let labels depend on nodes that the graph says do not influence them.

    Parameters
    ----------
    channels
        Channels read and written.
    hops
        Times A is applied.
    """

    def __init__(self, channels: int, hops: int) -> None:
        super().__init__()
        self.hops = hops
        self.linear = nn.Linear(channels, (hops + 1) * channels)

    def forward(self, x: Tensor, operator: GraphOperator) -> Tensor:
        """Map ``(time, node, window, channel)`` to the same shape."""
        *rest, output = _terms(self.linear, x, self.hops)
        for term in reversed(rest):
            output = term + operator.matmul_days(output)
        return output


class ChebyshevConvolution(nn.Module):
    """Mix channels and neighbours: ``b + sum_k T_k(L) x W_k`` with Chebyshev's polynomials [3]_.

    ``L = 2 (1 - A) / 2 - 1 = -A`` is the random-walk Laplacian of a graph whose rows sum to 1, scaled by 2,
    its largest possible eigenvalue; a normal Laplacian would need edges without direction. Clenshaw's scheme:
    as many products with A as the order, none of them kept.

    Parameters
    ----------
    channels
        Channels read and written.
    hops
        Order of the polynomial, at least 1.
    """

    def __init__(self, channels: int, hops: int) -> None:
        super().__init__()
        if hops < 1:
            msg = f"hops must be at least 1, got {hops}"
            raise InvalidArgumentError(msg)
        self.hops = hops
        self.linear = nn.Linear(channels, (hops + 1) * channels)

    def forward(self, x: Tensor, operator: GraphOperator) -> Tensor:
        """Map ``(time, node, window, channel)`` to the same shape."""
        first, *rest = _terms(self.linear, x, self.hops)
        later, last = rest[-1], None
        for term in reversed(rest[:-1]):
            # b_k = term_k + 2 L b_{k+1} - b_{k+2}, with L = -A
            now = term - 2 * operator.matmul_days(later)
            later, last = (now if last is None else now - last), later
        output = first - operator.matmul_days(later)
        return output if last is None else output - last


def _terms(linear: nn.Linear, x: Tensor, hops: int) -> tuple[Tensor, ...]:
    """Return ``x W_k`` for every k, the bias added to the first."""
    count = hops + 1
    weights, width = linear.weight.chunk(count), linear.out_features // count
    biases = linear.bias[:width], *[None] * hops
    return tuple(functional.linear(x, matrix, bias) for matrix, bias in zip(weights, biases, strict=True))
