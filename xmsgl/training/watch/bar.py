"""The progress bar of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmsgl.util.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

    from xmsgl.training.watch.standing import Standing

__all__ = ["TrainingBar"]


class TrainingBar:
    """A progress bar for the epochs of each member."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._member = 0

    def __call__(self, standing: Standing, /) -> None:
        """Update the bar after an epoch."""
        if self._bar is None or standing.member != self._member:
            self.close()
            number = f" {standing.member + 1}/{standing.members}" if standing.members > 1 else ""
            label = f"train {standing.method}{number}"
            self._bar, self._member = (
                progress_bar(standing.epochs, label, unit="epoch", draw=True),
                standing.member,
            )
        self._bar.update(standing.state.epoch - self._bar.n)
        if scores := standing.state.history.get("validation"):
            best = standing.state.best_score
            self._bar.set_postfix_str(f"validation {scores[-1]:.3f} degC, best {best:.3f}")

    def close(self) -> None:
        """Close the bar and leave it on the screen."""
        if self._bar is not None:
            self._bar.close()
