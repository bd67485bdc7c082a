"""The members of a model, trained one after another with one checkpoint and the same observers."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.file.model import Model
from xmsgl.models.methods.trees import Trees
from xmsgl.training.checkpoint import Trained, check_fit, read_checkpoint, write_checkpoint
from xmsgl.training.spread import fit, spread, uses_cluster
from xmsgl.training.team import Team
from xmsgl.training.watch.standing import Standing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from xmsgl.training.loop import Progress
    from xmsgl.training.prepare import Prepared
    from xmsgl.training.watch.standing import Observer

__all__ = ["train_members"]

logger = logging.getLogger(__name__)


def train_members(
    prepared: Sequence[Prepared],
    *,
    checkpoint: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    observers: Sequence[Observer],
) -> list[Model]:
    """Train a model for each preparation, or an ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474).

    On a cluster several trainings are spread over the workers, and observers see the end of each only.
    """
    team = Team.current()
    if team.size > 1 and any(isinstance(ready.module_of(ready.loop.seed), Trees) for ready in prepared):
        msg = "trees have no gradients for processes to share; name a network, or train without torchrun"
        raise InvalidArgumentError(msg)
    run_of = prepared[0].run_of if len(prepared) == 1 else _each(ready.run_of for ready in prepared)
    state, done = (None, []) if resume is None else read_checkpoint(resume, run_of)
    runs = [
        (ready, replace(ready.loop, seed=ready.loop.seed + k))
        for ready in prepared
        for k in range(ready.members)
    ]

    if resume is not None:
        if len(done) > len(runs):
            msg = f"{resume} has {len(done)} finished trainings of {len(runs)}; train without resume"
            raise CheckpointError(msg)
        found: list[Progress | Trained] = [*done, *([state] if state else [])]
        for (ready, loop), reached in zip(runs, found, strict=False):
            check_fit(resume, ready.module_of(loop.seed), reached)

    def notify(number: int, reached: Progress) -> None:
        spec, settings = runs[number][0].spec, runs[number][1]
        for observer in observers:
            observer(Standing(spec.method, number, len(runs), settings.epochs, reached))
        if checkpoint is not None:  # last, so that observers have seen every epoch in it
            write_checkpoint(checkpoint, reached, run_of, done, spec.training)

    left = runs[len(done) :]
    if team.size == 1 and len(runs) > 1 and uses_cluster():
        logger.info("%d trainings on the workers of the cluster", len(left))
        for number, final in enumerate(spread(left, state), len(done)):
            notify(number, final)
            done.append(Trained(final.best, final.history))
        left = []
    for number, (ready, settings) in enumerate(left, len(done)):
        if len(runs) > 1:
            what = ready.spec.method, number + 1, len(runs), settings.seed
            logger.info("%s, member %d of %d, with seed %d", *what)
        watching = [partial(notify, number)] if team.leads else []
        final = fit(ready.source, ready.module_of, settings, state, watching, team)
        done.append(Trained(final.best, final.history))
        state = None
    models = [
        Model(replace(ready.spec, training={**ready.spec.training, "seed": settings.seed}), *trained)
        for (ready, settings), trained in zip(runs, done, strict=True)
    ]
    ends = np.cumsum([0, *(ready.members for ready in prepared)]).tolist()
    return [
        models[first] if stop - first == 1 else Model.join(models[first:stop])
        for first, stop in pairwise(ends)
    ]


def _each(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"part{number}": run for number, run in enumerate(runs)}
