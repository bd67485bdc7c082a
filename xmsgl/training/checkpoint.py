"""Checkpoints: the state of a training in one safetensors file, to resume it bit for bit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.file import storage
from xmsgl.models.file.check import check_weights
from xmsgl.training.loop import Progress
from xmsgl.util.address import without_secrets
from xmsgl.util.plain import read_plain
from xmsgl.util.remote import check_file, located, write_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from xmsgl.models.methods.base import NetworkModel

logger = logging.getLogger(__name__)

_FORMAT = 1
_VERSIONS = "training.versions."
_WEIGHTS = ("module", "best", "teacher", "average")


class Trained(NamedTuple):
    """A trained member of an ensemble."""

    weights: dict[str, Tensor]
    history: dict[str, list[float]]  # one entry an epoch


def check_checkpoint(path: str | os.PathLike[str]) -> None:
    """Check before any work that a checkpoint can be written, and that it replaces no other file."""
    check_file(path)
    if not located(path).exists():
        return
    try:
        header = storage.from_bytes(storage.read(path), "")[1]
    except CheckpointError:
        header = {}
    if not _of_checkpoint(header):
        msg = f"{without_secrets(str(path))} exists and is no checkpoint; choose another path for checkpoint"
        raise CheckpointError(msg)


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
    header = {
        "format": _FORMAT,
        "settings": dict(settings),
        "training": dict(training or {}),
        "epoch": progress.epoch,
        # Infinite before the first epoch, which JSON cannot write.
        "best_score": progress.best_score if progress.best_epoch else None,
        "best_epoch": progress.best_epoch,
        "history": progress.history,
        "groups": progress.optimizer["param_groups"],
        "finished": [member.history for member in finished],
    }
    write_file(path, storage.to_bytes(tensors, header))


def _of_checkpoint(header: Mapping[str, Any]) -> bool:
    return header.get("format") == _FORMAT and isinstance(header.get("settings"), dict)


def read_checkpoint(
    path: str | os.PathLike[str], settings: Mapping[str, Any]
) -> tuple[Progress, list[Trained]]:
    """Read the state of a training with the same settings, and the members trained before."""
    payload, path = storage.read(path), without_secrets(str(path))
    tensors, header = storage.from_bytes(payload, path)
    if not _of_checkpoint(header):
        msg = f"{path} is not a training checkpoint of this version of xmsgl; load a model with load_model"
        raise CheckpointError(msg)
    saved, settings = _flat(header["settings"]), _flat(settings)
    differing = [name for name in sorted({*saved, *settings}) if saved.get(name) != settings.get(name)]
    if upgraded := [name for name in differing if name.startswith(_VERSIONS)]:
        # The run is the same, but rounding may differ from here on.
        changed = [
            f"{name.removeprefix(_VERSIONS)} {saved.get(name)}, now {settings.get(name)}" for name in upgraded
        ]
        logger.warning("%s was begun with other versions: %s", path, ascii("; ".join(changed))[1:-1])
        differing = [name for name in differing if name not in upgraded]
    if differing:
        lines = "; ".join(
            f"{name}: {saved.get(name)!r} in the file, now {settings.get(name)!r}" for name in differing
        )
        msg = f"{path} belongs to another run ({lines}); resume with the same settings and data"
        raise CheckpointError(msg)
    try:
        return _progress(tensors, header)
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # InvalidArgumentError too
        raise damaged(path, error) from error


def damaged(origin: object, error: Exception) -> CheckpointError:
    """Make the error of a checkpoint whose content is not valid."""
    return CheckpointError(f"{origin} is not a valid checkpoint ({error!r}); train without resume")


def _progress(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> tuple[Progress, list[Trained]]:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam/"):
            _, index, key = name.split("/")
            moments.setdefault(int(index), {})[key] = tensor
    score = read_plain(float | None, header["best_score"], "best_score")
    finished = [
        Trained(_part(tensors, f"finished/{k}/"), storage.restore_history(history))
        for k, history in enumerate(header["finished"])
    ]
    progress = Progress(
        epoch=read_plain(int, header["epoch"], "epoch"),
        optimizer={"state": moments, "param_groups": header["groups"]},
        best_score=float("inf") if score is None else score,
        best_epoch=read_plain(int, header["best_epoch"], "best_epoch"),
        history=storage.restore_history(header["history"]),
        **{part: _part(tensors, f"{part}/") for part in _WEIGHTS},
    )
    return progress, finished


def check_fit(origin: object, module: NetworkModel, reached: Progress | Trained) -> None:
    """Refuse the state of a training, or its result, whose weights do not fit its module."""
    shapes = [tuple(each.shape) for each in module.parameters()]
    states, moments = [], {}
    if isinstance(reached, Progress):
        states, moments = [reached.module, reached.teacher, reached.average], reached.optimizer["state"]
    result = reached.best if isinstance(reached, Progress) else reached.weights
    try:
        for weights in [result, *filter(None, states)]:
            check_weights(module.state_dict(), weights, module.unsized)
        for index, slot in moments.items():
            own = {"step": (), "exp_avg": shapes[index], "exp_avg_sq": shapes[index]}
            if {key: tuple(each.shape) for key, each in slot.items()} != own:
                msg = f"adam/{index} does not fit its parameter"
                raise IndexError(msg)  # noqa: TRY301
    except (IndexError, InvalidArgumentError) as error:
        raise damaged(origin, error) from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested settings by their path, such as ``loop.learning_rate``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
