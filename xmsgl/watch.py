"""Watching a training: whoever wants to know is called before the first epoch and after each."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from xmsgl.options import check_progress, get_option
from xmsgl.progress import in_notebook, progress_bar

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from tqdm import tqdm

    from xmsgl.options import Progress
    from xmsgl.train.loop import Progress as State

__all__ = ["Observer", "Standing", "TrainingBar", "watched"]


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
        The member's epoch, scores, history and weights, see :class:`xmsgl.train.loop.Progress`. Not to be
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
    """Anything that can be called with a :class:`Standing`.

    Examples
    --------
    >>> def tell(standing):
    ...     log.append((standing.member, standing.state.epoch))
    >>> model = ds.msgl.train(observers=[tell])  # doctest: +SKIP
    """

    def __call__(self, standing: Standing, /) -> None:
        """Take note of where training stands."""


class _Closing(Observer, Protocol):
    """An observer that holds something open."""

    def close(self) -> None:
        """Let go of it."""


class TrainingBar:
    """A progress bar that counts the epochs of all members."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __call__(self, standing: Standing, /) -> None:
        """Move the bar to where training stands."""
        if self._bar is None:
            total = standing.epochs * standing.members
            self._bar = progress_bar(total, f"train {standing.method}", unit="epoch", draw=True)
        self._bar.update(standing.done - self._bar.n)
        if scores := standing.state.history.get("validation"):
            best = standing.state.best_score
            self._bar.set_postfix_str(f"validation {scores[-1]:.3f} degC, best {best:.3f}")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


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
        from xmsgl.watch_curves import Curves

        observers.append(Curves())
    if tensorboard is not None:
        from xmsgl.watch_tensorboard import TensorBoardLog

        observers.append(TensorBoardLog(tensorboard))
    return _closing(observers)


@contextmanager
def _closing(observers: Sequence[_Closing]) -> Iterator[list[Observer]]:
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(closing(observer))
        yield [*observers]
