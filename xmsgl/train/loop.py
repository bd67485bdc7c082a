"""The training loop: batches in, the best weights out. Knows tensors, not labels."""

from __future__ import annotations

import copy
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from xmsgl.errors import DivergenceError
from xmsgl.models.registry import TASK_SCALES, NetworkModel
from xmsgl.train.losses import masked_rmse
from xmsgl.train.mgda import multi_task_backward

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from xmsgl.models.batch import Batch

logger = logging.getLogger("xmsgl")


@dataclass(frozen=True)
class LoopSettings:
    """How to train.

    Attributes
    ----------
    epochs
        Passes over the training windows, at most.
    pretrain
        How many of them, the first ones, train the coarse task alone; cheap, for its graph is small.
    learning_rate
        Of Adam at the start; times 0.3 after two thirds and five sixths of the epochs.
    clip
        Largest norm of the gradient.
    patience
        Epochs without a better validation score before stopping; None never stops early.
    weighting
        ``"mgda"`` or ``"uniform"``.
    seed
        Draws dropout.
    amp
        bfloat16 autocast; only on a GPU.
    """

    epochs: int = 60
    pretrain: int = 0
    learning_rate: float = 0.005
    clip: float = 3.0
    patience: int | None = None
    weighting: str = "mgda"
    seed: int = 0
    amp: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class LabelledBatch:
    """A batch on its device, with the labels of each scale.

    Attributes
    ----------
    batch
        What the module takes.
    labels
        Standardised labels by scale, (day, node, window), NaN where there is none.
    name
        First days of the windows, for messages.
    """

    batch: Batch
    labels: dict[str, Tensor]
    name: str


class Source(Protocol):
    """Where batches come from."""

    def training(self, epoch: int, tasks: Collection[str]) -> Iterable[LabelledBatch]:
        """Batches of an epoch, in its order, with what some tasks need."""

    def validation(self, tasks: Collection[str]) -> Iterable[LabelledBatch]:
        """Batches to judge some tasks by; none if nothing was kept for it."""

    @property
    def deviation(self) -> Mapping[str, float]:
        """What a standardised degree is worth at each scale, degC."""


@dataclass
class Progress:
    """Where training stands after a whole number of epochs; all that a resumed run needs.

    Attributes
    ----------
    epoch
        Epochs done.
    module, optimizer
        Their states.
    best
        Weights of the best epoch so far.
    best_score, best_epoch
        Its validation RMSE (degC) and number.
    history
        A list a quantity, one entry an epoch.
    """

    epoch: int
    module: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]
    best_score: float = float("inf")
    best_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)


def run(
    module: NetworkModel,
    source: Source,
    settings: LoopSettings,
    *,
    resume: Progress | None = None,
    after_epoch: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train a module.

    Everything random in an epoch is drawn from the seed and the epoch's number, so a run that was
    stopped and resumed gives the weights of one that was not, bit for bit on CPU.

    Parameters
    ----------
    module
        On its device; holds the last epoch's weights afterwards.
    source
        Batches for training and validation.
    settings
        How to train.
    resume
        Where an earlier run stood.
    after_epoch
        Called with the state after each epoch, and once before the first; writes checkpoints and
        moves progress bars.

    Returns
    -------
    Progress
        The final state; ``best`` holds the weights to use.

    Raises
    ------
    DivergenceError
        A loss or gradient is not finite; the message names the batch.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
    state = resume or Progress(0, _weights(module), optimizer.state_dict(), _weights(module))
    module.load_state_dict(state.module)
    optimizer.load_state_dict(copy.deepcopy(state.optimizer))
    notify = after_epoch or (lambda _: None)
    notify(state)
    device = next(module.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        while state.epoch < settings.epochs and not _stalled(module, state, settings):
            state = _epoch(module, optimizer, source, settings, state)
            notify(state)
    return state


def _epoch(
    module: NetworkModel,
    optimizer: torch.optim.Optimizer,
    source: Source,
    settings: LoopSettings,
    state: Progress,
) -> Progress:
    epoch = state.epoch + 1
    torch.manual_seed(int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1)[0]))
    rate = learning_rate(settings, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    row = {"epoch": float(epoch), "learning_rate": rate}
    pretrain = _pretraining(module, settings)
    tasks = ("coarse",) if epoch <= pretrain else module.tasks
    row |= _train_epoch(module, optimizer, source.training(epoch, tasks), settings, tasks)
    row |= validate(module, source, tasks, amp=settings.amp)
    score = row.get("validation", -float(epoch))  # without validation the last epoch is kept
    if not np.isfinite(score):
        msg = f"the validation score of epoch {epoch} is not finite; lower learning_rate"
        raise DivergenceError(msg)
    # Scores of the coarse task alone and of all tasks do not compare: the second stage starts anew.
    better = score < state.best_score or epoch == pretrain + 1
    weights = _weights(module)
    names = dict.fromkeys([*state.history, *row])
    blank = [float("nan")] * state.epoch
    history = {name: [*state.history.get(name, blank), row.get(name, float("nan"))] for name in names}
    logger.info("epoch %d: %s", epoch, ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return Progress(
        epoch,
        weights,
        copy.deepcopy(optimizer.state_dict()),
        weights if better else state.best,
        score if better else state.best_score,
        epoch if better else state.best_epoch,
        history,
    )


def learning_rate(settings: LoopSettings, epoch: int) -> float:
    """Return the learning rate of an epoch (counted from 1): two steps down by 0.3.

    At 60 epochs the steps fall on epochs 40 and 50, as published.
    """
    steps = sum(epoch > settings.epochs * share for share in (2 / 3, 5 / 6))
    return settings.learning_rate * 0.3**steps


def _train_epoch(
    module: NetworkModel,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[LabelledBatch],
    settings: LoopSettings,
    tasks: Collection[str],
) -> dict[str, float]:
    module.train()
    sums: dict[str, list[float]] = {}
    for item in batches:
        with _autocast(module, amp=settings.amp):
            outputs = module.task_outputs(item.batch, tasks)
        losses = _losses(outputs, item)
        if not losses:
            continue
        if bad := [task for task, loss in losses.items() if not bool(torch.isfinite(loss))]:
            msg = (
                f"the loss of task {', '.join(bad)} is not finite in the windows starting {item.name}; "
                "check the drivers of those days, or lower learning_rate"
            )
            raise DivergenceError(msg)
        optimizer.zero_grad(set_to_none=True)
        weights = multi_task_backward(
            losses, module.shared_parameters(), list(module.parameters()), weighting=settings.weighting
        )
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        if not bool(torch.isfinite(norm)):
            msg = f"the gradient is not finite in the windows starting {item.name}; lower learning_rate"
            raise DivergenceError(msg)
        optimizer.step()
        for task, loss in losses.items():
            sums.setdefault(f"loss_{task}", []).append(float(loss.detach()))
            sums.setdefault(f"weight_{task}", []).append(float(weights[task]))
    return {name: float(np.mean(values)) for name, values in sums.items()}


def validate(
    module: NetworkModel, source: Source, tasks: Collection[str], *, amp: bool = False
) -> dict[str, float]:
    """Score a module on the validation batches.

    Parameters
    ----------
    module
        The module; left in evaluation mode.
    source
        Where the batches come from.
    tasks
        Tasks to score.
    amp
        As in training.

    Returns
    -------
    dict
        RMSE (degC) of each task and, as ``validation``, the mean of the coarse and the fine task's;
        empty without validation labels.
    """
    module.eval()
    squares: dict[str, float] = {}
    counts: dict[str, int] = {}
    with torch.no_grad():
        for item in source.validation(tasks):
            with _autocast(module, amp=amp):
                outputs = module.task_outputs(item.batch, tasks)
            for task, label in _targets(outputs, item):
                error = (outputs[task].double() - label)[torch.isfinite(label)]
                squares[task] = squares.get(task, 0.0) + float(error.square().sum())
                counts[task] = counts.get(task, 0) + error.numel()
    rmse = {
        task: source.deviation[TASK_SCALES[task]] * (squares[task] / counts[task]) ** 0.5
        for task in squares
        if counts[task]
    }
    if not rmse:
        return {}
    judged = [rmse[task] for task in ("coarse", "fine") if task in rmse]
    return {f"validation_{task}": value for task, value in rmse.items()} | {
        "validation": float(np.mean(judged or list(rmse.values())))
    }


def _targets(outputs: Mapping[str, Tensor], item: LabelledBatch) -> Iterator[tuple[str, Tensor]]:
    return ((task, item.labels[scale]) for task in outputs if (scale := TASK_SCALES[task]) in item.labels)


def _losses(outputs: Mapping[str, Tensor], item: LabelledBatch) -> dict[str, Tensor]:
    found = {task: masked_rmse(outputs[task].float(), label) for task, label in _targets(outputs, item)}
    return {task: loss for task, loss in found.items() if loss is not None}


def _autocast(module: NetworkModel, *, amp: bool) -> torch.autocast:
    device = next(module.parameters()).device.type
    return torch.autocast(device, dtype=torch.bfloat16, enabled=amp)


def _weights(module: NetworkModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _pretraining(module: NetworkModel, settings: LoopSettings) -> int:
    """Return the epochs of the coarse task alone: none for a model that has no other, or not this one."""
    return settings.pretrain if "coarse" in module.tasks and len(module.tasks) > 1 else 0


def _stalled(module: NetworkModel, state: Progress, settings: LoopSettings) -> bool:
    if settings.patience is None or state.epoch <= _pretraining(module, settings):
        return False  # never before the other tasks have had their turn
    return state.epoch - state.best_epoch >= settings.patience
