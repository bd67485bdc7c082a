"""Recipes: settings of training that belong together, by name.

Without a recipe training uses the package's own defaults. A recipe replaces those defaults; an argument that
is given wins over both. It is about how a method learns, not about data or machine: what is held out,
seed, device and files are no part of it.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025,
   doi:10.1609/aaai.v39i27.35014.
.. [2] Jia et al., Physics-guided recurrent graph model for predicting flow and temperature in river
   networks, SDM 2021, arXiv:2009.12575.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from xmsgl.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["RECIPES", "Recipe", "complete", "recipe_settings", "takes_recipe"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# What is given, and what of a recipe it leaves nothing to say about.
_INSTEAD = {"features": "means"}


@dataclass(frozen=True)
class Recipe:
    """Settings that belong together.

    Attributes
    ----------
    name
        What users call it.
    description
        What it is, in a line.
    source
        Where the settings come from.
    settings
        Arguments of :func:`xmsgl.training.train.train`, for all methods.
    architecture
        Arguments of the modules; a method leaves out what its module does not take.
    methods
        Arguments of :func:`xmsgl.training.train.train` that hold for one method, by its name; they win over
        `settings`.
    """

    name: str
    description: str
    source: str
    settings: Mapping[str, Any]
    architecture: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


PUBLISHED = Recipe(
    "published",
    "the method as Fan et al. (2025) describe it, with the graphs of its reference code",
    "Fan et al. (2025), AAAI-25, doi:10.1609/aaai.v39i27.35014",
    settings={
        "means": (),
        "scaling": "own",
        "window": 365,
        "warmup": 0,
        "batch": 1,
        "epochs": 60,
        "learning_rate": 0.005,
        "clip": 3.0,  # in the loops of one task
        "patience": None,
        "weighting": "mgda",
        "average": 0.0,
        "keep": "last",
        "identity": 0,
        "kernel": "reference",
        "hops": None,
        "limit": None,
        "nearest": None,
        "direction": "both",
    },
    architecture={
        "backbone": "rgcn",
        "hidden": 20,
        "heads": 4,
        "dropout": 0.1,
        "recurrent_dropout": 0.0,
        "anchored": False,
    },
    methods={"msgl": {"pretrain": 0, "clip": None}, "async-msgl": {"clip": None}},
)
"""The published method.

A small cell, the fine head alone, inputs and labels standardised at each scale by itself, no warm-up, no
memory of past air temperature, the last epoch's weights, and the reference operators: all ancestors and
descendants are neighbours, signed distances are standardised and passed through the logistic function.

Kept of the reference, although they are traps: the weight grows with the distance of an upstream
neighbour; the graph is dense, so that memory and time grow with the square of the reaches; an entry equal
to the mean of its matrix vanishes. Repaired, because no result could be told from a fault: in the
interpolation from coarse to fine the outlet reach of a segment has weight 1 for its own segment, where the
reference has 0; a reach connected to no outlet takes its own segment, where the reference divides 0 by 0;
segments are matched by id, not by their order in a file. A window without fine labels still trains the
coarse task, where the reference leaves it out.

The stages of ``async-msgl``, ``direct`` and ``progressive`` are the package's own; so are the transforms of
quantities that spread over decades, mixed precision on a GPU (``amp=False`` switches it off), and what is
validated on, which here only watches. One limit on the gradient holds in all stages: none where the
three tasks are trained together.
"""

RECIPES: dict[str, Recipe] = {PUBLISHED.name: PUBLISHED}
"""Recipes by name."""


def recipe_settings(name: str, method: str = "msgl") -> dict[str, Any]:
    """Return what a recipe sets for a method.

    Parameters
    ----------
    name
        A name in `RECIPES`.
    method
        A name in the registry of methods.

    Returns
    -------
    dict
        Arguments of :func:`xmsgl.training.train.train`, none that the method does not take.

    Raises
    ------
    UnknownNameError
        No such recipe or method.

    Examples
    --------
    >>> settings = recipe_settings("published")
    >>> settings["kernel"], settings["heads"], settings["clip"]
    ('reference', 4, None)
    >>> settings = recipe_settings("published", "fine-only")
    >>> "heads" in settings, settings["clip"]
    (False, 3.0)
    """
    # PyTorch comes with the models, and the accessor should not have to wait for it.
    from xmsgl.models.file.start import shared_architecture
    from xmsgl.models.methods.registry import model_names

    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    if method not in model_names():
        raise UnknownNameError("network model", method, model_names())
    recipe = RECIPES[name]
    own = recipe.methods.get(method, {})
    return {**recipe.settings, **own, **shared_architecture(method, recipe.architecture)}


def complete(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Add to given arguments of training what their recipe sets beside them.

    Parameters
    ----------
    method
        A name in the registry of methods.
    given
        Arguments of :func:`xmsgl.training.train.train`, ``recipe`` among them if there is one. They win.

    Returns
    -------
    dict

    Raises
    ------
    UnknownNameError
        No such recipe or method.

    Examples
    --------
    >>> complete("msgl", {"epochs": 5})
    {'epochs': 5}
    >>> completed = complete("msgl", {"recipe": "published", "epochs": 5})
    >>> completed["epochs"], completed["keep"]
    (5, 'last')
    """
    if given.get("recipe") is None:
        return dict(given)
    settings = recipe_settings(given["recipe"], method)
    for argument, instead in _INSTEAD.items():
        if given.get(argument) is not None:
            settings.pop(instead, None)
    return {**settings, **given}


def takes_recipe(train: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function that trains take the settings of a recipe.

    A decorator, because only outside of the function one can tell an argument that is given from one left
    at its default.

    Parameters
    ----------
    train
        A function with a parameter `method` and a keyword `recipe`, which it may look at.

    Returns
    -------
    callable
        With the same signature; arguments that are not given come from the recipe, if one is named.

    Examples
    --------
    >>> @takes_recipe
    ... def train(method="msgl", *, recipe=None, epochs=10, **others):
    ...     return epochs
    >>> train(), train(recipe="published"), train(recipe="published", epochs=10)
    (10, 60, 10)
    """
    signature = inspect.signature(train)

    @functools.wraps(train)
    def completed(*args: _P.args, **given: _P.kwargs) -> _R:
        bound = signature.bind_partial(*args, **given).arguments
        method = bound.get("method", signature.parameters["method"].default)
        for name, value in complete(method, given).items():
            given.setdefault(name, value)
        return train(*args, **given)

    return completed
