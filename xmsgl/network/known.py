"""The segments a model was trained on, and whether another dataset has the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KnownSegments"]

_TOLERANCE = 0.01  # relative difference up to which two lengths are taken as equal
_SHARE = 0.9  # of the common ids; if fewer are the same segments, two networks share ids by chance


@dataclass(frozen=True)
class KnownSegments:
    """Segments of a river network: ids, links and lengths, which together identify a basin."""

    ids: tuple[Any, ...]
    downstream: tuple[Any, ...]  # id of the segment downstream; 0 or empty text at an outlet
    length: tuple[float, ...]  # m

    @classmethod
    def of(
        cls, ids: npt.NDArray[Any], downstream: npt.NDArray[Any], length: npt.NDArray[np.floating[Any]]
    ) -> KnownSegments:
        """Describe a network given as arrays of equal length, (n,); lengths are kept to 0.1 m."""
        lengths = tuple(round(float(value), 1) for value in length)
        return cls(tuple(ids.tolist()), tuple(downstream.tolist()), lengths)

    def recognise(self, other: KnownSegments) -> npt.NDArray[np.bool_]:
        """Mark the segments of another network that are among these, (n_other,).

        A segment is the same if its id and its link are, unless either network ends there, and its length
        is within 1 %. Many networks number their segments from 1: where fewer than 90 % of the common ids
        are the same segments, the networks are taken as different, and no segment is recognised.
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
        own = set(self.ids)
        new = [k for k, segment in enumerate(other.ids) if segment not in own]

        def joined(mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (*mine, *(theirs[k] for k in new))

        return KnownSegments(
            joined(self.ids, other.ids),
            joined(self.downstream, other.downstream),
            joined(self.length, other.length),
        )
