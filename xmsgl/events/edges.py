"""What connects each reach with sensors: those downstream, which feel its heat, and others beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmsgl.network.topology import contract, distance_to_outlet, first_selected
from xmsgl.simulate.loops import HEAT_CAPACITY

if TYPE_CHECKING:
    from xmsgl.events.river import HeatedRiver

__all__ = ["EDGE_FEATURES", "Edges", "connect", "edge_features"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BELOW, _BESIDE = 3, 3  # sensors of a reach
EDGE_FEATURES = 8


class Edges(NamedTuple):
    """Pairs of a sensor and a reach."""

    sensor: Ints  # position among the sensors
    reach: Ints
    below: NDArray[np.bool_]  # the sensor is at or downstream of the reach
    above: NDArray[np.bool_]  # the sensor is upstream of the reach


def connect(river: HeatedRiver, places: Ints) -> Edges:
    """Connect each reach with the next sensors downstream, and with others that share the first of them."""
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
        rows += [(siblings[o], reach, False, reach in paths[siblings[o]]) for o in near[:_BESIDE].tolist()]
        for _ in range(_BELOW):
            if k < 0:
                break
            rows.append((k, reach, True, False))
            k = int(after[k])
    sensor, reaches, below_, above = (np.array(column) for column in zip(*rows, strict=True))
    return Edges(sensor.astype(np.int64), reaches.astype(np.int64), below_.astype(bool), above.astype(bool))


def edge_features(river: HeatedRiver, places: Ints, edges: Edges, window: slice) -> NDArray[np.float32]:
    """Describe each edge for the discharge of some days, (edge, feature)."""
    carried = river.carried
    own_lag, own_decay = (each[window].mean(axis=0) for each in (carried.lag, carried.exponent))
    lag, decay = (distance_to_outlet(river.downstream, each) for each in (own_lag, own_decay))
    flow = np.log10(carried.flow[window].mean(axis=0))
    at = places[edges.sensor]
    past = np.where(edges.below, (lag + own_lag)[edges.reach] - lag[at], 0.0)
    way = np.where(edges.below, (decay + own_decay)[edges.reach] - decay[at], 0.0)
    # log10 of the change at the sensor (degC) for 1 W at the reach, plus 7
    gain = 7.0 - way / np.log(10) - np.log10(HEAT_CAPACITY) - flow[at]
    distance = np.abs(river.to_outlet[edges.reach] - river.to_outlet[at]) / 2e4
    columns = [past, way, np.where(edges.below, gain, 0.0), flow[at], flow[edges.reach], distance]
    features = np.stack([*columns, edges.below, edges.above], axis=1)
    return np.asarray(np.clip(features, -10, 10), dtype=np.float32)
