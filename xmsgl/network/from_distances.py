"""The topology of a river from the distances between all its segments, as some projects store it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import NetworkError, shorten
from xmsgl.network.topology import topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["downstream_from_distance"]

_CLOSE = 1e-6  # relative; sums of lengths are not exact


def downstream_from_distance(
    ids: NDArray[Any], distance: NDArray[Any], *, kind: str = "downstream"
) -> NDArray[np.int64]:
    """Find where each segment flows from the distances between all segments.

    The next segment downstream is the nearest of all segments downstream. All other distances must follow
    from these links, which is checked.

    Parameters
    ----------
    ids
        Id of each row and column, shape (n,); for messages.
    distance
        m, shape (n, n), 0 on the diagonal; see `kind`.
    kind
        ``"downstream"``: from the end of the row's segment along the river to the end of the column's,
        infinite where the water does not flow there. ``"upstream"``: the transpose of that. ``"updown"``:
        positive downstream, negative upstream, infinite elsewhere.

    Returns
    -------
    numpy.ndarray
        Position of the segment downstream, -1 at outlets, int64, shape (n,).

    Raises
    ------
    NetworkError
        The shape does not match the ids, distances are negative or missing, water flows both ways between
        two segments, two segments are equally near downstream, or distances do not add up along the river.

    Examples
    --------
    >>> far = np.inf
    >>> downstream_from_distance(np.array([1, 2, 3]), np.array([[0, 20, 50], [far, 0, 30], [far, far, 0]]))
    array([ 1,  2, -1])
    """
    table = np.asarray(distance, dtype=np.float64)
    n = len(ids)
    if table.shape != (n, n):
        msg = f"the distance matrix has shape {table.shape}, but there are {n} names of rows and columns"
        raise NetworkError(msg)
    if kind == "upstream":
        table = table.T
    elif kind == "updown":
        if not np.array_equal(table, -table.T) and not _mirrored(table):
            msg = "the distance matrix is not antisymmetric; give distances upstream with a minus sign"
            raise NetworkError(msg)
        table = np.where(table < 0, np.inf, table)
    faults = _faults(ids, table)
    if faults:
        raise NetworkError("; ".join(faults))
    way = np.where(np.eye(n, dtype=bool), np.inf, table)
    nearest = way.min(axis=1)
    below = np.where(np.isfinite(nearest), way.argmin(axis=1), -1).astype(np.int64)
    inner = np.flatnonzero(below >= 0)
    twice = inner[(way[inner] <= nearest[inner, None] * (1 + _CLOSE)).sum(axis=1) > 1]
    if twice.size:
        msg = (
            f"several segments are equally near downstream of {shorten(ids[twice].tolist())}; rivers that "
            "divide are not supported"
        )
        raise NetworkError(msg)
    order = topological_order(below)
    _add_up(ids, table, below, order)
    return below


def _mirrored(table: NDArray[np.float64]) -> bool:
    """Tell whether each finite distance has its negative on the other side of the diagonal."""
    finite = np.isfinite(table)
    return bool(
        np.array_equal(finite, finite.T) and np.allclose(table[finite], -table.T[finite], rtol=_CLOSE)
    )


def _faults(ids: NDArray[Any], table: NDArray[np.float64]) -> list[str]:
    faults = []
    if np.isnan(table).any() or (table < 0).any():
        faults.append(
            "distances are missing or below 0; give infinity where no water flows between two segments"
        )
    if (np.diagonal(table) != 0).any():
        faults.append("the distance of a segment to itself is not 0")
    other = ~np.eye(len(ids), dtype=bool)
    if (table[other] == 0).any():
        faults.append("the distance between two different segments is 0")
    both = np.triu(np.isfinite(table) & np.isfinite(table.T), k=1)
    if both.any():
        pairs = [f"{ids[a]} and {ids[b]}" for a, b in np.argwhere(both)]
        faults.append(f"water flows both ways between {shorten(pairs)}")
    return faults


def _add_up(
    ids: NDArray[Any], table: NDArray[np.float64], below: NDArray[np.int64], order: NDArray[np.int64]
) -> None:
    """Refuse distances that do not follow from the links: a row is that downstream plus one link."""
    for position in order:
        following = below[position]
        if following < 0:
            continue
        expected = table[following] + table[position, following]
        expected[position] = 0.0
        if not np.allclose(table[position], expected, rtol=_CLOSE):
            wrong = np.flatnonzero(~np.isclose(table[position], expected, rtol=_CLOSE))
            msg = (
                f"distances from {ids[position]} through {ids[following]} do not add up for segments "
                f"{shorten(ids[wrong].tolist())}"
            )
            raise NetworkError(msg)
