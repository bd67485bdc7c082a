"""Checkpoints: the state of a training in one safetensors file, to resume it bit for bit."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.file import storage
from xmsgl.models.file.check import check_weights
from xmsgl.training.loop import Progress
from xmsgl.util.plain import read_plain
from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from xmsgl.models.methods.base import NetworkModel

logger = logging.getLogger(__name__)

_FORMAT = 1
_VERSIONS = "training.versions."
_WEIGHTS = ("module", "best", "teacher", "average")


@dataclass(frozen=True)
class Header:
    """The metadata of a checkpoint."""

    format: int
    settings: dict[str, Any]
    training: dict[str, Any]
    epoch: int
    best_score: float | None
    best_epoch: int
    history: dict[str, Any]
    groups: tuple[dict[str, Any], ...]
    finished: tuple[dict[str, Any], ...]


class Trained(NamedTuple):
    """A trained member of an ensemble."""

    weights: dict[str, Tensor]
    history: dict[str, list[float]]  # one entry an epoch


def write_checkpoint(
    path: str | os.PathLike[str],
    progress: Progress,
    settings: Mapping[str, Any],
    finished: Sequence[Trained] = (),
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write the state of a training, whole or not at all."""
    moments = progress.optimizer["state"]
    # Clones, because weights may share memory, which safetensors refuses to write twice.
    tensors: dict[str, Tensor] = {
        f"{part}/{name}": value.clone()
        for part in _WEIGHTS
        for name, value in getattr(progress, part).items()
    }
    tensors |= {
        f"adam/{index}/{key}": value for index, slot in moments.items() for key, value in slot.items()
    }
    tensors |= {
        f"finished/{k}/{name}": value.clone()
        for k, member in enumerate(finished)
        for name, value in member.weights.items()
    }
    header = Header(
        format=_FORMAT,
        settings=dict(settings),
        training=dict(training or {}),
        epoch=progress.epoch,
        # Infinite before the first epoch, which JSON cannot write.
        best_score=progress.best_score if progress.best_epoch else None,
        best_epoch=progress.best_epoch,
        history=progress.history,
        groups=tuple(progress.optimizer["param_groups"]),
        finished=tuple(member.history for member in finished),
    )
    write_bytes(path, storage.to_bytes(tensors, vars(header)))


def read_header(values: Mapping[str, Any], origin: str) -> Header:
    """Read the metadata of a checkpoint."""
    if values.get("format") != _FORMAT or "settings" not in values:
        msg = f"{origin} is not a training checkpoint of this version of xmsgl; load a model with load_model"
        raise CheckpointError(msg)
    try:
        header: Header = read_plain(Header, values, "header")
    except InvalidArgumentError as error:
        raise _damaged(origin, error) from error
    return header


def _damaged(origin: object, error: object) -> CheckpointError:
    return CheckpointError(f"{origin} is not a valid checkpoint: {error}; train without resume")


def read_checkpoint(
    path: str | os.PathLike[str], settings: Mapping[str, Any]
) -> tuple[Progress, list[Trained]]:
    """Read the state of a training with the same settings, and the members trained before."""
    tensors, values = storage.from_bytes(storage.read(path), str(path))
    header = read_header(values, str(path))
    saved, settings = _flat(header.settings), _flat(settings)
    differing = [name for name in sorted({*saved, *settings}) if saved.get(name) != settings.get(name)]
    if upgraded := [name for name in differing if name.startswith(_VERSIONS)]:
        # The run is the same, but rounding may differ from here on.
        versions = (
            f"{name.removeprefix(_VERSIONS)} {saved.get(name)}, now {settings.get(name)}" for name in upgraded
        )
        logger.warning("%s was begun with other versions: %s", path, "; ".join(versions))
        differing = [name for name in differing if name not in upgraded]
    if differing:
        lines = "; ".join(
            f"{name}: {saved.get(name)!r} in the file, now {settings.get(name)!r}" for name in differing
        )
        msg = f"{path} belongs to another run ({lines}); resume with the same settings and data"
        raise CheckpointError(msg)
    moments: dict[int, dict[str, Tensor]] = {}
    score = header.best_score
    try:
        for name, tensor in tensors.items():
            if name.startswith("adam/"):
                _, index, key = name.split("/")
                moments.setdefault(int(index), {})[key] = tensor
        finished = [
            Trained(_part(tensors, f"finished/{k}/"), storage.restore_history(history))
            for k, history in enumerate(header.finished)
        ]
        history = storage.restore_history(header.history)
    except ValueError as error:  # InvalidArgumentError too
        raise _damaged(path, error) from error
    progress = Progress(
        epoch=header.epoch,
        optimizer={"state": moments, "param_groups": list(header.groups)},
        best_score=float("inf") if score is None else score,
        best_epoch=header.best_epoch,
        history=history,
        **{part: _part(tensors, f"{part}/") for part in _WEIGHTS},
    )
    return progress, finished


def check_fit(origin: object, module: NetworkModel, reached: Progress | Trained) -> None:
    """Refuse the state of a training, or its result, whose weights do not fit its module."""
    try:
        if isinstance(reached, Trained):
            check_weights(module, reached.weights, "weights finished/")
            return
        for part in _WEIGHTS:
            weights = getattr(reached, part)
            if weights or part in ("module", "best"):
                check_weights(module, weights, f"weights {part}/")
        _check_moments(module, reached.optimizer["state"])
    except InvalidArgumentError as error:
        raise _damaged(origin, error) from error


def _check_moments(module: NetworkModel, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
    shapes = [tuple(each.shape) for each in module.parameters()]
    for index, slot in moments.items():
        own = shapes[index] if 0 <= index < len(shapes) else None
        found = {key: tuple(value.shape) for key, value in slot.items()}
        if own is None or found != {"step": (), "exp_avg": own, "exp_avg_sq": own}:
            msg = f"weights adam/{index}/ do not fit parameter {index} of {len(shapes)}"
            raise InvalidArgumentError(msg)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested settings by their path, such as ``loop.learning_rate``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
