"""A loss that a few faulty thermometers do not rule.

A logger that lay in the sun or in ice is off by ten degrees, and in a mean of squares a single such day
counts as much as a hundred with an error of one degree. Beyond some error, more of it should count in
proportion only.

References
----------
.. [1] Huber, Robust estimation of a location parameter, The Annals of Mathematical Statistics 35 (1964),
   doi:10.1214/aoms/1177703732.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["masked_huber"]

# Keeps the gradient of the square root finite where a prediction is exactly right.
_SMALLEST_SQUARE = 1e-12


def masked_huber(prediction: Tensor, target: Tensor, beyond: float) -> Tensor | None:
    """Root of the mean Huber loss over the observed pairs of node and day.

    An error *e* counts as its square up to `beyond`, then along the tangent, as ``beyond * (2 * abs(e) -
    beyond)``. Where no error is larger than that, this is :func:`xmsgl.train.losses.masked_rmse`, value and
    gradient. Else a larger error pulls at the model no harder than one of the size `beyond`.

    Parameters
    ----------
    prediction
        Any shape, standardised.
    target
        Labels of the same shape; NaN where nothing was observed.
    beyond
        Error from which on errors count linearly, above 0, standardised.

    Returns
    -------
    Tensor or None
        A scalar; None if there is no label.

    Raises
    ------
    InvalidArgumentError
        If shapes differ.

    Examples
    --------
    >>> import torch
    >>> prediction, target = torch.tensor([1.0, 8.0, 9.0]), torch.tensor([2.0, 2.0, torch.nan])
    >>> round(float(masked_huber(prediction, target, 3.0)), 6)  # sqrt((1^2 + 3 * (2 * 6 - 3)) / 2)
    3.741657
    """
    if prediction.shape != target.shape:
        msg = f"prediction and target must have one shape, got {tuple(prediction.shape), tuple(target.shape)}"
        raise InvalidArgumentError(msg)
    observed = ~torch.isnan(target)
    count = int(observed.sum())
    if count == 0:
        return None
    # Replaced before the difference: a NaN times zero would still be a NaN in the gradient.
    error = torch.where(observed, prediction - torch.where(observed, target, prediction.detach()), 0.0).abs()
    within = error.clamp_max(beyond)
    return ((within * (2.0 * error - within)).sum() / count).clamp_min(_SMALLEST_SQUARE).sqrt()
