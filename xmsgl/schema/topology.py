"""Checks of ids and of where each segment and reach flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.network.ids import id_values, kind_of, missing
from xmsgl.network.topology import find_cycles, write_cycle
from xmsgl.schema.advice import counted, mask
from xmsgl.schema.names import positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.util.scales import Scale

__all__ = ["arrows", "check_kinds", "check_network"]


def check_network(ds: xr.Dataset, scale: Scale, small: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Find ids that are not valid, and topology that is not a river."""
    if scale not in ds.indexes:
        return
    index = ds.indexes[scale]
    ids = id_values(index.to_numpy())
    if ids.dtype.kind not in "iU" or index.dtype.kind == "f":
        dtype = '"int64"' if ids.dtype.kind == "i" else "str"
        yield (
            f"{scale} ids are {kind_of(index.to_numpy())}; they must all be integers or all be text: "
            f'ds = ds.assign_coords({scale}=ds["{scale}"].astype({dtype}))'
        )
    if ids.dtype.kind not in "iU":
        return
    none = missing(ids)
    if none.any():
        found = counted(none.sum(), "id is", "ids are")
        yield f"{scale}: {found} 0 or empty, which marks an outlet; use other ids"
    twice = index[index.duplicated()].unique()
    if len(twice):
        cure = f'keep one of each: ds = ds.drop_duplicates("{scale}")'
        yield f"{scale} has duplicated ids: {shorten(twice)}; {cure}"
    name = f"downstream_{scale}"
    if name in small and ds[name].dims == (scale,):
        faults = list(check_kinds(name, small[name], scale, ids))
        yield from faults or _check_flow(scale, ids, id_values(small[name]), unique=not len(twice))


def check_kinds(name: str, raw: npt.NDArray[Any], scale: Scale, ids: npt.NDArray[Any]) -> Iterator[str]:
    """Find ids of another kind than those that they refer to."""
    held = id_values(raw)
    if held.dtype.kind in "iU" and (held.dtype.kind == ids.dtype.kind or missing(held).all()):
        return
    array, code = f'ds["{name}"]', ""
    if (held.dtype.kind, ids.dtype.kind) == ("i", "U"):
        code = f': {array} = {array}.astype("int64").astype(str).where({array} != 0, "")'
    elif (held.dtype.kind, ids.dtype.kind) == ("U", "i"):
        code = f': {array} = {array}.where({array}.notnull() & ({array} != ""), "0").astype("int64")'
    yield f"{name} contains {kind_of(raw)}, but {scale} ids are {kind_of(ids)}; use one kind for both{code}"


def _check_flow(
    scale: Scale, ids: npt.NDArray[Any], below: npt.NDArray[Any], *, unique: bool
) -> Iterator[str]:
    name, none = f"downstream_{scale}", '""' if ids.dtype.kind == "U" else "0"
    outlet = missing(below)
    target = positions(pd.unique(ids), below)
    unknown = (target < 0) & ~outlet
    if unknown.any():
        ends = mask(name, f'{{}}.isin(ds["{scale}"])', none)
        yield (
            f"{name}: {counted(unknown.sum(), 'id is', 'ids are')} not in the dataset: "
            f"{arrows(ids[unknown], below[unknown])}; correct them, or set outlets where the water leaves "
            f"the dataset: {ends}"
        )
    loops = (below == ids) & ~outlet
    if loops.any():
        node, nodes = ("segment", "segments") if scale == "coarse" else ("reach", "reaches")
        found = counted(loops.sum(), f"{node} flows into itself", f"{nodes} flow into themselves")
        ends = mask(name, f'{{}} != ds["{scale}"]', none)
        yield f"{name}: {found}: {shorten(ids[loops])}; correct the ids, or set outlets there: {ends}"
    if unique:
        for cycle in find_cycles(np.where(loops, -1, target)):
            yield f"{name}: water flows in a circle: {write_cycle(ids[cycle])}; correct one of these links"


def arrows(sources: npt.NDArray[Any], targets: npt.NDArray[Any]) -> str:
    """Write the first few links for a message."""
    return shorten([f"{source} -> {target}" for source, target in zip(sources, targets, strict=True)])
