"""River graphs of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.network.known import KnownSegments
from xmsgl.schema.names import id_values
from xmsgl.schema.rivers import segment_positions, topology
from xmsgl.schema.tree import as_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.network.kernels import Kernel
    from xmsgl.network.pairs import Direction

__all__ = ["build_graph", "known_segments"]


class GraphChoices(TypedDict, total=False):
    """Kernel and choice of neighbours, as :meth:`xmsgl.network.graph.RiverGraph.build` takes them."""

    kernel: str | Kernel | Mapping[str, Any] | None
    hops: int | None
    limit: float | None
    nearest: int | None
    direction: Direction


@overload
def build_graph(
    obj: xr.Dataset | xr.DataTree, scale: Scale, **choices: Unpack[GraphChoices]
) -> RiverGraph: ...


@overload
def build_graph(
    obj: xr.Dataset | xr.DataTree, scale: None = None, **choices: Unpack[GraphChoices]
) -> RiverGraphs: ...


@checked
def build_graph(
    obj: xr.Dataset | xr.DataTree, scale: Scale | None = None, **choices: Unpack[GraphChoices]
) -> RiverGraph | RiverGraphs:
    """Build the graph of one scale of a dataset, or of both with the operators between them.

    Only ids, topology, lengths and crosswalk are read.
    """
    ds = as_dataset(obj)
    if scale is not None and scale not in SCALES:
        msg = f"scale must be 'coarse', 'fine' or None for both, not {scale!r}"
        raise InvalidArgumentError(msg)

    def one(which: Scale) -> RiverGraph:
        return RiverGraph.build(*topology(ds, which), scale=which, **choices)

    if scale is not None:
        return one(scale)
    limit = choices.get("limit")
    return RiverGraphs.build(one("coarse"), one("fine"), segment_positions(ds), limit=limit)


def known_segments(ds: xr.Dataset) -> KnownSegments:
    """Describe the coarse segments of a dataset so that a model can recognise them."""
    small = ds[["downstream_coarse", "length_coarse"]].compute()
    return KnownSegments.of(
        id_values(ds.indexes["coarse"].to_numpy()),
        id_values(small["downstream_coarse"].values),
        small["length_coarse"].values,
    )
