"""Heads: from hidden states to one standardised temperature."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.compiled.attention import compiled_attention, suits

__all__ = ["FineHead", "InterpolationHead", "LinearHead", "TemporalAttention"]

# Sequences processed at once: bounds the memory of a backend that stores the attention scores.
_SEQUENCES = 256
# The same where only some days are queried: sequences with similar numbers of such days are grouped.
_ALIKE = 32


class LinearHead(nn.Module):
    """One number from each hidden state."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(..., hidden)`` to ``(...)``."""
        output: Tensor = self.linear(h)
        return output.squeeze(-1)


class TemporalAttention(nn.Module):
    """Self-attention over the days of each sequence, with residual and normalisation."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or hidden % heads:
            msg = f"heads must divide hidden, got heads={heads} and hidden={hidden}"
            raise InvalidArgumentError(msg)
        self.heads = heads
        self.project = nn.Linear(hidden, 3 * hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, asking: Tensor | None = None) -> Tensor:
        """Let days attend to all days of their window.

        Shapes: `x` (sequence, time, hidden), `asking` (sequence, some days, hidden).
        """
        hidden = x.shape[-1]
        own = x if asking is None else asking
        matrix, bias = self.project.weight, self.project.bias
        query = functional.linear(own, matrix[:hidden], bias[:hidden])
        both = functional.linear(x, matrix[hidden:], bias[hidden:])
        output: Tensor = self.norm(own + self.mix(_attend(query, both, self.heads)))
        return output


def _attend(query: Tensor, both: Tensor, heads: int) -> Tensor:
    """Compute :func:`compiled_attention` on any device and in any floating-point type."""
    if suits(query, both, heads):
        return compiled_attention(query, both, heads)
    own, key, value = (
        part.view(*part.shape[:-1], heads, -1).transpose(1, 2) for part in (query, *both.chunk(2, dim=-1))
    )
    attended = functional.scaled_dot_product_attention(own, key, value)
    return attended.transpose(1, 2).reshape(query.shape)


class InterpolationHead(nn.Module):
    """Head of the interpolation task: attention over time, twice, summed, then one number.

    Nodes and windows are independent sequences. Not causal within a window. `chunk` sequences are processed
    at once, which affects memory but not the result.
    """

    def __init__(self, hidden: int, heads: int = 4, *, chunk: int = _SEQUENCES) -> None:
        super().__init__()
        self.first = TemporalAttention(hidden, heads)
        self.second = TemporalAttention(hidden, heads)
        self.out = LinearHead(hidden)
        self.chunk = chunk

    def forward(self, h: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Map hidden states to temperature.

        Shapes: `h` (time, node, window, hidden), `wanted` (time, node, window), returns (time, node, window).
        """
        days, nodes, windows, hidden = h.shape
        sequences = h.permute(1, 2, 0, 3).reshape(nodes * windows, days, hidden)
        if wanted is None:
            parts = [self._temperature(part) for part in torch.split(sequences, self.chunk)]
            output = torch.cat(parts)
        else:
            output = self._some_days(sequences, wanted.permute(1, 2, 0).reshape(nodes * windows, days))
        return output.view(nodes, windows, days).permute(2, 0, 1)

    def _temperature(self, x: Tensor) -> Tensor:
        once = self.first(x)
        output: Tensor = self.out(once + self.second(once))
        return output

    def _some_days(self, sequences: Tensor, wanted: Tensor) -> Tensor:
        counts = wanted.sum(1)
        order = counts.argsort()
        size = min(self.chunk, _ALIKE)
        ordered = sequences.index_select(0, order), wanted.index_select(0, order)
        parts = []
        # Copied once beforehand: in the backward pass each selection would write a gradient of all sequences.
        for x, here in zip(*(torch.split(part, size) for part in ordered), strict=True):
            most = int(here[-1].sum())
            if not most:
                parts.append(torch.zeros_like(here, dtype=sequences.dtype))
                continue
            once = self.first(x)
            # The wanted days of each sequence, padded with other days to the largest number of wanted days.
            places = here.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
            asking = once.gather(1, places[..., None].expand(-1, -1, once.shape[-1]))
            value = self.out(asking + self.second(once, asking)).to(sequences.dtype)
            filled = torch.zeros_like(here, dtype=value.dtype).scatter(1, places, value)
            parts.append(torch.where(here, filled, 0.0))
        return torch.cat(parts).index_select(0, order.argsort())


class FineHead(nn.Module):
    """Head of the fine task: reads the coarse context and the reach's own state.

    The context is detached, so that the fine task does not train the coarse trunk through it. `dropout` is
    the probability of dropping a channel of the inner layer in training.
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

    def forward(self, context: Tensor, own: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map context and own state to temperature.

        Shapes: `context, own` (..., hidden).
        """
        z = torch.cat([context.detach(), own], dim=-1)
        inner = functional.gelu(self.inner(self.norm(z)))
        inner = self.dropout(inner) if mask is None else inner * mask
        output: Tensor = self.out(inner + self.residual(z))
        return output

    def draw(self, own: Tensor) -> Tensor | None:
        """Draw the dropout mask of all of `own`; None without dropout."""
        if not self.training or not self.dropout.p:
            return None
        mask: Tensor = self.dropout(own.new_ones(()).expand(own.shape))
        return mask
