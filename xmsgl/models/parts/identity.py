"""Learned numbers for each segment, which its reaches inherit.

Rivers differ in ways that no attribute describes (springs, dams, shade). Coarse labels are numerous enough
to learn these differences, and the crosswalk carries them to the reaches. Segments outside the training basin
have zeros; segments are hidden at random in training, so that the model does not depend on them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError

__all__ = ["SegmentIdentity"]


class SegmentIdentity(nn.Module):
    """Appends the learned identity of a segment to the inputs of its nodes.

    Parameters
    ----------
    segments
        Number of segments in the training basin.
    channels
        Number of learned values per segment.
    hide
        Probability of hiding a segment for a window in training.

    Raises
    ------
    InvalidArgumentError
        A negative size, or a probability outside [0, 1).

    Examples
    --------
    >>> identity = SegmentIdentity(3, 4)
    >>> identity(torch.zeros(10, 5, 2, 7), torch.tensor([0, 0, 1, 2, -1])).shape
    torch.Size([10, 5, 2, 11])
    """

    def __init__(self, segments: int, channels: int, hide: float = 0.2) -> None:
        super().__init__()
        if segments < 0 or channels < 0 or not 0.0 <= hide < 1.0:
            msg = (
                "segments and channels must not be negative and hide must be in [0, 1), "
                f"got {segments}, {channels} and {hide}"
            )
            raise InvalidArgumentError(msg)
        self.hide = hide
        self.table = nn.Parameter(torch.zeros(segments, channels))

    def of(self, rows: Tensor) -> Tensor:
        """Return the identities of nodes, ``(node, channel)``; `rows` as in :meth:`forward`."""
        return self.table[rows.clamp(min=0)] * (rows >= 0).to(self.table.dtype)[:, None]

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """Map inputs ``(time, node, window, feature)`` to ``(time, node, window, feature + channel)``.

        Shapes: `rows` (node,).
        """
        windows = x.shape[2]
        values = self.of(rows)[:, None, :].expand(-1, windows, -1)
        if self.training and self.hide > 0.0:
            seen = torch.rand(self.table.shape[0], windows, 1, device=x.device) >= self.hide
            values = values * seen[rows.clamp(min=0)].to(x.dtype)
        return torch.cat([x, values.expand(x.shape[0], -1, -1, -1)], dim=-1)
