"""From the topology of the NHDPlus to one downstream link a reach: main paths, divergences, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, NetworkError, shorten
from xmsgl.network.topology import link, topological_order

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

__all__ = ["MINOR", "TOPOLOGIES", "choose_topology", "fill_along", "main_links", "minor_paths"]

TOPOLOGIES: dict[str, tuple[str, ...]] = {
    "tocomid": ("to",),
    "hydroseq": ("hydroseq", "dnhydroseq"),
    "nodes": ("fromnode", "tonode"),
}
"""The ways a network may be stored, the preferred one first, and the fields each needs."""

MINOR = 2
"""What ``divergence`` says of the minor path below a divergence; 1 is the main path, 0 no divergence."""


def choose_topology(there: Collection[str], wanted: str | None, what: str) -> str:
    """Choose how the links are read.

    Parameters
    ----------
    there
        Our names of the fields that are there.
    wanted
        One of ``TOPOLOGIES``; None: the first whose fields are there.
    what
        The source, for messages.

    Returns
    -------
    str
        One of ``TOPOLOGIES``.

    Raises
    ------
    InvalidArgumentError
        There is no such topology, or its fields are missing.
    """
    if wanted is not None and wanted not in TOPOLOGIES:
        msg = f"topology must be one of {', '.join(TOPOLOGIES)}, not {wanted!r}"
        raise InvalidArgumentError(msg)
    ways = TOPOLOGIES if wanted is None else {wanted: TOPOLOGIES[wanted]}
    for name, fields in ways.items():
        if all(field in there for field in fields):
            return name
    spelled = {"to": "tocomid (or toid)"}
    needs = " or ".join(" with ".join(spelled.get(field, field) for field in way) for way in ways.values())
    msg = f"{what} has no links: it needs {needs}; join the table that has them (PlusFlowlineVAA) by its ids"
    raise InvalidArgumentError(msg)


def main_links(flow: pd.DataFrame, topology: str) -> pd.Series[int]:
    """Find the one reach downstream of each: the next on the main path.

    Parameters
    ----------
    flow
        Columns ``id`` and those of the topology, int64; ``divergence`` where it is known. A table of
        ``tocomid`` may have several rows a reach, one for each reach below it.
    topology
        One of ``TOPOLOGIES``.

    Returns
    -------
    pandas.Series
        Index: the ids, each once, in the order of the table; values: the id downstream, 0 where there is
        none in the table.

    Raises
    ------
    NetworkError
        Ids are repeated, numbers are missing, several main paths begin below one reach, a reach flows
        into itself, or water would flow in a circle.
    """
    pairs = {"tocomid": _by_id, "hydroseq": _by_hydroseq, "nodes": _by_node}[topology](flow)
    several = pairs[pairs["id"].duplicated(keep=False)]
    if len(several):
        below = several.groupby("id", sort=False)["to"].agg(list)
        told = shorten(f"{reach} -> {', '.join(map(str, to))}" for reach, to in below.items())
        why = (
            "divergence calls none of them minor; correct it"
            if "divergence" in flow
            else "give the field divergence, which tells main from minor paths"
        )
        msg = f"{len(below)} reaches have several reaches downstream ({told}), and {why}"
        raise NetworkError(msg)
    links = pd.Series(0, index=pd.Index(flow["id"].unique(), name="id"), dtype=np.int64)
    links.loc[pairs["id"].to_numpy()] = pairs["to"].to_numpy()
    topological_order(link(links.index, links.to_numpy()), ids=links.index.to_numpy())
    return links


def _refuse_repeated(flow: pd.DataFrame, field: str) -> None:
    repeated = flow.loc[flow[field].duplicated(), field].unique()
    if len(repeated):
        msg = f"{field} is repeated: {shorten(repeated)}; keep one row a reach"
        raise NetworkError(msg)


def _refuse_unnumbered(flow: pd.DataFrame, field: str) -> None:
    lost = flow.loc[flow[field] <= 0, "id"]
    if len(lost):
        msg = (
            f"{len(lost)} reaches have no {field}: {shorten(lost)}; "
            "they are outside of the network: drop them, or give the numbers"
        )
        raise NetworkError(msg)


def _minor(flow: pd.DataFrame) -> NDArray[np.int64]:
    """Ids of the minor paths' first reaches."""
    if "divergence" not in flow:
        return np.empty(0, dtype=np.int64)
    return flow.loc[flow["divergence"] == MINOR, "id"].to_numpy()


def _by_id(flow: pd.DataFrame) -> pd.DataFrame:
    pairs = flow[["id", "to"]].drop_duplicates()
    # minor ids go before those outside of the table do, for the main path may be among the latter
    split = pairs["id"].duplicated(keep=False)
    pairs = pairs[~(split & pairs["to"].isin(_minor(flow)))]
    return pairs[pairs["to"].isin(flow["id"])]


def _by_hydroseq(flow: pd.DataFrame) -> pd.DataFrame:
    _refuse_repeated(flow, "id")
    _refuse_unnumbered(flow, "hydroseq")
    _refuse_repeated(flow, "hydroseq")
    below = flow[["hydroseq", "id"]].rename(columns={"hydroseq": "dnhydroseq", "id": "to"})
    return flow[["id", "dnhydroseq"]].merge(below, on="dnhydroseq")[["id", "to"]]


def _by_node(flow: pd.DataFrame) -> pd.DataFrame:
    _refuse_repeated(flow, "id")
    for field in ("fromnode", "tonode"):
        _refuse_unnumbered(flow, field)
    main = flow[~flow["id"].isin(_minor(flow))]
    below = main[["fromnode", "id"]].rename(columns={"fromnode": "tonode", "id": "to"})
    return flow[["id", "tonode"]].merge(below, on="tonode")[["id", "to"]]


def minor_paths(links: pd.Series[int], divergence: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the reaches whose water comes out of minor paths alone.

    Parameters
    ----------
    links
        As of :func:`main_links`.
    divergence
        By reach, in the order of `links`.

    Returns
    -------
    numpy.ndarray
        True for the first reach of each minor path into which no main link leads, and for the reaches
        below it until another stream or the main path joins.

    Examples
    --------
    >>> links = pd.Series([2, 5, 4, 5, 0], index=[1, 2, 3, 4, 5])  # 3 and 4 leave 1 and come back at 5
    >>> minor_paths(links, np.array([0, 1, 2, 0, 0])).tolist()
    [False, False, True, True, False]
    """
    down = link(links.index, links.to_numpy())
    minor = np.zeros(len(down), dtype=bool)
    above = np.bincount(down[down >= 0], minlength=len(down))
    for position in topological_order(down):
        # `above` counts upstream reaches that are not minor; those that were are taken off below
        if above[position] == 0 and (divergence[position] == MINOR or minor[position]):
            minor[position] = True
            if down[position] >= 0:
                above[down[position]] -= 1
                minor[down[position]] = True  # for now: stays so if nothing else flows in
        else:
            minor[position] = False
    return minor


def fill_along(values: NDArray[np.float64], downstream: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fill gaps with the value of the nearest reach downstream that has one, else upstream.

    Parameters
    ----------
    values
        By reach, NaN where missing, shape (reaches,).
    downstream
        Position downstream, -1 at outlets, shape (reaches,).

    Returns
    -------
    numpy.ndarray
        A copy; NaN stays where a whole basin has no value.

    Examples
    --------
    >>> fill_along(np.array([1.0, np.nan, 3.0, np.nan]), np.array([1, 2, 3, -1])).tolist()
    [1.0, 3.0, 3.0, 3.0]
    """
    filled = values.copy()
    order = topological_order(downstream)
    for position in order[::-1]:
        if np.isnan(filled[position]) and downstream[position] >= 0:
            filled[position] = filled[downstream[position]]
    for position in order:
        below = downstream[position]
        if below >= 0 and np.isnan(filled[below]):
            filled[below] = filled[position]
    return filled
