"""The cell as published: a loop over days through autograd, with a dense graph matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from xmsgl.models.cell.given import CellWeights

__all__ = ["dense_cell"]


def dense_cell(x: Tensor, A: Tensor, weights: CellWeights) -> Tensor:
    """Run the cell over a window from a zero state, with plain operations only.

    Parameters
    ----------
    x
        Inputs ``(time, node, feature)``.
    A
        The graph operator ``(node, node)``.
    weights
        Parameters of the cell.

    Returns
    -------
    Tensor
        Hidden states ``(time, node, hidden)``.
    """
    W_ih, W_hh, b, W_q, b_q = weights
    h = c = x.new_zeros(x.shape[1], len(W_q))
    days = []
    for x_t in x:
        i, f, o, g = torch.chunk(x_t @ W_ih + h @ W_hh + b, 4, dim=-1)
        q = torch.tanh(h @ W_q + b_q)
        c = torch.sigmoid(f) * (c + A @ q) + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        days.append(h)
    return torch.stack(days)
