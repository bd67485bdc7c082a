"""The settings of a training."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, UnknownNameError, nearest
from xmsgl.inputs.choose import parse_features
from xmsgl.inputs.features import LONGEST
from xmsgl.inputs.validation import read_validation, write_validation
from xmsgl.network.kernels import Kernel
from xmsgl.training.loop import KEEPS
from xmsgl.training.recipes import DEFAULT_PARTS, RECIPES, recipe_settings
from xmsgl.training.weighting import WEIGHTINGS
from xmsgl.util.arguments import check_value, checked
from xmsgl.util.spec import is_number, is_positive

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SCALINGS", "STACK", "TrainSettings"]

#: How inputs and labels are standardised.
SCALINGS: dict[str, str] = {
    "shared": "one mean and deviation for both scales, so that the same water has the same number on either",
    "own": "each scale has its own mean and deviation, as published",
}

# Smallest value of each count.
_LEAST = {
    "epochs": 1,
    "steps": 0,
    "window": 1,
    "warmup": 0,
    "batch": 1,
    "basins": 1,
    "ensemble": 1,
    "patience": 1,
    "seed": 0,
    "identity": 0,
}
_MOST = {"seed": 2**63 - 1, **dict.fromkeys(("ensemble", "identity", "hidden", "heads"), 10_000)}
#: The method that is the weighted mean of others.
STACK = "stack"
# Settings that hold for all parts of a stack; only the ensemble of a part may be another.
_SHARED = ("ensemble", "refit", "seed", "validation", "window")
#: Steps of a training whose epochs are not given.
_STEPS = 1000
_OPTIONAL = {"patience", "basins", "clip", "amp"}
_POSITIVE = {"learning_rate", "clip"}
_NAMES = {"scaling": SCALINGS, "keep": KEEPS, "weighting": WEIGHTINGS}


@dataclass(frozen=True)
class TrainSettings:
    """All settings of a training; together with the dataset and the device they determine the model.

    They are keywords of ``ds.msgl.train``, or come from a configuration, a recipe or a checkpoint. Build them
    with :meth:`of`, which also accepts the arguments of the method's network.

    Attributes
    ----------
    method
        Name in the registry of methods: ``"msgl"`` (three tasks on both graphs), ``"async-msgl"`` (the same,
        after its interpolation task has learned from pseudo-labels, the predictions of the coarse task at all
        reaches), ``"dynamic-msgl"`` (``msgl`` with learned edges, the backbone ``"dynamic"``),
        ``"fine-only"`` (fine graph only), ``"remap"`` (coarse graph only, carried to the reaches),
        ``"progressive"`` (``fine-only`` after training on coarse observations and on pseudo-labels),
        ``"direct"`` (``fine-only`` after training on a process model's ``simulated_temperature_coarse``),
        ``"trees"`` (boosted regression trees on the observations of one scale, without a graph). Of the
        settings below, trees use `validation`, `refit`, `seed`, `ensemble`, `features`, `window`, `keep` and
        `learning_rate`, by default 0.1, and refuse other values than the default of the rest.
        ``"stack"``: the weighted mean of the models in `parts`, a list of their settings such as
        ``[{"method": "remap"}, {"method": "trees"}]``, by default ``"msgl"`` and ``"trees"`` with neighbour
        anomalies; weights are at least 0, with the sum 1, and minimise the squared error at the fine
        observations of validation. Of the settings below, a stack uses
        `validation`, `refit`, `seed`, `ensemble` and `window`, which hold for all parts; only `ensemble`
        may be set for a part, too.
    validation
        Observations kept to choose the best epoch and to calibrate intervals; nothing is fitted to them. Keep
        days to predict other days at gauged reaches: a fraction of the windows, or date ranges as
        ``"2011-10-01/2012-09-30"`` (open ends as ``".."``) or as slices. Keep segments to predict ungauged
        reaches: ``"segments"`` keeps 15 % of the gauged segments at both scales, ``"segments:0.2"`` 20 %,
        drawn in groups of neighbours along the river. Both with a comma, ``"days,segments:0.2"``.
        ``"folds"`` trains five times, ``"folds:4"`` four times, each time without another part of the
        segments and another 15th of the years, or of a shorter record; the prediction is the mean, and
        every gauge has a residual of the training that left it out. None: learn from everything and keep the
        last epoch.
    refit
        Train again on all observations, those of validation too, after these have shown the errors: the
        intervals and the shares of a stack are those of the first training, the weights those of the second,
        which keeps its last epoch. Give ``keep="last"`` to measure the errors of the last epoch, too.
    seed
        Seed of initial weights, validation windows, the order of windows, and dropout. The same seed gives
        the same weights, bit for bit on CPU with the same number of threads.
    ensemble
        Number of members, trained with the seeds `seed`, `seed` + 1, ..., whose mean is the prediction [4]_.
    features
        **Inputs.** Base names of the inputs, in order, or names of groups: ``"default"`` means ``"drivers"``,
        means of air temperature over 7, 30 and 90 days, ``"statics"``, ``"season"`` and, for methods that
        learn from coarse observations, neighbour anomalies of 0, 40 and 80 km; ``"air_temperature:30"`` is a
        mean over 30 days; ``"weather_memory"`` means the drivers and their means over 7 and 30 days, of air
        temperature over 3, 7, 30 and 90; ``"season"`` is the time of year; ``"neighbour_anomalies:10km"`` are
        the residuals of a regression at neighbouring observed segments, weighted with an e-folding length of
        10 km along the river [5]_, and ``"neighbour_anomalies:0km"`` that of the segment's own gauge, hidden
        in training for half of the segments of a window. For trees, ``"default"`` means
        ``"weather_memory"``, ``"statics"`` and ``"season"``.
    scaling
        ``"shared"``: one mean and deviation standardises inputs and labels of both scales. ``"own"``: each
        scale has its own, as published; the model cannot be ``anchored``.
    window
        Days of a window; all of them are scored.
    warmup
        Days run before each window to fill the memory of the cell; they are not scored.
    identity
        **Architecture.** Length of a vector learned for each segment and its reaches; 0, as published, learns
        none. It helps where nearly all segments are gauged, and misleads at ungauged segments.
    architecture
        Arguments of the method's network: ``hidden``, ``backbone``, ``recurrent_dropout``, and for ``"msgl"``
        also ``heads``, ``dropout``, ``anchored`` and ``tasks``; for ``"trees"`` only ``labels``,
        ``iterations``, ``min_samples_leaf`` and ``max_features``; for ``"stack"`` only ``parts``; given as
        keywords like all others.
    epochs
        **Stages.** Maximum number of passes over the training windows, in all stages together.
    steps
        Smallest number of steps of Adam: where the windows are too few for it, all epochs are multiplied by a
        whole number. 0: the epochs as given. Default: 1000, or 0 where `epochs` is given.
    pretrain
        Epochs before the last stage: their total, or a list with one number for each stage. Default: a share
        of all epochs that depends on the method; see :mod:`xmsgl.training.stages`.
    learning_rate
        Initial learning rate of Adam, multiplied by 0.3 after two thirds and again after five sixths of the
        epochs. A list has one rate for each stage, which then has its own decay and new moments.
    keep
        Weights of the epoch with the lowest validation error, ``"best"``, or, as published, ``"last"``.
    batch
        **Optimisation.** Windows in a batch; halved, with a warning in the log, where a GPU is too small.
    basins
        River basins in an epoch, drawn anew for each of those with observations: an epoch of many basins,
        as of :func:`xmsgl.join_basins`, then takes less time and memory. None: all.
    clip
        Maximum norm of the gradient; None: no limit.
    patience
        Epochs without a better validation score before training stops; None: no early stop.
    weighting
        How the gradients of the tasks are combined: ``"uniform"`` or, as published, ``"mgda"`` [2]_, [3]_.
    average
        Share of its past that a running mean of the weights keeps at each step, for example 0.98; this mean
        is validated and returned. 0 returns the weights themselves.
    amp
        bfloat16 autocast. Default None: on a GPU only.
    frozen
        Parts of the network that keep the weights of the model to start with, by name: ``"cell"``, the
        backbone, ``"coarse_head"``, or a part of a part, ``"cell.W_hh"``. They need `start`.
    kernel
        **Graph.** Weight of a neighbour by distance, as in ``ds.msgl.graph``; default: exponential, 10 km.
    hops
        Neighbours within this number of hops along the river; default: 5, unless another limit is given.
    limit
        Neighbours within this distance along the river, m.
    nearest
        This number of nearest neighbours.
    direction
        ``"both"``, ``"upstream"`` or ``"downstream"``.

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
    refit: bool = False
    seed: int = 0
    ensemble: int = 1
    features: tuple[str, ...] = ("default",)
    scaling: str = "shared"
    window: int = 365
    warmup: int = 60
    identity: int = 0
    architecture: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 30
    steps: int = 0
    pretrain: int | tuple[int, ...] | None = None
    learning_rate: float | tuple[float, ...] = 0.005
    keep: str = "best"
    batch: int = 1
    basins: int | None = None
    clip: float | None = 3.0
    patience: int | None = None
    weighting: str = "uniform"
    average: float = 0.0
    amp: bool | None = None
    frozen: tuple[str, ...] = ()
    kernel: str | Mapping[str, Any] | None = None
    hops: int | None = None
    limit: float | None = None
    nearest: int | None = None
    direction: str = "both"

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name), str(each.type))
        if self.folds and self.refit:
            msg = "with validation='folds' all observations are learned from; leave refit out"
            raise InvalidArgumentError(msg)

    @classmethod
    @checked
    def of(cls, method: str | None = None, *, recipe: str | None = None, **given: Any) -> TrainSettings:
        """Build settings from keywords of the training and of the method's network.

        Parameters
        ----------
        method
            Name in the registry of methods, or ``"stack"``. Default: ``"stack"``; with a recipe that of the
            recipe, or else ``"msgl"``.
        recipe
            Name of a recipe, whose settings the given ones override; see :mod:`xmsgl.training.recipes`.
        **given
            Attributes of this class, and arguments of the method's network.

        Returns
        -------
        TrainSettings

        Raises
        ------
        InvalidArgumentError
            No such setting (the most similar one is suggested), or an invalid value; or a setting of a
            single model without its method.
        UnknownNameError
            No such method, recipe, scaling, weighting or ``keep``.

        Examples
        --------
        >>> TrainSettings.of(recipe="published", epochs=5).weighting
        'mgda'
        """
        from xmsgl.models.methods.registry import MODELS

        own = {each.name for each in fields(cls)} - {"method", "architecture"}
        if method is None and recipe is None and "parts" not in given:
            _refuse_unnamed(given)
        method = method or (STACK if recipe is None else RECIPES[recipe].method or "msgl")
        usual, uses = _of_method(method)
        base = {} if recipe is None else recipe_settings(recipe, method)
        _refuse_unknown(method, given, own, network_arguments(method))
        values = {name: _plain(name, value) for name, value in {**usual, **base, **given}.items()}
        if uses is None and "epochs" not in values:
            values.setdefault("steps", _STEPS)
        network = {name: values.pop(name) for name in list(values) if name not in own}
        kinds = {} if method == STACK else inspect.signature(MODELS[method]).parameters
        for name, value in network.items():
            _check(name, value, str(kinds[name].annotation) if name in kinds else "Any")
        plain = cls(method=method, architecture=network, **values)
        features = (usual.get("features", [name]) if name == "default" else [name] for name in plain.features)
        chosen = replace(plain, features=tuple(dict.fromkeys(chain.from_iterable(features))))
        unused = [] if uses is None else sorted(own - uses)
        for name in unused:
            if getattr(chosen, name) not in (usual.get(name), getattr(cls, name)):
                msg = f"{method!r} does not use {name}; leave it out"
                raise InvalidArgumentError(msg)
        if method == STACK:
            _check_parts(chosen)
        return chosen

    @property
    def parts(self) -> list[TrainSettings]:
        """Settings of the parts of a stack; none for another method."""
        shared = {name: getattr(self, name) for name in _SHARED}
        given = self.architecture.get("parts", ()) if self.method == STACK else ()
        return [TrainSettings.of(**{**shared, **part}) for part in given]

    @property
    def folds(self) -> int:
        """Number of trainings that each leave out a part of the segments; 0 for a single training."""
        return read_validation(self.validation).folds

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON, TOML and :meth:`of`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        network = values.pop("architecture")
        plain: dict[str, Any] = json.loads(json.dumps({**values, **network}))
        return plain

    def differing(self, recipe: str | None = None) -> dict[str, Any]:
        """Return the method and the settings that differ from its defaults, or from those of a recipe."""
        base = TrainSettings.of(self.method, recipe=recipe).to_dict()
        own = self.to_dict()
        return {"method": self.method} | {
            name: value for name, value in own.items() if name not in base or base[name] != value
        }

    @property
    def again(self) -> TrainSettings:
        """Settings of the second training, on all observations."""
        if self.parts:
            given = tuple({**part, "keep": "last"} for part in self.architecture["parts"])
            return replace(self, validation=None, refit=False, architecture={"parts": given})
        return replace(self, validation=None, refit=False, keep="last")

    @property
    def graph(self) -> dict[str, Any]:
        """Arguments of ``ds.msgl.graph``."""
        return {name: getattr(self, name) for name in ("kernel", "hops", "limit", "nearest", "direction")}


def network_arguments(method: str) -> set[str]:
    """Return the arguments of a method's network that users can set."""
    from xmsgl.models.methods.registry import MODELS

    if method == STACK:
        return {"parts"}
    return set(inspect.signature(MODELS[method]).parameters) - {"n_features", "identity", "segments"}


def _of_method(method: str) -> tuple[Mapping[str, Any], frozenset[str] | None]:
    """Return the defaults of a method, and the settings that it uses (None: all)."""
    from xmsgl.models.methods.registry import MODELS

    if method == STACK:
        return {"parts": DEFAULT_PARTS}, frozenset(_SHARED)
    return MODELS[method].defaults, MODELS[method].uses


def _check_parts(settings: TrainSettings) -> None:
    """Refuse parts of a stack that are not the settings of models, and settings that all parts share."""
    parts = settings.architecture.get("parts", ())
    if not isinstance(parts, tuple) or len(parts) < 2 or not all(isinstance(part, Mapping) for part in parts):
        msg = (
            f"a stack needs parts, a list of the settings of two models or more, such as "
            f"[{{'method': 'remap'}}, {{'method': 'trees'}}]; got {parts!r}"
        )
        raise InvalidArgumentError(msg)
    for number, part in enumerate(parts):
        if shared := sorted({*_SHARED, "recipe"} - {"ensemble"} & set(part)):
            msg = f"part {number} of the stack sets {', '.join(shared)}; set it for the stack as a whole"
            raise InvalidArgumentError(msg)
        if part.get("method") == STACK:
            msg = f"part {number} of the stack is a stack itself; give its parts one by one"
            raise InvalidArgumentError(msg)
    _ = settings.parts


def _refuse_unnamed(given: Mapping[str, Any]) -> None:
    """Refuse settings of a single model where none is named, because the default is a stack."""
    if foreign := {name: value for name, value in given.items() if name not in _SHARED}:
        likely = "trees" if foreign.keys() <= network_arguments("trees") else "msgl"
        TrainSettings.of(likely, **foreign)  # says first what else is wrong with them
        msg = (
            f"{next(iter(foreign))} is a setting of a single model, but without a method a stack of two is "
            f"trained; name the model, for example method={likely!r}"
        )
        raise InvalidArgumentError(msg)


def _refuse_unknown(method: str, given: Iterable[str], own: set[str], network: set[str]) -> None:
    """Refuse unknown names, and suggest the most similar setting."""
    for name in given:
        if name not in own | network:
            near = nearest(name, own | network)
            hint = f"did you mean {near}?" if near else f"its network has {', '.join(sorted(network))}"
            msg = f"{method!r} has no setting {name}; {hint}"
            raise InvalidArgumentError(msg)


def _check(name: str, value: Any, kind: str) -> Any:
    """Refuse an invalid value of a setting, whose annotation is `kind`."""
    if value is None and name in _OPTIONAL:
        return None
    each = value if name == "learning_rate" and isinstance(value, tuple) else [value]
    if name in _LEAST and not (isinstance(value, int) and is_number(value) and value >= _LEAST[name]):
        msg = f"{name} must be a whole number of at least {_LEAST[name]}, got {value!r}"
    elif name == "warmup" and value > LONGEST:
        msg = f"warmup must be at most {LONGEST} days, got {value!r}"
    elif name in _POSITIVE and not all(map(is_positive, each)):
        msg = f"{name} must be a positive number, got {value!r}"
    elif name == "average" and not (is_number(value) and 0 <= value < 1):
        msg = f"{name} must be in [0, 1), got {value!r}"
    elif name in _NAMES and not (isinstance(value, str) and value in _NAMES[name]):
        raise UnknownNameError(name, value, _NAMES[name])
    elif name in _MOST and is_number(value) and value > _MOST[name]:
        msg = f"{name} must be at most {_MOST[name]:,}, got {value!r}"
    else:
        return parse_features(value) if name == "features" else check_value(name, value, kind)
    raise InvalidArgumentError(msg)


def _plain(name: str, value: Any) -> Any:
    """Return a value as plain numbers, text, tuples and mappings."""
    if name == "validation":
        return write_validation(value)
    if isinstance(value, Kernel):
        return value.to_dict()
    if isinstance(value, np.ndarray | pd.Index | range):
        value = list(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(_plain("", each) for each in value)
    if isinstance(value, Mapping):
        return {key: _plain("", each) for key, each in value.items()}
    return value.item() if isinstance(value, np.generic) else value
