"""Heads: from hidden states to one standardised temperature."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmsgl.errors import InvalidArgumentError

__all__ = ["FineHead", "InterpolationHead", "LinearHead", "TemporalAttention"]

# Sequences attended to at once: bounds the memory of a backend that writes the scores out.
_SEQUENCES = 256


class LinearHead(nn.Module):
    """One number from each hidden state.

    Parameters
    ----------
    hidden
        Number of hidden channels.

    Examples
    --------
    >>> LinearHead(20)(torch.zeros(30, 5, 2, 20)).shape
    torch.Size([30, 5, 2])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(..., hidden)`` to ``(...)``."""
        output: Tensor = self.linear(h)
        return output.squeeze(-1)


class TemporalAttention(nn.Module):
    """Self-attention over the days of each sequence, with residual and normalisation.

    Parameters
    ----------
    hidden
        Number of channels.
    heads
        Number of attention heads; divides `hidden`.

    Raises
    ------
    InvalidArgumentError
        If `heads` does not divide `hidden`.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or hidden % heads:
            msg = f"heads must divide hidden, got heads={heads} and hidden={hidden}"
            raise InvalidArgumentError(msg)
        self.heads = heads
        self.project = nn.Linear(hidden, 3 * hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(sequence, time, hidden)`` to the same shape; every day sees all days of its window."""
        sequences, days, hidden = x.shape
        parts = self.project(x).view(sequences, days, 3, self.heads, hidden // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        mixed = self.mix(attended.transpose(1, 2).reshape(sequences, days, hidden))
        output: Tensor = self.norm(x + mixed)
        return output


class InterpolationHead(nn.Module):
    """Head of the cross-scale task: attention over time, twice, summed, then one number.

    Nodes and windows are independent sequences. Not causal within a window.

    Parameters
    ----------
    hidden
        Number of hidden channels.
    heads
        Number of attention heads; divides `hidden`.
    chunk
        Sequences handled at once; changes memory, not the result.

    Examples
    --------
    >>> InterpolationHead(20)(torch.zeros(30, 5, 2, 20)).shape
    torch.Size([30, 5, 2])
    """

    def __init__(self, hidden: int, heads: int = 4, *, chunk: int = _SEQUENCES) -> None:
        super().__init__()
        self.first = TemporalAttention(hidden, heads)
        self.second = TemporalAttention(hidden, heads)
        self.out = LinearHead(hidden)
        self.chunk = chunk

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(time, node, window, hidden)`` to ``(time, node, window)``."""
        days, nodes, windows, hidden = h.shape
        sequences = h.permute(1, 2, 0, 3).reshape(nodes * windows, days, hidden)
        parts = [self._temperature(part) for part in torch.split(sequences, self.chunk)]
        return torch.cat(parts).view(nodes, windows, days).permute(2, 0, 1)

    def _temperature(self, x: Tensor) -> Tensor:
        once = self.first(x)
        output: Tensor = self.out(once + self.second(once))
        return output


class FineHead(nn.Module):
    """Head of the fine task: the coarse context beside the reach's own state.

    The context is cut from the graph, so that the fine task does not train the coarse trunk through it.

    Parameters
    ----------
    hidden
        Number of hidden channels H; the input has 2H.
    dropout
        Probability of dropping a channel of the inner layer while training.

    Examples
    --------
    >>> context, own = torch.zeros(30, 5, 2, 20), torch.zeros(30, 5, 2, 20)
    >>> FineHead(20)(context, own).shape
    torch.Size([30, 5, 2])
    """

    def __init__(self, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        if not 0.0 <= dropout < 1.0:
            msg = f"dropout must be in [0, 1), got {dropout}"
            raise InvalidArgumentError(msg)
        self.norm = nn.LayerNorm(2 * hidden)
        self.inner = nn.Linear(2 * hidden, hidden)
        self.residual = nn.Linear(2 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = LinearHead(hidden)

    def forward(self, context: Tensor, own: Tensor) -> Tensor:
        """Map context and own state, both ``(..., hidden)``, to ``(...)``."""
        z = torch.cat([context.detach(), own], dim=-1)
        inner = self.dropout(functional.gelu(self.inner(self.norm(z))))
        output: Tensor = self.out(inner + self.residual(z))
        return output
