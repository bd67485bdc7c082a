"""Pictures of river graphs: which reaches inform each other, and with what weight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.plot.maps import colour_bar, draw_ring, draw_rivers, frame_map, map_axes
from xmsgl.plot.places import Lines, lines
from xmsgl.plot.style import CURVE, OBSERVED, need, strength_colours
from xmsgl.schema.advice import counted
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.rivers import stream_orders

if TYPE_CHECKING:
    import scipy.sparse as sp
    import xarray as xr

    from xmsgl.network.graph import RiverGraph, RiverGraphs

__all__ = ["graph", "graphs"]

Floats: TypeAlias = npt.NDArray[np.float64]

_WATER = "#c3ccd4"
_SEGMENT = "#9cc4e4"
_REACH = "#555555"
_TIE = "#7a7a7a"
_BEND = np.linspace(0.0, 1.0, 9)


def graph(river: RiverGraph, obj: xr.Dataset | xr.DataTree, ax: Any = None, *, reach: Any = None) -> Any:
    """Draw the graph of one scale: its reaches, or segments, and the links between them by weight."""
    ds = sound_dataset(obj)
    own = _positions(ds, river)
    found = lines(ds, river.scale)
    places = found.middles(ds.sizes[river.scale])[own]
    row = None if reach is None else _row_of(river, reach)
    target, source, weight = _links(river.operator, row)
    apart = target != source
    arcs, weight = _arcs(places, target[apart], places, source[apart], weight[apart])
    near = _near(found, None if row is None else own[source], arcs)
    ax = map_axes(near) if ax is None else ax
    draw_rivers(ax, found, stream_orders(ds, river.scale), colors=_WATER, zorder=1)
    drawn = _draw_links(ax, arcs, weight)
    noun = "reach" if river.scale == "fine" else "segment"
    if row is None:
        size = float(np.clip(60.0 / np.sqrt(river.n), 0.8, 4.0))
        ax.plot(*places.T, "o", color=OBSERVED, markersize=size, markeredgewidth=0, zorder=4)
        title = f"{river.n:,} {noun}{'es' if noun == 'reach' else 's'}, {int(apart.sum()):,} links"
    else:
        ax.plot(*places[source].T, "o", color=OBSERVED, markersize=4, markeredgewidth=0, zorder=4)
        draw_ring(ax, found, ds, river.scale, reach)
        title = f"{noun} {reach} and its {counted(int(apart.sum()), 'neighbour', 'neighbours')}"
    frame_map(ax, near)
    ax.set_title(title, loc="left")
    colour_bar(ax, drawn, "weight of a neighbour [1]")
    return ax


def graphs(rivers: RiverGraphs, obj: xr.Dataset | xr.DataTree, ax: Any = None, *, reach: Any = None) -> Any:
    """Draw both scales together, and which reach lies on which segment."""
    ds = sound_dataset(obj)
    coarse, fine = _both(ds)
    segments = coarse.middles(ds.sizes["coarse"])[_positions(ds, rivers.coarse)]
    reaches = fine.middles(ds.sizes["fine"])[_positions(ds, rivers.fine)]
    row = None if reach is None else _row_of(rivers.fine, reach)
    target, source, weight = _links(rivers.remap if row is None else rivers.interpolation, row)
    arcs, weight = _arcs(reaches, target, segments, source, weight, bent=row is not None)
    own = None if row is None else _positions(ds, rivers.coarse)[source]
    near = _near(fine if row is None else coarse, own, arcs)
    ax = map_axes(near, beside=2.8 if row is None else 1.9) if ax is None else ax
    draw_rivers(ax, coarse, stream_orders(ds, "coarse"), colors=_SEGMENT, linewidths=4.5, zorder=1)
    draw_rivers(ax, fine, stream_orders(ds, "fine"), colors=_REACH, linewidths=0.8, zorder=2)
    drawn = _draw_links(ax, arcs, weight, plain=row is None)
    frame_map(ax, near)
    if row is None:
        size = float(np.clip(90.0 / np.sqrt(rivers.fine.n), 0.9, 4.0))
        ax.plot(*segments.T, "s", color=CURVE, markersize=1.7 * size, markeredgewidth=0, zorder=4)
        ax.plot(*reaches.T, "o", color=OBSERVED, markersize=size, markeredgewidth=0, zorder=5)
        _legend(ax)
    else:
        ax.plot(*segments[source].T, "s", color=CURVE, markersize=6, markeredgewidth=0, zorder=4)
        draw_ring(ax, fine, ds, "fine", reach)
        ax.set_title(
            f"reach {reach}, interpolated from {counted(source.size, 'segment', 'segments')}", loc="left"
        )
        colour_bar(ax, drawn, "weight of a segment [1]")
    return ax


def _positions(ds: xr.Dataset, river: RiverGraph) -> npt.NDArray[np.int64]:
    """Find the position of each reach of the graph in the dataset."""
    if river.scale not in ds.indexes:
        msg = f"the dataset has no coordinate {river.scale!r} with the ids of the graph; add it"
        raise InvalidArgumentError(msg)
    found = ds.indexes[river.scale].get_indexer(pd.Index(river.ids))
    if (found < 0).any():
        lost = shorten(river.ids[found < 0].tolist())
        msg = (
            f"the dataset lacks ids of the graph along {river.scale!r}: {lost}; "
            "build the graph from this dataset"
        )
        raise InvalidArgumentError(msg)
    return found.astype(np.int64)


def _row_of(river: RiverGraph, reach: Any) -> int:
    (found,) = np.nonzero(river.ids == reach)
    if not found.size:
        msg = f"{reach!r} is not among the {river.scale} ids of the graph: {shorten(river.ids.tolist())}"
        raise InvalidArgumentError(msg)
    return int(found[0])


def _links(
    operator: sp.csr_array, row: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """List target, source and weight of all entries of an operator, or of one of its rows."""
    entries = (operator if row is None else operator[[row]]).tocoo()
    target = entries.row if row is None else np.full(entries.nnz, row)
    return target.astype(np.int64), entries.col.astype(np.int64), entries.data


def _both(ds: xr.Dataset) -> tuple[Lines, Lines]:
    """Find the lines of both scales; segments without coordinates run along their reaches."""
    coarse, fine = lines(ds, "coarse"), lines(ds, "fine")
    if coarse.schematic or fine.schematic:
        segment = ds.indexes["coarse"].get_indexer(pd.Index(ds["coarse_segment"].values))[fine.reach]
        (known,) = np.nonzero(segment >= 0)
        coarse = replace(fine.part(known), reach=segment[known].astype(np.int64))
    return coarse, fine


def _arcs(
    to: Floats,
    target: npt.NDArray[np.int64],
    at: Floats,
    source: npt.NDArray[np.int64],
    weight: Floats,
    *,
    bent: bool = True,
) -> tuple[Floats, Floats]:
    """Find the arcs from sources to targets, (links, points, 2), and their weights, the strongest last."""
    start, end = at[source], to[target]
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    order = np.argsort(weight[known], kind="stable")
    start, end, weight = start[known][order], end[known][order], weight[known][order]
    if not weight.size:
        msg = "there is no link to draw: no two linked reaches both have a location"
        raise InvalidArgumentError(msg)
    # The perpendicular turns with the direction, so links in opposite directions bend to opposite sides.
    step = end - start
    aside = np.column_stack([-step[:, 1], step[:, 0]]) * 0.18 * bent
    bend = _BEND[None, :, None]
    return start[:, None] + bend * step[:, None] + 4 * bend * (1 - bend) * aside[:, None], weight


def _draw_links(ax: Any, paths: Floats, weight: Floats, *, plain: bool = False) -> Any:
    """Draw arcs coloured by weight; if plain, in grey."""
    collection = need("matplotlib.collections").LineCollection
    if plain:
        return ax.add_collection(collection(list(paths), colors=_TIE, linewidths=0.5, zorder=3))
    widths = 0.3 + 1.9 * weight / weight.max()
    drawn = collection(list(paths), cmap=strength_colours(), linewidths=widths, zorder=3)
    drawn.set_array(weight)
    drawn.set_clim(0.0, float(weight.max()))
    return ax.add_collection(drawn)


def _near(found: Lines, reaches: npt.NDArray[np.int64] | None, arcs: Floats) -> Lines:
    """Put together all that a map must show: the lines of some reaches, or of all, and the arcs."""
    which = np.arange(len(found.paths)) if reaches is None else np.isin(found.reach, reaches).nonzero()[0]
    return replace(found, paths=[*(found.paths[k] for k in which), *arcs])


def _legend(ax: Any) -> None:
    line = need("matplotlib.lines").Line2D
    ax.legend(
        [
            line([], [], color=_SEGMENT, linewidth=4.5, marker="s", markersize=4, markerfacecolor=CURVE),
            line([], [], color=_REACH, linewidth=0.8, marker="o", markersize=4, markerfacecolor=OBSERVED),
            line([], [], color=_TIE, linewidth=0.8),
        ],
        ["coarse segment", "fine reach", "reach on its segment"],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize="small",
    )
