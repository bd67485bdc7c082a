"""Inputs that reaches inherit from their segments, stored once per segment.

They take a tenth of the memory of inputs per reach; the compiled cell expands them as it reads them.
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
    """Inputs ``rows[t, place[node]] + fixed[node]``, in place of a tensor (time, node, window, feature)."""

    rows: Tensor  # values of the sources on every day, (time, source, window, feature)
    place: Tensor  # source of each node, (node,), int64
    fixed: Tensor  # added on every day, (node, feature)

    def __post_init__(self) -> None:
        fits = self.rows.ndim == 4 and tuple(self.fixed.shape) == (len(self.place), self.rows.shape[3])
        if not fits or (self.place < 0).any() or (self.place >= self.rows.shape[1]).any():
            msg = (
                "rows must be (time, source, window, feature), place (node,) with positions of sources and "
                f"fixed (node, feature), got shapes {tuple(self.rows.shape)}, {tuple(self.place.shape)} and "
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
        """Floating type."""
        return self.rows.dtype

    @property
    def device(self) -> torch.device:
        """Device of the values."""
        return self.rows.device

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is required."""
        return self.rows.requires_grad or self.fixed.requires_grad

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, days: slice) -> InheritedInputs:
        """Select days."""
        return replace(self, rows=self.rows[days])

    def to(self, dtype: torch.dtype) -> InheritedInputs:
        """Convert to another floating type; returns itself if nothing changes."""
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
