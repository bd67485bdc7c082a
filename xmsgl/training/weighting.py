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

    Parameters
    ----------
    gram
        Inner products ``(k, k)``, symmetric and positive semi-definite.

    Returns
    -------
    numpy.ndarray
        Weights ``(k,)``, not negative, summing to 1. Where several points do equally well, one of them.

    Raises
    ------
    InvalidArgumentError
        If `gram` is not a square matrix of finite numbers.

    Examples
    --------
    Two orthogonal vectors, the second twice as long, so that it gets a fifth:

    >>> min_norm_weights([[1.0, 0.0], [0.0, 4.0]]).round(6).tolist()
    [0.8, 0.2]
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

    Parameters
    ----------
    gradients
        Flat gradient of each task on the shared parameters.
    losses
        Loss of each task, not negative.

    Returns
    -------
    numpy.ndarray
        One weight a task, summing to 1; they multiply the losses as they are.

    Examples
    --------
    >>> import torch
    >>> task_weights([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 9.0])], [1.0, 1.0]).round(6).tolist()
    [0.5, 0.5]
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
    """Give every task the same weight.

    Parameters
    ----------
    losses
        Loss of each task; only their number matters.

    Returns
    -------
    numpy.ndarray
        ``1 / k`` for each of k tasks.

    Examples
    --------
    >>> uniform_weights([1.0, 2.0, 3.0, 4.0]).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
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

    Parameters
    ----------
    losses
        A scalar for each task that has labels in the batch.
    shared
        Parameters whose gradients decide the weights.
    parameters
        All parameters to train, the shared ones among them. Their ``.grad`` is overwritten; None for
        those no task reaches.
    weighting
        ``"mgda"`` or ``"uniform"``, see `WEIGHTINGS`.

    Returns
    -------
    dict
        The weight of each task; they sum to 1.

    Raises
    ------
    DivergenceError
        If a loss is not finite; names the tasks.
    InvalidArgumentError
        If there is no task.
    UnknownNameError
        If no weighting has that name.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> weights = multi_task_backward({"a": w[0] ** 2, "b": w[1] ** 2}, [w], [w], weighting="mgda")
    >>> {task: round(weight, 6) for task, weight in weights.items()}
    {'a': 0.5, 'b': 0.5}
    >>> w.grad.tolist()
    [1.0, 1.0]
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
