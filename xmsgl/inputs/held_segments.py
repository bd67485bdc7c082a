"""Segments whose observations are kept for validation, drawn by river so that neighbours go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.topology import contract, topological_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["draw_blocks", "draw_folds", "draw_segments"]

Ints = npt.NDArray[np.int64]

_GROUPS = 4  # groups drawn, or in a fold; fewer would sample too few parts of the basin


def draw_segments(downstream: ArrayLike, gauged: ArrayLike, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw a share of the gauged segments in groups of neighbours; boolean (segment,).

    Parameters
    ----------
    downstream
        Position of the next segment downstream, -1 for none, (segment,).
    gauged
        Whether a segment has observations, (segment,).
    share
        Share of the gauged segments to draw, between 0 and 1.
    seed
        Seed of the draw.

    Raises
    ------
    InvalidArgumentError
        Fewer than two gauged segments.

    Examples
    --------
    >>> int(draw_segments([1, 2, -1, 2], [True, True, True, True], 0.5, seed=0).sum())
    2
    """
    places = _gauged(gauged, least=2)
    wanted = min(max(1, round(share * places.size)), places.size - 1)
    group = _groups(contract(downstream, gauged), -(-wanted // _GROUPS))
    held = np.zeros(np.shape(gauged), bool)
    for number in np.random.default_rng(seed).permutation(group.max() + 1):
        members = places[group == number]
        held[members[: wanted - int(held.sum())]] = True
    return held


def draw_folds(gauged: ArrayLike, count: int, seed: int) -> Ints:
    """Divide the gauged segments into folds of equal size, so that the others lie around each of them.

    Parameters
    ----------
    gauged
        Whether a segment has observations, (segment,).
    count
        Number of folds, 2 or more.
    seed
        Seed of the draw.

    Returns
    -------
    numpy.ndarray
        Number of the fold of each segment, -1 where it has no observations, (segment,).

    Raises
    ------
    InvalidArgumentError
        Fewer gauged segments than folds.

    Examples
    --------
    >>> sorted(draw_folds([True, True, True, False], 3, seed=0).tolist())
    [-1, 0, 1, 2]
    """
    places = _gauged(gauged, least=count)
    fold = np.full(np.shape(gauged), -1)
    fold[np.random.default_rng(seed).permutation(places)] = np.arange(places.size) % count
    return fold


def draw_blocks(downstream: ArrayLike, gauged: ArrayLike, count: int, seed: int) -> Ints:
    """Divide the gauged segments into folds of groups of neighbours, so that folds lie apart.

    Parameters
    ----------
    downstream
        Position of the next segment downstream, -1 for none, (segment,).
    gauged
        Whether a segment has observations, (segment,).
    count
        Number of folds, 2 or more.
    seed
        Seed of the draw, which puts the groups together; the groups are the same for all seeds.

    Returns
    -------
    numpy.ndarray
        Number of the fold of each segment, -1 where it has no observations, (segment,). Each group drawn
        goes to the smallest fold so far. Where there are fewer groups than folds, segments are drawn singly.

    Raises
    ------
    InvalidArgumentError
        Fewer gauged segments than folds.

    Examples
    --------
    >>> sorted(draw_blocks([1, 2, -1, 2], [True, True, False, True], 3, seed=0).tolist())
    [-1, 0, 1, 2]
    """
    places = _gauged(gauged, least=count)
    group = _groups(contract(downstream, gauged), -(-places.size // (count * _GROUPS)))
    if group.max() + 1 < count:
        group = np.arange(places.size)
    sizes, fold = np.bincount(group), np.full(np.shape(gauged), -1)
    total, of_group = np.zeros(count, np.int64), np.empty(sizes.size, np.int64)
    for number in np.random.default_rng(seed).permutation(sizes.size):
        of_group[number] = total.argmin()
        total[of_group[number]] += sizes[number]
    fold[places] = of_group[group]
    return fold


def _gauged(gauged: ArrayLike, least: int) -> Ints:
    """Return the positions of the gauged segments, of which there must be enough."""
    places = np.flatnonzero(gauged)
    if places.size < least:
        msg = (
            f"validation on held-out segments needs at least {least} segments with observations, not "
            f"{places.size}; keep days instead, for example validation=0.15"
        )
        raise InvalidArgumentError(msg)
    return places


def _groups(downstream: Ints, size: int) -> Ints:
    """Cut a river into connected groups of about `size` segments, from the headwaters down."""
    number, count = np.full(downstream.size, -1), np.ones(downstream.size, np.int64)
    found = 0
    order = topological_order(downstream)
    for place in order:
        below = downstream[place]
        if count[place] >= size or below < 0:
            number[place] = found
            found += 1
        else:
            count[below] += count[place]
    for place in order[::-1]:  # what was not cut belongs to the group of the segment below
        if number[place] < 0:
            number[place] = number[downstream[place]]
    return number
