"""What depends on what in a two-scale network: the part that matters, or independent parts.

A segment reads the segments in its row of A; a reach reads the reaches in its row of A and the segments in
its rows of M and R. Over a window of days a node depends on all nodes that it reads directly or indirectly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components, depth_first_order

from xmsgl.errors import InvalidArgumentError, NetworkError, shorten

__all__ = ["Group", "Part", "closure", "independent_parts", "pieces"]

Ints = NDArray[np.int64]


class Part(NamedTuple):
    """Some nodes of a two-scale network: their sorted positions along each scale."""

    coarse: Ints
    fine: Ints


class Group(NamedTuple):
    """Nodes that are predicted together, and those that are read for it: more, in a piece of a basin."""

    kept: Part
    read: Part

    @property
    def cut(self) -> bool:
        """Whether it reads more than it keeps."""
        return any(k.size < r.size for k, r in zip(self.kept, self.read, strict=True))


def closure(
    coarse: Any,
    fine: Any,
    interpolation: Any,
    remap: Any,
    *,
    coarse_nodes: ArrayLike,
    fine_nodes: ArrayLike,
    steps: int | None = None,
) -> Part:
    """Find the nodes that can influence the model's outputs at some nodes, those included.

    The number of days does not matter: within a window of a season water passes whole rivers, and a part
    that depends on nothing else can be computed alone. Weights of exactly zero carry nothing. With `steps`,
    nodes that are further away, counted in products with an operator of either scale, are left out.

    Shapes: `coarse` (n_coarse, n_coarse), `fine` (n_fine, n_fine), `interpolation, remap` (n_fine, n_coarse).
    """
    a_coarse, a_fine, m, r = _checked(coarse, fine, interpolation, remap)
    segments = _marked(coarse_nodes, a_coarse.shape[0], "coarse")
    reaches = _marked(fine_nodes, a_fine.shape[0], "fine")
    _mark_sources(a_fine, reaches, steps)
    for operator in (m, r):
        segments[_read(operator, np.flatnonzero(reaches))] = True
    _mark_sources(a_coarse, segments, steps)
    return Part(np.flatnonzero(segments).astype(np.int64), np.flatnonzero(reaches).astype(np.int64))


def independent_parts(coarse: Any, fine: Any, interpolation: Any, remap: Any, *, largest: int) -> list[Part]:
    """Divide a network into independent parts of at most `largest` reaches, unless one basin has more.

    Every part is a set of whole river basins, in the order of their first reaches. Basins without a reach
    belong to the last part.
    """
    if largest < 1:
        msg = f"largest must be at least 1 reach per part, got {largest}"
        raise InvalidArgumentError(msg)
    a_coarse, a_fine, m, r = _checked(coarse, fine, interpolation, remap)
    n = a_fine.shape[0]  # reaches come first, so that basins are numbered by their first reaches
    across = abs(m) + abs(r)  # so that weights do not cancel
    reads: Any = sp.block_array([[a_fine, across], [None, a_coarse]], format="csr")
    reads.eliminate_zeros()
    _, label = connected_components(reads, directed=False)
    _, first, basin = np.unique(label, return_index=True, return_inverse=True)
    basin = np.argsort(np.argsort(first))[basin]
    part = _packed(np.bincount(basin[:n], minlength=first.size), largest)[basin]
    parts = int(part.max(initial=-1)) + 1
    groups = zip(_by_part(part[n:], parts), _by_part(part[:n], parts), strict=True)
    return [Part(*group) for group in groups]


def pieces(down: ArrayLike, owner: ArrayLike, part: Part, *, largest: int) -> list[Part]:
    """Cut a part of a network into pieces of at most `largest` reaches, unless one segment has more.

    Segments are taken in depth-first order from the outlets, each with its reaches, so that a piece is a few
    stretches of the river with most of their tributaries.

    Shapes: `down` (n_coarse), the segment downstream or -1; `owner` (n_fine), the segment of a reach.
    """
    below, owners = np.asarray(down, np.int64), np.asarray(owner, np.int64)
    order = _depth_first(below[part.coarse], part.coarse)
    sizes = np.bincount(owners[part.fine], minlength=below.size)[order]
    number = np.empty(below.size, np.int64)
    number[order] = _packed(sizes, largest)
    count = int(number[order].max(initial=0)) + 1
    coarse = _by_part(number[part.coarse], count)
    fine = _by_part(number[owners[part.fine]], count)
    return [Part(part.coarse[a], part.fine[b]) for a, b in zip(coarse, fine, strict=True)]


def _depth_first(below: Ints, nodes: Ints) -> Ints:
    """Order nodes from the outlets up, each tributary in full before the next; `below` is outside or -1."""
    n = nodes.size
    place = np.full(int(max(nodes.max(initial=-1), below.max(initial=-1))) + 2, n)
    place[nodes] = np.arange(n)  # of the node downstream; n stands for what lies below the outlets
    links = sp.csr_array((np.ones(n), (place[below], np.arange(n))), (n + 1, n + 1))
    found: Ints = nodes[depth_first_order(links, n, return_predecessors=False)[1:]]
    return found


def _read(operator: sp.csr_array, rows: Ints) -> Ints:
    """Return the columns that some rows read."""
    return operator[rows].nonzero()[1].astype(np.int64)


def _mark_sources(operator: sp.csr_array, found: NDArray[np.bool_], steps: int | None) -> None:
    """Mark all nodes that the marked ones depend on within some steps, in place."""
    new, taken = np.flatnonzero(found), 0
    while new.size and (steps is None or taken < steps):
        taken += 1
        read = _read(operator, new)
        new = np.unique(read[~found[read]])
        found[new] = True


def _packed(sizes: Ints, largest: int) -> Ints:
    """Give each the number of its part: that of the basin before if there is room, else the next."""
    part = np.empty(sizes.size, np.int64)
    current = filled = 0
    for k, size in enumerate(sizes.tolist()):
        if size and filled and filled + size > largest:
            current, filled = current + 1, 0
        filled += size
        part[k] = current
    return part


def _checked(coarse: Any, fine: Any, interpolation: Any, remap: Any) -> tuple[sp.csr_array, ...]:
    """Return the operators as CSR, refusing shapes that do not fit together."""
    n_coarse, n_fine = coarse.shape[0], fine.shape[0]
    operators = {
        "coarse": (coarse, (n_coarse, n_coarse)),
        "fine": (fine, (n_fine, n_fine)),
        "interpolation": (interpolation, (n_fine, n_coarse)),
        "remap": (remap, (n_fine, n_coarse)),
    }
    for name, (matrix, shape) in operators.items():
        if matrix.shape != shape:
            msg = (
                f"the {name} operator has shape {matrix.shape}; with {n_coarse} segments and {n_fine} "
                f"reaches it must be {shape}"
            )
            raise NetworkError(msg)
    return tuple(sp.csr_array(matrix) for matrix, _ in operators.values())


def _marked(nodes: ArrayLike, n: int, scale: str) -> NDArray[np.bool_]:
    positions = np.asarray(nodes, np.int64)
    if (outside := positions[(positions < 0) | (positions >= n)]).size:
        msg = f"{scale} nodes {shorten(outside.tolist())} do not exist; positions run from 0 to {n - 1}"
        raise InvalidArgumentError(msg)
    marked = np.zeros(n, np.bool_)
    marked[positions] = True
    return marked


def _by_part(part: Ints, count: int) -> list[Ints]:
    """Return the sorted positions of the nodes of each part."""
    ends = np.cumsum(np.bincount(part, minlength=count))
    return np.split(np.argsort(part, kind="stable").astype(np.int64), ends[:-1]) if count else []
