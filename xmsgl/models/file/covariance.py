"""The covariance of a model's error between places on a river and between days.

The error at a place and day is the sum of a slow and a fast part, each a Gaussian process, and of noise. The
covariance of a part is the product of an exponential in time and of a mixture in space [1]_: an exponential
of the distance along the river between places on one flow path, weighted by the root of the ratio of their
drainage areas ("tail-up" [2]_, [3]_); an exponential of the distance across land, for errors of weather; and
a share of the place alone.

References
----------
.. [1] Cressie & Wikle (2011), Statistics for Spatio-Temporal Data, chapters 4 and 6.
.. [2] Ver Hoef & Peterson (2010), A moving average approach for spatial statistical models of stream
   networks, doi:10.1198/jasa.2009.ap08248.
.. [3] Isaak et al. (2014), Applications of spatial statistical network models to stream data,
   doi:10.1002/wat2.1023.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from xmsgl.models.file.intervals import IntervalTable
from xmsgl.util.plain import OPTIONAL

__all__ = ["Companions", "ErrorCovariance", "ErrorKind", "ErrorPart"]

ErrorKind = Literal["ungauged", "gauged"]
"""Of reaches whose segment had no gauge in training, and of those whose segment had one."""


@dataclass(frozen=True)
class ErrorPart:
    """A part of the error with one memory."""

    variance: float  # degC2
    days: float  # after which the correlation in time has fallen to 1 / e
    along_river: float  # share of the variance in common along flow paths
    across_land: float  # share in common in the region; the rest belongs to the place alone


@dataclass(frozen=True)
class Companions:
    """A gauge, and second moments of what kriging leaves of its error and of the errors at other gauges."""

    reach: Any  # id
    others: tuple[Any, ...]  # ids of the reaches of the others
    moments: tuple[
        float, ...
    ]  # of the kriged error and the errors of the others, lower triangle by rows, degC2
    products: tuple[float, ...]  # of each with what is left, degC2
    left: float  # mean square of what is left, degC2


@dataclass(frozen=True)
class ErrorCovariance:
    """The covariance of a model's error, degC2."""

    slow: ErrorPart
    fast: ErrorPart
    noise: float  # variance of what differs from day to day, with the error of observation, degC2
    river: float  # e-folding distance along the river, m
    land: float  # e-folding distance across land, m
    spread: IntervalTable  # standardised errors, by the standard deviation of the error given its neighbours
    coordinates: bool = True  # whether distances across land were known in training
    companions: tuple[Companions, ...] = field(default=(), metadata=OPTIONAL)  # of gauges with a long record
