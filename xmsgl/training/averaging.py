"""A running mean of the weights, which varies less than the weights of a single step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["update_mean"]


@torch.no_grad()
def update_mean(mean: dict[str, Tensor], module: nn.Module, keep: float) -> None:
    """Update an exponential moving average of weights, which keeps a share of its past at each step.

    Polyak & Juditsky (1992), doi:10.1137/0330046; Izmailov et al. (2018), arXiv:1803.05407.
    """
    for name, value in module.state_dict().items():
        if name in mean:
            mean[name].lerp_(value.to(mean[name]), 1.0 - keep)
        else:
            mean[name] = value.detach().clone()
