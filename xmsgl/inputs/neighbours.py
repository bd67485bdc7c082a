"""What the observed neighbours along the river say of a segment that nobody observed.

A regression on weather, season and attributes leaves at every thermometer a rest that lasts: this brook is
2 degC colder in summer than its kind, for springs feed it, and the brook beside it too. Such anomalies are
known where labels are, and what they are elsewhere the neighbours along the river suggest: a mean of their
anomalies, weighted by distance and by how long each was observed, drawn to 0 where none is near. It is the
second step of regression kriging, with distance along the stream as in top-kriging and in spatial stream
network models, but the model is left to find out how much to believe it.

A segment's own observations never count in its own features, in training neither, or the model would
learn to trust what it will not have elsewhere.

Plain numbers here, which a model's file keeps; :mod:`xmsgl.inputs.neighbours_fit` takes them from a
dataset and puts them into one.

References
----------
Skøien, Merz & Blöschl (2006), Top-kriging, doi:10.5194/hess-10-277-2006; Ver Hoef & Peterson (2010), A
moving average approach for spatial statistical models of stream networks, doi:10.1198/jasa.2009.ap08248;
Hengl, Heuvelink & Rossiter (2007), About regression-kriging, doi:10.1016/j.cageo.2007.05.001.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.distance import river_distance

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["CUT", "TRUSTED", "UNSURE", "Neighbours", "check_lengths", "neighbour_features"]

#: Lengths beyond which a neighbour no longer counts: its weight would be below exp(-5), 0.7 %.
CUT = 5.0
#: Labelled days after which a segment counts half.
TRUSTED = 60.0
#: Weight of not knowing, which draws to 0: a third of a neighbour next door, long observed.
UNSURE = 0.3

_KINDS = {
    "mean": ("degC", "over the year"),
    "warm": ("degC", "in the warm season"),
    "cold": ("degC", "in the rest of the year"),
    "support": ("1", ""),
}


@dataclass(frozen=True)
class Neighbours:
    """Observed segments, and how much warmer than regressed each of them is.

    Attributes
    ----------
    lengths
        E-folding lengths along the river, m: how far an anomaly is believed to reach. Features come for
        each.
    segments
        Ids of the segments with labels, sorted.
    mean, warm, cold
        Observed minus regressed temperature of each, degC: over all labelled days, in the warm season, in
        the rest of the year.
    days
        Labelled days of each.
    """

    lengths: tuple[float, ...]
    segments: tuple[Any, ...]
    mean: tuple[float, ...]
    warm: tuple[float, ...]
    cold: tuple[float, ...]
    days: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Neighbours:
        """Make them from what :meth:`to_dict` returned."""
        return cls(**{name: tuple(column) for name, column in values.items()})

    def without(self, segments: Collection[Any]) -> Neighbours:
        """Return what is known of all but some segments."""
        gone = set(segments)
        kept = [k for k, segment in enumerate(self.segments) if segment not in gone]
        columns = {
            name: tuple(getattr(self, name)[k] for k in kept)
            for name in ("segments", "mean", "warm", "cold", "days")
        }
        return replace(self, **columns)

    def table(
        self, ids: npt.NDArray[Any], downstream: npt.NDArray[np.int64], length: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Return the features of all segments of a river network.

        For each length: the weighted means of the anomalies of the other observed segments, for all three
        seasons, and the sum of the weights. An observed segment at the distance d counts
        ``exp(-d / length) * days / (days + 60)``, and the mean is taken as if another, with an anomaly of
        0, counted 0.3.

        Shapes: `ids` (n,), `downstream` (n,), `length` (n,), returns (n, 4 times the number of lengths).
        """
        place = {segment: k for k, segment in enumerate(ids.tolist())}
        there = [k for k, segment in enumerate(self.segments) if segment in place]
        sources = np.array([place[self.segments[k]] for k in there], np.int64)
        apart = river_distance(downstream, length, sources, limit=CUT * max(self.lengths))
        anomaly = np.column_stack([self.mean, self.warm, self.cold])[there]
        days = np.asarray(self.days, np.float64)[there]
        trust = days / (days + TRUSTED)
        columns = []
        for scale in self.lengths:
            near = np.where(apart.data <= CUT * scale, np.exp(-apart.data / scale), 0.0)
            weight = sp.csr_array((near * trust[apart.indices], apart.indices, apart.indptr), apart.shape)
            support = weight.sum(axis=1)[:, None]
            columns += [(weight @ anomaly) / (support + UNSURE), support]
        return np.concatenate(columns, axis=1).astype(np.float32)


def neighbour_features(lengths: Sequence[float]) -> dict[str, dict[str, str]]:
    """Name the features of neighbours, in the order of :meth:`Neighbours.table`."""
    return {
        f"neighbour_{length / 1000:.12g}km_{kind}": {
            "units": units,
            "long_name": f"weight of the observed segments around, e-folding length {length:.12g} m"
            if kind == "support"
            else f"how much warmer than regressed the observed segments around are {when}, e-folding length "
            f"{length:.12g} m",
        }
        for length in lengths
        for kind, (units, when) in _KINDS.items()
    }


def check_lengths(lengths: Sequence[float]) -> tuple[float, ...]:
    """Check e-folding lengths."""
    fitting = isinstance(lengths, list | tuple) and all(
        isinstance(length, int | float | np.integer | np.floating)
        and not isinstance(length, bool)
        and 0 < length < float("inf")
        for length in lengths
    )
    if not fitting or len({f"{length:.12g}" for length in lengths}) < len(lengths):
        msg = (
            f"neighbours={lengths!r} must be a list of different lengths along the river above 0 m, such as "
            "(5_000, 10_000, 20_000), or empty"
        )
        raise InvalidArgumentError(msg)
    return tuple(float(length) for length in lengths)
