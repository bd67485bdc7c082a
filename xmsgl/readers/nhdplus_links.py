"""One downstream link per reach from the topology of the NHDPlus: main paths, divergences, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError, NetworkError, shorten
from xmsgl.network.topology import first_selected, link, topological_order
from xmsgl.readers.frames import LINE, check_choice

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

__all__ = [
    "LINK_FIELDS",
    "MINOR",
    "TOPOLOGIES",
    "choose_topology",
    "fill_along",
    "main_links",
    "minor_paths",
    "rows_by_value",
]

TOPOLOGIES: dict[str, tuple[str, ...]] = {
    "tocomid": ("to",),
    "hydroseq": ("hydroseq", "dnhydroseq"),
    "nodes": ("fromnode", "tonode"),
}
"""The ways a network may be stored, the preferred one first, and the fields each needs."""

LINK_FIELDS = {"tocomid": "tocomid", "hydroseq": "dnhydroseq", "nodes": "tonode"}
"""The field with the link downstream in each topology, for messages."""

MINOR = 2
"""Value of ``divergence`` on the minor path below a divergence; 1 is the main path, 0 no divergence."""


def choose_topology(columns: Collection[str], wanted: str | None, what: str) -> str:
    """Choose the topology that the links are read from."""
    ways = list(TOPOLOGIES) if wanted is None else [wanted]
    check_choice("topology", ways[0], TOPOLOGIES)
    for way in ways:
        if all(field in columns for field in TOPOLOGIES[way]):
            return way
    known = {"to": "tocomid (or toid)"}
    needs = " or ".join(" with ".join(known.get(field, field) for field in TOPOLOGIES[way]) for way in ways)
    msg = f"{what} has no links: it needs {needs}; add the table that has them (PlusFlowlineVAA)"
    raise InvalidArgumentError(msg)


def main_links(flow: pd.DataFrame, topology: str) -> pd.Series[int]:
    """Find the next reach downstream of each reach, on the main path; 0 at outlets."""
    _check_rows(flow, topology)
    pairs = _pairs(flow, topology)
    if len(several := pairs[pairs["id"].duplicated(keep=False)]):
        raise NetworkError(_several(flow, several, topology))
    links = pd.Series(0, index=pd.Index(flow["id"].unique(), name="id"), dtype=np.int64)
    links.loc[pairs["id"].to_numpy()] = pairs["to"].to_numpy()
    topological_order(link(links.index, links.to_numpy()), ids=links.index.to_numpy())
    _refuse_false_outlets(flow, links, topology)
    return links


def _several(flow: pd.DataFrame, several: pd.DataFrame, topology: str) -> str:
    """Name the reaches with several reaches downstream, and how to choose one of these."""
    below = several.groupby("id", sort=False)["to"].agg(list)
    links = shorten(f"{reach} -> {', '.join(map(str, to))}" for reach, to in below.items())
    advice = "add the field divergence, which identifies minor paths"
    if "divergence" in flow:
        advice = "divergence marks none of them as minor; correct it"
    if topology != "tocomid":
        return f"{len(below)} reaches have several reaches downstream ({links}): {advice}"
    rows = rows_by_value(flow, "id", list(below.index))
    return f"id is repeated: {rows} ({links}); keep one row per reach, or where the river divides: {advice}"


def rows_by_value(frame: pd.DataFrame, field: str, values: Collection[int]) -> str:
    """Name the rows of some values for a message."""
    held = frame.loc[frame[field].isin(values), field]
    first, kind, of = (
        (0, "lines", "of the file") if held.index.name == LINE else (1, "rows", "below the header")
    )
    rows = (held.index.to_series() + first).groupby(held, sort=False).agg(list)
    return shorten(f"{value} ({kind} {shorten(found)} {of})" for value, found in rows.items())


def _check_rows(flow: pd.DataFrame, topology: str) -> None:
    """Refuse repeated ids and missing numbers; rows of one reach may differ in tocomid only."""
    if topology == "tocomid":
        same = flow.duplicated(["id", "to"], keep=False)
        reaches = flow[flow.columns.difference(["to"])].drop_duplicates()
        other = flow["id"].isin(reaches.loc[reaches["id"].duplicated(), "id"])
        _refuse_repeated(flow[same | other], "id", "keep one row per reach")
        return
    _refuse_repeated(flow, "id", "keep one row per reach")
    for field in ("hydroseq",) if topology == "hydroseq" else ("fromnode", "tonode"):
        if len(outside := flow.loc[flow[field] <= 0, "id"]):
            msg = (
                f"{len(outside)} reaches have no {field}: {shorten(outside)}; "
                "they are outside the network: drop them, or give the numbers"
            )
            raise NetworkError(msg)
    if topology == "hydroseq":
        _refuse_repeated(flow, "hydroseq", "each reach needs its own number")


def _refuse_repeated(flow: pd.DataFrame, field: str, advice: str) -> None:
    if repeated := flow.loc[flow[field].duplicated(), field].unique().tolist():
        msg = f"{field} is repeated: {rows_by_value(flow, field, repeated)}; {advice}"
        raise NetworkError(msg)


def _minor(flow: pd.DataFrame) -> NDArray[np.int64]:
    """Ids of the minor paths' first reaches."""
    if "divergence" not in flow:
        return np.empty(0, dtype=np.int64)
    return flow.loc[flow["divergence"] == MINOR, "id"].to_numpy()


def _by_id(flow: pd.DataFrame) -> pd.DataFrame:
    pairs = flow[["id", "to"]].drop_duplicates()
    # minor ids are removed before those outside the table, because the main path may be among the latter
    split = pairs["id"].duplicated(keep=False)
    pairs = pairs[~(split & pairs["to"].isin(_minor(flow)))]
    return pairs[pairs["to"].isin(flow["id"])]


def _pairs(flow: pd.DataFrame, topology: str) -> pd.DataFrame:
    """Pair each reach with those downstream of it, `id` and `to`."""
    if topology == "tocomid":
        return _by_id(flow)
    own, next_ = TOPOLOGIES[topology]
    main = flow[~flow["id"].isin(_minor(flow))] if topology == "nodes" else flow
    below = main[[own, "id"]].rename(columns={own: next_, "id": "to"})
    return flow[["id", next_]].merge(below, on=next_)[["id", "to"]]


def _refuse_false_outlets(flow: pd.DataFrame, links: pd.Series[int], topology: str) -> None:
    """Refuse outlets that have a reach downstream by other fields of the table."""
    ends = links.index[links == 0]
    for other, fields in TOPOLOGIES.items():
        if other == topology or not set(fields) <= set(flow.columns):
            continue
        # without divergence a node leads to minor paths too, perhaps the only reaches below in the table
        if other == "nodes" and "divergence" not in flow:
            continue
        pairs = _pairs(_numbered(flow, other), other)
        if len(false := pairs[pairs["id"].isin(ends)]):
            links_on = shorten(f"{row.id} -> {row.to}" for row in false.itertuples())
            msg = (
                f"{false['id'].nunique()} reaches are outlets by {LINK_FIELDS[topology]} but flow on by "
                f"{LINK_FIELDS[other]}: {links_on}; correct one of the two fields, or read the links with "
                f'topology="{other}"'
            )
            raise NetworkError(msg)


def _numbered(flow: pd.DataFrame, topology: str) -> pd.DataFrame:
    """Keep the rows that can be followed in this topology."""
    known = flow.drop_duplicates(["id", "to"] if topology == "tocomid" else "id")
    if topology == "hydroseq":
        return known[(known["hydroseq"] > 0) & ~known["hydroseq"].duplicated(keep=False)]
    return known[(known["fromnode"] > 0) & (known["tonode"] > 0)] if topology == "nodes" else known


def minor_paths(links: pd.Series[int], divergence: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the reaches (reaches,) with water from minor paths alone."""
    down = link(links.index, links.to_numpy())
    minor = np.zeros(len(down), dtype=bool)
    above = np.bincount(down[down >= 0], minlength=len(down))
    for position in topological_order(down):
        # `above` counts upstream reaches that are not minor; minor ones are subtracted below
        if above[position] == 0 and (divergence[position] == MINOR or minor[position]):
            minor[position] = True
            if down[position] >= 0:
                above[down[position]] -= 1
                minor[down[position]] = True  # for now; stays if nothing else flows in
        else:
            minor[position] = False
    return minor


def fill_along(values: NDArray[np.float64], downstream: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fill gaps (reaches,) with the value of the nearest reach downstream that has one, else upstream."""
    known = first_selected(downstream, ~np.isnan(values))
    filled = np.where(known >= 0, values[known], np.nan)
    for position in topological_order(downstream):
        below = downstream[position]
        if below >= 0 and np.isnan(filled[below]):
            filled[below] = filled[position]
    return filled
