"""Whether settings of training are what they can be, before anything is read or computed."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.training.loop import KEEPS
from xmsgl.training.weighting import WEIGHTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from xmsgl.inputs.features import Scaling
    from xmsgl.models.methods.base import NetworkModel
    from xmsgl.training.stages import Stage
    from xmsgl.util.scales import Scale

__all__ = ["SCALINGS", "check_anchor", "check_names", "check_settings", "stage_rates"]

#: How inputs and labels are standardised.
SCALINGS: dict[str, str] = {
    "shared": "one mean and deviation for both scales: the same water has the same number on either",
    "own": "each scale has its own, as published",
}

# Smallest value of each count. None, where it can be given, means that there is no limit.
_LEAST = {"epochs": 1, "window": 1, "ensemble": 1, "patience": 1, "seed": 0}
_POSITIVE = ("learning_rate", "clip")
_SWITCHES = ("season", "amp")
_NAMES = {"scaling": SCALINGS, "keep": KEEPS, "weighting": WEIGHTINGS}


def check_names(names: Iterable[str], method: str, training: Iterable[str]) -> None:
    """Refuse names that are not settings, and suggest the nearest one.

    Parameters
    ----------
    names
        What is given.
    method
        A name in the registry of methods, whose network has settings of its own.
    training
        Arguments of :func:`xmsgl.training.train.train`.

    Raises
    ------
    InvalidArgumentError
        Neither training nor the network has such a setting.
    UnknownNameError
        No such method.

    Examples
    --------
    >>> check_names(["anchord"], "msgl", ["epochs"])
    Traceback (most recent call last):
    ...
    xmsgl.errors.InvalidArgumentError: 'msgl' has no setting anchord; did you mean anchored?
    """
    from xmsgl.models.methods.base import MODELS
    from xmsgl.models.methods.registry import model_names

    if method not in model_names():
        raise UnknownNameError("network model", method, MODELS)
    network = sorted(set(inspect.signature(MODELS[method]).parameters) - {"n_features"})
    known = {*network, *training} - {"obj", "method", "observers", "architecture"}
    for name in names:
        if name not in known:
            near = get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its network has {', '.join(network)}"
            msg = f"{method!r} has no setting {name}; {hint}"
            raise InvalidArgumentError(msg)


def check_settings(**settings: Any) -> None:
    """Refuse values out of range and names that are none.

    Parameters
    ----------
    **settings
        Arguments of ``ds.msgl.train``; None passes. What the parts of training check themselves
        (graphs, batches, architecture) is left to them.

    Raises
    ------
    InvalidArgumentError
        A value out of range.
    UnknownNameError
        No such `scaling`, `keep` or `weighting`.

    Examples
    --------
    >>> check_settings(epochs=60, clip=None, keep="best")
    """
    given = {name: value for name, value in settings.items() if value is not None}
    for name, value in given.items():
        if name in _SWITCHES and not isinstance(value, bool | np.bool_):
            msg = f"{name} must be True or False, got {value!r}"
        elif name in _LEAST and not (_is_number(value) and float(value) >= _LEAST[name]):
            msg = f"{name} must be at least {_LEAST[name]}, got {value}"
        elif name in _POSITIVE and not all(map(_positive, _each(name, value))):
            msg = f"{name} must be a positive number, got {value}"
        elif name == "average" and not (_is_number(value) and 0 <= value < 1):
            msg = f"average must be in [0, 1), got {value}"
        elif name in _NAMES and value not in _NAMES[name]:
            raise UnknownNameError(name, value, _NAMES[name])
        else:
            continue
        raise InvalidArgumentError(msg)


def _each(name: str, value: Any) -> Iterable[Any]:
    """Return what is to be looked at: of learning rates each, there may be several."""
    several = name == "learning_rate" and not isinstance(value, Real | str)
    return value if several else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _is_number(value) and 0 < float(value) < float("inf")


def stage_rates(rate: float | Sequence[float], stages: Sequence[Stage]) -> float | tuple[float, ...]:
    """Hold learning rates against the stages they are for.

    Parameters
    ----------
    rate
        One for all, or one for each stage.
    stages
        Of the training.

    Returns
    -------
    float or tuple of float

    Raises
    ------
    InvalidArgumentError
        There are more stages than rates, or fewer.

    Examples
    --------
    >>> stage_rates(0.01, ())
    0.01
    """
    if isinstance(rate, float | Real):
        return float(rate)
    if len(rate) != len(stages):
        named = "; ".join(f"{', '.join(stage.tasks)} ({stage.epochs} epochs)" for stage in stages)
        msg = f"learning_rate has {len(rate)} values for {len(stages)} stages: {named}; give one, or as many"
        raise InvalidArgumentError(msg)
    return tuple(float(each) for each in rate)


def check_anchor(module: NetworkModel, scaling: Mapping[Scale, Scaling]) -> None:
    """Refuse an anchored model where a temperature has another number at each scale.

    Parameters
    ----------
    module
        To be trained.
    scaling
        Mean and deviation by scale.

    Raises
    ------
    InvalidArgumentError
        It is anchored, and the scales differ.
    """
    if getattr(module, "anchored", False) and scaling["coarse"] != scaling["fine"]:
        msg = (
            "an anchored model adds up temperatures of both scales, which scaling='own' measures each with "
            "its own mean and deviation; pass anchored=False, or scaling='shared'"
        )
        raise InvalidArgumentError(msg)
