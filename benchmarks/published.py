"""One training step as published, written from its description, for comparison.

Dense graph operators, the cell day by day through autograd, every task computed separately from its
inputs: three forward and backward passes for the gradients of the shared parameters, then three forward
passes and one backward pass for the weighted sum. Two parts are cheaper than in the publication: the head of
the interpolation task, whose attention scores for every reach of the Delaware would take 6.9 GB, is fused and
computed at labelled reaches only; and the fine task's context, which passes no gradient, is computed without
autograd.

The modules and weights are those of :class:`xmsgl.models.methods.msgl.MSGL`, so that both compute the same.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025.
.. [2] Sener and Koltun, Multi-task learning as multi-objective optimization, NeurIPS 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.dense import dense_cell
from xmsgl.models.cell.given import CellWeights

if TYPE_CHECKING:
    from xmsgl.models.methods.heads import TemporalAttention
    from xmsgl.models.methods.msgl import MSGL

TASKS = ("coarse", "interpolation", "fine")


@dataclass(frozen=True)
class PublishedWindow:
    """One window over both networks.

    Attributes
    ----------
    x_coarse, x_fine
        Standardised inputs, (day, node, feature).
    y_coarse, y_fine
        Standardised labels, (day, node), NaN where there is none.
    A_coarse, A_fine, M
        Dense operators: the graphs of the two scales, and (fine, coarse).
    """

    x_coarse: Tensor
    x_fine: Tensor
    y_coarse: Tensor
    y_fine: Tensor
    A_coarse: Tensor
    A_fine: Tensor
    M: Tensor


class PublishedStep:
    """Steps of Adam on the three tasks, weighted by multiple-gradient descent.

    Parameters
    ----------
    module
        With ``anchored=False`` and without segment identities, as published.
    learning_rate
        Learning rate of Adam.

    Attributes
    ----------
    losses, weights
        Loss and weight of each task in the last step.
    """

    def __init__(self, module: MSGL, learning_rate: float = 0.005) -> None:
        if module.anchored or module.identity is not None or module.tasks != TASKS:
            msg = "the published model has three tasks, no anchor and no identities"
            raise ValueError(msg)
        self.module = module.train()
        self.optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
        self.losses: dict[str, float] = {}
        self.weights: dict[str, float] = {}

    def __call__(self, window: PublishedWindow) -> None:
        """Take one step: six forward and four backward passes."""
        shared = self.module.shared_parameters()
        gradients = []
        for task in TASKS:
            self.optimizer.zero_grad(set_to_none=True)
            loss = self._loss(task, window)
            loss.backward()
            gradients.append(torch.cat([parameter.grad.ravel() for parameter in shared]))
            self.losses[task] = float(loss.detach())
        stacked = torch.stack(gradients).double()
        scales = stacked.norm(dim=1) * torch.tensor([self.losses[task] for task in TASKS])
        normalised = stacked / scales[:, None]
        weights = nearest_to_zero((normalised @ normalised.T).numpy())
        self.weights = dict(zip(TASKS, weights.tolist(), strict=True))
        self.optimizer.zero_grad(set_to_none=True)
        total = sum(self.weights[task] * self._loss(task, window) for task in TASKS)
        total.backward()
        self.optimizer.step()

    def _loss(self, task: str, window: PublishedWindow) -> Tensor:
        if task == "coarse":
            hidden = self._cell(window.x_coarse, window.A_coarse)
            return pooled_rmse(self.module.coarse_head(hidden), window.y_coarse)
        if task == "interpolation":
            carried = torch.matmul(window.M, self._cell(window.x_coarse, window.A_coarse))
            labelled = torch.isfinite(window.y_fine).any(dim=0)
            return pooled_rmse(self._attended(carried[:, labelled]), window.y_fine[:, labelled])
        with torch.no_grad():
            context = torch.matmul(window.M, self._cell(window.x_coarse, window.A_coarse))
        own = self._cell(window.x_fine, window.A_fine)
        return pooled_rmse(self.module.fine_head(context, own), window.y_fine)

    def _attended(self, carried: Tensor) -> Tensor:
        """Run the head of the interpolation task over (day, node, channel), with torch's own attention."""
        head = self.module.interpolation_head
        once = _look(head.first, carried.transpose(0, 1))
        return head.out(once + _look(head.second, once)).T

    def _cell(self, x: Tensor, A: Tensor) -> Tensor:
        cell = self.module.cell
        return dense_cell(x, A, CellWeights(cell.W_ih, cell.W_hh, cell.b, cell.W_q, cell.b_q))


def _look(block: TemporalAttention, x: Tensor) -> Tensor:
    """Apply attention between the days of (node, day, channel)."""
    heads = [part.unflatten(-1, (block.heads, -1)).transpose(1, 2) for part in block.project(x).chunk(3, -1)]
    attended = torch.nn.functional.scaled_dot_product_attention(*heads)
    return block.norm(x + block.mix(attended.transpose(1, 2).flatten(-2)))


def pooled_rmse(output: Tensor, label: Tensor) -> Tensor:
    """Root of the mean square error over all observed (day, node)."""
    observed = torch.isfinite(label)
    return (output[observed] - label[observed]).square().mean().sqrt()


def nearest_to_zero(gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of the point of a convex hull that is nearest to zero, from a search of all its faces.

    Within the hull of some of the vectors, the nearest point of their plane has the same inner product
    with each of them.
    """
    best, least = np.zeros(len(gram)), np.inf
    for size in range(1, len(gram) + 1):
        for face in map(list, combinations(range(len(gram)), size)):
            solution = np.linalg.lstsq(gram[np.ix_(face, face)], np.ones(size), rcond=None)[0]
            weights = np.zeros(len(gram))
            weights[face] = solution / solution.sum()
            square = weights @ gram @ weights
            if (weights >= 0).all() and square < least:
                best, least = weights, square
    return best
