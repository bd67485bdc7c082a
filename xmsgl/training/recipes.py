"""Recipes: named sets of training settings.

A recipe replaces the defaults of :class:`xmsgl.training.settings.TrainSettings`; given settings override
both. It describes how a method learns: seed, device and files are not part of it.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025,
   doi:10.1609/aaai.v39i27.35014.
.. [2] Jia et al., Physics-guided recurrent graph model for predicting flow and temperature in river
   networks, SDM 2021, arXiv:2009.12575.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.arguments import check_fields, checked
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_PARTS",
    "FINE_PARTS",
    "GAUGED",
    "PUBLISHED",
    "QUICK",
    "RECIPES",
    "SENSORS",
    "UNGAUGED",
    "Recipe",
    "recipe_settings",
]


@dataclass(frozen=True)
class Recipe:
    """A named set of training settings.

    Attributes
    ----------
    name
        Name of the recipe.
    description
        One line about it.
    source
        Publication the settings are taken from.
    settings
        Attributes of :class:`xmsgl.training.settings.TrainSettings`, for all methods.
    architecture
        Arguments of the networks; those that a method's network does not have are ignored.
    methods
        Settings of single methods, by name; they override `settings`.
    method
        The method that the settings belong to. None: any network.
    """

    name: str
    description: str
    source: str
    settings: Mapping[str, Any]
    architecture: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    method: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


PUBLISHED = Recipe(
    "published",
    "the method as described by Fan et al. (2025), with the graphs of their reference code",
    "Fan et al. (2025), AAAI-25, doi:10.1609/aaai.v39i27.35014",
    settings={
        "features": ("drivers", "statics"),
        "scaling": "own",
        "window": 365,
        "warmup": 0,
        "batch": 1,
        "epochs": 60,
        "learning_rate": 0.005,
        "clip": 3.0,  # for training of a single task
        "patience": None,
        "basins": None,
        "refit": False,
        "steps": 0,
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

A small cell, the fine head alone, inputs and labels standardised separately at each scale, no warm-up, no
means of past air temperature, the weights of the last epoch, and the reference operators: all ancestors and
descendants are neighbours, and signed distances are standardised and passed through the logistic function.

Kept from the reference code, although they are questionable: the weight of an upstream neighbour increases
with its distance; the graph is dense, so memory and time grow with the square of the number of reaches; an
entry equal to the mean of its matrix becomes 0. Corrected, because these are faults: in the interpolation
from coarse to fine, the outlet reach of a segment has the weight 1 for its own segment (reference: 0); a
reach connected to no outlet takes its own segment (reference: 0 divided by 0); segments are matched by id,
not by their order in a file. A window without fine labels still trains the coarse task (reference: skipped).

The stages of ``async-msgl``, ``direct`` and ``progressive`` are the package's own, as are the transforms of
quantities that span orders of magnitude, and mixed precision on a GPU (off with ``amp=False``). The limit on
the gradient is the same in all stages; there is none where the three tasks are trained together.
"""

_COARSE = {
    "method": "remap",
    "features": (
        *("drivers", "weather_memory", "statics", "season"),
        *(f"neighbour_anomalies:{length}km" for length in (5, 10, 20)),
    ),
    "identity": 8,
    "epochs": 16,
    "steps": 400,
    "learning_rate": 0.01,
    "warmup": 120,
    "average": 0.98,
    "keep": "last",
}

GAUGED = Recipe(
    "gauged",
    "the lowest error on segments with gauges: an LSTM, a graph network and boosted trees, weighed by their "
    "errors on the days kept, then fitted to all observations",
    "chosen on the validation years of the Delaware, docs/benchmarks/recipes.md",
    settings={
        "refit": True,
        "parts": (
            {**_COARSE, "backbone": "lstm", "hidden": 64},
            {**_COARSE, "hidden": 48, "recurrent_dropout": 0.2},
            {
                "method": "trees",
                "iterations": 600,
                "learning_rate": 0.06,
                "max_features": 0.3,
                "min_samples_leaf": 100,
                "keep": "last",
            },
        ),
    },
    method="stack",
)
"""The lowest error at segments with gauges.

All parts learn from coarse observations, and a reach takes the temperature of its segment. Identities make
the networks unfit for segments without gauges.
"""

_NEIGHBOURS = tuple(f"neighbour_anomalies:{length}km" for length in (40, 80))
_TREES = {
    "method": "trees",
    "features": ("default", *_NEIGHBOURS),
    "max_features": 0.3,
    "min_samples_leaf": 300,
}

DEFAULT_PARTS: tuple[Mapping[str, Any], ...] = ({"method": "msgl"}, {**_TREES, "ensemble": 4})
"""The parts of a stack by default, which is what ``ds.msgl.train()`` trains.

The mean of both has a lower error than either: docs/benchmarks/recipes.md, "Choice of the default".
"""

FINE_PARTS: tuple[Mapping[str, Any], ...] = (
    {"method": "msgl"},
    {**_TREES, "features": ("default",), "labels": "fine"},
)
"""The same where there are no coarse observations, and so no neighbour anomalies."""

UNGAUGED = Recipe(
    "ungauged",
    "the lowest error on segments without gauges: multi-scale graph learning and boosted trees, weighed "
    "about equally, fitted to all observations",
    "chosen on draws of held-out segments of the Delaware, docs/benchmarks/recipes.md",
    settings={
        "validation": "segments",
        "refit": True,
        "parts": (
            {
                "method": "msgl",
                "features": (
                    "drivers",
                    *(f"air_temperature:{days}" for days in (7, 30, 90)),
                    "season",
                    "drainage_area",
                    "neighbour_anomalies:0km",
                    *_NEIGHBOURS,
                ),
                "epochs": 13,
                "steps": 400,
                "pretrain": 8,
                "learning_rate": (0.01, 0.003),
                "recurrent_dropout": 0.2,
                "average": 0.98,
                "keep": "last",
            },
            {**_TREES, "keep": "last", "ensemble": 4},
        ),
    },
    method="stack",
)
"""For segments without gauges, with intervals made for these.

The network has drainage area as its only static attribute, because a network recognises the segments it
learned from by their attributes and is misled where there is no gauge. The mean of four
trainings of the trees has a lower error than one on each draw of the choice.
"""

SENSORS = Recipe(
    "sensors",
    "for reconstruction given sensors: boosted trees with neighbour anomalies, each training without another "
    "fifth of the gauged segments",
    "docs/benchmarks/reconstruction.md",
    settings={
        "validation": "folds",
        "features": ("default", *_NEIGHBOURS),
        "iterations": 120,
        "max_features": 0.3,
        "min_samples_leaf": 300,
        "keep": "last",
    },
    method="trees",
)
"""For ``ds.msgl.reconstruct``, which needs the errors at gauges that a training has not seen."""

QUICK = Recipe(
    "quick",
    "boosted trees on coarse observations, in about a minute",
    "docs/benchmarks/recipes.md",
    settings={"max_features": 0.3, "min_samples_leaf": 100, "iterations": 200},
    method="trees",
)
"""A first result in about a minute."""

RECIPES: Registry[Recipe] = Registry(
    "recipe", {each.name: each for each in (GAUGED, UNGAUGED, SENSORS, QUICK, PUBLISHED)}
)
"""Recipes by name."""


@checked
def recipe_settings(name: str, method: str = "msgl") -> dict[str, Any]:
    """Return the settings of a recipe for a method.

    Parameters
    ----------
    name
        A name in `RECIPES`.
    method
        A name in the registry of methods.

    Returns
    -------
    dict
        Keywords of :meth:`xmsgl.training.settings.TrainSettings.of` that the method has.

    Raises
    ------
    UnknownNameError
        No such recipe or method.
    InvalidArgumentError
        The recipe is one of another method.

    Examples
    --------
    >>> settings = recipe_settings("published")
    >>> settings["kernel"], settings["heads"], settings["clip"]
    ('reference', 4, None)
    >>> settings = recipe_settings("published", "fine-only")
    >>> "heads" in settings, settings["clip"]
    (False, 3.0)
    """
    # Imported here, because the models import PyTorch, which takes seconds.
    from xmsgl.models.file.start import shared_architecture
    from xmsgl.models.methods.registry import MODELS

    recipe = RECIPES[name]
    if recipe.method is not None:
        if method != recipe.method:
            msg = f"recipe {name!r} is one of {recipe.method!r}, not of {method!r}; leave method out"
            raise InvalidArgumentError(msg)
        return dict(recipe.settings)
    if method == "stack" or MODELS[method].defaults:
        msg = f"recipe {name!r} has no settings for {method!r}; leave recipe out"
        raise InvalidArgumentError(msg)
    shared = shared_architecture(method, recipe.architecture)
    return {**recipe.settings, **recipe.methods.get(method, {}), **shared}
