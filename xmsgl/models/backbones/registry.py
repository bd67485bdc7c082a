"""The backbones by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.dynamic import DynamicGraph
from xmsgl.models.backbones.recurrent import GraphAttentionLSTM, PlainLSTM
from xmsgl.models.backbones.stgcn import STGCN
from xmsgl.models.backbones.wavenet import GraphWaveNet
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.util.arguments import check_value
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["BACKBONES", "create_backbone"]

#: Backbones by name. Each is made from the numbers of inputs and of hidden channels.
BACKBONES: Registry[Callable[..., nn.Module]] = Registry(
    "backbone",
    {
        "rgcn": RecurrentGraphCell,
        "lstm": PlainLSTM,
        "gat-lstm": GraphAttentionLSTM,
        "graph-wavenet": GraphWaveNet,
        "stgcn": STGCN,
        "dynamic": DynamicGraph,
    },
    group="xmsgl.backbones",
)

_DROPOUT = 0.2


def create_backbone(
    backbone: str | Mapping[str, Any],
    n_features: int,
    hidden: int,
    *,
    recurrent_dropout: float | None = None,
    backend: str = "auto",
) -> nn.Module:
    """Make a backbone with fresh weights, given its name, or a mapping of ``"name"`` and its options.

    By default, `recurrent_dropout` is 0.2 for backbones that have it.
    """
    given: Any = {"name": backbone} if isinstance(backbone, str) else backbone
    if not isinstance(given, Mapping) or "name" not in given:
        msg = f"backbone must be a name, or a mapping with a 'name' and options, not {backbone!r}"
        raise InvalidArgumentError(msg)
    name = given["name"]
    make = BACKBONES[name]
    known = inspect.signature(make).parameters
    options = {option: value for option, value in given.items() if option != "name"}
    own = set(list(known)[2:]) - {"dropout", "backend"}
    if strange := sorted(set(options) - own):
        has = ", ".join(sorted(own)) or "none"
        msg = f"backbone {name!r} has no option {', '.join(strange)}; its options: {has}"
        raise InvalidArgumentError(msg)
    for option, value in options.items():
        if isinstance(kind := known[option].annotation, str):
            check_value(option, value, kind)
    for argument, parameter, value, usual, absent in (
        ("recurrent_dropout", "dropout", recurrent_dropout, _DROPOUT, (None, 0.0)),
        ("backend", "backend", backend, "auto", ("auto",)),
    ):
        if parameter in known:
            options[parameter] = usual if value is None else value
        elif value not in absent:
            msg = f"backbone {name!r} has no {argument}, got {value!r}; leave it out, or use backbone 'rgcn'"
            raise InvalidArgumentError(msg)
    return make(n_features, hidden, **options)
