"""The response of a river to released heat: the linear part of the process model, along one path.

Water temperature above 0 degC is linear in the heat that enters the water, and heat only moves downstream.
The change that a release causes is therefore computed on the reaches below it alone, without the weather.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmsgl.simulate.loops import DAY, HEAT_CAPACITY, path_response
from xmsgl.simulate.parameters import StreamParameters

__all__ = ["Transport", "downstream_path", "heat_response", "transport"]

Floats = NDArray[np.float64]


class Transport(NamedTuple):
    """How each reach carries heat, each (day, reach)."""

    water: Floats  # discharge in which released heat is mixed (m3 s-1)
    flow: Floats  # discharge at the downstream end (m3 s-1)
    lag: Floats  # travel time (d)
    exponent: Floats  # of the decay on the way (1)
    bed: Floats  # share of the bed in the heat exchange (1)

    def days(self, first: int, stop: int) -> Transport:
        """Select days by position."""
        return Transport(*(values[first:stop] for values in self))


def transport(
    downstream: NDArray[np.int64],
    *,
    length: Floats,
    width: Floats,
    slope: Floats,
    discharge: Floats,
    coefficient: Floats,
    parameters: StreamParameters | None = None,
) -> Transport:
    """Return travel times and decay of :func:`.stream_temperature` for given discharge and exchange.

    Shapes: `downstream`, `length`, `width`, `slope` (reach,); `discharge`, `coefficient` (day, reach).
    """
    p = parameters or StreamParameters()
    flow = np.maximum(discharge, 1e-6)
    above = np.zeros_like(flow)
    inner = np.flatnonzero(downstream >= 0)
    np.add.at(above.T, downstream[inner], flow.T[inner])
    steep = slope > 0
    hydraulic = p.depth_coefficient * flow**p.depth_exponent
    root = width * np.sqrt(np.where(steep, slope, 1.0))
    depth = np.where(steep, (p.manning * flow / root) ** 0.6, hydraulic)
    velocity = np.maximum(flow / (width * depth), p.min_velocity)
    both = coefficient + p.bed_exchange
    exponent = both * length * width / (HEAT_CAPACITY * flow)
    return Transport(
        np.maximum(flow, above), flow, length / (velocity * DAY), exponent, p.bed_exchange / both
    )


def heat_response(
    carried: Transport,
    path: NDArray[np.int64],
    heat: Floats,
    *,
    parameters: StreamParameters | None = None,
) -> Floats:
    """Return the change of temperature along a path for releases at its first reach, (release, day, reach).

    Parameters
    ----------
    carried
        Of the days asked for.
    path
        Positions of the reaches from the source down.
    heat
        Heat of each release on each day (W), (release, day).
    parameters
        As in :func:`transport`.

    Returns
    -------
    numpy.ndarray
        At the downstream ends of the reaches of the path, degC.
    """
    p = parameters or StreamParameters()
    water, flow, lag, exponent, bed = (np.ascontiguousarray(values[:, path]) for values in carried)
    result = np.zeros((*heat.shape, path.size))
    released = np.ascontiguousarray(heat, dtype=np.float64)
    path_response(water, flow, lag, exponent, bed, released, 1.0 / p.bed_memory, result)
    return result


def downstream_path(downstream: NDArray[np.int64], source: int) -> NDArray[np.int64]:
    """Return the positions from a reach to its outlet."""
    path = [source]
    while (below := int(downstream[path[-1]])) >= 0:
        path.append(below)
    return np.array(path, dtype=np.int64)
