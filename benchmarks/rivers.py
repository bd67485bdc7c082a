"""Random river networks of any size, generated fast, with the branching of real ones.

The network is a random forest of binary trees, all shapes equally likely: the random topology model.
Its tributaries follow Horton's laws with a bifurcation ratio near 4, its largest basins contain a large
fraction of all reaches, and its paths are long. Every link between confluences is cut into a few reaches. The
arrays are nearly, but not exactly, in downstream order, as in files assembled from regions.

References
----------
Shreve, R. L. (1966). Statistical law of stream numbers. Journal of Geology 74(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["River", "make_river"]


@dataclass(frozen=True)
class River:
    """A river network.

    Attributes
    ----------
    ids, downstream_ids
        int64 ids in random order, and the id of the reach downstream, 0 at an outlet.
    downstream
        The same as positions, -1 at an outlet.
    length
        Lengths (m), median 1.5 km.
    segment, n_segments
        Coarse segment of each reach, about one per 47 reaches.
    """

    ids: NDArray[np.int64]
    downstream_ids: NDArray[np.int64]
    downstream: NDArray[np.int64]
    length: NDArray[np.float64]
    segment: NDArray[np.int64]
    n_segments: int


def make_river(n: int, *, seed: int = 0, median_length: float = 1_500.0, jumble: float = 1_000.0) -> River:
    """Draw a river network of exactly `n` reaches.

    Parameters
    ----------
    n
        Number of reaches.
    seed
        Seed of the random numbers.
    median_length
        Median length of a reach (m).
    jumble
        Largest displacement of a reach from its position in downstream order, in reaches.

    Returns
    -------
    River
        The same arguments give the same river.
    """
    rng = np.random.default_rng(seed)
    links = max(1, round(n / 1.5))
    basins = max(1, round(links**0.5))
    basins += (links - basins) % 2  # a binary forest has two links per confluence and one per basin
    downstream = _split(rng, _binary_forest(rng, links, basins), n)
    marked = (rng.random(n) < 1 / 47) | (downstream < 0)
    segment = _carry_up(downstream, np.where(marked, np.cumsum(marked) - 1, -1))
    place = np.empty(n, np.int64)
    place[np.argsort(np.arange(n) + rng.uniform(0, jumble, n))] = np.arange(n)
    moved = np.empty(n, np.int64)
    moved[place] = np.where(downstream < 0, -1, place[downstream])
    moved_segment = np.empty(n, np.int64)
    moved_segment[place] = segment
    ids = rng.permutation(n) + 1
    return River(
        ids=ids,
        downstream_ids=np.where(moved < 0, 0, ids[moved]),
        downstream=moved,
        length=median_length * rng.lognormal(0.0, 0.8, n),
        segment=moved_segment,
        n_segments=int(marked.sum()),
    )


def _binary_forest(rng: np.random.Generator, links: int, basins: int) -> NDArray[np.int64]:
    """Return the link downstream of each, -1 at outlets, in upstream order.

    A sequence of confluences (+1) and headwaters (-1) that ends at minus the number of basins is a forest if
    it starts at the right position (the cycle lemma).
    """
    confluences = (links - basins) // 2
    steps = np.full(links, -1, np.int64)
    steps[:confluences] = 1
    rng.shuffle(steps)
    level = np.cumsum(steps)
    lowest = int(rng.integers(basins))  # any of the last new minima is suitable
    start = int(np.argmax(level == level.min() + lowest)) + 1
    forks: NDArray[np.bool_] = np.roll(steps, -start) > 0
    return _attach(forks)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _attach(forks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Attach every link to the last confluence that lacks a tributary."""
    below = np.empty(forks.size, np.int64)
    waiting = np.empty(forks.size + 1, np.int64)
    count = 0
    for link in range(forks.size):
        if count > 0:
            count -= 1
            below[link] = waiting[count]
        else:
            below[link] = -1
        if forks[link]:
            waiting[count] = link
            waiting[count + 1] = link
            count += 2
    return below


def _split(rng: np.random.Generator, below: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Cut links into reaches at random, `n` in all, numbered from the lower end of each link."""
    extra = np.bincount(rng.integers(below.size, size=n - below.size), minlength=below.size)
    last = np.cumsum(1 + extra) - 1
    downstream = np.arange(n) - 1
    first = last - extra
    downstream[first] = np.where(below < 0, -1, last[below])
    return downstream


@njit(cache=True)  # type: ignore[untyped-decorator]
def _carry_up(downstream: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give reaches without a label the label of the reach downstream."""
    for i in range(label.size):
        if label[i] < 0:
            label[i] = label[downstream[i]]
    return label
