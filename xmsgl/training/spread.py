"""A training, and the trainings of one model on the workers of a Dask cluster, a task for each."""

from __future__ import annotations

import copy
import threading
import warnings
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask

from xmsgl.errors import InvalidArgumentError, ProcessError
from xmsgl.models.methods.trees import Trees
from xmsgl.training.loop import run
from xmsgl.training.team import ALONE, Team
from xmsgl.training.threads import repeatable
from xmsgl.training.trees import grow
from xmsgl.util.cluster import is_connected, of_a_cluster
from xmsgl.util.options import get_option, set_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xmsgl.training.loop import LoopSettings, Progress
    from xmsgl.training.prepare import Prepared
    from xmsgl.training.source import DeviceBatches

__all__ = ["fit", "spread", "uses_cluster"]

# Held by the training of a worker: random numbers of torch and options are those of the whole process.
_TURN = threading.Lock()


def uses_cluster() -> bool:
    """Return whether trainings are spread: not where a worker itself trains."""
    return dask.config.get("scheduler", None) == "dask.distributed" and is_connected()


def spread(runs: Sequence[tuple[Prepared, LoopSettings]], state: Progress | None) -> Iterator[Progress]:
    """Train on the workers and yield the ends in order; `state` continues the first of them.

    What a training learns from is sent once, and kept by the scheduler in case that a worker is lost.
    """
    import distributed

    if any(ready.source.on_disk for ready, _ in runs):
        msg = (
            "the drivers are larger than training_memory and stay on disk, from where they cannot be sent to "
            "workers; give a larger training_memory, or train without a cluster"
        )
        raise InvalidArgumentError(msg)
    client = distributed.Client.current()  # type: ignore[no-untyped-call]
    sent: dict[int, Any] = {}
    tasks = []
    try:
        for number, (ready, settings) in enumerate(runs):
            if id(ready) not in sent:
                needed = ready.source, ready.module_of
                # Not scattered: what is lost with a worker could not be sent again.
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Sending large graph")
                    sent[id(ready)] = client.submit(tuple, needed, key=f"xmsgl-train-data-{uuid4().hex}")
            begun = state if number == 0 else None
            key = f"xmsgl-train-{ready.spec.method}-{settings.seed}-{uuid4().hex}"
            given = sent[id(ready)], settings, begun, get_option("deterministic")
            tasks.append(client.submit(_train, *given, key=key))
        for task in tasks:
            yield _result(task)
    finally:
        client.cancel([task for task in tasks if not task.done()])


def _result(task: Any) -> Progress:
    """Wait for the end of a training; say which was given up with the workers that it was on."""
    try:
        found: Progress = task.result()
    except Exception as error:
        if not of_a_cluster(error):
            raise
        msg = f"{task.key} was given up by the cluster ({type(error).__name__}); see the logs of its workers"
        raise ProcessError(msg) from error
    return found


def fit(
    source: DeviceBatches,
    module_of: Callable[[int], Any],
    settings: LoopSettings,
    state: Progress | None,
    observers: Sequence[Callable[[Progress], None]] = (),
    team: Team = ALONE,
) -> Progress:
    """Train one network, or grow trees, from the beginning or from a state."""
    module, drawn = module_of(settings.seed), source.drawn(settings.seed, team)
    if isinstance(module, Trees):
        return grow(module, drawn, settings, resume=state, observers=observers)
    return run(module, drawn, settings, resume=state, observers=observers, team=team)


def _train(
    needed: tuple[DeviceBatches, Callable[[int], Any]],
    settings: LoopSettings,
    state: Progress | None,
    deterministic: bool,
) -> Progress:
    """Train on a worker, where options are not those of the caller."""
    source, module_of = needed

    def fresh(seed: int) -> Any:
        """Copy the module, which may be begun with once more where a worker is lost."""
        return copy.deepcopy(module_of(seed))

    with _TURN, set_options(deterministic=deterministic), repeatable():
        return fit(source, fresh, settings, state)
