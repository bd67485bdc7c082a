"""The base class of methods: a network model with tasks, registered by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from xmsgl.models.parts.batch import Batch
    from xmsgl.util.scales import Scale

__all__ = ["MODELS", "TASK_SCALES", "Memory", "NetworkModel", "register_model"]

#: State of the backbone by scale.
Memory: TypeAlias = dict[str, tuple[Tensor, ...]]

#: The scale whose labels each task is compared with.
TASK_SCALES: dict[str, Scale] = {"coarse": "coarse", "interpolation": "fine", "fine": "fine"}


class NetworkModel(nn.Module, ABC):
    """Base of the methods: one shared backbone, some tasks, one prediction for every fine reach."""

    #: Tasks that the model can be trained on, of ``"coarse"``, ``"interpolation"`` and ``"fine"``.
    tasks: tuple[str, ...]
    #: Scales whose inputs the prediction needs.
    input_scales: tuple[Scale, ...]
    #: The scale whose label mean and deviation turn the prediction into degrees.
    prediction_scale: Scale = "fine"
    #: Whether the prediction of a day needs no later day, so that a window can be run in pieces.
    stepwise: bool = True
    #: Number of epochs where the method sets it, in place of the setting `epochs`.
    epochs: int | None = None
    #: Settings of training whose defaults are other than those of the package.
    defaults: ClassVar[Mapping[str, Any]] = {}
    #: Settings of training that the method uses besides the arguments of its class. All where it is None.
    uses: ClassVar[frozenset[str] | None] = None
    #: Buffers whose sizes do not follow from the arguments of the class; `load_state_dict` must check them.
    unsized: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that all tasks share."""

    @abstractmethod
    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict, for training, at the labelled nodes only.

        Shapes: returns (time, labelled node, window).
        """

    @property
    def fused(self) -> bool:
        """Whether :meth:`stream` stores neither the inputs nor the hidden states of all reaches."""
        return False

    @property
    def latent(self) -> int:
        """Number of values in the hidden state of a node; 0 for a method without one."""
        return 0

    def embed(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:  # noqa: ARG002
        """Return the hidden state of every fine reach for some days, given the memory of the days before.

        Call ``.eval()`` first. The memory is not that of :meth:`stream`.

        Shapes: returns (time, fine, window, latent), and the memory for the days after.
        """
        msg = f"{type(self).__name__} has no hidden states to embed with; train a network, such as 'msgl'"
        raise InvalidArgumentError(msg)

    @abstractmethod
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days, given the memory of the days before, without gradients.

        Call ``.eval()`` first.

        Shapes: returns (time, fine, window), and the memory for the days after.
        """

    def memory_shapes(self, nodes: Mapping[str, int]) -> dict[str, list[tuple[int, ...]]]:
        """Return the shapes of the tensors of a memory by scale, for some numbers of nodes."""
        return {scale: [] for scale in nodes}

    def _chosen(self, batch: Batch, tasks: Collection[str] | None) -> list[str]:
        unknown = [task for task in tasks or () if task not in self.tasks]
        if unknown:
            msg = f"{type(self).__name__} has no task {', '.join(unknown)}; it has {', '.join(self.tasks)}"
            raise InvalidArgumentError(msg)
        wanted = self.tasks if tasks is None else [task for task in self.tasks if task in tasks]
        return [task for task in wanted if batch.labelled(TASK_SCALES[task])]


#: Network models by name. The first argument of a constructor is `n_features`; the others are keywords with
#: defaults and plain values, so that they can be stored in the file of a model.
MODELS: Registry[type[NetworkModel]] = Registry("network model", group="xmsgl.methods", base=NetworkModel)

register_model = MODELS.register
