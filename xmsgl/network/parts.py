"""What of a two-scale network depends on what: cut down to what matters, or apart into what is independent.

Both scales and what joins them are one graph. A segment reads the segments in its row of A, a reach the
reaches in its row of A and the segments in its rows of M and R; every day once more. Over a window of
days a node is reached by all it can be reached from, and by nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from xmsgl.errors import InvalidArgumentError, NetworkError, shorten

__all__ = ["Part", "closure", "independent_parts"]

Ints = NDArray[np.int64]


class Part(NamedTuple):
    """Some nodes of a two-scale network.

    Attributes
    ----------
    coarse, fine
        Their positions along each scale, int64, sorted.
    """

    coarse: Ints
    fine: Ints


def closure(
    coarse: Any,
    fine: Any,
    interpolation: Any,
    remap: Any,
    *,
    coarse_nodes: ArrayLike,
    fine_nodes: ArrayLike,
) -> Part:
    """Find the nodes that can influence the model's outputs at some nodes, those included.

    However many days a window has: on rivers a limit to the days would leave out next to nothing, and a
    part that is closed for good can be computed alone. Weights of exactly zero carry nothing.

    Shapes: `coarse, fine` (n_coarse, n_coarse), `interpolation, remap` (n_fine, n_coarse).
    """
    from xmsgl.network._part_loops import mark_read, mark_sources

    a_coarse, a_fine, m, r = _checked(coarse, fine, interpolation, remap)
    segments = _marked(coarse_nodes, a_coarse.shape[0], "coarse")
    reaches = _marked(fine_nodes, a_fine.shape[0], "fine")
    mark_sources(*_arrays(a_fine), reaches)
    mark_read(reaches, *_arrays(m), segments)
    mark_read(reaches, *_arrays(r), segments)
    mark_sources(*_arrays(a_coarse), segments)
    return Part(np.flatnonzero(segments).astype(np.int64), np.flatnonzero(reaches).astype(np.int64))


def independent_parts(coarse: Any, fine: Any, interpolation: Any, remap: Any, *, largest: int) -> list[Part]:
    """Divide a network into parts that share nothing, each of a size that can be computed at once.

    Every part is a set of whole river basins, taken in the order of their first reaches. Basins without a
    reach go with the last part.
    """
    if largest < 1:
        msg = f"largest must be at least 1 reach a part, got {largest}"
        raise InvalidArgumentError(msg)
    from xmsgl.network._part_loops import join_read, number_sets, pack_sets

    a_coarse, a_fine, m, r = _checked(coarse, fine, interpolation, remap)
    n = a_fine.shape[0]  # reaches come first, so that basins are numbered by theirs
    parent = np.arange(n + a_coarse.shape[0], dtype=np.int64)
    join_read(parent, *_arrays(a_fine), 0, 0)
    join_read(parent, *_arrays(a_coarse), n, n)
    join_read(parent, *_arrays(m), 0, n)
    join_read(parent, *_arrays(r), 0, n)
    basin, count = number_sets(parent)
    part = pack_sets(np.bincount(basin[:n], minlength=count), largest)[basin]
    parts = int(part.max(initial=-1)) + 1
    groups = zip(_by_part(part[n:], parts), _by_part(part[:n], parts), strict=True)
    return [Part(*group) for group in groups]


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


def _arrays(matrix: sp.csr_array) -> tuple[Any, Any, Any]:
    return matrix.indptr, matrix.indices, matrix.data


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
