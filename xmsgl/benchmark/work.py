"""One run from beginning to end: split, learn, predict, score, write."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.machine import code_digest, describe_machine, versions
from xmsgl.benchmark.methods import Place, contender
from xmsgl.benchmark.protocols import make_split
from xmsgl.benchmark.scores import pair_up, score_pairs
from xmsgl.benchmark.store import Store
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.util.options import set_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmsgl.benchmark.methods import Outcome
    from xmsgl.benchmark.protocols import Split
    from xmsgl.benchmark.runs import Run

__all__ = ["execute"]


def execute(
    run: Run, folder: Path, *, device: str = "cpu", tell: Callable[[int], None] = lambda _: None
) -> None:
    """Do a run, or the rest of it, and write its files."""
    store = Store(Path(folder))
    wall, cpu = time.perf_counter(), time.process_time()
    with set_options(progress=False):
        split = make_split(run)
        outcome = contender(run.method).run(
            split, run.seed, run.settings, Place(store.work(run.id), device, tell)
        )
        pairs = pair_up(outcome.prediction, split)
    took = {"wall_s": time.perf_counter() - wall + outcome.earlier, "cpu_s": time.process_time() - cpu}
    scores = score_pairs(pairs)
    record = {
        "id": run.id,
        "run": run.to_dict(),
        "n": len(pairs),
        "labels": _labels(split, run),
        **took,
        "resumed": outcome.earlier > 0,
        **_about(outcome),
        "device": str(resolve_device(device)) if outcome.model is not None else "cpu",
        "hardware": describe_machine(device),
        "versions": versions(),
        "code": code_digest(),
        "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    model = None if outcome.model is None else outcome.model.payload
    store.finish(run.id, record, pairs=pairs, scores=scores, model=model)


def _labels(split: Split, run: Run) -> dict[str, int]:
    """Count the labels that the method learned from, those of the validation among them."""
    used = contender(run.method).sources(run.settings)
    names = {scale: f"water_temperature_{scale}" for scale in ("fine", "coarse") if scale in used}
    return {
        scale: int(split.training[name].count()) for scale, name in names.items() if name in split.training
    }


def _about(outcome: Outcome) -> dict[str, Any]:
    """Say what a network is and how it was trained."""
    if outcome.model is None:
        return {}
    return {
        "parameters": sum(tensor.numel() for tensor in outcome.model.weights.values()),
        "sha256": outcome.model.sha256,
        "history": outcome.model.history,
        "epoch_seconds": outcome.epoch_seconds,
    }
