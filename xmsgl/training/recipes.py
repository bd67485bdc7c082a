"""Recipes: settings of training that belong together, by name.

A recipe replaces the defaults of :class:`xmsgl.training.settings.TrainSettings`; what is given wins over
both. It is about how a method learns, not about data or machine: validation, seed, device and files are no
part of it.

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

from xmsgl.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PUBLISHED", "RECIPES", "Recipe", "recipe_settings"]


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
        Attributes of :class:`xmsgl.training.settings.TrainSettings`, for all methods.
    architecture
        Arguments of the networks; a method leaves out what its network does not take.
    methods
        Settings for one method, by its name; they win over `settings`.
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
        "features": ("drivers", "statics"),
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
means of past air temperature, the weights of the last epoch, and the reference operators: all ancestors and
descendants are neighbours, signed distances are standardised and passed through the logistic function.

Kept of the reference, although they are traps: the weight grows with the distance of an upstream
neighbour; the graph is dense, so that memory and time grow with the square of the reaches; an entry equal
to the mean of its matrix vanishes. Repaired, because no result could be distinguished from a fault: in the
interpolation from coarse to fine the outlet reach of a segment has weight 1 for its own segment, where the
reference has 0; a reach connected to no outlet takes its own segment, where the reference divides 0 by 0;
segments are matched by id, not by their order in a file. A window without fine labels still trains the
coarse task, where the reference leaves it out.

The stages of ``async-msgl``, ``direct`` and ``progressive`` are the package's own; so are the transforms of
quantities that spread over decades, and mixed precision on a GPU (``amp=False`` switches it off). One limit
on the gradient holds in all stages: none where the three tasks are trained together.
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
        Keywords of :meth:`xmsgl.training.settings.TrainSettings.of`, none that the method does not take.

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
