"""The segments a model was trained on, and whether another dataset has the same ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KnownSegments"]

#: Relative difference of two lengths below which they are taken for equal.
_TOLERANCE = 0.01
#: Share of the common ids that must be the same segments, or two networks only happen to share ids.
_SHARE = 0.9


@dataclass(frozen=True)
class KnownSegments:
    """Segments of a river network: ids, links and lengths, which together tell one basin from another.

    Attributes
    ----------
    ids
        Id of each segment.
    downstream
        Id of the segment downstream; 0 or empty text at an outlet.
    length
        Length of each, m.
    """

    ids: tuple[Any, ...]
    downstream: tuple[Any, ...]
    length: tuple[float, ...]

    @classmethod
    def of(
        cls, ids: npt.NDArray[Any], downstream: npt.NDArray[Any], length: npt.NDArray[np.floating[Any]]
    ) -> KnownSegments:
        """Describe a network given as arrays of equal length, (n,); lengths are kept to 0.1 m."""
        lengths = tuple(round(float(value), 1) for value in length)
        return cls(tuple(ids.tolist()), tuple(downstream.tolist()), lengths)

    def to_dict(self) -> dict[str, Any]:
        """Return the segments as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KnownSegments:
        """Make them from what :meth:`to_dict` returned."""
        return cls(**{name: tuple(column) for name, column in values.items()})

    def recognise(self, other: KnownSegments) -> npt.NDArray[np.bool_]:
        """Say which segments of another network are among these.

        A segment is the same if its id is, its length within 1 %, and its link too, unless either network
        ends there. Small numbers are common ids: where fewer than 90 % of the ids in common belong to the
        same segments, the networks are taken for different ones, and none is.
        """
        place = {segment: k for k, segment in enumerate(self.ids)}
        same = np.zeros(len(other.ids), np.bool_)
        shared = 0
        for k, (segment, below, length) in enumerate(
            zip(other.ids, other.downstream, other.length, strict=True)
        ):
            if (mine := place.get(segment)) is None:
                continue
            shared += 1
            linked = below == self.downstream[mine] or not below or not self.downstream[mine]
            same[k] = linked and abs(length - self.length[mine]) <= _TOLERANCE * self.length[mine]
        return same if same.sum() >= _SHARE * shared else np.zeros_like(same)

    def joined(self, other: KnownSegments) -> KnownSegments:
        """Return these segments and those of `other` whose ids are not among them."""
        new = [k for k, segment in enumerate(other.ids) if segment not in set(self.ids)]
        return KnownSegments(
            *(
                (*mine, *(theirs[k] for k in new))
                for mine, theirs in (
                    (self.ids, other.ids),
                    (self.downstream, other.downstream),
                    (self.length, other.length),
                )
            )
        )
