"""Checks of ids and of where each segment and reach flows to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.network.ids import kind_of, missing
from xmsgl.network.topology import find_cycles, write_cycle
from xmsgl.schema.advice import settle_none
from xmsgl.schema.names import id_values, positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.util.scales import Scale

__all__ = ["arrows", "check_network", "recast"]


def check_network(ds: xr.Dataset, scale: Scale, small: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Find ids that are none, and topology that is no river."""
    if scale not in ds.indexes:
        return
    index = ds.indexes[scale]
    ids = id_values(index.to_numpy())
    if ids.dtype.kind not in "iU" or index.dtype.kind == "f":
        dtype = '"int64"' if ids.dtype.kind == "i" else "str"
        yield (
            f"{scale} ids are {kind_of(index.to_numpy())}, must be all integers or all text: "
            f'ds = ds.assign_coords({scale}=ds["{scale}"].astype({dtype}))'
        )
    if ids.dtype.kind not in "iU":
        return
    none = missing(ids)
    if none.any():
        yield f"{scale} has {none.sum()} ids that are 0 or empty, which means outlet; give them other ids"
    twice = index[index.duplicated()].unique()
    if len(twice):
        cure = f'keep one of each: ds = ds.drop_duplicates("{scale}")'
        yield f"{scale} has duplicated ids: {shorten(twice)}; {cure}"
    if f"downstream_{scale}" in small and ds[f"downstream_{scale}"].dims == (scale,):
        yield from _check_flow(scale, ids, small[f"downstream_{scale}"], unique=not len(twice))


def _check_flow(scale: Scale, ids: npt.NDArray[Any], raw: npt.NDArray[Any], *, unique: bool) -> Iterator[str]:
    name, below = f"downstream_{scale}", id_values(raw)
    outlet = missing(below)
    if below.dtype.kind not in "iU" or (below.dtype.kind != ids.dtype.kind and not outlet.all()):
        cure = f"use one kind for both{recast(name, below, ids)}"
        yield f"{name} holds {kind_of(raw)}, but {scale} ids are {kind_of(ids)}; {cure}"
        return
    target = positions(pd.unique(ids), below)
    unknown = (target < 0) & ~outlet
    if unknown.any():
        ends = settle_none(name, f'{{}}.isin(ds["{scale}"])', ids.dtype.kind)
        yield (
            f"{name}: {unknown.sum()} point nowhere: {arrows(ids[unknown], below[unknown])}; "
            f"correct them, or end the river where the water leaves the dataset: {ends}"
        )
    loops = (below == ids) & ~outlet
    if loops.any():
        ends = settle_none(name, f'{{}} != ds["{scale}"]', ids.dtype.kind)
        yield (
            f"{name}: {shorten(ids[loops])} flow into themselves; "
            f"set the ids downstream, or end the river there: {ends}"
        )
    if unique:
        for cycle in find_cycles(np.where(loops, -1, target)):
            circle = write_cycle(ids[cycle])
            yield f"{name}: water flows in a circle: {circle}; correct one of these links"


def recast(name: str, held: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> str:
    """Write code, behind a colon, that brings ids to the kind of others; empty if none is sure."""
    array = f'ds["{name}"]'
    if (held.dtype.kind, wanted.dtype.kind) == ("i", "U"):
        return f': {array} = {array}.astype("int64").astype(str).where({array} != 0, "")'
    if (held.dtype.kind, wanted.dtype.kind) == ("U", "i"):
        there = f'{array}.notnull() & ({array} != "")'
        return f': {array} = {array}.where({there}, "0").astype("int64")'
    return ""


def arrows(sources: npt.NDArray[Any], targets: npt.NDArray[Any]) -> str:
    """Write the first few links for a message."""
    return shorten([f"{source} -> {target}" for source, target in zip(sources, targets, strict=True)])
