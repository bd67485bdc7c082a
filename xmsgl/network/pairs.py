"""Which reaches are neighbours along flow paths.

Neighbours of a reach lie upstream (what drains into it) or downstream (what it drains into), never across a
confluence: two branches that meet downstream share no water.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from xmsgl.errors import InvalidArgumentError, did_you_mean
from xmsgl.network.checks import check_downstream, check_length, check_limit
from xmsgl.network.topology import inflows, topological_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Direction", "Pairs", "neighbours"]

Direction = Literal["both", "upstream", "downstream"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of reaches on one flow path, each array (p,), sorted by target and then source."""

    source: NDArray[np.int64]  # position of the neighbour, which informs the target
    target: NDArray[np.int64]
    distance: NDArray[np.float64]  # along the river between their downstream ends, m, above 0
    hops: NDArray[np.int64]  # steps between them, at least 1
    downstream: NDArray[np.bool_]  # True where the source lies downstream of the target


@dataclass(frozen=True, eq=False)
class PairRows:
    """The same pairs as rows of a CSR matrix, from which graphs are built."""

    offset: NDArray[np.int64]  # (n + 1,): the entries of target i are offset[i] : offset[i + 1]
    source: NDArray[Any]  # int32, or int64 beyond 2**31 entries; sorted within a row
    distance: NDArray[np.float64]  # m, 0 on the diagonal
    signed_hops: NDArray[np.int32]  # above 0 where the source lies downstream, 0 on the diagonal


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

    A pair must meet all criteria given. Without any, every reach upstream or downstream is a neighbour,
    which is only practical for small networks.

    Parameters
    ----------
    downstream
        Position each reach flows to, shape (n,); -1 at an outlet.
    length
        Length of each reach (m), above 0, shape (n,).
    hops
        Greatest number of steps along the river. Default: any number.
    limit
        Greatest distance along the river (m). Default: any distance.
    nearest
        Only this many nearest reaches upstream, and as many downstream. Equally distant reaches are ordered
        by hops, then by position; those of a graph by hops, then by id.
    direction
        Where the neighbours of a reach lie: ``"upstream"`` of it, ``"downstream"`` of it, or ``"both"``.

    Returns
    -------
    Pairs
        Sorted by target, then source; no reach is paired with itself.

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
    ids: ArrayLike | None = None,
) -> PairRows:
    """Find neighbours as CSR rows, with each reach itself where `loops`; `ids` order equally near ones."""
    from xmsgl.network import _loops

    whole: dict[str, Any] = {"hops": hops, "nearest": nearest}
    for name, value in whole.items():
        whole_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (whole_number and value >= 1):
            msg = f"{name} must be an integer of at least 1, or None, not {value!r}"
            raise InvalidArgumentError(msg)
    farthest = np.inf if limit is None else check_limit(limit, optional=True)
    if direction not in get_args(Direction):
        msg = f"direction must be one of {', '.join(get_args(Direction))}, not {direction!r}"
        raise InvalidArgumentError(msg + did_you_mean(direction, get_args(Direction)))
    down = check_downstream(downstream)
    metres = check_length(length, down.size)
    topological_order(down)  # with a cycle the loops below would never end
    steps = down.size if hops is None else min(hops, down.size)
    # So that the neighbours do not depend on the order of the reaches.
    place = np.argsort(np.arange(down.size) if ids is None else np.asarray(ids), kind="stable")
    search = partial(_search, down, metres, steps, farthest, nearest, direction, place)
    counts = np.full(down.size, int(loops), np.int64)
    search(counts)
    offset = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    total = int(offset[-1])
    source = np.empty(total, index_dtype(total, down.size))
    distance = np.empty(total, np.float64)
    signed = np.empty(total, np.int32)
    cursor = offset[:-1].copy()
    if loops:
        source[cursor], distance[cursor], signed[cursor] = np.arange(down.size), 0.0, 0
        cursor += 1
    search(cursor, (source, distance, signed))
    _loops.sort_rows(offset, source, distance, signed)
    return PairRows(offset, source, distance, signed)


def _search(
    downstream: NDArray[np.int64],
    length: NDArray[np.float64],
    steps: int,
    farthest: float,
    nearest: int | None,
    direction: Direction,
    place: NDArray[np.int64],
    cursor: NDArray[np.int64],
    found: tuple[NDArray[Any], NDArray[np.float64], NDArray[np.int32]] | None = None,
) -> None:
    """Advance ``cursor`` by the neighbours of each row, and write them where ``found`` is given."""
    from xmsgl.network import _loops

    write = found is not None
    source, metres, signed = found or (np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32))
    above, below = direction != "downstream", direction != "upstream"
    if nearest is not None:
        if above:
            tree = *inflows(downstream), np.argsort(place), place
            _loops.nearest_upstream(
                *tree, length, nearest, steps, farthest, write, cursor, source, metres, signed
            )
        # only one path leads downstream, so that the nearest reaches are its first ones
        above, steps = False, min(steps, nearest)
    _loops.walk_downstream(
        downstream, length, steps, farthest, above, below, write, cursor, source, metres, signed
    )


def index_dtype(entries: int, columns: int) -> type[np.int32] | type[np.int64]:
    """Choose the smallest integer type a sparse matrix of this size can be indexed with."""
    return np.int32 if max(entries, columns) < np.iinfo(np.int32).max else np.int64
