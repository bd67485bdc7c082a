"""How long each epoch took: an observer's business, for a history must not hold a time.

A history with times in it would make two equal trainings unequal models.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TypeAlias

from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from xmsgl.training.watch.standing import Standing

__all__ = ["EpochClock", "member_epochs"]

# Member, counted from 0, and epoch, counted from 1.
_Epoch: TypeAlias = tuple[int, int]


def member_epochs(history: Mapping[str, Sequence[float]]) -> list[_Epoch]:
    """List the epochs of a training: member, counted from 0, and epoch, counted from 1."""
    epochs = history.get("epoch", [])
    members = history.get("member", [0.0] * len(epochs))
    return [(int(member), int(epoch)) for member, epoch in zip(members, epochs, strict=True)]


class EpochClock:
    """Times the epochs of a training that it observes.

    The members of an ensemble count their epochs from 1 each.

    Parameters
    ----------
    file
        Where the times are kept, so that a resumed training knows those of its first part.
    tell
        Called after each epoch with its number, counted through all members.
    """

    def __init__(self, file: Path, tell: Callable[[int], None]) -> None:
        self._file, self._tell = file, tell
        known = json.loads(file.read_text()) if file.is_file() else {}
        self._seconds = {_read(name): float(took) for name, took in known.items()}
        self._here: set[_Epoch] = set()
        self._last = 0.0
        self._stands: _Epoch | None = None

    def __call__(self, standing: Standing, /) -> None:
        """Note the end of an epoch, or the start of a member's first."""
        stands = standing.member, standing.state.epoch
        if self._stands is not None and stands == (self._stands[0], self._stands[1] + 1):
            self._note(stands)
        else:  # a member begins, or goes on
            self._last = time.perf_counter()
        self._stands = stands

    def _note(self, epoch: _Epoch) -> None:
        now = time.perf_counter()
        self._seconds[epoch] = now - self._last
        self._last = now
        self._here.add(epoch)
        times = {_written(each): took for each, took in self._seconds.items()}
        write_bytes(self._file, json.dumps(times).encode())
        member, number = epoch
        self._tell(number + sum(1 for other, _ in self._seconds if other < member))

    def seconds(self, epochs: Iterable[_Epoch]) -> list[float]:
        """Return the wall time of each epoch, s; NaN for one that nobody saw."""
        return [self._seconds.get(epoch, float("nan")) for epoch in epochs]

    def earlier(self, epochs: Iterable[_Epoch]) -> float:
        """Return how long the epochs took that an earlier process did, s."""
        return sum(self._seconds.get(epoch, 0.0) for epoch in epochs if epoch not in self._here)


def _written(epoch: _Epoch) -> str:
    """Name an epoch in the file: its number, behind that of its member unless this is the first."""
    member, number = epoch
    return f"{member}/{number}" if member else f"{number}"


def _read(name: str) -> _Epoch:
    member, _, number = name.rpartition("/")
    return int(member or 0), int(number)
