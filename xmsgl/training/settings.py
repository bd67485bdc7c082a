"""The settings of a training as plain values: what a model keeps, so that it can be trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.kernels import Kernel
from xmsgl.training.recipes import recipe_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_fingerprint", "settings_of"]

# What decides where and how training runs, not which model comes of it; and a model to start with, which is
# known by its digest.
_NOT_SETTINGS = frozenset(
    {
        *("obj", "device", "progress", "tensorboard", "observers"),
        *("checkpoint", "resume", "fingerprint", "start", "architecture"),
    }
)


def settings_of(arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Write down what a training was given, as far as it differs from what it would take by itself.

    Parameters
    ----------
    arguments
        All arguments of :func:`xmsgl.training.train.train`, by name, those of the recipe filled in.
    defaults
        Its defaults, by name.

    Returns
    -------
    dict
        Arguments that make the same training again, ready for JSON. Validation days are text,
        ``"2011-10-01/2012-09-30"``, several with commas between, open ends as ``".."``.

    Examples
    --------
    >>> given = {"method": "msgl", "recipe": None, "epochs": 5, "clip": 3.0, "architecture": {"hidden": 8}}
    >>> settings_of(given, {"method": "msgl", "recipe": None, "epochs": 60, "clip": 3.0})
    {'method': 'msgl', 'epochs': 5, 'hidden': 8}
    >>> settings_of(
    ...     {"method": "msgl", "recipe": None, "means": np.array([7, 30]), "architecture": {}},
    ...     {"method": "msgl", "recipe": None, "means": ()})
    {'method': 'msgl', 'means': [7, 30]}
    """
    method, recipe = arguments["method"], arguments["recipe"]
    base = {**defaults, **({} if recipe is None else recipe_settings(recipe, method)), "recipe": None}
    given = {**arguments, **arguments["architecture"]}
    settings = {name: _plain(value) for name, value in given.items() if name not in _NOT_SETTINGS}
    differing = {
        name: value for name, value in settings.items() if name not in base or value != _plain(base[name])
    }
    return {"method": method, **differing}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | pd.Index | range):
        return list(value.tolist() if hasattr(value, "tolist") else value)
    if isinstance(value, slice):
        return f"{_day(value.start)}/{_day(value.stop)}"
    if isinstance(value, list | tuple):
        if value and all(isinstance(part, slice) for part in value):
            return ",".join(map(_plain, value))
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Kernel):
        return value.to_dict()
    return value.item() if isinstance(value, np.generic) else value


def _day(end: Any) -> str:
    """Write an end of validation days; text stays, for a year alone means all of it."""
    if end is None:
        return ".."
    return end if isinstance(end, str) else str(pd.Timestamp(end).date())


def check_fingerprint(found: str, expected: str | None) -> None:
    """Refuse a dataset that is not the one that was asked for.

    Raises
    ------
    InvalidArgumentError
        The digests differ.

    Examples
    --------
    >>> check_fingerprint("ab12", None)
    >>> check_fingerprint("ab12", "ab12")
    """
    if expected is not None and found != expected:
        msg = (
            f"the fingerprint of network, days and labels is {found[:12]}, not {expected[:12]} as expected: "
            "this is another dataset, or other labels are masked; leave fingerprint out to train on it all "
            "the same"
        )
        raise InvalidArgumentError(msg)
