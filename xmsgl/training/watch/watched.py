"""Watching a training: whoever wants to know is called before the first epoch and after each."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from xmsgl.training.watch.bar import TrainingBar
from xmsgl.training.watch.standing import Observer
from xmsgl.util.options import check_progress, get_option
from xmsgl.util.progress import in_notebook

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from xmsgl.util.options import Progress

__all__ = ["watched"]


class _Closing(Observer, Protocol):
    """An observer that holds something open."""

    def close(self) -> None:
        """Let go of it."""


def watched(
    progress: Progress | None = None, tensorboard: str | os.PathLike[str] | None = None
) -> AbstractContextManager[list[Observer]]:
    """Choose who watches a training, and close what they opened at its end.

    What can not be had is refused by the call, before the training is prepared. Nothing is drawn or written
    until an observer is first called.

    Parameters
    ----------
    progress
        What to draw: True, a bar, and in a notebook curves; ``"bar"``, a bar; False, nothing. Default: the
        option ``progress``.
    tensorboard
        Folder to log to, or None.

    Returns
    -------
    context manager
        Of the list of observers, which are closed at its end.

    Raises
    ------
    InvalidArgumentError
        `progress` is none of these.
    MissingDependencyError
        A folder is given, and TensorBoard is not installed.

    Examples
    --------
    >>> with watched(progress=False) as observers:
    ...     observers
    []
    >>> watched(progress="curves")
    Traceback (most recent call last):
    ...
    xmsgl.errors.InvalidArgumentError: progress must be True, False or 'bar', not 'curves'
    """
    drawn = get_option("progress") if progress is None else check_progress(progress)
    observers: list[_Closing] = []
    if drawn:
        observers.append(TrainingBar())
    if drawn is True and in_notebook():
        from xmsgl.training.watch.curves import Curves

        observers.append(Curves())
    if tensorboard is not None:
        from xmsgl.training.watch.tensorboard import TensorBoardLog

        observers.append(TensorBoardLog(tensorboard))
    return _closing(observers)


@contextmanager
def _closing(observers: Sequence[_Closing]) -> Iterator[list[Observer]]:
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(closing(observer))
        yield [*observers]
