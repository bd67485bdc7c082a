"""Who takes part: every network of the registry, and the references to beat."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from xmsgl.benchmark.clock import EpochClock, member_epochs
from xmsgl.errors import CheckpointError, InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import air_temperature_regression, climatology
from xmsgl.evaluate.references.boosting import gradient_boosting
from xmsgl.inputs.choose import parse_features
from xmsgl.models.methods.base import TASK_SCALES
from xmsgl.models.methods.registry import create_model, model_names
from xmsgl.prediction.downscale import downscale
from xmsgl.training.settings import TrainSettings
from xmsgl.training.stages import stage_rates, stages_of
from xmsgl.training.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import xarray as xr

    from xmsgl.benchmark.protocols import Split
    from xmsgl.models.file.model import Model
    from xmsgl.util.scales import Scale

__all__ = ["REFERENCES", "Contender", "Outcome", "Place", "Reference", "contender", "register_reference"]

logger = logging.getLogger(__name__)

# Arguments of training that are no settings of a method: the run or the machine decides them.
_RESERVED = ("method", "seed", "device", "progress", "checkpoint", "resume", "observers")


@dataclass(frozen=True)
class Place:
    """Where a run works, and on what.

    Attributes
    ----------
    folder
        Keeps what an interrupted run goes on from.
    device
        Of the networks: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    tell
        Called with the number of each finished epoch, counted through the members of an ensemble.
    """

    folder: Path
    device: str = "cpu"
    tell: Callable[[int], None] = lambda _: None


@dataclass(frozen=True)
class Outcome:
    """What a method gives.

    Attributes
    ----------
    prediction
        Water temperature (time, fine), degC; may be lazy.
    model
        The trained network, if it is one.
    epoch_seconds
        Wall time of each of its epochs.
    earlier
        Wall time of an interrupted process that this one went on from, s.
    """

    prediction: xr.DataArray
    model: Model | None = None
    epoch_seconds: list[float] = field(default_factory=list)
    earlier: float = 0.0


class Contender(Protocol):
    """A method as the benchmark sees it."""

    @property
    def random(self) -> bool:
        """Whether its result depends on a seed."""

    @property
    def trained(self) -> bool:
        """Whether it is a network, which the settings for all networks concern."""

    def sources(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """Say what it learns from: ``"fine"`` and ``"coarse"`` labels, the ``"process"`` model."""

    def run(self, split: Split, seed: int, settings: Mapping[str, Any], place: Place) -> Outcome:
        """Learn from the training part of a split and predict every reach and day."""


@dataclass(frozen=True)
class Reference:
    """A method without a network: one function from a dataset to a prediction.

    Attributes
    ----------
    function
        Takes the training dataset, settings by keyword, and ``seed`` if it is random.
    learns_from
        As of :meth:`Contender.sources`.
    random
        Whether `function` takes a seed.
    """

    function: Callable[..., xr.DataArray]
    learns_from: frozenset[str]
    random: bool = False
    trained: bool = False

    def sources(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """Say what it learns from; see :meth:`Contender.sources`."""
        decided = {"seed", *getattr(self.function, "keywords", ())}
        known = [
            name for name in list(inspect.signature(self.function).parameters)[1:] if name not in decided
        ]
        if unknown := [name for name in settings if name not in known]:
            msg = f"this method has no setting {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
            raise InvalidArgumentError(msg)
        # Neighbour anomalies are fitted to the labels of segments.
        return self.learns_from | ({"coarse"} if settings.get("neighbours") else set())

    def run(self, split: Split, seed: int, settings: Mapping[str, Any], _: Place) -> Outcome:
        """Fit and predict at once; see :meth:`Contender.run`."""
        drawn = {"seed": seed} if self.random else {}
        return Outcome(self.function(split.training, **drawn, **settings))


@dataclass(frozen=True)
class Network:
    """A network model of :mod:`xmsgl.models.methods.registry`.

    Attributes
    ----------
    name
        Its name there.
    """

    name: str
    random: bool = True
    trained: bool = True

    def sources(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """Say what it learns from, by the stages of its training; see :meth:`Contender.sources`."""
        if clash := [name for name in _RESERVED if name in settings]:
            msg = f"{self.name}: the benchmark sets {', '.join(clash)} itself; leave it out"
            raise InvalidArgumentError(msg)
        if "start" in settings:
            msg = f"{self.name}: a model to start with may have seen labels that are held out; leave it out"
            raise InvalidArgumentError(msg)
        chosen = TrainSettings.of(self.name, **settings)
        module = create_model(self.name, n_features=1, seed=0, **chosen.architecture)
        stages = stages_of(
            self.name, module.tasks, chosen.epochs, chosen.pretrain, coarse_labels=True, process=True
        )
        stage_rates(chosen.learning_rate, stages)
        used: set[str] = {
            TASK_SCALES[task] for stage in stages if stage.labels == "observed" for task in stage.tasks
        }
        used |= {"process"} if any(stage.labels == "process" for stage in stages) else set()
        used |= {"coarse"} if parse_features(chosen.features).lengths else set()
        return frozenset(used)

    def run(self, split: Split, seed: int, settings: Mapping[str, Any], place: Place) -> Outcome:
        """Train, or go on training, then predict; see :meth:`Contender.run`."""
        checkpoint = place.folder / "training.ckpt"
        arguments: dict[str, Any] = {
            "validation": split.validation,
            **settings,
            "seed": seed,
            "device": place.device,
            "progress": False,
            "checkpoint": checkpoint,
        }
        clock = EpochClock(place.folder / "epochs.json", place.tell)
        model = self._train(split.training, {**arguments, "observers": [clock]}, checkpoint)
        epochs = member_epochs(model.history)
        prediction = downscale(split.inputs, model, device=place.device)
        return Outcome(prediction, model, clock.seconds(epochs), clock.earlier(epochs))

    def _train(self, ds: xr.Dataset, arguments: Mapping[str, Any], checkpoint: Path) -> Model:
        if checkpoint.is_file():
            try:
                return train(ds, self.name, resume=checkpoint, **arguments)
            except CheckpointError as error:
                # Other code or data since: what was learned then is not what would be learned now.
                logger.warning("training starts anew: %s", error)
                checkpoint.unlink()
        return train(ds, self.name, **arguments)


def _booster(labels: Scale) -> Reference:
    return Reference(partial(gradient_boosting, labels=labels), frozenset({labels}), random=True)


REFERENCES: dict[str, Reference] = {
    "climatology": Reference(climatology, frozenset({"coarse", "fine"})),
    "regression": Reference(air_temperature_regression, frozenset({"coarse", "fine"})),
    "booster-fine": _booster("fine"),
    "booster-coarse": _booster("coarse"),
}
"""References by name."""


def register_reference(
    name: str, *, learns_from: Iterable[str], random: bool = False
) -> Callable[[Callable[..., xr.DataArray]], Callable[..., xr.DataArray]]:
    """Register a function as a reference.

    Parameters
    ----------
    name
        What the benchmark will know it by.
    learns_from
        ``"fine"``, ``"coarse"``, ``"process"``: whose temperatures it learns from.
    random
        Whether the function takes a ``seed``.

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


def contender(name: str) -> Contender:
    """Find a method by its name."""
    if name in REFERENCES:
        return REFERENCES[name]
    if name in model_names():
        return Network(name)
    raise UnknownNameError("method", name, [*REFERENCES, *model_names()])
