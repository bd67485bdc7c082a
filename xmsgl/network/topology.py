"""The shape of a river network: where each reach flows, in which order, how far.

A network is one int64 array of positions: ``downstream[i]`` is where reach ``i`` flows, -1 where it
leaves the network. Every function is one or two passes over the reaches in topological order, so
millions of reaches take well under a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmsgl.errors import CycleError, NetworkError, shorten
from xmsgl.network.checks import check_downstream, check_length
from xmsgl.network.ids import id_values, kind_of, missing

__all__ = [
    "accumulate",
    "contract",
    "distance_to_outlet",
    "find_cycles",
    "first_selected",
    "growing",
    "hops_to_outlet",
    "inflows",
    "link",
    "strahler",
    "topological_order",
    "upstream_of",
    "write_cycle",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def link(ids: ArrayLike, downstream_ids: ArrayLike, *, what: str = "reach") -> Ints:
    """Turn downstream ids (n,) into positions (n,), the form all of :mod:`xmsgl.network` works on."""
    own, below = _ids(ids, what), _ids(downstream_ids, f"downstream {what}")
    absent, outlet = missing(own), missing(below)
    if own.shape != below.shape:
        msg = f"{own.size} {what} ids but {below.size} downstream ids; give one downstream id for each id"
        raise NetworkError(msg)
    if not outlet.all() and own.dtype.kind != below.dtype.kind:
        msg = f"{what} ids are {kind_of(own)} but their downstream ids are {kind_of(below)}; use one kind"
        raise NetworkError(msg)
    faults = []
    if absent.any():
        where = shorten(np.flatnonzero(absent))
        faults.append(f"{what} ids are missing, empty or 0 at positions {where}; 0 and '' mark outlets")
    order = np.argsort(own, kind="stable")
    ranked = own[order]
    repeated = (ranked[1:] == ranked[:-1]) & ~absent[order][1:]
    if repeated.any():
        faults.append(f"duplicated {what} ids {shorten(np.unique(ranked[1:][repeated]))}; ids must be unique")
    downstream = np.full(own.size, -1, np.int64)
    inner = np.flatnonzero(~outlet)
    if inner.size:
        # Sorted look-ups are several times faster than random ones among millions of ids.
        inner = inner[np.argsort(below[inner], kind="stable")]
        place = np.minimum(np.searchsorted(ranked, below[inner]), own.size - 1)
        known = ranked[place] == below[inner]
        downstream[inner[known]] = order[place[known]]
        if (lost := np.sort(inner[~known])).size:
            pairs = shorten(f"{below[i]} (below {own[i]})" for i in lost)
            faults.append(f"unknown downstream {what} ids {pairs}; add them or mark the outlets with 0 or ''")
        if (itself := np.sort(inner[below[inner] == own[inner]])).size:
            found = shorten(own[itself])
            faults.append(f"{what} ids that flow into themselves: {found}; mark outlets with 0 or ''")
    if faults:
        raise NetworkError("; ".join(faults))
    return downstream


def _ids(values: ArrayLike, what: str) -> NDArray[Any]:
    """Bring ids to int64 or text, (n,); refuse what is neither."""
    ids = id_values(values)
    if ids.ndim != 1:
        msg = f"{what} ids have shape {ids.shape}; give a one-dimensional array"
    elif ids.dtype.kind == "f":
        broken = ids[~(np.isnan(ids) | ((ids == np.rint(ids)) & (np.abs(ids) < 2.0**53)))]
        msg = f"{what} ids {shorten(broken)} are not exact integers; store ids as integers"
    elif ids.dtype.kind not in "iU":
        msg = f"{what} ids are {kind_of(ids)}; use integers or text"
    else:
        return ids
    raise NetworkError(msg)


def find_cycles(downstream: ArrayLike) -> list[Ints]:
    """Find every cycle of a network (n,), each as the positions on it in flow order."""
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    order, placed = _loops.order_downstream(down)
    if placed == down.size:
        return []
    # each reach flows into one other, so that what Kahn's algorithm leaves over are disjoint cycles
    cycles: list[Ints] = []
    seen: set[int] = set()
    for first in np.setdiff1d(np.arange(down.size), order[:placed]).tolist():
        if first in seen:
            continue
        cycle = [first]
        while (following := int(down[cycle[-1]])) != first:
            cycle.append(following)
        seen.update(cycle)
        cycles.append(np.array(cycle, np.int64))
    return cycles


def topological_order(downstream: ArrayLike, *, ids: ArrayLike | None = None) -> Ints:
    """Order reaches (n,) so that each comes after everything upstream of it.

    References
    ----------
    Kahn, A. B. (1962). Topological sorting of large networks. Communications of the ACM 5(11).
    """
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    order, placed = _loops.order_downstream(down)
    if placed < down.size:
        names = np.arange(down.size) if ids is None else np.asarray(ids)
        noun = "positions" if ids is None else "ids"
        circles = shorten(write_cycle(names[cycle]) for cycle in find_cycles(down))
        msg = f"water would flow in a circle through {noun} {circles}; correct one link of each circle"
        raise CycleError(msg)
    return order


def write_cycle(names: NDArray[Any]) -> str:
    """Write a cycle for a message, without the middle of a long one."""
    shown = [str(name) for name in names]
    if len(shown) > 12:
        shown = [*shown[:10], f"... {len(shown) - 10} more ..."]
    return " -> ".join([*shown, str(names[0])])


def inflows(downstream: Ints) -> tuple[Ints, Ints]:
    """Return the reaches that flow into each reach, as offsets (n + 1,) and positions (n,)."""
    order = np.argsort(downstream, kind="stable")
    return np.searchsorted(downstream[order], np.arange(downstream.size + 1)), order


def accumulate(downstream: ArrayLike, values: ArrayLike) -> Floats:
    """Sum a quantity (n, ...) over each reach and everything upstream of it."""
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    given = np.asarray(values, dtype=np.float64)
    if given.ndim == 0 or given.shape[0] != down.size:
        msg = f"values have shape {given.shape}; the first dimension must be the {down.size} reaches"
        raise NetworkError(msg)
    total = np.array(given, order="C").reshape(down.size, given.size // max(down.size, 1))
    _loops.accumulate_downstream(down, topological_order(down), total)
    return total.reshape(given.shape)


def growing(downstream: ArrayLike, area: ArrayLike) -> Floats:
    """Raise drainage areas (n,) where they are less than the sum of those that flow in, headwaters first."""
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    total = np.array(area, np.float64)
    _loops.raise_downstream(down, topological_order(down), np.zeros(down.size), total)
    return total


def distance_to_outlet(downstream: ArrayLike, length: ArrayLike) -> Floats:
    """Measure the distance along the river from each reach to its basin outlet, (n,), (n,) -> (n,).

    Distances run from the downstream end of a reach to the downstream end of another: an edge
    ``i -> downstream[i]`` weighs the length of the reach it enters.
    """
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    return _loops.accumulate_upstream(down, topological_order(down), check_length(length, down.size))


def hops_to_outlet(downstream: ArrayLike) -> Ints:
    """Count the steps from each reach to its basin outlet, (n,) -> (n,)."""
    down = check_downstream(downstream)
    return distance_to_outlet(down, np.ones(down.size)).astype(np.int64)


def strahler(downstream: ArrayLike) -> Ints:
    """Compute Strahler's stream order, (n,) -> (n,).

    References
    ----------
    Strahler, A. N. (1957). Quantitative analysis of watershed geomorphology. Transactions of the
    American Geophysical Union 38(6).
    """
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    return _loops.strahler_order(down, topological_order(down))


def upstream_of(downstream: ArrayLike, position: int) -> NDArray[np.bool_]:
    """Mark a reach and all that drains into it, (n,) -> (n,)."""
    from xmsgl.network import _loops

    down = check_downstream(downstream)
    if not 0 <= position < down.size:
        msg = f"there is no reach at position {position}; the network has {down.size}"
        raise NetworkError(msg)
    return _loops.mask_upstream(down, topological_order(down), int(position))


def first_selected(downstream: ArrayLike, selected: ArrayLike) -> Ints:
    """Find the first selected reach at or below each reach, -1 where there is none, (n,), (n,) -> (n,)."""
    down, stay = check_downstream(downstream), np.asarray(selected, dtype=bool)
    if stay.shape != down.shape:
        msg = f"selected has shape {stay.shape}; give one true or false for each of the {down.size} reaches"
        raise NetworkError(msg)
    topological_order(down)  # with a cycle the loop below would never end
    first: Ints = np.where(stay, np.arange(down.size), down)
    while not np.array_equal(doubled := np.where(first >= 0, first[first], -1), first):
        first = doubled  # each pass doubles the number of steps
    return first


def contract(downstream: ArrayLike, selected: ArrayLike) -> Ints:
    """Link the selected reaches to one another, across the ones left out, (n,), (n,) -> (selected,)."""
    down, stay = check_downstream(downstream), np.asarray(selected, dtype=bool)
    below = np.where(down >= 0, first_selected(down, stay)[down], -1)
    number = np.cumsum(stay) - 1
    linked: Ints = np.where(below >= 0, number[below], -1)[stay]
    return linked
