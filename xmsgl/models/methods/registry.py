"""Network models by name."""

from __future__ import annotations

import inspect
from typing import Any

import torch

import xmsgl.models.methods.msgl
import xmsgl.models.methods.trees  # noqa: F401 - both register their classes
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.methods.base import MODELS, NetworkModel

__all__ = ["MODELS", "NetworkModel", "create_model"]


def create_model(name: str, *, n_features: int, seed: int | None = None, **architecture: Any) -> NetworkModel:
    """Make a model with fresh weights."""
    cls = MODELS[name]
    parameters = inspect.signature(cls).parameters
    known = set(parameters) - {"n_features"}
    architecture = {name: value for name, value in cls.defaults.items() if name in known} | architecture
    unknown = sorted(set(architecture) - known)
    if unknown:
        msg = f"model {name!r} has no argument {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        raise InvalidArgumentError(msg)
    for argument, value in architecture.items():
        if isinstance(parameters[argument].default, bool) and not isinstance(value, bool):
            msg = f"{argument} must be True or False, got {value!r}"
            raise InvalidArgumentError(msg)
    if seed is None:
        return cls(n_features, **architecture)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return cls(n_features, **architecture)
