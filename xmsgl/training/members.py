"""The members of a model, trained one after another with one checkpoint and the same observers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from xmsgl.models.file.model import Model
from xmsgl.training.checkpoint import Trained, read_checkpoint, write_checkpoint
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
    """The checkpoint files of a training."""

    checkpoint: str | os.PathLike[str] | None  # rewritten after every epoch
    resume: str | os.PathLike[str] | None  # read at the start
    run_of: Mapping[str, Any]  # identifies the training, plain JSON values; other checkpoints are refused
    training: Mapping[str, Any]  # provenance of the model, plain JSON values

    def read(self) -> tuple[Progress | None, list[Trained]]:
        """Return the state of the current member, and the members trained before."""
        return (None, []) if self.resume is None else read_checkpoint(self.resume, self.run_of)

    def write(self, reached: Progress, done: list[Trained]) -> None:
        """Write the state of the current member, and the members trained before."""
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
    """Train a model, or the members of an ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474)."""
    state, done = files.read()
    for number in range(len(done), count):
        seed = settings.seed + number
        standing = partial(Standing, spec.method, number, count, settings.epochs)
        called: list[Callable[[Progress], None]] = [partial(_call, each, standing) for each in observers]
        # The checkpoint comes last, so that observers have seen every epoch in it.
        called.append(partial(files.write, done=done))
        if count > 1:
            logger.info("member %d of %d, with seed %d", number + 1, count, seed)
        member = replace(settings, seed=seed)
        final = run(module_of(seed), source_of(seed), member, resume=state, observers=called)
        done.append(Trained(final.best, final.history))
        state = None
    models = [
        Model(replace(spec, training={**spec.training, "seed": settings.seed + number}), *trained)
        for number, trained in enumerate(done)
    ]
    return models[0] if count == 1 else Model.join(models)


def _call(observer: Observer, standing: Callable[[Progress], Standing], reached: Progress) -> None:
    observer(standing(reached))
