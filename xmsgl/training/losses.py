"""Losses on labels of which most are missing."""

from __future__ import annotations

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError

__all__ = ["masked_rmse"]

# Keeps the gradient of the square root finite where a prediction is exactly right.
_SMALLEST_SQUARE = 1e-12


def masked_rmse(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor | None:
    """Root mean square error pooled over the observed pairs of node and day.

    Parameters
    ----------
    prediction
        Any shape, standardised.
    target
        Labels of the same shape; NaN where nothing was observed.
    mask
        True where a pair counts. None counts every label that is not NaN; a NaN label never counts.

    Returns
    -------
    Tensor or None
        A scalar; None if there is no label, for then there is no loss, and a task without a loss takes
        no part in the step.

    Raises
    ------
    InvalidArgumentError
        If shapes differ.

    Examples
    --------
    >>> import torch
    >>> loss = masked_rmse(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([4.0, 1.0, torch.nan]))
    >>> round(float(loss), 6)  # sqrt((3^2 + 4^2) / 2)
    3.535534
    >>> masked_rmse(torch.zeros(2), torch.full((2,), torch.nan)) is None
    True
    """
    if prediction.shape != target.shape or (mask is not None and mask.shape != target.shape):
        shapes = [tuple(part.shape) for part in (prediction, target, mask) if part is not None]
        msg = f"prediction, target and mask must have one shape, got {shapes}"
        raise InvalidArgumentError(msg)
    observed = ~torch.isnan(target)
    if mask is not None:
        observed = observed & mask
    count = int(observed.sum())
    if count == 0:
        return None
    # Replaced before the difference: a NaN times zero would still be a NaN in the gradient.
    error = torch.where(observed, prediction - torch.where(observed, target, prediction.detach()), 0.0)
    return (error.square().sum() / count).clamp_min(_SMALLEST_SQUARE).sqrt()
