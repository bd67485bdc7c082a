"""Datasets with other names, and DataTrees, to and from the dataset of the convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.schema.names import CROSSWALK, scale_of
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

__all__ = ["as_dataset", "native", "period", "rename", "suffixed", "to_datatree", "union"]

Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray)


def rename(
    obj: xr.Dataset | xr.DataTree, names: Mapping[str, str] | None, *, partial: bool = False
) -> xr.Dataset:
    """Rename a dataset to the names of the convention."""
    ds = as_dataset(obj)
    there = {str(name) for name in (*ds.variables, *ds.dims)}
    wanted = {
        ours: _their_name(ours, theirs, there, tree=isinstance(obj, xr.DataTree))
        for ours, theirs in (names or {}).items()
    }
    missing = [theirs for theirs in wanted.values() if theirs not in there]
    if missing and not partial:
        msg = f"names: {shorten(missing)} not in the dataset; it has {shorten(sorted(there), 40)}"
        raise InvalidArgumentError(msg)
    wanted = {ours: theirs for ours, theirs in wanted.items() if theirs in there and ours != theirs}
    _refuse_clashes(wanted, there)
    for ours, theirs in wanted.items():
        if ours in {"time", *SCALES} and theirs not in ds.dims:
            (dim,) = ds[theirs].dims if ds[theirs].ndim == 1 else (None,)
            if dim is None:
                msg = f"names: {theirs!r} cannot index {ours!r}: it has dimensions {ds[theirs].dims}"
                raise InvalidArgumentError(msg)
            ds = ds.set_coords(theirs).swap_dims({dim: theirs})
    return ds.rename({theirs: ours for ours, theirs in wanted.items()})


def _their_name(ours: str, theirs: str, there: set[str], *, tree: bool) -> str:
    """Add the suffix that as_dataset gives to names inside a node of a DataTree."""
    scale = "fine" if ours == CROSSWALK else scale_of(ours)[1]
    if tree and theirs not in there and scale is not None:
        return f"{theirs}_{scale}"
    return theirs


def _refuse_clashes(wanted: Mapping[str, str], there: set[str]) -> None:
    theirs = list(wanted.values())
    twice = sorted({name for name in theirs if theirs.count(name) > 1})
    if twice:
        msg = f"names: {shorten(twice)} given for more than one of our names; each variable has one role"
        raise InvalidArgumentError(msg)
    taken = sorted(name for name in wanted if name in there - set(theirs))
    if taken:
        msg = f"names: the dataset has {shorten(taken)} already; drop or rename it first"
        raise InvalidArgumentError(msg)


def as_dataset(obj: xr.Dataset | xr.DataTree) -> xr.Dataset:
    """Turn a DataTree with ``/coarse`` and ``/fine`` into the flat dataset of the convention."""
    if isinstance(obj, xr.Dataset):
        return native(obj)
    if not isinstance(obj, xr.DataTree):  # callers need not be type-checked
        msg = f"expected an xarray.Dataset or xarray.DataTree, not {type(obj).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    absent = [f"/{scale}" for scale in SCALES if scale not in obj.children]
    if absent:
        there = shorten([f"/{name}" for name in obj.children]) or "none"
        fault = f"the DataTree lacks {' and '.join(absent)} (its nodes: {there}); it needs /coarse and /fine"
        raise InvalidDatasetError([fault])
    coarse, fine = (obj.children[scale].to_dataset().indexes.get("time") for scale in SCALES)
    if coarse is not None and fine is not None and not coarse.equals(fine):
        fault = (
            f"/coarse has {period(coarse)}, /fine has {period(fine)}; both scales need the same times: "
            "join them by day, which fills labels with NaN: "
            'xmsgl.combine(tree["coarse"], tree["fine"], tree["fine/coarse_segment"])'
        )
        raise InvalidDatasetError([fault])
    own = {scale: obj.children[scale].to_dataset(inherit=False) for scale in SCALES}
    return native(union([obj.to_dataset(), *(suffixed(node, scale, "all") for scale, node in own.items())]))


def native(obj: Labelled) -> Labelled:
    """Return a dataset or an array with its ids in the byte order of the machine, as pandas needs them."""
    turned = {
        name: (name, index.to_numpy().astype(index.dtype.newbyteorder("=")), obj[name].attrs)
        for name, index in obj.indexes.items()
        if name in SCALES and _foreign(index.dtype)
    }
    obj = obj.assign_coords(turned) if turned else obj
    if isinstance(obj, xr.DataArray):
        return obj
    small = {
        name: array
        for name, array in obj.variables.items()
        if name not in obj.indexes and array.ndim == 1 and array.dims[0] in SCALES and _foreign(array.dtype)
    }
    ours = {name: array.astype(array.dtype.newbyteorder("=")) for name, array in small.items()}
    return obj.assign(ours) if ours else obj


def _foreign(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and not dtype.isnative


def period(time: pd.Index) -> str:
    """Write the size and the ends of a time index for a message."""
    return f"{len(time)} times" + (f" ({time[0]} to {time[-1]})" if len(time) else "")


def suffixed(node: xr.Dataset, scale: Scale, which: Literal["all", "placed"] = "placed") -> xr.Dataset:
    """Add the scale's suffix to variables without a suffix: to all, or to those along the scale."""
    new = {
        name: f"{name}_{scale}"
        for name, variable in node.variables.items()
        if name not in node.dims
        and name != CROSSWALK
        and scale_of(name)[1] is None
        and (which == "all" or scale in variable.dims)
    }
    twice = {name for name, full in new.items() if full in node.variables}
    same = {name for name in twice if _same_coordinate(node, name, new[name])}
    node = node.drop_vars(same)  # a prediction assigned to its dataset has coordinates of its reaches
    new = {name: full for name, full in new.items() if name not in same}
    clash = sorted(str(name) for name in twice - same)
    if clash:
        msg = f"the {scale} data has both {shorten(clash)} and the same with '_{scale}'; rename one of each"
        raise InvalidArgumentError(msg)
    return node.rename(new)


def _same_coordinate(node: xr.Dataset, name: Hashable, full: str) -> bool:
    held = node.variables[name], node.variables[full]
    stored = all(variable.chunks is None for variable in held)
    return stored and {name, full} <= set(node.coords) and bool(held[0].equals(held[1]))


def union(parts: list[xr.Dataset]) -> xr.Dataset:
    """Merge datasets; of variables or attributes with the same name, the first are kept."""
    variables: dict[Hashable, xr.Variable] = {}
    coords: set[Hashable] = set()
    attrs: dict[Hashable, Any] = {}
    for part in parts:
        variables |= {name: array for name, array in part.variables.items() if name not in variables}
        coords |= set(part.coords)
        attrs = {**part.attrs, **attrs}
    ds = xr.Dataset({name: array for name, array in variables.items() if name not in coords}, attrs=attrs)
    return ds.assign_coords({name: array for name, array in variables.items() if name in coords})


def to_datatree(obj: xr.Dataset | xr.DataTree) -> xr.DataTree:
    """Turn the flat dataset into a DataTree with ``/coarse`` and ``/fine``.

    Names inside a node have no suffix (``tree["fine/water_temperature"]``). The crosswalk is in ``/fine``;
    time and variables without a scale are in the root.
    """
    ds = as_dataset(obj)
    names: dict[str, dict[Hashable, Hashable]] = {"": {}, "coarse": {}, "fine": {}}
    for name, variable in ds.variables.items():
        both = set(SCALES) <= set(variable.dims)
        base, said = scale_of(name)
        scale = next((s for s in SCALES if s in variable.dims), said or "")
        short = base if said == scale and base not in ds.dims else name
        if both or short in names[scale].values():
            why = "spans both scales" if both else f"would share the name {str(short)!r} with another"
            msg = f"{name!r} {why} and has no place in a DataTree; {'drop' if both else 'rename'} it"
            raise InvalidArgumentError(msg)
        names[scale][name] = short
    nodes = {
        path: ds[list(table)].drop_vars(set(ds.coords) - set(table), errors="ignore").rename(table)
        for path, table in names.items()
    }
    for scale in SCALES:
        nodes[scale].attrs = {}
    return xr.DataTree.from_dict({"/": nodes[""], "/coarse": nodes["coarse"], "/fine": nodes["fine"]})
