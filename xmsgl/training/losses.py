"""Losses on sparse labels."""

from __future__ import annotations

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError

__all__ = ["masked_rmse"]

# Keeps the gradient of the square root finite where predictions are exact.
_SMALLEST_SQUARE = 1e-12


def masked_rmse(prediction: Tensor, target: Tensor) -> Tensor | None:
    """Return the RMSE over all observed pairs of node and day; None if there are none."""
    if prediction.shape != target.shape:
        shapes = [tuple(part.shape) for part in (prediction, target)]
        msg = f"prediction and target must have the same shape, got {shapes}"
        raise InvalidArgumentError(msg)
    observed = ~torch.isnan(target)
    count = int(observed.sum())
    if count == 0:
        return None
    # Labels are replaced before the difference, because NaN times zero is NaN in the gradient.
    error = torch.where(observed, prediction - torch.where(observed, target, prediction.detach()), 0.0)
    return (error.square().sum() / count).clamp_min(_SMALLEST_SQUARE).sqrt()
