"""Which reaches inform which, along flow paths.

Neighbours of a reach are found upstream (what drains into it) and downstream (what it drains into),
never across a confluence: two branches that meet below share no water with each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.checks import check_downstream, check_length
from xmsgl.network.topology import topological_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Direction", "Pairs", "neighbours"]

Direction = Literal["both", "upstream", "downstream"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of reaches on one flow path, sorted by target and then source.

    Parameters
    ----------
    source, target
        int64 positions, shape (p,): ``source`` informs ``target``.
    distance
        float64 way along the river between their downstream ends (m), above 0, shape (p,).
    hops
        int64 number of steps between them, from 1 on, shape (p,).
    downstream
        bool, shape (p,): True where the source lies downstream of the target, so that information
        moves upstream.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    distance: NDArray[np.float64]
    hops: NDArray[np.int64]
    downstream: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PairRows:
    """The same pairs as rows of a CSR matrix: the lean form graphs are assembled from.

    Parameters
    ----------
    offset
        int64, shape (n + 1,): the entries of target ``i`` are ``offset[i] : offset[i + 1]``.
    source
        int32 (int64 beyond 2**31 entries), sorted within a row.
    distance
        float64 (m); 0 on the diagonal.
    signed_hops
        int32: positive where the source lies downstream of the target, negative upstream, 0 on the
        diagonal.
    """

    offset: NDArray[np.int64]
    source: NDArray[Any]
    distance: NDArray[np.float64]
    signed_hops: NDArray[np.int32]


def neighbours(
    downstream: ArrayLike,
    length: ArrayLike,
    *,
    hops: int | None = None,
    limit: float | None = None,
    nearest: int | None = None,
    direction: Direction = "both",
) -> Pairs:
    """Find the neighbours of every reach along the river.

    The criteria combine: a pair has to meet all that are given. Without any, every ancestor and
    descendant is a neighbour, which is dense: only for small networks.

    Parameters
    ----------
    downstream
        Position each reach flows to, shape (n,); -1 at an outlet.
    length
        Length of each reach (m), above 0, shape (n,).
    hops
        At most so many steps along the river. Default: any number.
    limit
        At most so far along the river (m). Default: any distance.
    nearest
        Only the nearest so many, counted for the upstream and the downstream side apart. Of equally
        distant reaches those fewer hops away come first, then those first in the arrays.
    direction
        Where the neighbours of a reach lie: ``"upstream"`` of it, ``"downstream"`` of it, or ``"both"``,
        which is the union of the two.

    Returns
    -------
    Pairs
        Sorted by target, then source; without pairs of a reach with itself.

    Raises
    ------
    InvalidArgumentError
        If a criterion is not positive or the direction is unknown.
    NetworkError
        If the network is malformed or has a cycle, or a length is not finite and above 0.

    Examples
    --------
    >>> pairs = neighbours([1, 2, -1], [10.0, 20.0, 40.0], hops=1, direction="downstream")
    >>> pairs.source, pairs.target, pairs.distance
    (array([1, 2]), array([0, 1]), array([20., 40.]))
    """
    rows = pair_rows(downstream, length, hops=hops, limit=limit, nearest=nearest, direction=direction)
    return Pairs(
        source=rows.source.astype(np.int64),
        target=np.repeat(np.arange(rows.offset.size - 1), np.diff(rows.offset)),
        distance=rows.distance,
        hops=np.abs(rows.signed_hops).astype(np.int64),
        downstream=rows.signed_hops > 0,
    )


def pair_rows(
    downstream: ArrayLike,
    length: ArrayLike,
    *,
    hops: int | None = None,
    limit: float | None = None,
    nearest: int | None = None,
    direction: Direction = "both",
    loops: bool = False,
) -> PairRows:
    """Find neighbours as CSR rows, written in place without a list of coordinates."""
    from xmsgl.network import _loops

    check_criteria(hops=hops, limit=limit, nearest=nearest, direction=direction)
    down = check_downstream(downstream)
    metres = check_length(length, down.size)
    topological_order(down)  # a cycle would make the walks below endless
    criteria = (hops, limit, nearest, direction)
    counts = np.full(down.size, int(loops), np.int64)
    _search(down, metres, criteria, counts)
    offset = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    total = int(offset[-1])
    source = np.empty(total, index_dtype(total, down.size))
    distance = np.empty(total, np.float64)
    signed = np.empty(total, np.int32)
    cursor = offset[:-1].copy()
    if loops:
        source[cursor], distance[cursor], signed[cursor] = np.arange(down.size), 0.0, 0
        cursor += 1
    _search(down, metres, criteria, cursor, (source, distance, signed))
    _loops.sort_rows(offset, source, distance, signed)
    return PairRows(offset, source, distance, signed)


def _search(
    downstream: NDArray[np.int64],
    length: NDArray[np.float64],
    criteria: tuple[int | None, float | None, int | None, Direction],
    cursor: NDArray[np.int64],
    found: tuple[NDArray[Any], NDArray[np.float64], NDArray[np.int32]] | None = None,
) -> None:
    """Advance ``cursor`` by the neighbours of each row, writing them where ``found`` is given."""
    from xmsgl.network import _loops

    hops, limit, nearest, direction = criteria
    steps = downstream.size if hops is None else min(hops, downstream.size)
    farthest = np.inf if limit is None else float(limit)
    above, below = direction != "downstream", direction != "upstream"
    if nearest is not None:
        if above:
            tree = _loops.list_upstream(downstream)
            out = (np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32)) if found is None else found
            write = found is not None
            _loops.nearest_upstream(*tree, length, nearest, steps, farthest, write, cursor, *out)
        # downstream there is one path, so the nearest are the first steps of it
        above, steps = False, min(steps, nearest)
    if found is None:
        _loops.count_walks(downstream, length, steps, farthest, above, below, cursor)
    else:
        _loops.fill_walks(downstream, length, steps, farthest, above, below, cursor, *found)


def index_dtype(entries: int, columns: int) -> type[np.int32] | type[np.int64]:
    """Choose the smallest integer type a sparse matrix of this size can be indexed with."""
    return np.int32 if max(entries, columns) < np.iinfo(np.int32).max else np.int64


def check_criteria(*, hops: int | None, limit: float | None, nearest: int | None, direction: str) -> None:
    """Check how neighbours are chosen."""
    whole: dict[str, Any] = {"hops": hops, "nearest": nearest}
    for name, value in whole.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            msg = f"{name} must be a whole number of at least 1 or None, not {value!r}"
            raise InvalidArgumentError(msg)
    if limit is not None and (isinstance(limit, (str, bool)) or not limit > 0):
        msg = f"limit must be a distance along the river above 0 m or None, not {limit!r}"
        raise InvalidArgumentError(msg)
    if direction not in get_args(Direction):
        msg = f"direction must be one of {', '.join(get_args(Direction))}, not {direction!r}"
        raise InvalidArgumentError(msg)
