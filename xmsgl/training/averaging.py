"""A running mean of the weights, which varies less than the weights of a single step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["RunningMean"]


class RunningMean:
    """Exponential moving average of a module's weights; `keep` is the share of its past kept at each step.

    Polyak & Juditsky (1992), doi:10.1137/0330046; Izmailov et al. (2018), arXiv:1803.05407.
    """

    def __init__(self, keep: float, weights: Mapping[str, Tensor] | None = None) -> None:
        self.keep = keep
        self.weights: dict[str, Tensor] = {name: value.clone() for name, value in (weights or {}).items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Include the weights after a step; the first ones begin the mean."""
        if not self.keep:
            return
        now = module.state_dict()
        if not self.weights:
            self.weights = {name: value.detach().clone() for name, value in now.items()}
        for name, mean in self.weights.items():
            mean.lerp_(now[name].to(mean), 1.0 - self.keep)
