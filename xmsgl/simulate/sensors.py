"""Sites and days of random observations: few sites, each observed for runs of days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["sensor_days"]


def sensor_days(
    day_of_year: NDArray[np.number],
    n_places: int,
    n_labels: int,
    n_sites: int,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw which cells of a (time, place) table were observed.

    Sites are a random subset of the places, with records of unequal length. Half of the runs of days are
    field seasons of 60 to 200 days that start between April and July; half begin on any day and last 60 to
    500 days.
    """
    days = len(day_of_year)
    if not 0 <= n_labels <= days * n_places:
        raise InvalidArgumentError(f"{n_labels} labels do not fit on {n_places} places x {days} days")
    mask = np.zeros((days, n_places), dtype=bool)
    if n_labels == 0:
        return mask
    needed = -(-n_labels // days)
    sites = rng.permutation(n_places)[: min(max(n_sites, needed), n_places, n_labels)]
    spring = np.flatnonzero((day_of_year >= 91) & (day_of_year <= 200))
    for site, wanted in zip(sites, _shares(n_labels, len(sites), days, rng), strict=True):
        mask[:, site] = _runs(days, int(wanted), spring, rng)
    return mask


def _shares(total: int, sites: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Split the total into unequal whole parts between 1 and `most`."""
    weight = rng.lognormal(0.0, 0.7, sites)
    share = 1 + rng.multinomial(total - sites, weight / weight.sum())
    share = np.minimum(share, most)
    while (missing := total - int(share.sum())) > 0:  # move the excess to sites with room
        room = most - share
        share += np.minimum(room, -(-missing * room // max(int(room.sum()), 1)))
        if (over := int(share.sum()) - total) > 0:
            for site in np.argsort(-share, kind="stable")[:over]:
                share[site] -= 1
    return share.astype(np.int64)


def _runs(days: int, wanted: int, spring: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark runs of days until the wanted number is reached."""
    seen = np.zeros(days, dtype=bool)
    for _ in range(60):
        left = wanted - int(seen.sum())
        if left == 0:
            return seen
        if rng.random() < 0.5 and spring.size:
            start, length = int(rng.choice(spring)), int(rng.integers(60, 200))
        else:
            start, length = int(rng.integers(days)), int(rng.integers(60, 500))
        fresh = np.flatnonzero(~seen[start : start + length])[:left]
        seen[start + fresh] = True
    seen[np.flatnonzero(~seen)[: wanted - int(seen.sum())]] = True
    return seen
