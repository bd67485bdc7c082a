"""Training batches on a device, without the nodes that no label depends on."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from xmsgl.models.methods.base import TASK_SCALES
from xmsgl.network.parts import Part
from xmsgl.prediction.prefetch import prefetch, to_device
from xmsgl.training.loop import LabelledBatch
from xmsgl.training.team import ALONE, Team
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from xmsgl.inputs.batches import HostBatch, TrainingData
    from xmsgl.prediction.operators import Operators
    from xmsgl.training.stages import Stage

__all__ = ["DeviceBatches", "label_scales"]

logger = logging.getLogger(__name__)


def label_scales(tasks: Collection[str]) -> tuple[Scale, ...]:
    """Return the scales whose labels some tasks learn from."""
    used = {TASK_SCALES[task] for task in tasks}
    return tuple(scale for scale in SCALES if scale in used)


class DeviceBatches:
    """Batches of a dataset on a device: the :class:`~xmsgl.training.loop.Source` of the loop.

    With `basins`, an epoch has the nodes and labels of `count` of them, drawn from the seed and its number.
    """

    def __init__(
        self, data: TrainingData, operators: Operators, basins: Sequence[Part] = (), count: int | None = None
    ) -> None:
        self._data, self._operators = data, operators
        self._basins: list[dict[Scale, npt.NDArray[np.int64]]]
        self._basins, self._count = [{"coarse": part.coarse, "fine": part.fine} for part in basins], count
        self._few, self._few_operators = _pruned(data, operators)
        self.deviation: Mapping[str, float] = {
            scale: scaling.label_deviation for scale, scaling in data.scaling.items()
        }
        # Factor and offset from a standardised coarse temperature to a standardised fine one.
        coarse, fine = data.scaling["coarse"], data.scaling["fine"]
        offset = (coarse.label_mean - fine.label_mean) / fine.label_deviation
        self._carry = coarse.label_deviation / fine.label_deviation, offset

    @property
    def on_disk(self) -> bool:
        """Whether drivers are read from disk as needed."""
        return self._data.on_disk

    def training(self, epoch: int, stage: Stage) -> Iterator[LabelledBatch]:
        """Batches of an epoch."""
        if stage.labels == "observed":
            data, operators = self._few, self._few_operators
        else:
            data, operators = self._data, self._operators
        if self._count is not None:
            keep = data.places(self._drawn_basins(stage, self._count, epoch))
            data, operators = data.prune(keep, lossy=True), operators.restrict(Part(**keep))
        return self._ahead(_host_batches(data, epoch, stage), operators)

    def validation(self, tasks: Collection[str]) -> Iterator[LabelledBatch]:
        """Batches of the validation days; none for tasks whose observations the method does not use."""
        scales = [scale for scale in label_scales(tasks) if scale in self._data.scales]
        batches = self._few.validation_batches(scales) if scales else ()
        return self._ahead(batches, self._few_operators)

    def use_smaller_batches(self) -> int:
        """Halve the number of windows in a batch from now on, and return it; 0 if it was one window."""
        former = self._data.batch
        for data in (self._data, self._few):
            data.batch = -(-former // 2)
        return self._data.batch if former > 1 else 0

    def drawn(self, seed: int, team: Team = ALONE) -> DeviceBatches:
        """Return the same batches in the order of another seed, with the same validation days.

        Each process of a team has as many windows in a step as one alone, others than the rest.
        """
        other = copy.copy(self)
        other._data, other._few = copy.copy(self._data), copy.copy(self._few)
        for data in (other._data, other._few):
            data.seed, data.share = seed, (team.rank, team.size)
        return other

    def _drawn_basins(self, stage: Stage, count: int, epoch: int) -> dict[Scale, npt.NDArray[np.int64]]:
        """Return the nodes of some basins, of those with a label to learn from in a stage."""
        basins = self._basins
        if stage.labels == "observed":
            scales = label_scales(stage.tasks)
            basins = [nodes for nodes in basins if self._data.has_training_label(nodes, scales)]
        order = np.random.default_rng([self._data.seed, epoch, 2]).permutation(len(basins))
        drawn = [basins[k] for k in order[:count]]
        return {scale: np.sort(np.concatenate([nodes[scale] for nodes in drawn])) for scale in SCALES}

    def _ahead(self, batches: Iterable[HostBatch], operators: Operators) -> Iterator[LabelledBatch]:
        return prefetch(batches, lambda host: self._put(host, operators), operators.coarse.device)

    def _put(self, host: HostBatch, operators: Operators) -> LabelledBatch:
        device = operators.coarse.device
        labels = {str(scale): to_device(values, device) for scale, values in host.labels.items()}
        scored = None if host.scored is None else to_device(host.scored, device)
        batch = operators.batch(host.inputs, host.nodes)
        if "fine" in labels:
            batch = replace(batch, fine_days=torch.isfinite(labels["fine"]))
        return LabelledBatch(batch, labels, host.name, scored, self._carry)


def _host_batches(data: TrainingData, epoch: int, stage: Stage) -> Iterator[HostBatch]:
    if stage.labels == "process":
        return data.process_batches(epoch)
    if stage.labels == "carried":  # the teacher needs the coarse inputs
        return data.unlabelled_batches(epoch, SCALES if "fine" in stage.tasks else ("coarse",))
    return data.training_batches(epoch, label_scales(stage.tasks))


def _pruned(data: TrainingData, operators: Operators) -> tuple[TrainingData, Operators]:
    """Leave out the nodes that no observed label depends on; losses and gradients stay the same."""
    keep = operators.closure(data.labelled_nodes())
    few = data.prune({"coarse": keep.coarse, "fine": keep.fine})
    if few is data:
        return data, operators
    kept = ", ".join(f"{few.inputs[scale].n} of {data.inputs[scale].n} {scale}" for scale in SCALES)
    logger.info("labels depend on %s nodes; the others are left out of training", kept)
    return few, operators.restrict(keep)
