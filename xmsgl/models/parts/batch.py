"""What a network model reads: the inputs of some windows, the graphs, and which nodes have labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator

__all__ = ["Batch"]

_Part = TypeVar("_Part", Tensor, GraphOperator)


@dataclass(frozen=True)
class Batch:
    """Windows of equal length over both networks; what a model does not use may be None."""

    # Standardised inputs, (time, node, window, feature).
    x_coarse: Tensor | None = None
    x_fine: Tensor | InheritedInputs | None = None
    # The graph operator A of each scale, the cross-scale operator M and the crosswalk R, both (fine, coarse).
    coarse_graph: GraphOperator | None = None
    fine_graph: GraphOperator | None = None
    interpolation: GraphOperator | None = None
    remap: GraphOperator | None = None
    # Row of each node's segment in the model's table of identities (int64), -1 if it has none.
    coarse_segments: Tensor | None = None
    fine_segments: Tensor | None = None
    # Nodes (int64) with a label in one of the windows. Without any, the tasks of that scale are not run.
    coarse_nodes: Tensor | None = None
    fine_nodes: Tensor | None = None
    # Days with a label, boolean (time, fine node with a label, window); a task may leave its output at zero
    # on other days. None: every day is wanted.
    fine_days: Tensor | None = None

    def labelled(self, scale: str) -> bool:
        """Say whether any node of a scale (``"coarse"`` or ``"fine"``) has a label."""
        nodes = self.coarse_nodes if scale == "coarse" else self.fine_nodes
        return nodes is not None and nodes.numel() > 0

    def coarse_inputs(self) -> tuple[Tensor, GraphOperator]:
        """Return inputs and graph of the coarse scale; InvalidArgumentError if one is missing."""
        return _given(self.x_coarse, "x_coarse"), _given(self.coarse_graph, "coarse_graph")

    def fine_inputs(self) -> tuple[Tensor, GraphOperator]:
        """Return inputs and graph of the fine scale; InvalidArgumentError if one is missing."""
        x, graph = self.fine_sources()
        return x.expand() if isinstance(x, InheritedInputs) else x, graph

    def fine_sources(self) -> tuple[Tensor | InheritedInputs, GraphOperator]:
        """Return the same as :meth:`fine_inputs`, but inherited inputs as they are."""
        x = self.x_fine
        found = x if isinstance(x, InheritedInputs) else _given(x, "x_fine")
        return found, _given(self.fine_graph, "fine_graph")

    def segments(self, scale: str) -> Tensor:
        """Return the row of each node's segment; InvalidArgumentError if it is missing."""
        return _given(self.coarse_segments if scale == "coarse" else self.fine_segments, f"{scale}_segments")

    def nodes(self, scale: str) -> Tensor:
        """Return the labelled nodes of a scale; InvalidArgumentError if they are missing."""
        return _given(self.coarse_nodes if scale == "coarse" else self.fine_nodes, f"{scale}_nodes")

    def all_coarse_nodes(self) -> Tensor:
        """Return the positions of every coarse segment (int64), on the device of the inputs."""
        x = _given(self.x_coarse, "x_coarse")
        return torch.arange(x.shape[1], device=x.device)

    def interpolator(self) -> GraphOperator:
        """Return M; InvalidArgumentError if it is missing."""
        return _given(self.interpolation, "interpolation")

    def remapper(self) -> GraphOperator:
        """Return R; InvalidArgumentError if it is missing."""
        return _given(self.remap, "remap")


def _given(part: _Part | None, name: str) -> _Part:
    if part is None:
        msg = f"the batch has no {name}, which this model needs; pass it as Batch({name}=...)"
        raise InvalidArgumentError(msg)
    return part
