"""What a network model is given: the inputs of some windows, the graphs, and where labels are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Batch"]

_Part = TypeVar("_Part", Tensor, GraphOperator)


@dataclass(frozen=True)
class Batch:
    """Windows of equal length over both networks; what a model does not use may be None.

    Attributes
    ----------
    x_coarse, x_fine
        Standardised inputs of each scale, ``(time, node, window, feature)``; of the fine scale also what
        they are inherited from.
    coarse_graph, fine_graph
        Graph operators A of each scale.
    interpolation
        The cross-scale operator M, ``(fine, coarse)``.
    remap
        The crosswalk R, ``(fine, coarse)``, with a single 1 in each row.
    coarse_segments, fine_segments
        Row of each node's segment in the model's table of identities (int64), -1 where it has none.
    coarse_nodes, fine_nodes
        Positions (int64) of the nodes with a label in one of the windows. None or empty: the tasks of
        that scale have nothing to learn here and are not run.
    fine_days
        Days with a label of each of ``fine_nodes``, boolean ``(time, node, window)``: a task may leave
        its output on the others at zero. None: every day is wanted.
    """

    x_coarse: Tensor | None = None
    x_fine: Tensor | InheritedInputs | None = None
    coarse_graph: GraphOperator | None = None
    fine_graph: GraphOperator | None = None
    interpolation: GraphOperator | None = None
    remap: GraphOperator | None = None
    coarse_segments: Tensor | None = None
    fine_segments: Tensor | None = None
    coarse_nodes: Tensor | None = None
    fine_nodes: Tensor | None = None
    fine_days: Tensor | None = None

    def labelled(self, scale: str) -> bool:
        """Say whether any node of a scale (``"coarse"`` or ``"fine"``) has a label."""
        nodes = self.coarse_nodes if scale == "coarse" else self.fine_nodes
        return nodes is not None and nodes.numel() > 0

    def coarse_inputs(self) -> tuple[Tensor, GraphOperator]:
        """Return inputs and graph of the coarse scale; InvalidArgumentError if one is not there."""
        return _there(self.x_coarse, "x_coarse"), _there(self.coarse_graph, "coarse_graph")

    def fine_inputs(self) -> tuple[Tensor, GraphOperator]:
        """Return inputs and graph of the fine scale; InvalidArgumentError if one is not there."""
        x, graph = self.fine_sources()
        return x.expand() if isinstance(x, InheritedInputs) else x, graph

    def fine_sources(self) -> tuple[Tensor | InheritedInputs, GraphOperator]:
        """Return what :meth:`fine_inputs` does, inherited inputs as they are."""
        x = self.x_fine
        found = x if isinstance(x, InheritedInputs) else _there(x, "x_fine")
        return found, _there(self.fine_graph, "fine_graph")

    def segments(self, scale: str) -> Tensor:
        """Return the row of each node's segment; InvalidArgumentError if it is not given."""
        return _there(self.coarse_segments if scale == "coarse" else self.fine_segments, f"{scale}_segments")

    def nodes(self, scale: str) -> Tensor:
        """Return the labelled nodes of a scale; InvalidArgumentError if they are not given."""
        return _there(self.coarse_nodes if scale == "coarse" else self.fine_nodes, f"{scale}_nodes")

    def all_coarse_nodes(self) -> Tensor:
        """Return the positions of every coarse segment (int64), on the device of the inputs."""
        x = _there(self.x_coarse, "x_coarse")
        return torch.arange(x.shape[1], device=x.device)

    def split(self, days: int) -> Iterator[Batch]:
        """Cut into batches of so many days, in order; the last may have fewer."""
        length = next(len(x) for x in (self.x_coarse, self.x_fine) if x is not None)
        for start in range(0, length, days):
            piece = slice(start, start + days)
            yield replace(
                self,
                x_coarse=None if self.x_coarse is None else self.x_coarse[piece],
                x_fine=None if self.x_fine is None else self.x_fine[piece],
            )

    def interpolator(self) -> GraphOperator:
        """Return M; InvalidArgumentError if it is not given."""
        return _there(self.interpolation, "interpolation")

    def remapper(self) -> GraphOperator:
        """Return R; InvalidArgumentError if it is not given."""
        return _there(self.remap, "remap")


def _there(part: _Part | None, name: str) -> _Part:
    if part is None:
        msg = f"the batch has no {name}, which this model needs; give it to Batch({name}=...)"
        raise InvalidArgumentError(msg)
    return part
