"""Stages of training: which tasks learn from which labels, one after the other.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025,
   doi:10.1609/aaai.v39i27.35014.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING

from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.names import PROCESS_COARSE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["LABELS", "PLANS", "Plan", "Stage", "stage_rates", "stages_of"]

#: Where the labels of a stage come from.
LABELS: dict[str, str] = {
    "observed": "observed temperatures",
    "carried": "pseudo-labels on all reaches and days, predicted by the coarse task of the previous stage",
    "process": f"{PROCESS_COARSE}, on all segments and days",
}


@dataclass(frozen=True)
class Stage:
    """Epochs that train the same tasks on the same kind of labels."""

    epochs: int
    tasks: tuple[str, ...]
    labels: str = "observed"  # one of LABELS


@dataclass(frozen=True)
class Plan:
    """The stages of a method."""

    before: tuple[tuple[str, str, float], ...] = ()  # task, labels, share of the epochs before the last stage
    share: float = 0.5  # share of all epochs before the last stage, by default
    last: tuple[str, ...] | None = None  # tasks of the last stage, on observed labels; None: all
    optional: bool = False  # the stages before are left out where their labels or tasks are missing


#: Plans by method; other methods have one stage.
PLANS: dict[str, Plan] = {
    "msgl": Plan((("coarse", "observed", 1.0),), optional=True),
    "dynamic-msgl": Plan((("coarse", "observed", 1.0),), optional=True),
    "async-msgl": Plan((("coarse", "observed", 2 / 3), ("interpolation", "carried", 1 / 3))),
    "direct": Plan((("coarse", "process", 1.0),), last=("fine",)),
    "progressive": Plan((("coarse", "observed", 0.5), ("fine", "carried", 0.5)), share=2 / 3, last=("fine",)),
}


def stages_of(
    method: str,
    tasks: Collection[str],
    epochs: int,
    pretrain: int | Sequence[int] | None,
    *,
    coarse_labels: bool,
    process: bool,
) -> tuple[Stage, ...]:
    """Divide the epochs of a method into stages."""
    plan = PLANS.get(method, Plan(optional=True))
    missing = _missing(plan, tasks, coarse_labels=coarse_labels, process=process)
    if missing and not plan.optional:
        msg = f"method {method!r} needs {' and '.join(missing)}; use another method, for example 'msgl'"
        raise InvalidArgumentError(msg)
    last = tuple(plan.last or tasks)
    before = () if missing or last == ("coarse",) else plan.before
    given = _whole(pretrain)
    if isinstance(given, list):
        return _as_given(epochs, given, before, last)
    spent = _epochs_before(epochs, given, plan, needed=bool(before) and not plan.optional)
    if not before or (plan.optional and not spent):
        return (Stage(epochs, last),)
    if spent < len(before):
        msg = f"pretrain={spent} must be at least {len(before)}, one epoch for each stage before the last"
        raise InvalidArgumentError(msg)
    stages, left = [], spent
    for number, (task, labels, share) in enumerate(before, 1):
        rest = len(before) - number
        count = left if not rest else min(max(1, round(spent * share)), left - rest)
        stages.append(Stage(count, (task,), labels))
        left -= count
    return (*stages, Stage(epochs - spent, last))


def _whole(pretrain: int | Sequence[int] | None) -> int | list[int] | None:
    """Return numbers of epochs as Python integers, and refuse other values."""
    if pretrain is None:
        return None
    try:
        return [index(count) for count in pretrain] if isinstance(pretrain, Iterable) else index(pretrain)
    except TypeError:
        msg = f"pretrain must be a whole number of epochs or a list of them, got {pretrain!r}"
        raise InvalidArgumentError(msg) from None


def _as_given(
    epochs: int, counts: Sequence[int], before: tuple[tuple[str, str, float], ...], last: tuple[str, ...]
) -> tuple[Stage, ...]:
    """Give each stage before the last its own number of epochs."""
    if not before:
        msg = f"pretrain={list(counts)}, but this training has only one stage; leave pretrain out"
        raise InvalidArgumentError(msg)
    if len(counts) != len(before) or min(counts, default=1) < 1 or sum(counts) >= epochs:
        msg = (
            f"pretrain={list(counts)} must give each of the {len(before)} stages before the last "
            f"({'; '.join(f'{task}, {labels} labels' for task, labels, _ in before)}) at least one epoch and "
            f"leave at least one of the {epochs} to the last"
        )
        raise InvalidArgumentError(msg)
    stages = [Stage(count, (task,), labels) for count, (task, labels, _) in zip(counts, before, strict=True)]
    return (*stages, Stage(epochs - sum(counts), last))


def _missing(plan: Plan, tasks: Collection[str], *, coarse_labels: bool, process: bool) -> list[str]:
    wanted = [*(task for task, _, _ in plan.before), *(plan.last or ())]
    missing = [f"the task {task!r}" for task in dict.fromkeys(wanted) if task not in tasks]
    kinds = {labels for _, labels, _ in plan.before}
    if "observed" in kinds and not coarse_labels:
        missing.append("finite water_temperature_coarse on training days")
    if "process" in kinds and not process:
        missing.append(f"{PROCESS_COARSE} (time, coarse)")
    return missing


def _epochs_before(epochs: int, pretrain: int | None, plan: Plan, *, needed: bool) -> int:
    if pretrain is None:
        # Each stage before the last needs an epoch, even if its share of few epochs rounds to 0.
        spent = max(int(epochs * plan.share), len(plan.before) if needed else 0)
        if spent >= epochs and needed:
            msg = f"epochs={epochs} is too few for the {len(plan.before) + 1} stages of this method"
            raise InvalidArgumentError(msg)
        return spent
    if pretrain < 0:
        msg = f"pretrain must be at least 0, got {pretrain}"
        raise InvalidArgumentError(msg)
    if pretrain >= epochs:
        msg = f"pretrain={pretrain} leaves no epoch for the other tasks; it must be below epochs={epochs}"
        raise InvalidArgumentError(msg)
    return pretrain


def stage_rates(rate: float | Sequence[float], stages: Sequence[Stage]) -> float | tuple[float, ...]:
    """Return the learning rate of all stages, or one for each stage."""
    if isinstance(rate, float | int):
        return float(rate)
    if len(rate) != len(stages):
        named = "; ".join(f"{', '.join(stage.tasks)} ({stage.epochs} epochs)" for stage in stages)
        msg = (
            f"learning_rate has {len(rate)} values for {len(stages)} stages: {named}; give one value, or one "
            "for each stage"
        )
        raise InvalidArgumentError(msg)
    return tuple(float(each) for each in rate)
