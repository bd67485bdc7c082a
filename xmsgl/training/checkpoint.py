"""Checkpoints: where training stands, in one safetensors file, so that it can go on bit for bit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from xmsgl.errors import CheckpointError
from xmsgl.models.file import storage
from xmsgl.training.loop import Progress
from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from torch import Tensor

logger = logging.getLogger(__name__)

_FORMAT = 1
_VERSIONS = "training.versions."


class Trained(NamedTuple):
    """What training has come to: a member of an ensemble that is done.

    Attributes
    ----------
    weights
        To use.
    history
        A list a quantity, one entry an epoch.
    """

    weights: dict[str, Tensor]
    history: dict[str, list[float]]


def write_checkpoint(
    path: str | os.PathLike[str],
    progress: Progress,
    settings: Mapping[str, Any],
    finished: Sequence[Trained] = (),
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write where training stands, whole or not at all."""
    moments = progress.optimizer["state"]
    tensors: dict[str, Tensor] = {f"module/{name}": value for name, value in progress.module.items()}
    # After a best epoch both are the same tensors, and safetensors refuses to write one memory twice.
    tensors |= {f"best/{name}": value.clone() for name, value in progress.best.items()}
    tensors |= {f"teacher/{name}": value.clone() for name, value in progress.teacher.items()}
    tensors |= {f"average/{name}": value.clone() for name, value in progress.average.items()}
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
        # JSON has no infinity: before the first epoch there is no best score.
        "best_score": progress.best_score if progress.best_epoch else None,
        "best_epoch": progress.best_epoch,
        "history": progress.history,
        "groups": progress.optimizer["param_groups"],
        "finished": [member.history for member in finished],
    }
    write_bytes(path, storage.to_bytes(tensors, header))


def read_checkpoint(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> Progress:
    """Read where training stood."""
    tensors, header = storage.from_bytes(storage.read(path), str(path))
    if header.get("format") != _FORMAT or "settings" not in header:
        msg = (
            f"{path} is not a training checkpoint of this xmsgl (a finished model is loaded with load_model)"
        )
        raise CheckpointError(msg)
    saved, settings = _flat(header["settings"]), _flat(settings)
    differing = [name for name in sorted({*saved, *settings}) if saved.get(name) != settings.get(name)]
    if upgraded := [name for name in differing if name.startswith(_VERSIONS)]:
        # An upgrade does not make it another run, but rounding may differ from there on.
        told = (
            f"{name.removeprefix(_VERSIONS)} {saved.get(name)}, now {settings.get(name)}" for name in upgraded
        )
        logger.warning("%s was begun with other versions: %s", path, "; ".join(told))
        differing = [name for name in differing if name not in upgraded]
    if differing:
        lines = "; ".join(
            f"{name}: {saved.get(name)!r} there, {settings.get(name)!r} here" for name in differing
        )
        msg = f"{path} belongs to another run ({lines}); resume with the same settings and data"
        raise CheckpointError(msg)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam/"):
            _, index, key = name.split("/")
            moments.setdefault(int(index), {})[key] = tensor
    score = header["best_score"]
    return Progress(
        epoch=header["epoch"],
        module=_part(tensors, "module/"),
        optimizer={"state": moments, "param_groups": header["groups"]},
        best=_part(tensors, "best/"),
        best_score=float("inf") if score is None else score,
        best_epoch=header["best_epoch"],
        history=storage.restore_history(header["history"]),
        teacher=_part(tensors, "teacher/"),
        average=_part(tensors, "average/"),
    )


def read_finished(path: str | os.PathLike[str]) -> list[Trained]:
    """Read the members of an ensemble that were done before the one :func:`read_checkpoint` returns."""
    tensors, header = storage.from_bytes(storage.read(path), str(path))
    return [
        Trained(_part(tensors, f"finished/{k}/"), storage.restore_history(history))
        for k, history in enumerate(header.get("finished", []))
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested settings by their path, ``loop.learning_rate``, so that a message names the one."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
