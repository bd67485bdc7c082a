"""What all models here have in common: a backbone, and inputs with learned numbers of each node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.methods.base import NetworkModel
from xmsgl.models.parts.identity import SegmentIdentity
from xmsgl.models.parts.inherited import InheritedInputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from xmsgl.models.parts.batch import Batch
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["Trunk"]


class Trunk(NetworkModel):
    """A model whose backbone reads inputs, then identities of segments.

    Parameters
    ----------
    n_features
        Number of inputs.
    identity, segments
        As in :class:`.MSGL`.

    Attributes
    ----------
    cell
        The backbone; made by the child, with `width` inputs.
    width
        Number of inputs with all that is appended to them.
    """

    cell: nn.Module

    def __init__(self, n_features: int, identity: int, segments: int) -> None:
        super().__init__()
        self.identity = SegmentIdentity(segments, identity) if identity else None
        self.width = n_features + identity

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the backbone."""
        return list(self.cell.parameters())

    def read(self, batch: Batch, scale: str) -> tuple[Tensor, GraphOperator]:
        """Return what the backbone reads of a scale: inputs ``(time, node, window, width)`` and the graph."""
        x, graph = batch.coarse_inputs() if scale == "coarse" else batch.fine_inputs()
        if self.identity is not None:
            x = self.identity(x, batch.segments(scale))
        return x, graph

    def sources(self, batch: Batch) -> tuple[Tensor | InheritedInputs, GraphOperator]:
        """Return what the backbone reads of the fine scale in prediction, inherited inputs as they are."""
        x, graph = batch.fine_sources()
        if not isinstance(x, InheritedInputs):
            return self.read(batch, "fine")
        if self.identity is not None:
            x = x.widen(self.identity.of(batch.segments("fine")))
        return x, graph

    def hidden_states(self, batch: Batch, scale: str) -> Tensor:
        """Run the backbone on a network, ``(time, node, window, hidden)``."""
        hidden: Tensor = self.cell(*self.read(batch, scale))[0]
        return hidden

    def states_at_labels(self, batch: Batch, scale: str) -> Tensor:
        """Run the backbone on a network and return the hidden states of the labelled nodes."""
        nodes = batch.nodes(scale)
        if not isinstance(self.cell, RecurrentGraphCell):
            return choose_nodes(self.hidden_states(batch, scale), nodes)
        # What is the same for all windows can stay with the segments; learned numbers can not, in training.
        plain = scale == "fine" and self.identity is None
        states: Tensor = self.cell.at(*(batch.fine_sources() if plain else self.read(batch, scale)), nodes)
        return states
