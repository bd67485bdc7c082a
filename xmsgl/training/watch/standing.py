"""Where a training stands, as observers are told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xmsgl.training.loop import Progress as State

__all__ = ["Observer", "Standing"]


@dataclass(frozen=True)
class Standing:
    """Where a training stands after a whole number of epochs.

    Attributes
    ----------
    method
        Name in the registry of methods.
    member, members
        Which member is being trained, counted from 0, and of how many; 0 of 1 without an ensemble.
    epochs
        Of each member, at most.
    state
        The member's epoch, scores, history and weights, see :class:`xmsgl.training.loop.Progress`. Not to be
        changed.
    """

    method: str
    member: int
    members: int
    epochs: int
    state: State

    @property
    def done(self) -> int:
        """Epochs behind us, those that earlier members may have taken among them."""
        return self.member * self.epochs + self.state.epoch


class Observer(Protocol):
    """Anything that can be called with a :class:`Standing`."""

    def __call__(self, standing: Standing, /) -> None:
        """Take note of where training stands."""
