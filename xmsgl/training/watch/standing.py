"""The state of a training, as observers receive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xmsgl.training.loop import Progress as State

__all__ = ["Observer", "Standing"]


@dataclass(frozen=True)
class Standing:
    """The state of a training after an epoch, or before the first; not to be changed."""

    method: str
    member: int  # the current member of an ensemble, counted from 0
    members: int  # 1 without an ensemble
    epochs: int  # maximum for this member
    state: State  # the member's epoch, scores, history and weights


class Observer(Protocol):
    """A callable that takes a :class:`Standing`."""

    def __call__(self, standing: Standing, /) -> None:
        """Receive the state of the training."""
