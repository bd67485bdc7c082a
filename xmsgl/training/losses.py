"""Losses on sparse labels."""

from __future__ import annotations

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError

__all__ = ["SMALLEST_SQUARE", "masked_rmse", "masked_squares"]

# Keeps the gradient of the square root finite where predictions are exact.
SMALLEST_SQUARE = 1e-12


def masked_rmse(prediction: Tensor, target: Tensor) -> Tensor | None:
    """Return the RMSE over all observed pairs of node and day; None if there are none."""
    total, count = masked_squares(prediction, target)
    return (total / count).clamp_min(SMALLEST_SQUARE).sqrt() if count else None


def masked_squares(prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """Return the sum of squared errors over all observed pairs of node and day, and their number."""
    if prediction.shape != target.shape:
        shapes = [tuple(part.shape) for part in (prediction, target)]
        msg = f"prediction and target must have the same shape, got {shapes}"
        raise InvalidArgumentError(msg)
    observed = ~torch.isnan(target)
    # Labels are replaced before the difference, because NaN times zero is NaN in the gradient.
    error = torch.where(observed, prediction - torch.where(observed, target, prediction.detach()), 0.0)
    return error.square().sum(), int(observed.sum())
