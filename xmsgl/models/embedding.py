"""What attributes say of a river together: a small network of them, appended to the inputs.

The cell reads attributes linearly into its gates. A spring-fed headwater or a slow wide river is several of
them together. A layer between lets the model learn such kinds, and as a function of attributes it holds on
rivers that the model never saw, unlike the identity of a segment.

References
----------
.. [1] Kratzert et al., Towards learning universal, regional, and local hydrological behaviors via machine
   learning applied to large-sample datasets, HESS 2019, doi:10.5194/hess-23-5089-2019; its embedding of
   catchment attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.inherited import InheritedInputs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AttributeEmbedding"]

_WIDTH = 16


class AttributeEmbedding(nn.Module):
    """Appends learned combinations of static attributes to the inputs of each node.

    Parameters
    ----------
    attributes
        Positions of the static attributes among the inputs.
    channels
        Numbers to make of them.

    Raises
    ------
    InvalidArgumentError
        No attributes, a position twice or below 0, or no channel.

    Examples
    --------
    >>> embedding = AttributeEmbedding([1, 2], 4)
    >>> embedding(torch.zeros(10, 5, 2, 3)).shape
    torch.Size([10, 5, 2, 7])
    """

    def __init__(self, attributes: Sequence[int], channels: int) -> None:
        super().__init__()
        places = [int(place) for place in attributes]
        if channels < 1 or not places or min(places) < 0 or len(set(places)) < len(places):
            msg = (
                "an embedding needs at least 1 channel and the positions of static attributes, each once; "
                f"got {channels} and {places or 'no attribute'}. Without attributes leave embedding out"
            )
            raise InvalidArgumentError(msg)
        self.attributes = places
        self.layers = nn.Sequential(
            nn.Linear(len(places), _WIDTH), nn.Tanh(), nn.Linear(_WIDTH, channels), nn.Tanh()
        )

    def of(self, x: Tensor | InheritedInputs) -> Tensor:
        """Return the numbers of each node, ``(node, window, channel)``: the same on every day."""
        first = x[:1].expand() if isinstance(x, InheritedInputs) else x[:1]
        numbers: Tensor = self.layers(first[0][..., self.attributes])
        return numbers

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs ``(time, node, window, feature)`` to ``(time, node, window, feature + channel)``."""
        return torch.cat([x, self.of(x).expand(x.shape[0], -1, -1, -1)], dim=-1)
