"""How long each epoch took: read from the training's log, for its history must not hold a time.

A history with times in it would make two equal trainings unequal models.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, TypeAlias

from xmsgl.models import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["EpochClock", "member_epochs"]

# Member, counted from 0, and epoch, counted from 1.
_Epoch: TypeAlias = tuple[int, int]

_MEMBER, _LINE = "member %d", "epoch %d"


def member_epochs(history: Mapping[str, Sequence[float]]) -> list[_Epoch]:
    """List the epochs of a training: member, counted from 0, and epoch, counted from 1.

    Examples
    --------
    >>> member_epochs({"epoch": [1.0, 2.0]})
    [(0, 1), (0, 2)]
    >>> member_epochs({"member": [0.0, 1.0], "epoch": [1.0, 1.0]})
    [(0, 1), (1, 1)]
    """
    epochs = history.get("epoch", [])
    members = history.get("member", [0.0] * len(epochs))
    return [(int(member), int(epoch)) for member, epoch in zip(members, epochs, strict=True)]


class EpochClock(logging.Filter):
    """Times the epochs that are logged inside a ``with`` block.

    The members of an ensemble count their epochs from 1 each; which of them begins or goes on stands in the
    log too.

    Parameters
    ----------
    file
        Where the times are kept, so that a resumed training knows those of its first part.
    tell
        Called after each epoch with its number, counted through all members.
    """

    def __init__(self, file: Path, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._file, self._tell = file, tell
        known = json.loads(file.read_text()) if file.is_file() else {}
        self._seconds = {_read(name): float(took) for name, took in known.items()}
        self._here: set[_Epoch] = set()
        self._member = 0

    def __enter__(self) -> EpochClock:
        self._logger = logging.getLogger("xmsgl")
        self._level, self._least = self._logger.level, self._logger.getEffectiveLevel()
        # The lines must be made to be seen here; those nobody asked for go no further.
        self._logger.setLevel(min(self._least, logging.INFO))
        self._logger.addFilter(self)
        self._last = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeFilter(self)
        self._logger.setLevel(self._level)

    def filter(self, record: logging.LogRecord) -> bool:
        """Note the end of an epoch; let pass what the user's level lets pass."""
        if isinstance(record.args, tuple):
            if str(record.msg).startswith(_MEMBER):
                self._member = int(str(record.args[0])) - 1
            elif str(record.msg).startswith(_LINE):
                self._note((self._member, int(str(record.args[0]))))
        return record.levelno >= self._least

    def _note(self, epoch: _Epoch) -> None:
        now = time.perf_counter()
        self._seconds[epoch] = now - self._last
        self._last = now
        self._here.add(epoch)
        times = {_written(each): took for each, took in self._seconds.items()}
        storage.write(self._file, json.dumps(times).encode())
        member, number = epoch
        self._tell(number + sum(1 for other, _ in self._seconds if other < member))

    def seconds(self, epochs: Iterable[_Epoch]) -> list[float]:
        """Return the wall time of each epoch, s; NaN for one that no line told of."""
        return [self._seconds.get(epoch, float("nan")) for epoch in epochs]

    def earlier(self, epochs: Iterable[_Epoch]) -> float:
        """Return how long the epochs took that an earlier process did, s."""
        return sum(self._seconds.get(epoch, 0.0) for epoch in epochs if epoch not in self._here)


def _written(epoch: _Epoch) -> str:
    """Name an epoch in the file: its number, behind that of its member unless this is the first.

    Examples
    --------
    >>> _written((0, 7)), _written((2, 7))
    ('7', '2/7')
    """
    member, number = epoch
    return f"{member}/{number}" if member else f"{number}"


def _read(name: str) -> _Epoch:
    member, _, number = name.rpartition("/")
    return int(member or 0), int(number)
