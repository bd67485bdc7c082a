"""Start training with the weights of a model of another method or basin."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError, ModelMismatchError, UnknownNameError, shorten
from xmsgl.models.methods.registry import MODELS, NetworkModel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from torch import Tensor

__all__ = ["begin_with", "freeze", "shared_architecture"]

_SINGLE, _COARSE = "head.", "coarse_head."


def shared_architecture(method: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a model's architecture that another method takes too."""
    known = inspect.signature(MODELS[method]).parameters
    return {name: value for name, value in architecture.items() if name in known}


def begin_with(module: NetworkModel, weights: Mapping[str, Tensor]) -> list[str]:
    """Load the weights that a module shares with another, and return the names of the others.

    The head of a single-scale model corresponds to the head of the coarse task.
    """
    own = module.state_dict()
    given = {_named(name, own): value for name, value in weights.items()}
    taken = {name: given[name] for name in own if name in given}
    if wrong := [
        f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
        for name, value in taken.items()
        if value.shape != own[name].shape
    ]:
        msg = f"the weights to start with have other shapes: {shorten(wrong)}; train with the same sizes"
        raise ModelMismatchError(msg)
    shared = {id(parameter) for parameter in module.shared_parameters()}
    lost = [name for name, value in module.named_parameters() if id(value) in shared and name not in taken]
    if lost:
        msg = f"the model to start with has no {shorten(lost)}; start with a model that has the same backbone"
        raise ModelMismatchError(msg)
    module.load_state_dict({**own, **taken})
    return [name for name in own if name not in taken]


def freeze(module: NetworkModel, parts: Iterable[str], fresh: Collection[str]) -> None:
    """Keep training from changing the weights of some parts of a module.

    A part is named by the first words of its parameters' names, such as ``cell`` or ``cell.W_hh``. `fresh`
    are the weights that the model to start with does not have; they cannot be kept.
    """
    own = dict(module.named_parameters())
    for part in parts:
        inside = [name for name in own if f"{name}.".startswith(f"{part}.")]
        if not inside:
            raise UnknownNameError("part of the network", part, {name.partition(".")[0] for name in own})
        if new := [name for name in inside if name in fresh]:
            msg = (
                f"frozen part {part!r} has no weights to keep: the model to start with has no {shorten(new)}"
            )
            raise InvalidArgumentError(msg)
        for name in inside:
            own[name].requires_grad = False
    if own and not any(each.requires_grad for each in own.values()):
        msg = "all parts of the network are frozen, and there is nothing to train; leave some of them out"
        raise InvalidArgumentError(msg)


def _named(name: str, own: Mapping[str, Tensor]) -> str:
    if name in own:
        return name
    for here, there in ((_SINGLE, _COARSE), (_COARSE, _SINGLE)):
        if name.startswith(here) and there + name.removeprefix(here) in own:
            return there + name.removeprefix(here)
    return name
