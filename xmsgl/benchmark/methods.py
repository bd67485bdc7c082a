"""The methods compared: every registered network, and references."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.clock import EpochClock, member_epochs
from xmsgl.benchmark.given import RULES, predict_given
from xmsgl.errors import CheckpointError, InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import air_temperature_regression, climatology
from xmsgl.evaluate.references.boosting import gradient_boosting
from xmsgl.inputs.choose import parse_features
from xmsgl.models.file.model import load_model
from xmsgl.models.methods.base import TASK_SCALES
from xmsgl.models.methods.registry import MODELS, create_model
from xmsgl.prediction.downscale import downscale
from xmsgl.training.settings import STACK, TrainSettings
from xmsgl.training.stages import stage_rates, stages_of
from xmsgl.training.train import train
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import xarray as xr

    from xmsgl.benchmark.protocols import Split
    from xmsgl.models.file.model import Model
    from xmsgl.util.scales import Scale

__all__ = ["REFERENCES", "Outcome", "Place", "contender", "register_reference"]

logger = logging.getLogger(__name__)

# Arguments of training that are not settings of a method: the run or the machine sets them.
_RESERVED = ("method", "seed", "device", "progress", "checkpoint", "resume", "observers")


@dataclass(frozen=True)
class Place:
    """Where a run is executed."""

    folder: Path  # for the checkpoint of an interrupted run
    device: str = "cpu"  # of the networks: "auto", "cpu" or "cuda"
    on_epoch: Callable[[int], None] = lambda _: None  # called with its number, counted over all members
    trained: Path | None = None  # model of a finished run with the same training


@dataclass(frozen=True)
class Outcome:
    """The result of a method."""

    prediction: xr.DataArray  # (time, fine), degC; may be lazy
    model: Model | None = None  # of a network
    epoch_seconds: list[float] = field(default_factory=list)
    earlier: float = 0.0  # wall time of the interrupted process that this one resumed, s


@dataclass(frozen=True)
class Reference:
    """A method without a network: one function from the training dataset to a prediction."""

    function: Callable[..., xr.DataArray]  # takes the dataset, settings by keyword, and ``seed`` if random
    learns_from: frozenset[str]
    random: bool = False
    trained: bool = False  # so that the settings for all networks do not apply

    def sources(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """Return what it learns from: ``"fine"`` and ``"coarse"`` labels, the ``"process"`` model."""
        decided = {"seed", *getattr(self.function, "keywords", ())}
        known = [
            name for name in list(inspect.signature(self.function).parameters)[1:] if name not in decided
        ]
        if unknown := [name for name in settings if name not in known]:
            msg = f"this method has no setting {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
            raise InvalidArgumentError(msg)
        # Neighbour anomalies are computed from coarse labels.
        return self.learns_from | ({"coarse"} if settings.get("neighbours") else set())

    def run(self, split: Split, seed: int, settings: Mapping[str, Any], _: Place) -> Outcome:
        """Fit to the training part of a split and predict every reach and day."""
        drawn = {"seed": seed} if self.random else {}
        return Outcome(self.function(split.training, **drawn, **settings))


@dataclass(frozen=True)
class Network:
    """A model, by its name in :mod:`xmsgl.models.methods.registry`, or a stack."""

    name: str
    random: bool = True

    @property
    def trained(self) -> bool:
        """Whether the settings for all networks apply."""
        return self.name != STACK and MODELS[self.name].uses is None

    def sources(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """Return what it learns from in the stages of its training; see :meth:`Reference.sources`."""
        if clash := [name for name in _RESERVED if name in settings]:
            msg = f"{self.name}: the benchmark sets {', '.join(clash)} itself; omit it"
            raise InvalidArgumentError(msg)
        if "start" in settings:
            msg = f"{self.name}: a model to start with may have seen labels that are held out; omit it"
            raise InvalidArgumentError(msg)
        given, settings = _apart(settings)
        RULES[given]  # an unknown name is an error
        chosen = TrainSettings.of(self.name, **settings)
        return frozenset().union(*(_labels_of(part) for part in chosen.parts or [chosen]))

    def run(self, split: Split, seed: int, settings: Mapping[str, Any], place: Place) -> Outcome:
        """Train, or resume training, and predict every reach and day."""
        given, settings = _apart(settings)
        chosen = TrainSettings.of(self.name, **settings)
        checkpoint = place.folder / "training.ckpt"
        clock = EpochClock(place.folder / "epochs.json", place.on_epoch)
        arguments: dict[str, Any] = {
            "validation": split.validation,
            **settings,
            "seed": seed,
            "device": place.device,
            "progress": False,
            "checkpoint": checkpoint,
            "observers": [clock],
        }
        if place.trained is None:
            model = self._train(split.training, arguments, checkpoint)
        else:
            model = load_model(place.trained)
        # Of trainings whose first weights are not those of the model, all epochs measured.
        first = chosen.parts or chosen.refit or place.trained is not None
        epochs = clock.epochs if first else member_epochs(model.history)
        if split.sensors is None:
            prediction = downscale(split.inputs, model, device=place.device)
        else:
            sensors = split.sensors, split.observed
            prediction = predict_given(split.inputs, *sensors, model, given, place.device)
        return Outcome(prediction, model, clock.seconds(epochs), clock.earlier(epochs))

    def _train(self, ds: xr.Dataset, arguments: Mapping[str, Any], checkpoint: Path) -> Model:
        if checkpoint.is_file():
            try:
                return train(ds, self.name, resume=checkpoint, **arguments)
            except CheckpointError as error:
                # Made by other code or from other data: training now would give another model.
                logger.warning("training starts again: %s", error)
                checkpoint.unlink()
        return train(ds, self.name, **arguments)


def _apart(settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what a prediction is given, and the settings of the training."""
    training = {name: value for name, value in settings.items() if name != "given"}
    return str(settings.get("given", "sensors")), training


def _labels_of(settings: TrainSettings) -> set[str]:
    """Return what a model learns from in the stages of its training."""
    module = create_model(settings.method, n_features=1, seed=0, **settings.architecture)
    stages = stages_of(
        settings.method, module.tasks, settings.epochs, settings.pretrain, coarse_labels=True, process=True
    )
    stage_rates(settings.learning_rate, stages)
    used = {"coarse"} if parse_features(settings.features) else set()
    for stage in stages:
        if stage.labels == "observed":
            used |= {TASK_SCALES[task] for task in stage.tasks}
        elif stage.labels == "process":
            used.add("process")
    return used


def _booster(labels: Scale) -> Reference:
    return Reference(partial(gradient_boosting, labels=labels), frozenset({labels}), random=True)


REFERENCES: Registry[Reference] = Registry(
    "method",
    {
        "climatology": Reference(climatology, frozenset({"coarse", "fine"})),
        "regression": Reference(air_temperature_regression, frozenset({"coarse", "fine"})),
        "booster-fine": _booster("fine"),
        "booster-coarse": _booster("coarse"),
    },
)
"""References by name."""


def register_reference(
    name: str, *, learns_from: Iterable[str], random: bool = False
) -> Callable[[Callable[..., xr.DataArray]], Callable[..., xr.DataArray]]:
    """Register a function as a reference.

    Parameters
    ----------
    name
        Name of the method in the benchmark.
    learns_from
        Temperatures it learns from: ``"fine"``, ``"coarse"``, ``"process"``.
    random
        Whether the function has an argument ``seed``.

    Returns
    -------
    callable
        A decorator that returns the function unchanged.

    Examples
    --------
    >>> @register_reference("ten", learns_from=())
    ... def always_ten(ds, *, degrees=10.0):
    ...     return ds["water_temperature_fine"] * 0 + degrees
    >>> REFERENCES.pop("ten").random
    False
    """

    def keep(function: Callable[..., xr.DataArray]) -> Callable[..., xr.DataArray]:
        REFERENCES[name] = Reference(function, frozenset(learns_from), random)
        return function

    return keep


def contender(name: str) -> Reference | Network:
    """Return a method by its name."""
    if name in REFERENCES:
        return REFERENCES[name]
    if name in MODELS or name == STACK:
        return Network(name)
    raise UnknownNameError("method", name, [*REFERENCES, *MODELS, STACK])
