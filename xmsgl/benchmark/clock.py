"""The wall time of each epoch, measured by an observer.

It is not part of the training history, because equal trainings must give equal models.
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
    """Measures the epochs of a training that it observes.

    The file keeps the times for a resumed training; `on_epoch` is called after each epoch with its number,
    counted over all members.
    """

    def __init__(self, file: Path, on_epoch: Callable[[int], None]) -> None:
        self._file, self._on_epoch = file, on_epoch
        # An epoch is "number" for the first member, "member/number" for the others.
        known = json.loads(file.read_text()) if file.is_file() else {}
        self._seconds: dict[_Epoch, float] = {}
        for name, took in known.items():
            member, _, number = name.rpartition("/")
            self._seconds[int(member or 0), int(number)] = float(took)
        self._here: set[_Epoch] = set()
        self._last = 0.0
        self._before: _Epoch | None = None

    def __call__(self, standing: Standing, /) -> None:
        """Record the end of an epoch, or the start of a member."""
        now = time.perf_counter()
        member, number = epoch = standing.member, standing.state.epoch
        if self._before == (member, number - 1):
            self._seconds[epoch] = now - self._last
            self._here.add(epoch)
            times = {f"{m}/{n}" if m else f"{n}": took for (m, n), took in self._seconds.items()}
            write_bytes(self._file, json.dumps(times).encode())
            self._on_epoch(number + sum(1 for other, _ in self._seconds if other < member))
        self._last, self._before = now, epoch

    @property
    def epochs(self) -> list[_Epoch]:
        """The epochs measured."""
        return sorted(self._seconds)

    def seconds(self, epochs: Iterable[_Epoch]) -> list[float]:
        """Return the wall time of each epoch, s; NaN for one that was not observed."""
        return [self._seconds.get(epoch, float("nan")) for epoch in epochs]

    def earlier(self, epochs: Iterable[_Epoch]) -> float:
        """Return the wall time of the epochs of an earlier process, s."""
        return sum(self._seconds.get(epoch, 0.0) for epoch in epochs if epoch not in self._here)
