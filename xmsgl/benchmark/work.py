"""One run: split, train, predict, score, write."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from xmsgl.benchmark.machine import code_digest, describe_machine, versions
from xmsgl.benchmark.methods import Place, contender
from xmsgl.benchmark.protocols import make_split
from xmsgl.benchmark.scores import pair_up, score_pairs
from xmsgl.benchmark.sources import COARSE, FINE
from xmsgl.benchmark.store import Store
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.util.options import set_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmsgl.benchmark.protocols import Split
    from xmsgl.benchmark.runs import Run

__all__ = ["execute"]


def execute(
    run: Run, folder: Path, *, device: str = "cpu", tell: Callable[[int], None] = lambda _: None
) -> None:
    """Execute a run, or the rest of it, and write its files."""
    store = Store(Path(folder))
    wall, cpu = time.perf_counter(), time.process_time()
    with set_options(progress=False):
        split = make_split(run)
        place = Place(store.work(run.id), device, tell)
        outcome = contender(run.method).run(split, run.seed, run.settings, place)
        pairs = pair_up(outcome.prediction, split)
    about, model = {}, outcome.model
    if model is not None:
        about = {
            "parameters": sum(tensor.numel() for tensor in model.weights.values()),
            "sha256": model.sha256,
            "history": model.history,
            "epoch_seconds": outcome.epoch_seconds,
        }
    took = {"wall_s": time.perf_counter() - wall + outcome.earlier, "cpu_s": time.process_time() - cpu}
    record = {
        "id": run.id,
        "run": run.to_dict(),
        "n": len(pairs),
        "labels": _labels(split, run),
        **took,
        "resumed": outcome.earlier > 0,
        **about,
        "device": "cpu" if model is None else str(resolve_device(device)),
        "hardware": describe_machine(device),
        "versions": versions(),
        "code": code_digest(),
        "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    payload = None if model is None else model.payload
    store.finish(run.id, record, pairs=pairs, scores=score_pairs(pairs), model=payload)


def _labels(split: Split, run: Run) -> dict[str, int]:
    """Count the labels that the method learned from, validation included."""
    used = contender(run.method).sources(run.settings)
    names = {"fine": FINE, "coarse": COARSE}
    return {
        scale: int(split.training[name].count())
        for scale, name in names.items()
        if scale in used and name in split.training
    }
