"""The members of a model, trained one after another with one checkpoint and the same observers."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from xmsgl.models.file.model import Model
from xmsgl.models.methods.trees import Trees
from xmsgl.training.checkpoint import Trained, read_checkpoint, write_checkpoint
from xmsgl.training.loop import run
from xmsgl.training.trees import grow
from xmsgl.training.watch.standing import Standing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from xmsgl.training.loop import Progress
    from xmsgl.training.prepare import Prepared
    from xmsgl.training.watch.standing import Observer

__all__ = ["train_members"]

logger = logging.getLogger(__name__)


def train_members(
    ready: Prepared,
    count: int,
    *,
    checkpoint: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    observers: Sequence[Observer],
) -> Model:
    """Train a model, or the members of an ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474)."""
    spec, settings = ready.spec, ready.loop
    state, done = (None, []) if resume is None else read_checkpoint(resume, ready.run_of)

    def notify(number: int, reached: Progress) -> None:
        for observer in observers:
            observer(Standing(spec.method, number, count, settings.epochs, reached))
        if checkpoint is not None:  # last, so that observers have seen every epoch in it
            write_checkpoint(checkpoint, reached, ready.run_of, done, spec.training)

    for number in range(len(done), count):
        seed = settings.seed + number
        if count > 1:
            logger.info("member %d of %d, with seed %d", number + 1, count, seed)
        member = replace(settings, seed=seed)
        module, source = ready.module_of(seed), ready.source.drawn(seed)
        fit: Callable[..., Progress] = grow if isinstance(module, Trees) else run
        final = fit(module, source, member, resume=state, observers=[partial(notify, number)])
        done.append(Trained(final.best, final.history))
        state = None
    models = [
        Model(replace(spec, training={**spec.training, "seed": settings.seed + number}), *trained)
        for number, trained in enumerate(done)
    ]
    return models[0] if count == 1 else Model.join(models)
