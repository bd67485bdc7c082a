"""Weights of several tasks that share parameters, by the multiple-gradient descent algorithm.

The gradients of the tasks on the shared parameters, normalised, span a convex hull. Its point of least
norm is a direction along which no task's loss grows; the weights that make it are the tasks' weights.

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

from xmsgl.errors import DivergenceError, InvalidArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "WEIGHTINGS",
    "min_norm_weights",
    "multi_task_backward",
    "task_weights",
    "uniform_weights",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]


def min_norm_weights(gram: npt.ArrayLike) -> FloatArray:
    """Find the point of least norm in the convex hull of vectors given by their Gram matrix.

    Exact up to rounding, for any number of vectors: with ``G = V^T V`` the non-negative ``u`` that
    minimises ``|V u|^2 + (sum(u) - 1)^2`` is the answer times a number, and an active-set method finds it
    in finitely many steps.

    Shapes: `gram` (k, k), returns (k,).
    """
    matrix = np.asarray(gram, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        msg = f"the Gram matrix must be square, got shape {matrix.shape}"
        raise InvalidArgumentError(msg)
    if not np.isfinite(matrix).all():
        msg = "the Gram matrix holds values that are not finite; a gradient has overflowed"
        raise InvalidArgumentError(msg)
    size = len(matrix)
    scale = float(np.diag(matrix).max())
    if scale <= 0:  # every vector is zero: every point of the hull is
        return np.full(size, 1 / size)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / (2 * scale))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    solution, _ = nnls(np.vstack([root, np.ones(size)]), np.append(np.zeros(size), 1.0))
    weights: FloatArray = solution / solution.sum()
    return weights


def task_weights(gradients: Sequence[Tensor], losses: Sequence[float]) -> FloatArray:
    """Weigh tasks by the point of least norm of their normalised gradients.

    Each gradient is divided by loss times norm, as published. A task whose shared gradient is zero says
    nothing about the shared parameters; it would take all the weight, so it keeps an equal share for its
    own head and the others divide the rest.
    """
    stacked = torch.stack(tuple(gradients)).detach().to("cpu", torch.float64).numpy()
    norms = np.linalg.norm(stacked, axis=1)
    known = norms > 0
    weights = uniform_weights(losses)
    if known.any():
        floor = np.finfo(np.float64).tiny ** 0.25  # a loss of exactly zero must not divide
        values = np.maximum(np.asarray(losses, np.float64)[known], floor)
        unit = stacked[known] / (norms[known] * values)[:, None]
        weights[known] = min_norm_weights(unit @ unit.T) * weights[known].sum()
    return weights


def uniform_weights(losses: Sequence[float]) -> FloatArray:
    """Give every task the same weight."""
    return np.full(len(losses), 1 / len(losses))


#: Names of all ways to weigh tasks.
WEIGHTINGS = ("mgda", "uniform")


def multi_task_backward(
    losses: Mapping[str, Tensor],
    shared: Sequence[Tensor],
    parameters: Sequence[Tensor],
    *,
    weighting: str,
) -> dict[str, float]:
    """Weigh the tasks and leave the gradient of their weighted sum in ``.grad``.

    With ``"mgda"`` one backward pass a task and no more: the parts are kept and added up once the weights
    are known. ``"uniform"`` needs one pass in all.
    Tasks may share a graph, so that each trunk is run forward once.
    """
    if weighting not in WEIGHTINGS:
        raise UnknownNameError("task weighting", weighting, WEIGHTINGS)
    if not losses:
        msg = "no task has a loss; skip batches without labels"
        raise InvalidArgumentError(msg)
    values = dict(zip(losses, torch.stack([loss.detach() for loss in losses.values()]).tolist(), strict=True))
    wrong = [f"{task} = {value}" for task, value in values.items() if not np.isfinite(value)]
    if wrong:
        msg = f"the loss is not finite ({', '.join(wrong)}); lower the learning rate or check the drivers"
        raise DivergenceError(msg)
    if weighting == "uniform":
        weights = uniform_weights(list(values.values()))
        total = torch.stack([float(w) * loss for w, loss in zip(weights, losses.values(), strict=True)]).sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
    else:
        weights = _mgda_backward(list(losses.values()), list(values.values()), shared, parameters)
    return {task: float(weight) for task, weight in zip(losses, weights, strict=True)}


def _mgda_backward(
    losses: Sequence[Tensor],
    values: Sequence[float],
    shared: Sequence[Tensor],
    parameters: Sequence[Tensor],
) -> FloatArray:
    gradients = _gradients(losses, parameters)
    position = {id(parameter): index for index, parameter in enumerate(parameters)}
    places = [position[id(parameter)] for parameter in shared]
    flat = [
        torch.cat([_or_zero(task[place], parameters[place]).ravel() for place in places])
        for task in gradients
    ]
    weights = task_weights(flat, values)
    for index, parameter in enumerate(parameters):
        parts = [(float(weight), part[index]) for weight, part in zip(weights, gradients, strict=True)]
        known = [weight * gradient for weight, gradient in parts if gradient is not None]
        parameter.grad = torch.stack(known).sum(0) if known else None
    return weights


def _gradients(losses: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[tuple[Tensor | None, ...]]:
    last = len(losses) - 1
    return [
        torch.autograd.grad(loss, parameters, retain_graph=number < last, allow_unused=True)
        for number, loss in enumerate(losses)
    ]


def _or_zero(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient
