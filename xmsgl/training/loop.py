"""The training loop: batches in, the best weights out. Knows tensors, not labels."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from xmsgl.errors import DivergenceError
from xmsgl.models.cell.rounding import tiny_as_zero
from xmsgl.models.methods.base import TASK_SCALES, NetworkModel
from xmsgl.training.averaging import RunningMean
from xmsgl.training.losses import masked_rmse
from xmsgl.training.memory import freed_memory_kept
from xmsgl.training.stages import Stage
from xmsgl.training.weighting import multi_task_backward

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from xmsgl.models.parts.batch import Batch

logger = logging.getLogger(__name__)

#: Which epoch's weights training returns.
KEEPS: dict[str, str] = {
    "best": "of the epoch with the lowest validation error",
    "last": "of the last epoch, as published; validation only watches",
}


@dataclass(frozen=True)
class LoopSettings:
    """How to train.

    Attributes
    ----------
    epochs
        Passes over the training windows, at most.
    stages
        What they train, in order, see :func:`xmsgl.training.stages.stages_of`; none: all tasks on observed
        labels throughout. Epochs beyond the last stage belong to it.
    learning_rate
        Of Adam at the start; times 0.3 after two thirds and five sixths of the epochs. Several: one a stage,
        each of which then is a training of its own: it begins with the weights kept of the stage before and
        with fresh moments, and its rate falls over its own epochs.
    clip
        Largest norm of the gradient; None: as it is.
    patience
        Epochs without a better validation score before stopping; None never stops early.
    weighting
        ``"mgda"`` or ``"uniform"``.
    seed
        Draws dropout.
    amp
        bfloat16 autocast; only on a GPU.
    average
        Share of its past that a running mean of the weights keeps at each step, in [0, 1); this mean is
        what is validated and kept. 0: the weights themselves.
    keep
        Weights to use at the end of each stage: one of `KEEPS`. Without validation both are the last.
    """

    epochs: int = 60
    stages: tuple[Stage, ...] = ()
    learning_rate: float | tuple[float, ...] = 0.005
    clip: float | None = 3.0
    patience: int | None = None
    weighting: str = "uniform"
    seed: int = 0
    amp: bool = False
    average: float = 0.0
    keep: str = "best"


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
    scored
        Days that count, boolean (day, window); only where labels are to be carried from the coarse scale.
    carry
        Factor and offset that turn a standardised coarse temperature into a standardised fine one.
    """

    batch: Batch
    labels: dict[str, Tensor]
    name: str
    scored: Tensor | None = None
    carry: tuple[float, float] = (1.0, 0.0)


class Source(Protocol):
    """Where batches come from."""

    def training(self, epoch: int, stage: Stage) -> Iterable[LabelledBatch]:
        """Batches of an epoch, in its order, with what the tasks of a stage need."""

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
        Weights to use: of the best epoch so far, or of the last where that is what is kept.
    best_score, best_epoch
        The best epoch's validation RMSE (degC) and number.
    history
        A list a quantity, one entry an epoch.
    teacher
        Weights that predict the labels of this stage, where they are carried; else empty.
    average
        Running mean of the weights, where one is kept; else empty.
    """

    epoch: int
    module: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]
    best_score: float = float("inf")
    best_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    teacher: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)


def run(
    module: NetworkModel,
    source: Source,
    settings: LoopSettings,
    *,
    resume: Progress | None = None,
    observers: Sequence[Callable[[Progress], None]] = (),
) -> Progress:
    """Train a module.

    Everything random in an epoch is drawn from the seed and the epoch's number, so a run that was
    stopped and resumed gives the weights of one that was not, bit for bit on CPU.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate(settings, 1))
    state = resume or Progress(0, _weights(module), optimizer.state_dict(), _weights(module))
    module.load_state_dict(state.module)
    optimizer.load_state_dict(copy.deepcopy(state.optimizer))
    _tell(observers, state)
    device = next(module.parameters()).device
    generators = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with generators, freed_memory_kept(), tiny_as_zero():
        while state.epoch < settings.epochs and not _stalled(state, settings):
            state = _epoch(module, optimizer, source, settings, state)
            _tell(observers, state)
    return state


def _tell(observers: Sequence[Callable[[Progress], None]], state: Progress) -> None:
    for observer in observers:
        observer(state)


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
    stage, first = stage_at(settings, module.tasks, epoch)
    teacher = {} if stage.labels != "carried" else state.best if epoch == first else state.teacher
    batches = source.training(epoch, stage)
    if teacher:
        batches = _carried(batches, module, teacher, amp=settings.amp)
    anew = epoch == first > 1 and isinstance(settings.learning_rate, tuple)
    if anew:
        module.load_state_dict(state.best)
        optimizer.state.clear()
    average = RunningMean(settings.average, {} if anew else state.average)
    row |= _train_epoch(module, optimizer, batches, settings, stage.tasks, average)
    weights = _weights(module)
    kept = average.weights or weights
    module.load_state_dict(kept)
    row |= validate(module, source, stage.tasks, amp=settings.amp)
    module.load_state_dict(weights)
    score = row.get("validation", -float(epoch))  # without validation the last epoch is kept
    if not np.isfinite(score):
        msg = f"the validation score of epoch {epoch} is not finite; lower learning_rate"
        raise DivergenceError(msg)
    # Scores of different tasks do not compare: every stage starts anew.
    better = score < state.best_score or epoch == first
    names = dict.fromkeys([*state.history, *row])
    blank = [float("nan")] * state.epoch
    history = {name: [*state.history.get(name, blank), row.get(name, float("nan"))] for name in names}
    logger.info("epoch %d: %s", epoch, ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return Progress(
        epoch,
        weights,
        copy.deepcopy(optimizer.state_dict()),
        kept if better or settings.keep == "last" else state.best,
        score if better else state.best_score,
        epoch if better else state.best_epoch,
        history,
        teacher,
        average.weights,
    )


def stage_at(settings: LoopSettings, tasks: Collection[str], epoch: int) -> tuple[Stage, int]:
    """Return the stage an epoch (counted from 1) belongs to, and that stage's first epoch."""
    first = 1
    for stage in settings.stages:
        if epoch < first + stage.epochs or stage is settings.stages[-1]:
            return stage, first
        first += stage.epochs
    return Stage(settings.epochs, tuple(tasks)), 1


def _carried(
    batches: Iterable[LabelledBatch], module: NetworkModel, weights: Mapping[str, Tensor], *, amp: bool
) -> Iterator[LabelledBatch]:
    """Label the fine nodes of each batch with the temperature a teacher predicts for their segment."""
    teacher = copy.deepcopy(module).eval()
    teacher.load_state_dict(dict(weights))
    for item in batches:
        coarse = replace(item.batch, coarse_nodes=item.batch.all_coarse_nodes())
        with torch.no_grad(), _autocast(module, amp=amp):
            segments = teacher.task_outputs(coarse, ("coarse",))["coarse"].float()
        carried = item.batch.remapper().rows(item.batch.nodes("fine")).matmul_days(segments)
        factor, offset = item.carry
        labels = carried * factor + offset
        if item.scored is not None:
            labels = torch.where(item.scored[:, None], labels, torch.nan)
        yield replace(item, labels={**item.labels, "fine": labels})


def learning_rate(settings: LoopSettings, epoch: int) -> float:
    """Return the learning rate of an epoch (counted from 1): two steps down by 0.3.

    At 60 epochs the steps fall on epochs 40 and 50, as published. Where each stage has its own rate, they
    are the stage's own steps.
    """
    rate, first, epochs = settings.learning_rate, 1, settings.epochs
    if isinstance(rate, tuple):
        stage, first = stage_at(settings, (), epoch)
        last = stage is settings.stages[-1]
        epochs = settings.epochs - first + 1 if last else stage.epochs
        rate = rate[[each is stage for each in settings.stages].index(True)]
    steps = sum(epoch - first + 1 > epochs * share for share in (2 / 3, 5 / 6))
    return rate * 0.3**steps


def _train_epoch(
    module: NetworkModel,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[LabelledBatch],
    settings: LoopSettings,
    tasks: Collection[str],
    average: RunningMean,
) -> dict[str, float]:
    module.train()
    longest = float("inf") if settings.clip is None else settings.clip
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
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), longest)
        if not bool(torch.isfinite(norm)):
            msg = f"the gradient is not finite in the windows starting {item.name}; lower learning_rate"
            raise DivergenceError(msg)
        optimizer.step()
        average.update(module)
        for task, loss in losses.items():
            sums.setdefault(f"loss_{task}", []).append(float(loss.detach()))
            sums.setdefault(f"weight_{task}", []).append(float(weights[task]))
    return {name: float(np.mean(values)) for name, values in sums.items()}


def validate(
    module: NetworkModel, source: Source, tasks: Collection[str], *, amp: bool = False
) -> dict[str, float]:
    """Score a module on the validation batches."""
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


def _stalled(state: Progress, settings: LoopSettings) -> bool:
    last = sum(stage.epochs for stage in settings.stages[:-1])
    if settings.patience is None or state.epoch <= last:
        return False  # never before the last stage has had its turn
    return state.epoch - state.best_epoch >= settings.patience
