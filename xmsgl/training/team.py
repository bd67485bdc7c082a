"""Several processes that train one model, each on its share of the windows of a step.

Losses and gradients are those of one process with all windows of the step: the sums of squares and the
numbers of labels are added up before the root is taken, and gradients before they are clipped.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from xmsgl.errors import ProcessError
from xmsgl.training.losses import SMALLEST_SQUARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ALONE", "Team", "joined"]


@dataclass(frozen=True)
class Team:
    """A process among those that train together."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Team:
        """Return the processes of the default group of ``torch.distributed``, or this one alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return ALONE

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Add up values, of the same shape everywhere."""
        if self.size > 1:
            try:
                dist.all_reduce(values)
            except RuntimeError as error:
                msg = (
                    f"process {self.rank} of {self.size} has lost the others: one of them has ended, see its "
                    "message; start again with resume= and the checkpoint"
                )
                raise ProcessError(msg) from error
        return values

    def sums(self, values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
        """Add up named numbers; a name that a process lacks counts 0."""
        if self.size == 1:
            return dict(values)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        own = torch.tensor([values.get(name, 0.0) for name in names], dtype=torch.float64, device=device)
        return dict(zip(names, self.total(own).tolist(), strict=True))

    def losses(
        self, squares: Mapping[str, tuple[Tensor, int]], tasks: Sequence[str], parameter: Tensor
    ) -> dict[str, Tensor]:
        """Return the RMSE of each task over all processes, with this one's share of its gradient.

        `squares` are sums of squared errors and numbers of labels here; `parameter` joins a task without
        labels here to the graph.
        """
        own = {
            f"{task} {k}": float(torch.as_tensor(each[k]).detach())
            for task, each in squares.items()
            for k in (0, 1)
        }
        sums = self.sums(own, [f"{task} {k}" for task in tasks for k in (0, 1)])
        found = {}
        for task in tasks:
            if not (count := sums.get(f"{task} 1", 0.0)):
                continue
            rmse = max(sums[f"{task} 0"] / count, SMALLEST_SQUARE) ** 0.5
            local = squares[task][0] if task in squares else parameter.sum() * 0.0
            share = local / (2 * rmse * count)
            found[task] = share + (rmse - share.detach())
        return found

    def gradients(
        self, gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]
    ) -> list[Tensor | None]:
        """Add up gradients; None where no process has one."""
        if self.size == 1:
            return list(gradients)
        known = parameters[0].new_tensor([each is not None for each in gradients])
        flat = [
            torch.zeros_like(own).ravel() if each is None else each.ravel()
            for each, own in zip(gradients, parameters, strict=True)
        ]
        summed = self.total(torch.cat([known, *flat]))
        parts = torch.split(summed[len(known) :], [own.numel() for own in parameters])
        return [
            part.view_as(own) if present else None
            for part, own, present in zip(parts, parameters, summed[: len(known)].tolist(), strict=True)
        ]


#: A process that trains by itself.
ALONE = Team()


@contextmanager
def joined() -> Iterator[Team]:
    """Join the processes that ``torchrun`` started; without it, this process is alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        yield Team.current()
        return
    graphics = torch.cuda.is_available()
    if graphics:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if graphics else "gloo")
    try:
        yield Team.current()
    finally:
        dist.destroy_process_group()
