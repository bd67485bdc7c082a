"""The settings of a training: everything that decides which model comes of a dataset."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.inputs.choose import parse_features
from xmsgl.inputs.validation import read_validation, write_validation
from xmsgl.network.kernels import Kernel
from xmsgl.training.loop import KEEPS
from xmsgl.training.recipes import recipe_settings
from xmsgl.training.weighting import WEIGHTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SCALINGS", "TrainSettings"]

#: How inputs and labels are standardised.
SCALINGS: dict[str, str] = {
    "shared": "one mean and deviation for both scales: the same water has the same number on either",
    "own": "each scale has its own, as published",
}

# Smallest value of each count; None, where it can be given, means that there is no limit.
_LEAST = {
    "epochs": 1,
    "window": 1,
    "warmup": 0,
    "batch": 1,
    "ensemble": 1,
    "patience": 1,
    "seed": 0,
    "identity": 0,
}
_OPTIONAL = {"patience", "clip", "amp"}
_POSITIVE = {"learning_rate", "clip"}
_NAMES = {"scaling": SCALINGS, "keep": KEEPS, "weighting": WEIGHTINGS}


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides which model a training makes, apart from the dataset and the device.

    One object, whether the settings come as keywords of ``ds.msgl.train``, from the table ``[set]`` of a
    configuration, from a recipe or from a checkpoint. Build it with :meth:`of`, which knows the settings of
    every method's network too.

    Attributes
    ----------
    method
        Name in the registry of methods: ``"msgl"`` (three tasks on both graphs), ``"async-msgl"`` (the same,
        after its interpolation task has learned at every reach what the coarse task predicts there),
        ``"fine-only"`` (fine graph alone), ``"remap"`` (coarse graph alone, carried to the reaches),
        ``"progressive"`` (``fine-only`` after coarse observations and what they predict), ``"direct"``
        (``fine-only`` after a process model's ``simulated_temperature_coarse``).
    validation
        Days that are kept to choose the best epoch and to calibrate intervals, and that nothing is fitted to:
        a share of the windows, days as ``"2011-10-01/2012-09-30"`` (several with commas between, open ends as
        ``".."``) or as slices, or None: learn from all days and keep the last epoch.
    seed
        Draws initial weights, validation windows, the order of windows, and dropout. The same seed on the
        same device gives the same weights, bit for bit on CPU with the same number of threads.
    ensemble
        Members to train, one after another, with the seeds `seed`, `seed` + 1, ...; the mean of their
        predictions is the model's. They share data, validation days and graphs [4]_.
    features
        **Inputs.** Base names of the inputs, in order, and words for several: ``"default"`` stands for
        ``"drivers"``, means of air temperature over 7, 30 and 90 days, and ``"statics"``;
        ``"air_temperature:30"`` is a mean over 30 days; ``"season"`` is the time of year;
        ``"neighbour_anomalies:10km"`` says how much warmer than a regression the observed segments around
        are, weighted with an e-folding length of 10 km along the river [5]_.
    scaling
        ``"shared"``: inputs and labels of both scales are standardised alike. ``"own"``: each scale with its
        own mean and deviation, as published; then a model may not be ``anchored``.
    window, warmup
        Days of a window whose labels count, and days run before it to fill the memory.
    identity
        **Architecture.** Numbers to learn of each segment beyond its attributes, carried to its reaches by
        the crosswalk; 0, as published, learns none. They help where nearly all segments are gauged, and
        mislead on segments that are not.
    architecture
        Arguments of the method's network: ``hidden``, ``backbone``, ``recurrent_dropout``, and for ``"msgl"``
        also ``heads``, ``dropout``, ``anchored`` and ``tasks``; given as keywords like all others.
    epochs
        **Stages.** Passes over the training windows, at most, in all stages.
    pretrain
        Epochs of the stages before the last: in all, or a list, one number a stage. Default: the method's own
        share; see :mod:`xmsgl.training.stages`.
    learning_rate
        Of Adam at the start; times 0.3 after two thirds and five sixths of the epochs. A list: one rate a
        stage, each of which then is a training of its own, with fresh moments.
    keep
        ``"best"``: the weights of the epoch with the lowest validation error. ``"last"``: those of the last
        epoch, as published.
    batch
        **Optimisation.** Windows in a batch.
    clip
        Largest norm of the gradient; None: as long as it is.
    patience
        Epochs without a better validation score before stopping; None never stops early.
    weighting
        How the gradients of the tasks are combined: ``"uniform"`` or, as published, ``"mgda"`` [2]_, [3]_.
    average
        Share of its past that a running mean of the weights keeps at each step, for example 0.98; that mean
        is validated and returned. 0 returns the weights themselves.
    amp
        bfloat16 autocast; default None: on a GPU only.
    kernel, hops, limit, nearest, direction
        **Graph.** Which reaches are neighbours and how much each counts, as of ``ds.msgl.graph``.

    References
    ----------
    .. [1] Fan et al. (2025), Multi-Scale Graph Learning for Anti-Sparse Downscaling, AAAI-25,
       doi:10.1609/aaai.v39i27.35014.
    .. [2] Désidéri (2012), Multiple-gradient descent algorithm, doi:10.1016/j.crma.2012.03.014.
    .. [3] Sener & Koltun (2018), arXiv:1810.04650.
    .. [4] Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474.
    .. [5] Skøien, Merz & Blöschl (2006), Top-kriging, doi:10.5194/hess-10-277-2006.

    Examples
    --------
    >>> settings = TrainSettings.of("msgl", epochs=20, hidden=32, features=["default", "season"])
    >>> settings.epochs, settings.architecture
    (20, {'hidden': 32})
    >>> TrainSettings.of(**settings.to_dict()) == settings
    True
    """

    method: str = "msgl"
    validation: float | str | None = 0.15
    seed: int = 0
    ensemble: int = 1
    features: tuple[str, ...] = ("default",)
    scaling: str = "shared"
    window: int = 365
    warmup: int = 60
    identity: int = 0
    architecture: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 60
    pretrain: int | tuple[int, ...] | None = None
    learning_rate: float | tuple[float, ...] = 0.005
    keep: str = "best"
    batch: int = 1
    clip: float | None = 3.0
    patience: int | None = None
    weighting: str = "uniform"
    average: float = 0.0
    amp: bool | None = None
    kernel: str | Mapping[str, Any] | None = None
    hops: int | None = None
    limit: float | None = None
    nearest: int | None = None
    direction: str = "both"

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name))
        parse_features(self.features)
        read_validation(self.validation)

    @classmethod
    def of(cls, method: str = "msgl", *, recipe: str | None = None, **given: Any) -> TrainSettings:
        """Build settings from keywords, of the training and of the method's network alike.

        Parameters
        ----------
        method
            Name in the registry of methods.
        recipe
            Name of settings to begin with, see :mod:`xmsgl.training.recipes`; what is given wins.
        **given
            Attributes of this class, and arguments of the method's network.

        Returns
        -------
        TrainSettings

        Raises
        ------
        InvalidArgumentError
            No such setting (the nearest one is suggested), or a value it cannot have.
        UnknownNameError
            No such method, recipe, scaling, weighting or ``keep``.

        Examples
        --------
        >>> TrainSettings.of(recipe="published", epochs=5).weighting
        'mgda'
        """
        own = {each.name for each in fields(cls)} - {"method", "architecture"}
        begun = {} if recipe is None else recipe_settings(recipe, method)
        network = network_arguments(method)
        _refuse_unknown(method, given, own, network)
        values = {name: _plain(name, value) for name, value in {**begun, **given}.items()}
        sizes = {name: value for name, value in values.items() if name not in own}
        return cls(
            method=method, architecture=sizes, **{name: values[name] for name in values if name in own}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values by one name each, ready for JSON, TOML and :meth:`of`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        sizes = values.pop("architecture")
        plain: dict[str, Any] = json.loads(json.dumps({**values, **sizes}))
        return plain

    def differing(self, recipe: str | None = None) -> dict[str, Any]:
        """Return the method and those settings that are not its defaults, or else not the recipe's."""
        base = TrainSettings.of(self.method, recipe=recipe).to_dict()
        own = self.to_dict()
        return {"method": self.method} | {
            name: value for name, value in own.items() if name not in base or base[name] != value
        }

    @property
    def graph(self) -> dict[str, Any]:
        """Arguments of :func:`xmsgl.schema.graphs.build_graph`."""
        return {name: getattr(self, name) for name in ("kernel", "hops", "limit", "nearest", "direction")}


def network_arguments(method: str) -> set[str]:
    """Return the arguments of a method's network that can be set."""
    from xmsgl.models.methods.base import MODELS
    from xmsgl.models.methods.registry import model_names

    if method not in model_names():
        raise UnknownNameError("network model", method, MODELS)
    return set(inspect.signature(MODELS[method]).parameters) - {"n_features", "identity", "segments"}


def _refuse_unknown(method: str, given: Iterable[str], own: set[str], network: set[str]) -> None:
    """Refuse names that are no settings, and suggest the nearest one."""
    for name in given:
        if name not in own | network:
            near = get_close_matches(name.lower(), own | network, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its network has {', '.join(sorted(network))}"
            msg = f"{method!r} has no setting {name}; {hint}"
            raise InvalidArgumentError(msg)


def _check(name: str, value: Any) -> None:
    """Refuse a value that a setting cannot have."""
    if value is None and name in _OPTIONAL:
        return
    if name == "amp" and not isinstance(value, bool):
        msg = f"{name} must be True, False or None, got {value!r}"
    elif name in _LEAST and not (isinstance(value, int) and _is_number(value) and value >= _LEAST[name]):
        msg = f"{name} must be a whole number of at least {_LEAST[name]}, got {value!r}"
    elif name in _POSITIVE and not all(map(_positive, _each(name, value))):
        msg = f"{name} must be a positive number, got {value!r}"
    elif name == "average" and not (_is_number(value) and 0 <= value < 1):
        msg = f"{name} must be in [0, 1), got {value!r}"
    elif name in _NAMES and value not in _NAMES[name]:
        raise UnknownNameError(name, value, _NAMES[name])
    else:
        return
    raise InvalidArgumentError(msg)


def _each(name: str, value: Any) -> Iterable[Any]:
    """Return the numbers in a value; only of learning rates there may be several."""
    return value if name == "learning_rate" and isinstance(value, tuple) else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _is_number(value) and 0 < float(value) < float("inf")


def _plain(name: str, value: Any) -> Any:
    """Return a value as it stands in a file: plain numbers, text, tuples and mappings."""
    if name == "validation":
        return write_validation(value)
    if isinstance(value, Kernel):
        return value.to_dict()
    if isinstance(value, np.ndarray | pd.Index | range):
        value = list(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_plain("", each) for each in value)
    if isinstance(value, Mapping):
        return {key: _plain("", each) for key, each in value.items()}
    return value.item() if isinstance(value, np.generic) else value
