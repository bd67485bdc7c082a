"""The members of a model, trained one after another: one checkpoint and the same observers for all."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from xmsgl.models.file.model import Model
from xmsgl.training.checkpoint import Trained, read_checkpoint, read_finished, write_checkpoint
from xmsgl.training.loop import run
from xmsgl.training.watch.standing import Standing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from xmsgl.models.file.model import ModelSpec
    from xmsgl.models.methods.base import NetworkModel
    from xmsgl.training.loop import LoopSettings, Progress, Source
    from xmsgl.training.watch.standing import Observer

__all__ = ["Files", "train_members"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """Where a training leaves what it goes on from.

    Attributes
    ----------
    checkpoint
        File rewritten after every epoch, or None.
    resume
        Checkpoint to go on from, or None.
    run_of
        What the training was started with, plain JSON values: a checkpoint of another one is refused.
    training
        Provenance of the model that will come of it, plain JSON values: a checkpoint tells it, too.
    """

    checkpoint: str | os.PathLike[str] | None
    resume: str | os.PathLike[str] | None
    run_of: Mapping[str, Any]
    training: Mapping[str, Any]

    def read(self) -> tuple[Progress | None, list[Trained]]:
        """Return where a member stands, and the members that are done."""
        if self.resume is None:
            return None, []
        return read_checkpoint(self.resume, self.run_of), read_finished(self.resume)

    def write(self, reached: Progress, done: list[Trained]) -> None:
        """Note where a member stands, and the members that are done."""
        if self.checkpoint is not None:
            write_checkpoint(self.checkpoint, reached, self.run_of, done, self.training)


def train_members(
    spec: ModelSpec,
    count: int,
    module_of: Callable[[int], NetworkModel],
    source_of: Callable[[int], Source],
    settings: LoopSettings,
    files: Files,
    observers: Sequence[Observer] = (),
) -> Model:
    """Train a model, or the members of an ensemble.

    References
    ----------
    Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474.
    """
    state, done = files.read()
    for number in range(len(done), count):
        seed = settings.seed + number
        stands = partial(Standing, spec.method, number, count, settings.epochs)
        told: list[Callable[[Progress], None]] = [partial(_tell, each, stands) for each in observers]
        # The checkpoint comes last: no epoch is kept that the observers were not told of.
        told.append(partial(files.write, done=done))
        if count > 1:
            logger.info("member %d of %d, with seed %d", number + 1, count, seed)
        member = replace(settings, seed=seed)
        final = run(module_of(seed), source_of(seed), member, resume=state, observers=told)
        done.append(Trained(final.best, final.history))
        state = None
    models = [
        Model(replace(spec, training={**spec.training, "seed": settings.seed + number}), *trained)
        for number, trained in enumerate(done)
    ]
    return models[0] if count == 1 else Model.join(models)


def _tell(observer: Observer, stands: Callable[[Progress], Standing], reached: Progress) -> None:
    observer(stands(reached))
