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

from xmsgl.train.losses import observed_errors, root

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["masked_huber"]


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
    found = observed_errors(prediction, target)
    if found is None:
        return None
    error = found[0].abs()
    within = error.clamp_max(beyond)
    return root((within * (2.0 * error - within)).sum() / found[1])
