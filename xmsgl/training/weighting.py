"""Weights of several tasks with shared parameters, by the multiple-gradient descent algorithm (MGDA).

The normalised gradients of the tasks on the shared parameters span a convex hull. Its point of least norm
is a direction along which no task's loss increases; its weights are the weights of the tasks.

References
----------
.. [1] Sener and Koltun, Multi-task learning as multi-objective optimization, NeurIPS 2018,
   arXiv:1810.04650.
.. [2] Lawson and Hanson, Solving least squares problems, chapter 23, Prentice-Hall 1974.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import nnls
from torch import Tensor

from xmsgl.errors import InvalidArgumentError
from xmsgl.training.team import ALONE, Team

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["WEIGHTINGS", "min_norm_weights", "multi_task_backward", "task_weights"]

#: Ways to weight tasks.
WEIGHTINGS = ("mgda", "uniform")

FloatArray: TypeAlias = npt.NDArray[np.float64]


def min_norm_weights(gram: npt.ArrayLike) -> FloatArray:
    """Find the point of least norm in the convex hull of vectors, given their Gram matrix (k, k).

    Exact up to rounding: with ``G = V^T V``, the non-negative ``u`` that minimises
    ``|V u|^2 + (sum(u) - 1)^2`` is proportional to the weights, and an active-set method finds it.
    """
    matrix = np.asarray(gram, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        msg = f"the Gram matrix must be square, got shape {matrix.shape}"
        raise InvalidArgumentError(msg)
    if not np.isfinite(matrix).all():
        msg = "the Gram matrix is not finite because a gradient has overflowed; lower learning_rate"
        raise InvalidArgumentError(msg)
    size = len(matrix)
    scale = float(np.diag(matrix).max())
    if scale <= 0:  # all vectors are zero
        return np.full(size, 1 / size)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / (2 * scale))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    solution, _ = nnls(np.vstack([root, np.ones(size)]), np.append(np.zeros(size), 1.0))
    weights: FloatArray = solution / solution.sum()
    return weights


def task_weights(gradients: Sequence[Tensor], losses: Sequence[float]) -> FloatArray:
    """Return the weights of tasks at the point of least norm of their normalised gradients.

    Each gradient is divided by loss times norm, as published. A task with a zero shared gradient would have
    all the weight; it gets an equal share, for its own head, and the others divide the rest.
    """
    stacked = torch.stack(tuple(gradients)).detach().to("cpu", torch.float64).numpy()
    norms = np.linalg.norm(stacked, axis=1)
    known = norms > 0
    weights = np.full(len(losses), 1 / len(losses))
    if known.any():
        floor = np.finfo(np.float64).tiny ** 0.25  # no division by a loss of exactly zero
        values = np.maximum(np.asarray(losses, np.float64)[known], floor)
        unit = stacked[known] / (norms[known] * values)[:, None]
        weights[known] = min_norm_weights(unit @ unit.T) * weights[known].sum()
    return weights


def multi_task_backward(
    losses: Mapping[str, Tensor],
    shared: Sequence[Tensor],
    parameters: Sequence[Tensor],
    *,
    weighting: str,
    team: Team = ALONE,
) -> dict[str, float]:
    """Leave the gradient of the weighted sum of finite losses in ``.grad``, and return the weights.

    ``"mgda"`` needs one backward pass for each task, whose gradients are kept until the weights are known;
    ``"uniform"`` needs one in all. Tasks may share a graph, so that each trunk is run forward once.
    The gradients of a team are added up. A loss of frozen parts alone has no gradient, but counts as a task.
    """
    if weighting == "mgda":
        weights = _mgda_backward(list(losses.values()), shared, parameters, team)
    else:
        weights = np.full(len(losses), 1 / len(losses))
        total = torch.stack([float(w) * loss for w, loss in zip(weights, losses.values(), strict=True)]).sum()
        gradients = _gradients(total, parameters, retain=False)
        for parameter, gradient in zip(parameters, team.gradients(gradients, parameters), strict=True):
            parameter.grad = gradient
    return {task: float(weight) for task, weight in zip(losses, weights, strict=True)}


def _mgda_backward(
    losses: Sequence[Tensor], shared: Sequence[Tensor], parameters: Sequence[Tensor], team: Team
) -> FloatArray:
    last = len(losses) - 1
    gradients = [
        team.gradients(_gradients(loss, parameters, retain=number < last), parameters)
        for number, loss in enumerate(losses)
    ]
    position = {id(parameter): index for index, parameter in enumerate(parameters)}
    places = [position[id(parameter)] for parameter in shared]
    flat = [
        torch.cat(
            [_or_zero(task[place], parameters[place]).ravel() for place in places] or [losses[0].new_zeros(1)]
        )
        for task in gradients
    ]
    weights = task_weights(flat, torch.stack([loss.detach() for loss in losses]).tolist())
    for index, parameter in enumerate(parameters):
        parts = [(float(weight), part[index]) for weight, part in zip(weights, gradients, strict=True)]
        known = [weight * gradient for weight, gradient in parts if gradient is not None]
        parameter.grad = torch.stack(known).sum(0) if known else None
    return weights


def _gradients(loss: Tensor, parameters: Sequence[Tensor], *, retain: bool) -> Sequence[Tensor | None]:
    """Return the gradients of a loss; None where it depends on no parameter that is not frozen."""
    if not loss.requires_grad:
        return [None] * len(parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=retain, allow_unused=True)


def _or_zero(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient
