"""The observers of a training, called before the first epoch and after each."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from xmsgl.training.watch.bar import TrainingBar
from xmsgl.util.options import check_progress, get_option
from xmsgl.util.progress import in_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from xmsgl.training.watch.standing import Observer
    from xmsgl.util.options import Progress

__all__ = ["watched"]


def watched(
    progress: Progress | None = None, observers: Sequence[Observer] = ()
) -> AbstractContextManager[list[Observer]]:
    """Return the observers, progress bar and curves included; they are closed at the end where possible."""
    drawn = get_option("progress") if progress is None else check_progress(progress)
    chosen: list[Observer] = []
    if drawn:
        chosen.append(TrainingBar())
    if drawn is True and in_notebook():
        from xmsgl.training.watch.curves import Curves

        chosen.append(Curves())
    return _closing([*chosen, *observers])


@contextmanager
def _closing(observers: list[Observer]) -> Iterator[list[Observer]]:
    with ExitStack() as stack:
        for observer in observers:
            if (close := getattr(observer, "close", None)) is not None:
                stack.callback(close)
        yield observers
