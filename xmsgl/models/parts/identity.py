"""What a segment is beyond its attributes: a few learned numbers each, carried to its reaches.

Rivers differ by things no attribute tells (springs, dams, shade). Coarse labels are many enough to
learn that, and the crosswalk brings it to every reach of the segment. A segment the model never saw
has zeros there; training hides segments at random, so that the model can do without.
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
        Segments of the training basin.
    channels
        Learned numbers a segment.
    hide
        Probability of hiding a segment for a window while training.

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
                "segments and channels must not be negative and hide lies in [0, 1), "
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
