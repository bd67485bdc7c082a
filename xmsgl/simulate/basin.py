"""A random river basin at two scales: coarse segments, each with a chain of fine reaches."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.topology import accumulate, hops_to_outlet, strahler, topological_order
from xmsgl.simulate.layout import Layout, cut_line, draw_layout, midpoint, path_length, side_branch
from xmsgl.simulate.process import canopy_shade

__all__ = ["Basin", "River", "random_basin"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEAN_RUNOFF = 1.4  # mm d-1, typical of the eastern United States
OUTLET_ELEVATION = 15.0  # m


@dataclasses.dataclass(frozen=True)
class River:
    """The reaches or segments of one scale; all arrays have one entry for each."""

    downstream: Ints  # position downstream, -1 at the outlet
    length: Floats  # m, as elevation and width
    slope: Floats
    elevation: Floats
    width: Floats
    drainage_area: Floats  # at the downstream end (km2)
    stream_order: Ints
    lines: tuple[Floats, ...]  # (vertex, 2), upstream to downstream: km east and north of the outlet

    @property
    def middle(self) -> Floats:
        """Midpoints of the lines (km), (reach, 2)."""
        return np.array([midpoint(line) for line in self.lines])


@dataclasses.dataclass(frozen=True)
class Basin:
    """A basin at both scales; arrays have one entry for each fine reach."""

    coarse: River
    fine: River
    segment: Ints  # position of the coarse segment
    main_stem: NDArray[np.bool_]  # False on side branches
    # not in the dataset:
    shade: Floats  # fraction of the sky hidden by trees and banks (1)
    groundwater: Floats  # fraction of the lateral runoff that passes through the ground (1)
    # Slow inflow minus the mean air temperature (K), -5.2..8.8. Real groundwater stays within about 3 K; the
    # wider range makes segments differ as much as observed.
    groundwater_offset: Floats


def random_basin(n_coarse: int, reaches_per_segment: int, rng: np.random.Generator) -> Basin:
    """Draw a dendritic basin.

    Segments grow from the outlet over a jittered triangular lattice, so that no two cross; each has at most
    two tributaries. A segment is cut into a chain of reaches of about 1 km, some with a short side branch.
    Slopes decrease with drainage area by Flint's law, elevations follow from them, widths from hydraulic
    geometry. Shade and groundwater are random fields correlated along the river; they depend in part on
    width, slope and elevation.

    References
    ----------
    Flint, J. J. (1974). Stream gradient as a function of order, magnitude, and discharge. Water Resources
    Research 10(5), 969-973.

    Leopold, L. B., Maddock, T. (1953). The hydraulic geometry of stream channels and some physiographic
    implications. US Geological Survey Professional Paper 252.
    """
    if n_coarse < 1 or reaches_per_segment < 1:
        msg = f"n_coarse and reaches_per_segment must be at least 1, not {n_coarse}, {reaches_per_segment}"
        raise InvalidArgumentError(msg)
    layout = draw_layout(n_coarse, 0.85 * max(reaches_per_segment, 1.5), rng)
    chains = _chains(layout, reaches_per_segment, rng)
    area = _drainage_area(layout, chains, rng)
    fine = _fine_scale(layout, chains, area, rng)
    coarse = _coarse_scale(layout, chains, fine)
    hidden = _hidden(coarse, fine, chains, rng)
    return Basin(coarse, fine, chains.segment, chains.main_stem, *hidden)


@dataclasses.dataclass(frozen=True)
class _Chains:
    """Fine topology and geometry; within a segment the main stem comes first, from upstream to downstream."""

    downstream: Ints
    segment: Ints
    main_stem: NDArray[np.bool_]
    first: Ints
    last: Ints
    lines: tuple[Floats, ...]


def _chains(layout: Layout, reaches_per_segment: int, rng: np.random.Generator) -> _Chains:
    n = layout.downstream.size
    weights = rng.lognormal(0.0, 0.35, n)
    counts = 1 + rng.multinomial(n * (reaches_per_segment - 1), weights / weights.sum())
    branches = np.where(counts >= 4, rng.binomial(np.maximum(counts - 3, 0), 0.17), 0)
    stems = counts - branches
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    last = first + stems - 1
    downstream, segment, main_stem, lines = [], [], [], []
    for s in range(n):
        below = layout.downstream[s]
        pieces = cut_line(layout.lines[s], stems[s], rng)
        downstream += [*range(first[s] + 1, last[s] + 1), first[below] if below >= 0 else -1]
        # a side branch enters at the upper end of a reach of the chain, but not of the first
        entered = np.sort(rng.choice(np.arange(1, max(stems[s], 2)), size=branches[s]))
        downstream += [int(first[s] + k) for k in entered]
        lines += pieces + [side_branch(pieces[k], rng) for k in entered]
        segment += [s] * int(counts[s])
        main_stem += [True] * int(stems[s]) + [False] * int(branches[s])
    return _Chains(
        np.array(downstream, dtype=np.int64),
        np.array(segment, dtype=np.int64),
        np.array(main_stem),
        first,
        last,
        tuple(lines),
    )


def _drainage_area(layout: Layout, chains: _Chains, rng: np.random.Generator) -> Floats:
    """Sum downstream the catchments of the reaches and of the brooks above the mapped headwaters (km2)."""
    kilometres = np.array([path_length(line) for line in chains.lines])
    own = 1.8 * kilometres * rng.lognormal(0.0, 0.4, kilometres.size)
    heads = np.bincount(layout.downstream[layout.downstream >= 0], minlength=layout.downstream.size) == 0
    own[chains.first[heads]] += rng.lognormal(np.log(30.0), 0.6, int(heads.sum()))
    side = ~chains.main_stem
    own[side] += rng.lognormal(np.log(14.0), 0.6, int(side.sum()))
    return accumulate(chains.downstream, own)


def _fine_scale(layout: Layout, chains: _Chains, area: Floats, rng: np.random.Generator) -> River:
    n = area.size
    length = np.array([path_length(line) for line in chains.lines]) * 1000.0
    terrain = _along_river(layout.downstream, 0.6, rng)[chains.segment]
    slope = 0.06 * area**-0.45 * np.exp(0.5 * terrain + 0.15 * rng.normal(size=n))
    slope = np.maximum(slope, 1e-4)
    elevation = np.empty(n)
    top = np.empty(n)
    for i in topological_order(chains.downstream)[::-1]:
        below = chains.downstream[i]
        end = top[below] if below >= 0 else OUTLET_ELEVATION
        top[i] = end + slope[i] * length[i]
        elevation[i] = 0.5 * (end + top[i])
    bed = 0.25 * _along_river(layout.downstream, 0.3, rng)[chains.segment] + 0.12 * rng.normal(size=n)
    width = 9.0 * (area * MEAN_RUNOFF / 86.4) ** 0.5 * np.exp(bed)
    order = strahler(chains.downstream)
    return River(chains.downstream, length, slope, elevation, width, area, order, chains.lines)


def _coarse_scale(layout: Layout, chains: _Chains, fine: River) -> River:
    """Attributes of a segment from its main stem: total length, means weighted by length, area at the end."""
    n = layout.downstream.size
    stem = np.where(chains.main_stem, fine.length, 0.0)
    length: Floats = np.bincount(chains.segment, stem, minlength=n).astype(np.float64)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(chains.segment, stem * values, minlength=n) / length)

    return River(
        layout.downstream,
        length,
        mean(fine.slope),
        mean(fine.elevation),
        mean(fine.width),
        fine.drainage_area[chains.last],
        strahler(layout.downstream),
        layout.lines,
    )


def _hidden(
    coarse: River, fine: River, chains: _Chains, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw shade and groundwater, which depend in part on terrain and in part on land use and geology.

    Steep uplands and narrow valleys are wooded; their brooks are shaded and fed by cool springs. Terrain has
    the same effect at both scales; forest and geology vary between segments and are correlated along the
    river. Mixing reduces differences along a main stem, so they are larger there than on side branches. The
    factors are fitted to the spreads observed in the Delaware, 2.2 K between segments and 0.5 K within: the
    offset stands for all slow inflow (springs, ponds, effluents) and varies more than groundwater alone.
    """
    n, on = fine.length.size, chains.segment
    steep = _relative(np.log(fine.slope), np.log(coarse.slope))
    upland = (steep + _relative(fine.elevation, coarse.elevation)) / 1.7
    narrow = -_relative(np.log(fine.width), np.log(coarse.width))
    forest = _along_river(coarse.downstream, 0.8, rng)[on]
    geology = _along_river(coarse.downstream, 0.8, rng)[on]
    local = _along_river(fine.downstream, 0.7, rng)
    cover = 1.75 * upland + 1.0 * forest + 0.3 * narrow + 0.6 * local + 0.1 * rng.normal(size=n)
    by_segment = np.bincount(on, cover * chains.main_stem) / np.bincount(on, chains.main_stem)
    varied = np.where(chains.main_stem, 1.75, 0.9) * (cover - by_segment[on])
    cover = 2.4 * _relative(by_segment[on] + varied, by_segment)
    springs = 0.45 * upland + 0.75 * geology + 0.3 * local + 0.15 * rng.normal(size=n)
    shade = 0.9 / (1.0 + np.exp(-2.0 * cover)) * _openness(fine.width)
    groundwater = 0.15 + 0.75 / (1.0 + np.exp(-springs))
    return shade, groundwater, 1.8 - 7.0 * np.tanh(cover / 2.0)


def _relative(values: Floats, known: Floats) -> Floats:
    """Standardise values with the mean and standard deviation of others."""
    deviation = known.std()
    return np.asarray((values - known.mean()) / (deviation if deviation > 0.0 else 1.0))


def _openness(width: Floats) -> Floats:
    """Reduction of shade with width, for trees of equal height: 1 over a brook."""
    brook = float(canopy_shade(0.0))
    return np.asarray(0.3 + 0.7 * canopy_shade(width) / brook)


def _along_river(downstream: Ints, correlation: float, rng: np.random.Generator) -> Floats:
    """Draw a standardised field in which each reach resembles the one it flows into."""
    values = rng.normal(size=downstream.size)
    fresh = np.sqrt(1.0 - correlation**2)
    for i in np.argsort(hops_to_outlet(downstream), kind="stable"):
        if downstream[i] >= 0:
            values[i] = correlation * values[downstream[i]] + fresh * values[i]
    return _relative(values, values)
