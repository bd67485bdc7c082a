"""Neighbour anomalies: what observed segments along the river suggest about an ungauged one.

A regression on weather, season and attributes leaves a persistent residual at each gauge, for example where
springs feed the stream. The anomaly of an ungauged segment is estimated by the mean of its observed
neighbours' anomalies, weighted by distance and length of record and shrunk to 0 where none is near. This is
the second step of regression kriging, with distance along the stream as in top-kriging and spatial stream
network models; the model learns how much weight to give it.

A length of 0 is the segment itself: the anomaly of its own gauge, or nothing. For the other lengths a
segment's own observations are never part of its own features. The model would learn to rely on information
that ungauged segments do not have; in training its own anomaly is therefore hidden for half of the segments,
drawn anew for each window.

A model's file keeps these values; :mod:`xmsgl.inputs.neighbours_fit` fits them to a dataset and assigns them.

References
----------
Skøien, Merz & Blöschl (2006), Top-kriging, doi:10.5194/hess-10-277-2006; Ver Hoef & Peterson (2010), A
moving average approach for spatial statistical models of stream networks, doi:10.1198/jasa.2009.ap08248;
Hengl, Heuvelink & Rossiter (2007), About regression-kriging, doi:10.1016/j.cageo.2007.05.001.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.distance import river_distance
from xmsgl.util.spec import is_number

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["CUT", "OWN", "TRUSTED", "UNSURE", "Neighbours", "check_lengths", "neighbour_features"]

#: E-folding lengths beyond which a neighbour has no weight; it would be below exp(-5), 0.7 %.
CUT = 5.0
#: Labelled days that give a segment half of its full weight.
TRUSTED = 60.0
#: Weight of the anomaly 0 in each mean; an adjacent segment with a long record has nearly 1.
UNSURE = 0.3

_KINDS = {
    "mean": ("degC", "observed minus regressed temperature of {} over the year"),
    "warm": ("degC", "observed minus regressed temperature of {} in the warm season"),
    "cold": ("degC", "observed minus regressed temperature of {} in the cold season"),
    "support": ("1", "weight of the observations of {}"),
}


@dataclass(frozen=True)
class Neighbours:
    """Anomalies of the observed segments.

    Attributes
    ----------
    lengths
        E-folding lengths of the weights along the river, m; each gives a set of features. 0: the segment's
        own anomaly.
    segments
        Ids of the segments with labels, sorted.
    mean, warm, cold
        Observed minus regressed temperature, degC: on all labelled days, in the warm season, in the rest of
        the year.
    days
        Number of labelled days.
    """

    lengths: tuple[float, ...]
    segments: tuple[Any, ...]
    mean: tuple[float, ...]
    warm: tuple[float, ...]
    cold: tuple[float, ...]
    days: tuple[int, ...]

    def without(self, segments: Collection[Any]) -> Neighbours:
        """Return the anomalies of all but some segments."""
        left_out = set(segments)
        kept = [k for k, segment in enumerate(self.segments) if segment not in left_out]
        columns = {
            name: tuple(getattr(self, name)[k] for k in kept)
            for name in ("segments", "mean", "warm", "cold", "days")
        }
        return replace(self, **columns)

    def table(
        self, ids: npt.NDArray[Any], downstream: npt.NDArray[np.int64], length: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Return the features of all segments of a river network.

        For each length: the weighted means of the other observed segments' anomalies, for the year and both
        seasons, and the sum of the weights. An observed segment at distance d has the weight
        ``exp(-d / length) * days / (days + 60)``, and the anomaly 0 has the weight 0.3 in each mean. For the
        length 0, the segment itself is the only one, with the weight ``days / (days + 60)``.

        Shapes: `ids` (n,), `downstream` (n,), `length` (n,), returns (n, 4 times the number of lengths).
        """
        place = {segment: k for k, segment in enumerate(ids.tolist())}
        there = [k for k, segment in enumerate(self.segments) if segment in place]
        sources = np.array([place[self.segments[k]] for k in there], np.int64)
        farthest = CUT * max(self.lengths)
        apart = river_distance(downstream, length, sources, limit=farthest) if farthest else None
        anomaly = np.column_stack([self.mean, self.warm, self.cold])[there]
        days = np.asarray(self.days, np.float64)[there]
        trust = days / (days + TRUSTED)
        itself = sp.csr_array((trust, (sources, np.arange(sources.size))), (ids.size, sources.size))
        columns = []
        for e_folding in self.lengths:
            weight = itself
            if e_folding and apart is not None:
                near = np.where(apart.data <= CUT * e_folding, np.exp(-apart.data / e_folding), 0.0)
                weight = sp.csr_array((near * trust[apart.indices], apart.indices, apart.indptr), apart.shape)
            support: npt.NDArray[np.float64] = weight.sum(axis=1)[:, None]
            columns += [(weight @ anomaly) / (support + UNSURE), support]
        return np.concatenate(columns, axis=1).astype(np.float32)


def neighbour_features(lengths: Sequence[float]) -> dict[str, dict[str, str]]:
    """Name the neighbour anomalies, in the order of :meth:`Neighbours.table`, with their attributes."""
    return {
        f"neighbour_{length / 1000:.12g}km_{kind}": {
            "units": units,
            "long_name": f"{what.format('neighbouring segments')}, e-folding length {length:.12g} m"
            if length
            else what.format("the segment itself"),
        }
        for length in lengths
        for kind, (units, what) in _KINDS.items()
    }


#: Features that are hidden at random in training.
OWN = frozenset(neighbour_features([0.0]))


def check_lengths(lengths: Sequence[float]) -> tuple[float, ...]:
    """Refuse what is not a list of different e-folding lengths, m."""
    valid = isinstance(lengths, list | tuple) and all(
        is_number(each) and 0 <= float(each) < np.inf for each in lengths
    )
    if not valid or len({f"{length:.12g}" for length in lengths}) < len(lengths):
        msg = (
            f"neighbours must be a list of different lengths along the river in m, such as "
            f"(5_000, 10_000, 20_000), or empty; got {lengths!r}"
        )
        raise InvalidArgumentError(msg)
    return tuple(float(length) for length in lengths)
