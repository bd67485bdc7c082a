"""The training loop: from batches on a device to the best weights."""

from __future__ import annotations

import copy
import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from xmsgl.errors import DeviceMemoryError, DivergenceError
from xmsgl.models.cell.rounding import tiny_as_zero
from xmsgl.models.methods.base import TASK_SCALES, NetworkModel
from xmsgl.training.averaging import update_mean
from xmsgl.training.losses import masked_rmse, masked_squares
from xmsgl.training.memory import freed_memory_kept
from xmsgl.training.stages import Stage
from xmsgl.training.team import ALONE, Team
from xmsgl.training.weighting import multi_task_backward

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from xmsgl.models.parts.batch import Batch

logger = logging.getLogger(__name__)

#: Which weights training returns.
KEEPS: dict[str, str] = {
    "best": "those of the epoch with the lowest validation error",
    "last": "those of the last epoch, as published; validation is only reported",
}


# A stage of fewer epochs keeps its own rate: with two steps down it would hardly move.
_FALLS = 3
# Validation RMSE over that of the coarse task from which a stage is reported as too short.
_BEHIND = 1.2


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the loop, see :class:`xmsgl.training.settings.TrainSettings`.

    Without `stages`, all tasks learn from observed labels; epochs beyond the last stage belong to it. With a
    learning rate for each stage, a stage begins with the weights kept from the one before and with new
    moments, and its rate falls over its own epochs.
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
    """A batch on its device, with the labels of each scale."""

    batch: Batch
    labels: dict[str, Tensor]  # standardised, (day, node, window), NaN where there is none
    name: str  # first days of the windows, for messages
    scored: Tensor | None = None  # (day, window), where coarse labels are still to be carried to reaches
    carry: tuple[float, float] = (1.0, 0.0)  # factor and offset from standardised coarse to fine temperature


class Source(Protocol):
    """Provides the batches of a training."""

    def training(self, epoch: int, stage: Stage) -> Iterable[LabelledBatch]:
        """Batches of an epoch with the inputs and labels of a stage."""

    def validation(self, tasks: Collection[str]) -> Iterable[LabelledBatch]:
        """Batches to validate some tasks with; none without validation days."""

    def use_smaller_batches(self) -> int:
        """Halve the number of windows in a batch from now on, and return it; 0 if it was one window."""

    @property
    def deviation(self) -> Mapping[str, float]:
        """Standard deviation of the labels at each scale, degC."""


@dataclass
class Progress:
    """The state of a training after an epoch; all that a resumed run needs."""

    epoch: int  # epochs done
    module: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]  # weights to use, of the best epoch so far or of the last, as `keep` says
    best_score: float = float("inf")  # validation RMSE of the best epoch, degC
    best_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)  # one entry an epoch
    teacher: dict[str, Tensor] = field(default_factory=dict)  # weights that predict carried labels
    average: dict[str, Tensor] = field(default_factory=dict)  # running mean of the weights


def run(
    module: NetworkModel,
    source: Source,
    settings: LoopSettings,
    *,
    resume: Progress | None = None,
    observers: Sequence[Callable[[Progress], None]] = (),
    team: Team = ALONE,
) -> Progress:
    """Train a module, alone or with the other processes of a team.

    Random numbers depend on the seed and the number of the epoch alone, so a resumed run gives the same
    weights as an uninterrupted one, bit for bit on CPU. An epoch for which the GPU is too small begins anew
    with smaller batches.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate(settings, 1))
    state = resume or Progress(0, _weights(module), optimizer.state_dict(), _weights(module))
    _put_back(module, optimizer, state)
    device = next(module.parameters()).device
    generators = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with generators, freed_memory_kept(), tiny_as_zero():
        while True:
            for observer in observers:
                observer(state)
            if state.epoch >= settings.epochs or _stalled(state, settings):
                return state
            try:
                state = _epoch(module, optimizer, source, settings, state, team)
            except torch.cuda.OutOfMemoryError as error:
                _use_less(source, state.epoch + 1, error, team)
            else:
                continue
            _put_back(module, optimizer, state)


def _put_back(module: NetworkModel, optimizer: torch.optim.Optimizer, state: Progress) -> None:
    """Return weights and moments to those after an epoch."""
    module.load_state_dict(state.module)
    groups = optimizer.state_dict()["param_groups"]  # those of these settings, whatever a file says
    optimizer.load_state_dict({"state": copy.deepcopy(state.optimizer["state"]), "param_groups": groups})


def _use_less(source: Source, epoch: int, error: torch.cuda.OutOfMemoryError, team: Team) -> None:
    """Halve the batches, if that is possible: the processes of a team must keep theirs equal."""
    windows = 0 if team.size > 1 else source.use_smaller_batches()
    if not windows:
        fewer = "a smaller batch, " if team.size > 1 else ""
        msg = (
            f"the GPU is out of memory in epoch {epoch}; give {fewer}a shorter window or a smaller hidden, "
            "or use device='cpu'"
        )
        raise DeviceMemoryError(msg) from error
    logger.warning(
        "the GPU is out of memory: epoch %d begins anew with %d windows in a batch", epoch, windows
    )


def _epoch(
    module: NetworkModel,
    optimizer: torch.optim.Optimizer,
    source: Source,
    settings: LoopSettings,
    state: Progress,
    team: Team,
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
    average = {name: value.clone() for name, value in state.average.items()}
    if epoch == first > 1 and isinstance(settings.learning_rate, tuple):
        module.load_state_dict(state.best)
        optimizer.state.clear()
        average.clear()
    row |= _train_epoch(module, optimizer, batches, settings, stage.tasks, average, team)
    weights = _weights(module)
    kept = average or weights
    module.load_state_dict(kept)
    row |= validate(module, source, stage.tasks, amp=settings.amp, team=team)
    module.load_state_dict(weights)
    score = row.get("validation", -float(epoch))  # without validation the last epoch is the best
    if not np.isfinite(score):
        msg = f"the validation score of epoch {epoch} is not finite; lower learning_rate"
        raise DivergenceError(msg)
    # Scores of different tasks are not comparable, so every stage starts anew.
    better = score < state.best_score or epoch == first
    names = dict.fromkeys([*state.history, *row])
    blank = [float("nan")] * state.epoch
    history = {name: [*state.history.get(name, blank), row.get(name, float("nan"))] for name in names}
    if epoch == _last(settings, stage, first):
        _report_short_stage(history, stage, first)
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
        average,
    )


def stage_at(settings: LoopSettings, tasks: Collection[str], epoch: int) -> tuple[Stage, int]:
    """Return the stage an epoch (counted from 1) belongs to, and that stage's first epoch."""
    first = 1
    for stage in settings.stages:
        if epoch < first + stage.epochs or stage is settings.stages[-1]:
            return stage, first
        first += stage.epochs
    return Stage(settings.epochs, tuple(tasks)), 1


def _last(settings: LoopSettings, stage: Stage, first: int) -> int:
    """Return the last epoch of the stage that begins with epoch `first`."""
    final = not settings.stages or stage is settings.stages[-1]
    return settings.epochs if final else first + stage.epochs - 1


def _report_short_stage(history: Mapping[str, Sequence[float]], stage: Stage, first: int) -> None:
    """Warn about tasks that end a stage far behind the coarse task."""
    scores = {name: np.array(values) for name, values in history.items()}
    coarse = np.nanmin(scores.get("validation_coarse", np.array([np.inf])))
    for task in stage.tasks:
        behind = scores.get(f"validation_{task}", np.array([]))[first - 1 :]
        if task != "coarse" and behind.size and (best := np.nanmin(behind)) > _BEHIND * coarse:
            logger.warning(
                "task %s ends its stage of %d epochs with a validation RMSE of %.2f degC, the coarse task "
                "has %.2f degC; give the stage more epochs, see epochs and pretrain",
                *(task, len(behind), best, coarse),
            )


def _carried(
    batches: Iterable[LabelledBatch], module: NetworkModel, weights: Mapping[str, Tensor], *, amp: bool
) -> Iterator[LabelledBatch]:
    """Label the reaches of each batch with the temperature that a teacher predicts for their segments."""
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
    """Return the learning rate of an epoch (counted from 1), multiplied by 0.3 in two steps.

    With 60 epochs the steps are after epochs 40 and 50, as published. With a rate for each stage, the steps
    are those of the stage, and a stage of one or two epochs keeps its rate.
    """
    rate, first, epochs = settings.learning_rate, 1, settings.epochs
    if isinstance(rate, tuple):
        stage, first = stage_at(settings, (), epoch)
        last = stage is settings.stages[-1]
        epochs = settings.epochs - first + 1 if last else stage.epochs
        rate = rate[[each is stage for each in settings.stages].index(True)]
        if epochs < _FALLS:
            return rate
    steps = sum(epoch - first + 1 > epochs * share for share in (2 / 3, 5 / 6))
    return rate * 0.3**steps


def _train_epoch(
    module: NetworkModel,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[LabelledBatch],
    settings: LoopSettings,
    tasks: Collection[str],
    average: dict[str, Tensor],
    team: Team,
) -> dict[str, float]:
    module.train()
    learned = [each for each in module.parameters() if each.requires_grad]
    shared = [each for each in module.shared_parameters() if each.requires_grad]
    longest = float("inf") if settings.clip is None else settings.clip
    sums = defaultdict[str, list[float]](list)
    for item in batches:
        with _autocast(module, amp=settings.amp):
            outputs = module.task_outputs(item.batch, tasks) if item.labels else {}
        losses = _losses(outputs, item, module, tasks, team)
        if not losses:
            continue
        if bad := [task for task, loss in losses.items() if not bool(torch.isfinite(loss))]:
            msg = (
                f"the loss of task {', '.join(bad)} is not finite in the windows starting on {item.name}; "
                "check the drivers of those days, or lower learning_rate"
            )
            raise DivergenceError(msg)
        optimizer.zero_grad(set_to_none=True)
        weights = multi_task_backward(
            losses,
            shared,
            learned,
            weighting=settings.weighting,
            team=team,
        )
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), longest)
        if not bool(torch.isfinite(norm)):
            msg = f"the gradient is not finite in the windows starting on {item.name}; lower learning_rate"
            raise DivergenceError(msg)
        optimizer.step()
        if settings.average:
            update_mean(average, module, settings.average)
        for task, loss in losses.items():
            sums[f"loss_{task}"].append(float(loss.detach()))
            sums[f"weight_{task}"].append(float(weights[task]))
    return {name: float(np.mean(values)) for name, values in sums.items()}


def validate(
    module: NetworkModel, source: Source, tasks: Collection[str], *, amp: bool = False, team: Team = ALONE
) -> dict[str, float]:
    """Return the RMSE of a module on the validation batches, degC."""
    module.eval()
    squares, counts = defaultdict[str, float](float), defaultdict[str, float](float)
    with torch.no_grad():
        for item in source.validation(tasks):
            if not item.labels:  # the windows of this step are those of other processes
                continue
            with _autocast(module, amp=amp):
                outputs = module.task_outputs(item.batch, tasks)
            for task, label in _targets(outputs, item):
                error = (outputs[task].double() - label)[torch.isfinite(label)]
                squares[task] += float(error.square().sum())
                counts[task] += error.numel()
    names = [task for task in module.tasks if task in tasks]
    squares, counts = (defaultdict(float, team.sums(each, names)) for each in (squares, counts))
    rmse = {
        task: source.deviation[TASK_SCALES[task]] * (squares[task] / counts[task]) ** 0.5
        for task in squares
        if counts[task]
    }
    if not rmse:
        return {}
    # The interpolation task counts where it predicts, that is without the fine task.
    judged = [value for task, value in rmse.items() if task != "interpolation" or "fine" not in rmse]
    named = {f"validation_{task}": value for task, value in rmse.items()}
    return {**named, "validation": float(np.mean(judged))}


def _targets(outputs: Mapping[str, Tensor], item: LabelledBatch) -> Iterator[tuple[str, Tensor]]:
    return ((task, item.labels[scale]) for task in outputs if (scale := TASK_SCALES[task]) in item.labels)


def _losses(
    outputs: Mapping[str, Tensor],
    item: LabelledBatch,
    module: NetworkModel,
    tasks: Collection[str],
    team: Team,
) -> dict[str, Tensor]:
    """Return the RMSE of each task with labels, of all processes of a team."""
    if team.size == 1:
        found = {task: masked_rmse(outputs[task].float(), label) for task, label in _targets(outputs, item)}
        return {task: loss for task, loss in found.items() if loss is not None}
    squares = {task: masked_squares(outputs[task].float(), label) for task, label in _targets(outputs, item)}
    names = [task for task in module.tasks if task in tasks]
    learned = next(each for each in module.parameters() if each.requires_grad)
    return team.losses(squares, names, learned)


def _autocast(module: NetworkModel, *, amp: bool) -> torch.autocast:
    device = next(module.parameters()).device.type
    return torch.autocast(device, dtype=torch.bfloat16, enabled=amp)


def _weights(module: NetworkModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _stalled(state: Progress, settings: LoopSettings) -> bool:
    last = sum(stage.epochs for stage in settings.stages[:-1])
    if settings.patience is None or state.epoch <= last:
        return False  # the last stage has not begun
    return state.epoch - state.best_epoch >= settings.patience
