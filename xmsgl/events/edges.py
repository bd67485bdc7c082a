"""What connects each reach with sensors: those downstream, which feel its heat, and others beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmsgl.network.topology import contract, distance_to_outlet, first_selected
from xmsgl.simulate.loops import HEAT_CAPACITY

if TYPE_CHECKING:
    from xmsgl.events.river import HeatedRiver

__all__ = ["EDGE_FEATURES", "LOG_UNIT", "EdgeTable", "Edges", "connect"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EDGE_FEATURES = 8
LOG_UNIT = 7.0  # log10 W, about the middle of the magnitudes


class Edges(NamedTuple):
    """Pairs of a sensor and a reach."""

    sensor: Ints  # position among the sensors
    reach: Ints
    below: NDArray[np.bool_]  # the sensor is at or downstream of the reach
    above: NDArray[np.bool_]  # the sensor is upstream of the reach


def connect(river: HeatedRiver, places: Ints, count: int = 3) -> Edges:
    """Connect each reach with `count` sensors downstream, and as many that share the first of them."""
    order = np.argsort(places)  # contract() numbers sensors in the order of the reaches
    edges = _connect(river, places[order], count)
    return edges._replace(sensor=order[edges.sensor])


def _connect(river: HeatedRiver, places: Ints, count: int) -> Edges:
    """Connect reaches with sensors in ascending places."""
    selected = np.zeros(river.downstream.size, dtype=bool)
    selected[places] = True
    first, after = first_selected(river.downstream, selected), contract(river.downstream, selected)
    number = np.full(river.downstream.size, -1, np.int64)
    number[places] = np.arange(places.size)
    beside: dict[int, list[int]] = {}
    for k, below in enumerate(after.tolist()):
        beside.setdefault(below, []).append(k)
    paths = [set(river.path(int(place)).tolist()) for place in places]
    rows: list[tuple[int, int, bool, bool]] = []
    for reach in range(river.downstream.size):
        k = int(number[first[reach]]) if first[reach] >= 0 else -1
        siblings = [other for other in beside.get(k, []) if places[other] != reach]
        near = np.argsort([abs(river.to_outlet[places[o]] - river.to_outlet[reach]) for o in siblings])
        rows += [(siblings[o], reach, False, reach in paths[siblings[o]]) for o in near[:count].tolist()]
        for _ in range(count):
            if k < 0:
                break
            rows.append((k, reach, True, False))
            k = int(after[k])
    sensor, reaches, below_, above = (np.array(column) for column in zip(*rows, strict=True))
    return Edges(sensor.astype(np.int64), reaches.astype(np.int64), below_.astype(bool), above.astype(bool))


@dataclass(frozen=True)
class EdgeTable:
    """What lies between the ends of each edge, on every day of a river."""

    edges: Edges
    gain: NDArray[np.float32]  # change at the sensor (degC) for 10 MW at the reach (day, edge); 0 beside it
    lag: Floats  # travel time from each reach to its outlet, in days (day, reach)
    decay: Floats  # the same way, as the exponent of the decay of heat
    own: tuple[Floats, Floats]  # travel time and exponent within each reach
    flow: Floats  # m3 s-1 (day, reach)
    at: Ints  # reach of the sensor of each edge
    distance: Floats  # between both ends along the river, in 20 km

    @classmethod
    def of(cls, river: HeatedRiver, places: Ints, count: int = 3) -> EdgeTable:
        """Connect sensors at some places with the reaches of a river, as :func:`connect`."""
        edges, carried = connect(river, places, count), river.carried
        lag, decay = (
            np.array([distance_to_outlet(river.downstream, day) for day in values])
            for values in (carried.lag, carried.exponent)
        )
        at = places[edges.sensor]
        way = (decay + carried.exponent)[:, edges.reach] - decay[:, at]
        gain = np.where(
            edges.below, 10.0**LOG_UNIT * np.exp(-way) / (HEAT_CAPACITY * carried.flow[:, at]), 0.0
        )
        distance = np.abs(river.to_outlet[edges.reach] - river.to_outlet[at]) / 2e4
        own = carried.lag, carried.exponent
        return cls(edges, gain.astype(np.float32), lag, decay, own, carried.flow, at, distance)

    def features(self, window: slice) -> NDArray[np.float32]:
        """Describe each edge in the mean of some days, (edge, feature)."""
        lag, decay, own_lag, own_decay, flow = (
            each[window].mean(axis=0) for each in (self.lag, self.decay, *self.own, self.flow)
        )
        _, reach, below, above = self.edges
        past = np.where(below, (lag + own_lag)[reach] - lag[self.at], 0.0)
        way = np.where(below, (decay + own_decay)[reach] - decay[self.at], 0.0)
        flow = np.log10(flow)
        gain = LOG_UNIT - way / np.log(10) - np.log10(HEAT_CAPACITY) - flow[self.at]
        columns = [past, way, np.where(below, gain, 0.0), flow[self.at], flow[reach], self.distance]
        features = np.stack([*columns, below, above], axis=1)
        return np.asarray(np.clip(features, -10, 10), dtype=np.float32)
