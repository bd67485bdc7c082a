"""Inputs that reaches take from their segments, not yet carried there.

A tenth of the numbers that the reaches' own inputs would be: they go to a GPU sooner, and the compiled
cell brings them together while it reads them, in training too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["InheritedInputs"]


@dataclass(frozen=True)
class InheritedInputs:
    """Inputs ``rows[t, place[node]] + fixed[node]``, in place of a tensor (time, node, window, feature).

    Attributes
    ----------
    rows
        What sources have every day, ``(time, source, window, feature)``.
    place
        Which source each node takes, (node,), int64.
    fixed
        What each node adds every day, ``(node, feature)``.
    """

    rows: Tensor
    place: Tensor
    fixed: Tensor

    def __post_init__(self) -> None:
        fits = self.rows.ndim == 4 and tuple(self.fixed.shape) == (len(self.place), self.rows.shape[3])
        if not fits or (self.place < 0).any() or (self.place >= self.rows.shape[1]).any():
            msg = (
                "rows must be (time, source, window, feature), place sources of theirs and fixed (node, "
                f"feature), got {tuple(self.rows.shape)}, {tuple(self.place.shape)} and "
                f"{tuple(self.fixed.shape)}"
            )
            raise InvalidArgumentError(msg)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sizes of the inputs, ``(time, node, window, feature)``."""
        days, _, windows, features = self.rows.shape
        return days, len(self.place), windows, features

    @property
    def dtype(self) -> torch.dtype:
        """Type of the numbers."""
        return self.rows.dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.rows.device

    @property
    def requires_grad(self) -> bool:
        """Whether somebody wants their gradient."""
        return self.rows.requires_grad or self.fixed.requires_grad

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, days: slice) -> InheritedInputs:
        """Return the inputs of some days."""
        return replace(self, rows=self.rows[days])

    def to(self, dtype: torch.dtype) -> InheritedInputs:
        """Return the inputs in another type; themselves if they have it."""
        if self.dtype == dtype == self.fixed.dtype:
            return self
        return replace(self, rows=self.rows.to(dtype), fixed=self.fixed.to(dtype))

    def expand(self) -> Tensor:
        """Return the inputs as a tensor, ``(time, node, window, feature)``."""
        return self.rows.index_select(1, self.place).add_(self.fixed[:, None])

    def widen(self, columns: Tensor) -> InheritedInputs:
        """Append features that are the same every day, ``(node, feature)``."""
        wider = functional.pad(self.rows, (0, columns.shape[-1]))
        return replace(self, rows=wider, fixed=torch.cat([self.fixed, columns], dim=-1))
