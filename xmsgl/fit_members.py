"""The members of a model, trained one after another: one checkpoint and one progress bar for all."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xmsgl.models.model import Model
from xmsgl.options import get_option
from xmsgl.train.checkpoint import Trained, read_checkpoint, read_finished, write_checkpoint
from xmsgl.train.loop import run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from xmsgl.models.model import ModelSpec
    from xmsgl.models.registry import NetworkModel
    from xmsgl.train.loop import LoopSettings, Progress, Source

__all__ = ["Files", "train_members"]

logger = logging.getLogger("xmsgl")


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
    """

    checkpoint: str | os.PathLike[str] | None
    resume: str | os.PathLike[str] | None
    run_of: Mapping[str, Any]

    def read(self) -> tuple[Progress | None, list[Trained]]:
        """Return where a member stands, and the members that are done."""
        if self.resume is None:
            return None, []
        return read_checkpoint(self.resume, self.run_of), read_finished(self.resume)

    def write(self, reached: Progress, done: list[Trained]) -> None:
        """Note where a member stands, and the members that are done."""
        if self.checkpoint is not None:
            write_checkpoint(self.checkpoint, reached, self.run_of, done)


def train_members(
    spec: ModelSpec,
    count: int,
    module_of: Callable[[int], NetworkModel],
    source_of: Callable[[int], Source],
    settings: LoopSettings,
    files: Files,
    progress: bool | None,
) -> Model:
    """Train a model, or the members of an ensemble.

    Parameters
    ----------
    spec
        Of the first member; the others differ in their seed.
    count
        Members.
    module_of, source_of
        Give a seed its module, on its device, and its batches.
    settings
        How to train; the seeds count up from this one.
    files
        What to go on from.
    progress
        Draw a bar that counts the epochs of all members; default: the option ``progress``.

    Returns
    -------
    Model
        An ensemble where there are two members or more.

    References
    ----------
    Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474.
    """
    state, done = files.read()
    with _bar(settings.epochs * count, spec.method, progress) as move:
        for number in range(len(done), count):
            seed = settings.seed + number

            def after_epoch(reached: Progress, before: int = settings.epochs * number) -> None:
                files.write(reached, done)
                move(before + reached.epoch, reached)

            if count > 1:
                logger.info("member %d of %d, with seed %d", number + 1, count, seed)
            member = replace(settings, seed=seed)
            final = run(module_of(seed), source_of(seed), member, resume=state, after_epoch=after_epoch)
            done.append(Trained(final.best, final.history))
            state = None
    models = [
        Model(replace(spec, training={**spec.training, "seed": settings.seed + number}), *trained)
        for number, trained in enumerate(done)
    ]
    return models[0] if count == 1 else Model.join(models)


@contextmanager
def _bar(epochs: int, method: str, progress: bool | None) -> Iterator[Callable[[int, Progress], None]]:
    if not (get_option("progress") if progress is None else progress):
        yield lambda _, __: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=epochs, desc=f"train {method}", unit="epoch") as bar:

        def move(epoch: int, state: Progress) -> None:
            bar.update(epoch - bar.n)
            if scores := state.history.get("validation"):
                bar.set_postfix_str(f"validation {scores[-1]:.3f} degC, best {state.best_score:.3f}")

        yield move
