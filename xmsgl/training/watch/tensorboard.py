"""The history of a training as event files of TensorBoard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from xmsgl.util.arguments import checked
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import os

    from torch.utils.tensorboard.writer import SummaryWriter

    from xmsgl.training.watch.standing import Standing

__all__ = ["TensorBoardLog", "tag"]

_GROUPS = ("loss", "weight", "validation")


def tag(name: str) -> str:
    """Name a quantity of the history so that TensorBoard groups it with similar ones."""
    group, _, rest = name.partition("_")
    return f"{group}/{rest}" if rest and group in _GROUPS else name


class TensorBoardLog:
    """Writes losses, task weights, learning rate and validation scores of each epoch to a folder.

    One run for ``tensorboard --logdir``; an ensemble has one in each of the folders ``member0``, ``member1``,
    ... The step is the epoch. A resumed training writes its earlier epochs again, so that the folder can be a
    new one; earlier trainings in the folder are hidden.
    """

    @checked
    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require("tensorboard", "TensorBoardLog", extra="tensorboard")
        from torch.utils.tensorboard import writer

        self._library = writer
        self._folder = Path(folder)
        self._writer: SummaryWriter | None = None
        self._member = -1
        self._written = 0

    def __call__(self, standing: Standing, /) -> None:
        """Write the epochs not written before."""
        if self._writer is None or standing.member != self._member:
            self.close()
            folder = self._folder / f"member{standing.member}" if standing.members > 1 else self._folder
            # From step 1 on, because a resumed training writes its earlier epochs again.
            self._writer = self._library.SummaryWriter(str(folder), purge_step=1)
            self._member, self._written = standing.member, 0
        for epoch in range(self._written, standing.state.epoch):
            for name, values in standing.state.history.items():
                if name != "epoch" and not math.isnan(values[epoch]):
                    self._writer.add_scalar(tag(name), values[epoch], epoch + 1)
        self._written = standing.state.epoch
        self._writer.flush()

    def close(self) -> None:
        """Close the files; another training begins new ones."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
