"""What every method is: a network model with tasks, registered by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from xmsgl.models.parts.batch import Batch
    from xmsgl.util.scales import Scale

__all__ = ["MODELS", "PIECE", "TASK_SCALES", "Memory", "NetworkModel", "register_model"]


#: Days whose hidden states are held at once outside training; the memory is carried, the result the same.
PIECE = 64


#: State of the backbone by scale.
Memory: TypeAlias = dict[str, tuple[Tensor, ...]]


#: Whose labels each task is compared with.
TASK_SCALES: dict[str, Scale] = {"coarse": "coarse", "interpolation": "fine", "fine": "fine"}


class NetworkModel(nn.Module, ABC):
    """Base of the models: one shared backbone, some tasks, one prediction for every fine reach.

    Attributes
    ----------
    tasks
        Tasks the model can be trained on, of ``"coarse"``, ``"interpolation"`` and ``"fine"``.
    input_scales
        Scales whose inputs the prediction needs.
    prediction_scale
        The scale whose label mean and deviation turn the prediction into degrees.
    stepwise
        The prediction of a day needs no later one, so that a window can be run in pieces. False: what
        :meth:`stream` is given is a window.
    """

    tasks: tuple[str, ...]
    input_scales: tuple[Scale, ...]
    prediction_scale: ClassVar[Scale] = "fine"
    stepwise: bool = True

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters all tasks share."""

    @abstractmethod
    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict, for training, at the labelled nodes only.

        Shapes: returns (time, labelled node, window).
        """

    @property
    def fused(self) -> bool:
        """Whether :meth:`stream` makes do without the inputs and hidden states of all fine reaches."""
        return False

    @abstractmethod
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days that follow others, without gradients.

        Call ``.eval()`` first.

        Shapes: returns (time, fine, window), returns (node, window, hidden).
        """

    def predict(self, batch: Batch) -> Tensor:
        """Predict every fine reach for whole windows, as :meth:`stream` does.

        A stepwise model works off the days in pieces, so that its hidden states need not all be held.

        Shapes: returns (time, fine, window).
        """
        if not self.stepwise:
            return self.stream(batch)[0]
        parts: list[Tensor] = []
        memory: Memory | None = None
        for days in batch.split(PIECE):
            prediction, memory = self.stream(days, memory)
            parts.append(prediction)
        return torch.cat(parts)

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """Return what the model knows of every fine reach and day, ``(time, fine, window, channel)``."""

    def _chosen(self, batch: Batch, tasks: Collection[str] | None) -> list[str]:
        unknown = [task for task in tasks or () if task not in self.tasks]
        if unknown:
            msg = f"{type(self).__name__} has no task {', '.join(unknown)}; it has {', '.join(self.tasks)}"
            raise InvalidArgumentError(msg)
        wanted = self.tasks if tasks is None else [task for task in self.tasks if task in tasks]
        return [task for task in wanted if batch.labelled(TASK_SCALES[task])]


#: Network models by name.
MODELS: dict[str, type[NetworkModel]] = {}


_Model = TypeVar("_Model", bound=type[NetworkModel])


def register_model(name: str) -> Callable[[_Model], _Model]:
    """Register a class as a network model.

    Parameters
    ----------
    name
        What ``create_model`` will know it by. The constructor's first argument is `n_features`; the
        others are keywords with defaults, and plain values, so that a file of weights can carry them.

    Returns
    -------
    callable
        A decorator that returns the class unchanged.
    """

    def keep(cls: _Model) -> _Model:
        MODELS[name] = cls
        return cls

    return keep
