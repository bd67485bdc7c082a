"""Tensors and a JSON header in one safetensors file."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from xmsgl.errors import CheckpointError, InvalidArgumentError, shorten
from xmsgl.util.plain import read_plain
from xmsgl.util.remote import read_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import torch

_KEY, _SUM = "xmsgl", "sha256"
_DEPTH = 30  # of a header; that of a stack has ten levels


def to_bytes(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> bytes:
    """Serialise tensors and a header."""
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    # One metadata entry only, because safetensors does not keep the order of several.
    strict = _without_nan(dict(header))
    checked = {**strict, _SUM: _checksum(strict, plain, save(plain))}
    return save(plain, metadata={_KEY: json.dumps(checked, sort_keys=True, allow_nan=False)})


def from_bytes(payload: bytes, origin: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`to_bytes` wrote."""
    try:
        tensors = load(payload)
        header = json.loads(json.loads(payload[8 : _body(payload)])["__metadata__"][_KEY])
        expected = header.pop(_SUM)
        _check_plain(header)
    except SafetensorError as error:
        msg = f"{origin} is not a whole safetensors file ({error}); write it again with Model.save"
        raise CheckpointError(msg) from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        msg = f"{origin} is a safetensors file, but not one of xmsgl: it has no valid header ({error})"
        raise CheckpointError(msg) from error
    if _checksum(header, tensors, payload) != expected:
        msg = f"{origin} is damaged: its content does not match its checksum; copy or write it again"
        raise CheckpointError(msg)
    return tensors, header


def _check_plain(value: Any, left: int = _DEPTH) -> None:
    """Refuse values that are nested too deeply, are not finite, or cannot be printed."""
    if left == 0 or (isinstance(value, float) and not math.isfinite(value)):
        msg = f"it has {value}" if left else f"it is nested more than {_DEPTH} deep"
        raise ValueError(msg)
    if isinstance(value, str):
        value.encode()
    for part in (
        (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _check_plain(part, left - 1)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def restore_history(saved: Any) -> dict[str, list[float]]:
    """Turn the None of a stored history back into NaN."""
    columns = read_plain(dict[str, tuple[float | None, ...]], saved, "history")
    if len(set(map(len, columns.values()))) > 1:
        msg = f"history must have columns of one length: {shorten(columns)}"
        raise InvalidArgumentError(msg)
    return {name: [math.nan if x is None else x for x in column] for name, column in columns.items()}


def _body(payload: bytes) -> int:
    """Return where the values begin: after the length in eight bytes, and a header of that length."""
    return 8 + int.from_bytes(payload[:8], "little")


def _checksum(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], payload: bytes) -> str:
    shapes = [(name, str(tensors[name].dtype), list(tensors[name].shape)) for name in sorted(tensors)]
    return digest(json.dumps([header, shapes], sort_keys=True).encode() + payload[_body(payload) :])


def read(path: str | os.PathLike[str]) -> bytes:
    """Read a file of weights."""
    try:
        payload = read_file(path)
    except TypeError as error:  # a number in a catalog, for example
        msg = f"a file of weights must be given by its path, not {path!r:.60}"
        raise InvalidArgumentError(msg) from error
    if payload is None:
        msg = f"there is no file of weights at {path}"
        raise CheckpointError(msg)
    return payload


def digest(payload: bytes) -> str:
    """Return the sha256 of a payload, in hexadecimal."""
    return hashlib.sha256(payload).hexdigest()
