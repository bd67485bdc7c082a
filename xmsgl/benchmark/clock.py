"""How long each epoch took: read from the training's log, for its history must not hold a time.

A history with times in it would make two equal trainings unequal models.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

from xmsgl.models import storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

__all__ = ["EpochClock"]

_LINE = "epoch %d"


class EpochClock(logging.Filter):
    """Times the epochs that are logged inside a ``with`` block.

    Parameters
    ----------
    file
        Where the times are kept, so that a resumed training knows those of its first part.
    tell
        Called with the number of each finished epoch.
    """

    def __init__(self, file: Path, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._file, self._tell = file, tell
        known = json.loads(file.read_text()) if file.is_file() else {}
        self._seconds = {int(epoch): float(took) for epoch, took in known.items()}
        self._here: set[int] = set()

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
        if str(record.msg).startswith(_LINE) and isinstance(record.args, tuple):
            self._note(int(str(record.args[0])))
        return record.levelno >= self._least

    def _note(self, epoch: int) -> None:
        now = time.perf_counter()
        self._seconds[epoch] = now - self._last
        self._last = now
        self._here.add(epoch)
        storage.write(self._file, json.dumps(self._seconds).encode())
        self._tell(epoch)

    def seconds(self, epochs: int) -> list[float]:
        """Return the wall time of each epoch, s; NaN for one that no line told of."""
        return [self._seconds.get(epoch, float("nan")) for epoch in range(1, epochs + 1)]

    def earlier(self, epochs: int) -> float:
        """Return how long the epochs took that an earlier process did, s."""
        return sum(self._seconds.get(epoch, 0.0) for epoch in range(1, epochs + 1) if epoch not in self._here)
