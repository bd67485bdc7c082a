"""A table as a UGRID network: reaches are edges, the places where they meet are nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidDatasetError, shorten
from xmsgl.export.describe import describe, pack, prepare
from xmsgl.export.geometry import middles, places
from xmsgl.export.table import IDS, need

if TYPE_CHECKING:
    from xmsgl.export.table import Table

__all__ = ["edges", "ends", "to_ugrid"]

MESH = "network1d"
NODE, EDGE = f"{MESH}_nNodes", f"{MESH}_nEdges"

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def to_ugrid(table: Table) -> xr.Dataset:
    """Write a table as a UGRID network of one dimension.

    Each reach is an edge from the node at its upper end to the node at the upper end of the reach downstream,
    so edges hang together as the topology says, whatever gaps the lines have. Nodes lie at upper ends, and
    at the lower ends of outlets; between them edges are straight.

    References
    ----------
    UGRID conventions 1.0, section "1D network topology".
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
    done = flat.assign(_mesh(start_end, kind)).assign(_positions("node", NODE, "node", *nodes.T))
    done = done.assign_coords(_positions("edge", EDGE, f"middle of the {kind}", points["lon"], points["lat"]))
    done.attrs = describe(table, "CF-1.11 UGRID-1.0")
    return pack(done)


def _downstream(table: Table) -> Positions:
    """Find the position downstream, -1 at outlets and where the next reach is not exported."""
    name = f"downstream_{table.scale}"
    if name not in table.network.variables:
        fault = f"variable {name!r} over ({table.scale}) is missing: a network needs to know what flows where"
        raise InvalidDatasetError([fault])
    found = schema.positions(table.ids, table.network[name].to_numpy())
    own = found == np.arange(len(found))
    if own.any():
        raise InvalidDatasetError([f"{name}: {shorten(table.ids[own])} flow into themselves"])
    return found


def edges(downstream: npt.ArrayLike) -> Positions:
    """Return the nodes at both ends of each reach.

    Shapes: `downstream` (n,), returns (n, 2).
    """
    below = np.asarray(downstream, dtype=np.int64)
    outlets = below < 0
    end = np.where(outlets, len(below) - 1 + np.cumsum(outlets), below)
    return np.stack([np.arange(len(below)), end], axis=1)


def ends(lines: npt.NDArray[np.object_], downstream: Positions) -> tuple[Floats, Floats]:
    """Return the upper and the lower end of each reach, whichever way its line was drawn.

    The lower end is the one closer to the line of the reach downstream; of an outlet, the one farther from
    the reaches that flow into it. Where that does not tell, lines are taken as drawn downstream.

    Shapes: `lines` (n,), `downstream` (n,), returns (n, 2).
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

    # how much farther the head is from where the water goes than the tail; below 0: drawn upstream
    drawn = np.zeros(len(lines))
    drawn[inner] = apart(head[inner], lines[below]) - apart(tail[inner], lines[below])
    into = apart(tail[below], lines[inner]) - apart(head[below], lines[inner])
    from_above = np.bincount(below, weights=into, minlength=len(lines))
    reversed_ = np.where(downstream < 0, from_above, drawn) < 0
    swap = reversed_[:, None]
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
    x = {"standard_name": "longitude", "long_name": f"longitude of the {long_name}", "units": "degrees_east"}
    y = {"standard_name": "latitude", "long_name": f"latitude of the {long_name}", "units": "degrees_north"}
    return {
        f"{MESH}_{what}_x": xr.Variable(dim, east, x),
        f"{MESH}_{what}_y": xr.Variable(dim, north, y),
    }
