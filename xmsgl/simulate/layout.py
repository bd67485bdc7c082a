"""Location and course of the segments of a random basin."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout", "cut_line", "draw_layout", "hex_wkb", "midpoint", "path_length", "side_branch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))  # neighbours on a triangular lattice


class Layout(NamedTuple):
    """Coarse segments on the plane."""

    downstream: Ints  # position of the segment downstream, -1 at the outlet, which comes first
    lines: tuple[Floats, ...]  # vertices, upstream to downstream (km east and north of the outlet)


def draw_layout(n: int, spacing: float, rng: np.random.Generator) -> Layout:
    """Grow a tree of segments over a jittered triangular lattice, upwards from the outlet.

    The edges of the lattice do not cross, so neither do the segments. A segment with one tributary is a third
    as likely to gain another, and none has three.
    """
    nodes: list[tuple[int, int]] = [(0, 1)]  # the upper end of each segment
    downstream = [-1]
    inflows = [0]
    taken = {(0, 0), (0, 1)}
    while len(nodes) < n:
        free = [
            (s, (q + dq, r + dr))
            for s, (q, r) in enumerate(nodes)
            if inflows[s] < 2
            for dq, dr in _STEPS
            if r + dr > 0 and (q + dq, r + dr) not in taken
        ]
        weight = np.array([1.0 if inflows[s] == 0 else 0.35 for s, _ in free])
        parent, node = free[int(rng.choice(len(free), p=weight / weight.sum()))]
        inflows[parent] += 1
        inflows.append(0)
        nodes.append(node)
        downstream.append(parent)
        taken.add(node)
    points = np.array([(q + 0.5 * r, 0.75**0.5 * r) for q, r in nodes])
    points = spacing * (points + rng.uniform(-0.18, 0.18, points.shape))
    lines = []
    for s, below in enumerate(downstream):
        end = points[below] if below >= 0 else np.zeros(2)
        lines.append(_wander(points[s], end, 5, rng))
    return Layout(np.array(downstream, dtype=np.int64), tuple(lines))


def _wander(start: Floats, end: Floats, levels: int, rng: np.random.Generator) -> Floats:
    """Line of 2**levels pieces from start to end, by midpoint displacement."""
    line = np.array([start, end])
    for level in range(levels):
        middle = 0.5 * (line[1:] + line[:-1])
        along = line[1:] - line[:-1]
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        reach = 0.13 if level < 2 else 0.2
        middle = middle + across * rng.uniform(-reach, reach, (len(middle), 1))
        longer = np.empty((2 * len(line) - 1, 2))
        longer[::2], longer[1::2] = line, middle
        line = longer
    return line


def path_length(line: Floats) -> float:
    """Length of a line in its own unit."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _at(line: Floats, fraction: Floats) -> Floats:
    """Points at the given fractions of the line's length."""
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    wanted = fraction * travelled[-1]
    return np.stack([np.interp(wanted, travelled, line[:, k]) for k in (0, 1)], axis=1)


def midpoint(line: Floats) -> Floats:
    """Point halfway along a line."""
    return np.asarray(_at(line, np.array([0.5]))[0])


def cut_line(line: Floats, pieces: int, rng: np.random.Generator) -> list[Floats]:
    """Cut a line into pieces of unequal length, none shorter than a third of the mean."""
    parts = 0.5 + rng.random(int(pieces))
    cuts = np.concatenate([[0.0], np.cumsum(parts) / parts.sum()])
    return [_at(line, np.linspace(a, b, 5)) for a, b in pairwise(cuts)]


def side_branch(entered: Floats, rng: np.random.Generator) -> Floats:
    """Line of a short brook, 0.4 to 1.3 km, that joins the upper end of a reach."""
    mouth = entered[0]
    along = entered[-1] - entered[0]
    heading = np.arctan2(-along[1], -along[0]) + rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 1.4)
    source = mouth + rng.uniform(0.4, 1.3) * np.array([np.cos(heading), np.sin(heading)])
    return _wander(source, mouth, 2, rng)


def hex_wkb(line: Floats) -> str:
    """Write a line (vertex, 2) as hexadecimal well-known binary, without a geometry library."""
    vertices = np.ascontiguousarray(line, dtype="<f8")
    return (struct.pack("<BII", 1, 2, len(vertices)) + vertices.tobytes()).hex().upper()
