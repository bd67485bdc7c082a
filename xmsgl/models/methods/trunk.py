"""What all methods have in common: a backbone, and inputs with a learned identity of each segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.methods.base import Memory, NetworkModel
from xmsgl.models.parts.identity import SegmentIdentity
from xmsgl.models.parts.inherited import InheritedInputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from xmsgl.models.parts.batch import Batch
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["Trunk"]


class Trunk(NetworkModel):
    """A model whose backbone reads inputs and segment identities."""

    cell: nn.Module  # the backbone, with `width` inputs

    def __init__(self, n_features: int, identity: int, segments: int) -> None:
        super().__init__()
        self.identity = SegmentIdentity(segments, identity) if identity else None
        self.width = n_features + identity

    def state_shapes(self, nodes: int) -> list[tuple[int, ...]]:
        """Return the shapes of the backbone's state in one window."""
        backbone: Any = self.cell  # torch's modules have no types for what is added to them
        shapes: list[tuple[int, ...]] = backbone.state_shapes(nodes, 1)
        return shapes

    @property
    def compiled_cell(self) -> RecurrentGraphCell | None:
        """The recurrent graph cell if prediction with it can be compiled; None for every other backbone."""
        cell = self.cell
        if not isinstance(cell, RecurrentGraphCell) or cell.training:
            return None
        plain = cell.W_hh.dtype == torch.float32 and cell.W_hh.device.type == "cpu"
        return cell if plain and cell.backend in {"auto", "numba"} else None

    @property
    def fused(self) -> bool:
        """Whether cell and fine head run in one compiled call."""
        return "fine" in self.tasks and self.compiled_cell is not None

    @property
    def latent(self) -> int:
        """Number of hidden channels of the backbone."""
        return int(cast("Any", self.cell).hidden)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the backbone."""
        return list(self.cell.parameters())

    def read(self, batch: Batch, scale: str) -> tuple[Tensor, GraphOperator]:
        """Return the backbone's inputs at a scale, ``(time, node, window, feature)``, and the graph."""
        x, graph = batch.coarse_inputs() if scale == "coarse" else batch.fine_inputs()
        if self.identity is not None:
            x = self.identity(x, batch.segments(scale))
        return x, graph

    def sources(self, batch: Batch) -> tuple[Tensor | InheritedInputs, GraphOperator]:
        """Return the backbone's inputs at the fine scale, inherited ones not yet expanded, and the graph."""
        x, graph = batch.fine_sources()
        if not isinstance(x, InheritedInputs):
            return self.read(batch, "fine")
        if self.identity is not None:
            x = x.widen(self.identity.of(batch.segments("fine")))
        return x, graph

    @torch.no_grad()
    def embed(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Return the hidden states of all reaches; see :class:`.NetworkModel`.

        They are those of the reaches themselves, or of their segments where the backbone runs at the coarse
        scale alone.
        """
        scale = "fine" if "fine" in self.input_scales else "coarse"
        inherits = scale == "fine" and isinstance(self.cell, RecurrentGraphCell)
        x, graph = self.sources(batch) if inherits else self.read(batch, scale)
        hidden, state = self.cell(x, graph, (memory or {}).get(scale))
        return hidden if scale == "fine" else self.to_fine(batch).matmul_days(hidden), {scale: state}

    def to_fine(self, batch: Batch) -> GraphOperator:
        """Return the operator that takes states of segments to reaches: each has that of its segment."""
        return batch.remapper()

    def hidden_states(self, batch: Batch, scale: str) -> Tensor:
        """Run the backbone on a network, ``(time, node, window, hidden)``."""
        hidden: Tensor = self.cell(*self.read(batch, scale))[0]
        return hidden

    def states_at_labels(self, batch: Batch, scale: str) -> Tensor:
        """Run the backbone on a network, ``(time, labelled node, window, hidden)``."""
        nodes = batch.nodes(scale)
        if not isinstance(self.cell, RecurrentGraphCell):
            return choose_nodes(self.hidden_states(batch, scale), nodes)
        # Inherited inputs need not be expanded, except with learned identities, which need gradients.
        plain = scale == "fine" and self.identity is None
        states: Tensor = self.cell.at(*(batch.fine_sources() if plain else self.read(batch, scale)), nodes)
        return states
