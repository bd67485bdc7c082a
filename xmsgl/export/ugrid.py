"""A table as a UGRID network of one dimension (UGRID conventions 1.0, section "1D network topology")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidDatasetError, shorten
from xmsgl.export.describe import describe, pack, prepare
from xmsgl.export.geometry import degrees, middles, places
from xmsgl.export.table import IDS, need
from xmsgl.schema.rivers import read_small

if TYPE_CHECKING:
    from xmsgl.export.table import Table

__all__ = ["edges", "ends", "to_ugrid"]

MESH = "network1d"
NODE, EDGE = f"{MESH}_nNodes", f"{MESH}_nEdges"

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def to_ugrid(table: Table) -> xr.Dataset:
    """Write a table as a UGRID network.

    Each reach is a straight edge from the node at its upper end to that of the reach downstream, so edges
    are connected even where lines have gaps. The lower end of an outlet is a node of its own.
    """
    downstream = _downstream(table)
    start_end = edges(downstream)
    lines = places(table)
    upper, lower = ends(lines, downstream)
    nodes = np.concatenate([upper, lower[downstream < 0]])
    points = middles(table, lines)
    kind = "reach" if table.scale == "fine" else "segment"
    ids = table.network[table.scale]
    flat = table.values.drop_vars(table.scale).rename({table.scale: EDGE})
    flat = prepare(
        flat.assign_coords({IDS[table.scale]: (EDGE, ids.to_numpy(), {"long_name": f"id of the {kind}"})})
    )
    for name in flat.data_vars:
        if EDGE in flat[name].dims:
            flat[name].attrs |= {"mesh": MESH, "location": "edge"}
            flat[name] = flat[name].transpose(..., EDGE)
    done = flat.assign(_mesh(start_end, kind) | _positions("node", NODE, "node", *nodes.T))
    done = done.assign_coords(_positions("edge", EDGE, f"middle of the {kind}", points["lon"], points["lat"]))
    done.attrs = describe(table, "CF-1.11 UGRID-1.0")
    return pack(done)


def _downstream(table: Table) -> Positions:
    """Return the position downstream (n,), -1 at outlets and where the next reach is not exported."""
    name = f"downstream_{table.scale}"
    if name not in table.network.variables:
        fault = (
            f"variable {name!r} over ({table.scale}) is missing; add it, because a network needs its topology"
        )
        raise InvalidDatasetError([fault])
    found = schema.positions(table.ids, read_small(table.network, table.scale, name)[0])
    own = found == np.arange(len(found))
    if own.any():
        raise InvalidDatasetError([f"{name}: {shorten(table.ids[own])} flow into themselves"])
    return found


def edges(downstream: npt.ArrayLike) -> Positions:
    """Return the nodes (n, 2) at the upper and the lower end of each reach."""
    below = np.asarray(downstream, dtype=np.int64)
    outlets = below < 0
    end = np.where(outlets, len(below) - 1 + np.cumsum(outlets), below)
    return np.stack([np.arange(len(below)), end], axis=1)


def ends(lines: npt.NDArray[np.object_], downstream: Positions) -> tuple[Floats, Floats]:
    """Return the upper and the lower end of each reach, both (n, 2), for lines drawn in either direction.

    The lower end is closer to the line of the reach downstream, or at an outlet, farther from the reaches
    that flow into it. Where both ends are equally close, the line is taken as drawn downstream.
    """
    shapely = need("shapely")
    places, owner = shapely.get_coordinates(lines, return_index=True)
    first = np.searchsorted(owner, np.arange(len(lines)))
    last = np.searchsorted(owner, np.arange(len(lines)), side="right") - 1
    head, tail = places[first], places[last]
    (inner,) = np.nonzero(downstream >= 0)
    below = downstream[inner]

    def apart(points: Floats, others: npt.NDArray[np.object_]) -> Floats:
        return np.asarray(shapely.distance(shapely.points(points), others), dtype=np.float64)

    # how much farther the head is from the reach downstream than the tail; below 0: drawn upstream
    drawn = np.zeros(len(lines))
    drawn[inner] = apart(head[inner], lines[below]) - apart(tail[inner], lines[below])
    into = apart(tail[below], lines[inner]) - apart(head[below], lines[inner])
    from_above = np.bincount(below, weights=into, minlength=len(lines))
    swap = (np.where(downstream < 0, from_above, drawn) < 0)[:, None]
    return np.where(swap, tail, head), np.where(swap, head, tail)


def _mesh(start_end: Positions, kind: str) -> dict[str, xr.Variable]:
    topology = {
        "cf_role": "mesh_topology",
        "long_name": f"river network: each edge is a {kind}, from its upper end down",
        "topology_dimension": np.int32(1),
        "node_coordinates": f"{MESH}_node_x {MESH}_node_y",
        "edge_node_connectivity": f"{MESH}_edge_nodes",
        "edge_coordinates": f"{MESH}_edge_x {MESH}_edge_y",
        "node_dimension": NODE,
        "edge_dimension": EDGE,
    }
    nodes = {
        "cf_role": "edge_node_connectivity",
        "long_name": f"nodes at the upper and the lower end of each {kind}",
        "start_index": np.int32(0),
    }
    return {
        MESH: xr.Variable((), np.int32(0), topology),
        f"{MESH}_edge_nodes": xr.Variable((EDGE, "Two"), start_end.astype(np.int32), nodes),
    }


def _positions(what: str, dim: str, long_name: str, east: Floats, north: Floats) -> dict[str, xr.Variable]:
    attrs = degrees(long_name)
    return {
        f"{MESH}_{what}_x": xr.Variable(dim, east, attrs["lon"]),
        f"{MESH}_{what}_y": xr.Variable(dim, north, attrs["lat"]),
    }
