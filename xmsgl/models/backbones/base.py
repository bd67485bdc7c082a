"""What every backbone other than the recurrent graph cell has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["Backbone", "State"]

#: What a backbone carries from one day to the next; each backbone has its own number and shapes of tensors.
State: TypeAlias = tuple[Tensor, ...]

# Numbers in one tensor of hidden channels; some dozens of them are in memory at a time.
_NUMBERS = 2**20
# Fewest days in a piece, because starting a piece has a cost of its own.
_DAYS = 8


class Backbone(nn.Module, ABC):
    """Maps the inputs of a window to hidden states, causally; called as ``RecurrentGraphCell`` is.

    No parameter depends on the number of nodes.
    """

    def __init__(self, n_features: int, hidden: int = 20) -> None:
        super().__init__()
        if n_features < 1 or hidden < 1:
            msg = f"n_features and hidden must be at least 1, got {n_features} and {hidden}"
            raise InvalidArgumentError(msg)
        self.n_features, self.hidden = n_features, hidden

    @abstractmethod
    def state_shapes(self, nodes: int, windows: int) -> list[tuple[int, ...]]:
        """Return the shape of each tensor of the state; zeros stand for no days before."""

    @abstractmethod
    def run(self, x: Tensor, operator: GraphOperator, state: State) -> tuple[Tensor, State]:
        """Run over some days; as :meth:`forward`, with inputs that fit."""

    def forward(self, x: Tensor, operator: GraphOperator, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a window.

        Shapes: `x` (time, node, window, feature), returns (time, node, window, hidden).
        """
        shapes = self._check(x, operator, state)
        before = tuple(x.new_zeros(shape) for shape in shapes) if state is None else state
        # Pieces of days fit the processor's cache, and the carried state makes them equal to one run.
        days = max(_DAYS, _NUMBERS // (self.hidden * x.shape[2] * self.rows(operator)))
        pieces = torch.split(x, days)
        if len(pieces) == 1:
            return self.run(x, operator, before)
        run: Any = self.run
        if (
            torch.is_grad_enabled()
        ):  # keep only the inputs and the state of a piece, and compute the rest again
            run = partial(checkpoint, self.run, use_reentrant=False, preserve_rng_state=False)
        parts = []
        for piece in pieces:
            hidden, before = run(piece, operator, before)
            parts.append(hidden)
        return torch.cat(parts), before

    def rows(self, operator: GraphOperator) -> int:
        """Return the number of rows of hidden channels for one day and window: the nodes, or more."""
        return max(1, operator.shape[0])

    def _check(self, x: Tensor, operator: GraphOperator, state: State | None) -> list[tuple[int, ...]]:
        if x.ndim != 4 or x.shape[0] < 1 or x.shape[3] != self.n_features:
            msg = (
                f"inputs must be (time >= 1, node, window, {self.n_features} features), got {tuple(x.shape)}"
            )
            raise InvalidArgumentError(msg)
        if operator.shape != (x.shape[1], x.shape[1]):
            msg = f"the graph operator is {operator.shape}, the inputs have {x.shape[1]} nodes"
            raise InvalidArgumentError(msg)
        wanted = self.state_shapes(x.shape[1], x.shape[2])
        given = wanted if state is None else [tuple(part.shape) for part in state]
        if given != wanted:
            msg = f"the state must have the shapes {wanted}, got {given}; give what the days before returned"
            raise InvalidArgumentError(msg)
        return wanted

    def extra_repr(self) -> str:
        """Return the sizes, for torch's printout."""
        return f"{self.n_features}, {self.hidden}"
