"""Fit boosted trees to the batches of a training, and keep as many as validation finds best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from xmsgl.models.methods.base import TASK_SCALES
from xmsgl.training.loop import LabelledBatch, LoopSettings, Progress, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xmsgl.inputs.scales import FloatArray
    from xmsgl.models.methods.trees import Trees

__all__ = ["grow"]


def grow(
    module: Trees,
    source: Source,
    settings: LoopSettings,
    *,
    resume: Progress | None = None,
    observers: Sequence[Callable[[Progress], None]] = (),
) -> Progress:
    """Fit the trees of a module, as :func:`xmsgl.training.loop.run` trains a network; an epoch is a tree."""
    weights = module.state_dict()
    state = resume or Progress(0, weights, {"state": {}, "param_groups": []}, weights)
    for observer in observers:
        observer(state)
    if state.epoch:
        return state
    state = _grown(module, source, settings, state)
    for observer in observers:
        observer(state)
    return state


def _grown(module: Trees, source: Source, settings: LoopSettings, state: Progress) -> Progress:
    (task,), (rate,) = module.tasks, np.ravel(settings.learning_rate)
    rows, labels = _gather(module, source.training(1, settings.stages[-1]))
    module.fit(rows, labels, learning_rate=float(rate), seed=settings.seed)
    losses = _scores(module, rows, labels)
    best, score = len(losses), -float(len(losses))  # without validation all trees are the best
    history = {"epoch": [float(tree) for tree in range(1, best + 1)], f"loss_{task}": losses}
    held, kept = _gather(module, source.validation(module.tasks))
    if kept.size:
        deviation = source.deviation[TASK_SCALES[task]]
        history["validation"] = [deviation * value for value in _scores(module, held, kept)]
        history[f"validation_{task}"] = history["validation"]
        if settings.keep == "best":
            best = int(np.argmin(history["validation"])) + 1
        score = history["validation"][best - 1]
    module.keep(best)
    weights = module.state_dict()
    return Progress(len(losses), weights, state.optimizer, weights, score, best, history)


def _gather(module: Trees, batches: Iterable[LabelledBatch]) -> tuple[FloatArray, FloatArray]:
    """Return the inputs, (row, feature), and the standardised labels, (row,), of all labels."""
    scale = module.prediction_scale
    rows, labels = [np.zeros((0, 0), np.float32)], [np.zeros(0, np.float32)]
    for item in batches:
        seen = torch.isfinite(item.labels[scale])
        rows.append(module.inputs(item.batch).index_select(1, item.batch.nodes(scale))[seen].cpu().numpy())
        labels.append(item.labels[scale][seen].cpu().numpy())
    return np.concatenate(rows[1:] or rows), np.concatenate(labels)


def _scores(module: Trees, rows: FloatArray, labels: FloatArray) -> list[float]:
    """Return the RMSE, standardised, with the first tree, the first two, and so on."""
    return [float(np.sqrt(np.square(values - labels).mean())) for values in module.staged(rows)]
