"""Several river basins as one dataset."""

from __future__ import annotations

import logging
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError, shorten, warn
from xmsgl.schema.names import CROSSWALK, LABEL
from xmsgl.schema.rivers import segment_positions, topology
from xmsgl.schema.tree import as_dataset, period
from xmsgl.schema.units import same_units
from xmsgl.schema.validate import validate
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.origin import ATTRIBUTE as ORIGIN
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.util.scales import Scale

__all__ = ["join_basins"]

logger = logging.getLogger(__name__)

_TEXTS = ("title", "institution", "source", "references", "comment", "license", "history")
_LABELS = tuple(f"{LABEL}_{scale}" for scale in SCALES)


@checked
def join_basins(basins: Sequence[xr.Dataset | xr.DataTree], *, renumber: bool = False) -> xr.Dataset:
    """Join basins that do not touch each other into one dataset, to train one model on all of them.

    The dataset has the days and the variables that all basins have. Observed temperatures, which may be
    missing anyway, are kept if any basin has them.

    Parameters
    ----------
    basins
        Two or more datasets of the convention.
    renumber
        Number segments and reaches from 1 on, for basins with the same ids. The ids of the basins are then
        in the coordinates ``original_coarse`` and ``original_fine``.

    Returns
    -------
    xarray.Dataset
        The basins one after another along ``coarse`` and ``fine``, with the number of the basin, from 0, in
        the coordinates ``basin_coarse`` and ``basin_fine``. Lazy variables stay lazy.

    Raises
    ------
    InvalidArgumentError
        Fewer than two basins, ids that several basins have, units that differ, or no day in common.
    InvalidDatasetError
        A basin has faults; the values are not looked at.

    Warns
    -----
    DataLossWarning
        Days or variables that some basins lack are left out.

    Examples
    --------
    >>> import xmsgl
    >>> one, two = (xmsgl.datasets.simulated(n_coarse=n, years=1, seed=n) for n in (3, 4))
    >>> ds = join_basins([one, two], renumber=True)
    >>> dict(ds.sizes)
    {'coarse': 7, 'time': 365, 'fine': 49}
    """
    if not isinstance(basins, list | tuple):  # callers need not be type-checked
        msg = f"basins must be a list of datasets, not {type(basins).__name__}"
        raise InvalidArgumentError(msg)
    parts = [_sound(each, number) for number, each in enumerate(basins)]
    if len(parts) < 2:
        msg = f"give two or more basins to join, not {len(parts)}"
        raise InvalidArgumentError(msg)
    if renumber:
        parts = _renumbered(parts)
    else:
        _refuse_shared_ids(parts)
    parts, losses = _common_days(parts)
    names, lost = _common_variables(parts)
    losses += lost
    for loss in losses:
        warn(loss, DataLossWarning)
    parts = [_with_labels(part, names) for part in parts]
    joined = xr.merge(
        [_along(parts, scale, names) for scale in SCALES], join="exact", compat="no_conflicts"
    ).assign_attrs(_attributes(parts))
    sizes = f"{joined.sizes['coarse']} segments and {joined.sizes['fine']} reaches"
    done = "; ".join([f"joined {len(parts)} basins: {sizes}, {period(joined.indexes['time'])}", *losses])
    logger.info("%s", done)
    return stamp(joined, done)


def _sound(obj: xr.Dataset | xr.DataTree, number: int) -> xr.Dataset:
    """Return a basin as a dataset that the convention allows, with its number along each scale."""
    try:
        ds = as_dataset(obj)
        validate(ds, values=False, labels=False)
    except InvalidDatasetError as error:
        error.add_note(f"in basins[{number}]")
        raise
    return ds.assign_coords({f"basin_{scale}": (scale, np.full(ds.sizes[scale], number)) for scale in SCALES})


def _called(parts: Sequence[xr.Dataset], number: int) -> str:
    title = parts[number].attrs.get("title")
    return f"basins[{number}]" + (f" ({title})" if title else "")


def _refuse_shared_ids(parts: Sequence[xr.Dataset]) -> None:
    for scale in SCALES:
        kinds = {part.indexes[scale].dtype.kind in "iu" for part in parts}
        every = np.concatenate([part.indexes[scale].to_numpy() for part in parts])
        if len(kinds) > 1:
            msg = f"{scale} ids are numbers in some basins and text in others; pass renumber=True"
            raise InvalidArgumentError(msg)
        index = pd.Index(every)
        if (twice := index[index.duplicated()].unique()).size:
            msg = f"several basins have the {scale} ids {shorten(twice.tolist())}; pass renumber=True"
            raise InvalidArgumentError(msg)


def _renumbered(parts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Return the basins with ids from 1 on."""
    found = []
    used = dict.fromkeys(SCALES, 0)
    for part in parts:
        ids = {scale: used[scale] + 1 + np.arange(part.sizes[scale]) for scale in SCALES}
        owner = ids["coarse"][segment_positions(part)]
        new: dict[str, Any] = {CROSSWALK: part[CROSSWALK].copy(data=owner)}
        for scale in SCALES:
            down = topology(part, scale)[1]
            below = np.where(down < 0, 0, ids[scale][down])
            new[f"downstream_{scale}"] = part[f"downstream_{scale}"].copy(data=below)
            used[scale] += part.sizes[scale]
        before = {f"original_{scale}": (scale, part[scale].values) for scale in SCALES}
        found.append(part.assign(new).assign_coords(before).assign_coords(ids))
    return found


def _common_days(parts: Sequence[xr.Dataset]) -> tuple[list[xr.Dataset], list[str]]:
    """Return the days that all basins have, and what is left out in words."""
    times = [part.indexes["time"] for part in parts]
    common = reduce(lambda one, two: one.intersection(two), times).sort_values()
    if not common.size:
        has = "; ".join(f"{_called(parts, k)} has {period(days)}" for k, days in enumerate(times))
        msg = f"the basins have no day in common: {has}; give all the same period"
        raise InvalidArgumentError(msg)
    losses = [
        f"{days.size - common.size} days of {_called(parts, k)} are left out, which others lack"
        for k, days in enumerate(times)
        if days.size > common.size
    ]
    same = [
        part if days.equals(common) else part.sel(time=common)
        for part, days in zip(parts, times, strict=True)
    ]
    return same, losses


def _common_variables(parts: Sequence[xr.Dataset]) -> tuple[list[str], list[str]]:
    """Return the variables of all basins, and what is left out in words."""
    every = list(dict.fromkeys(str(name) for part in parts for name in part.data_vars))
    kept, losses = [], []
    for name in every:
        lacking = [k for k, part in enumerate(parts) if name not in part]
        scales = [scale for scale in SCALES if scale in next(p for p in parts if name in p)[name].dims]
        if len(scales) != 1:
            losses.append(f"{name} is left out, which is not along one scale")
        elif lacking and name not in _LABELS:
            losses.append(f"{name} is left out, which {_called(parts, lacking[0])} lacks")
        else:
            _refuse_unlike(parts, name)
            kept.append(name)
    return kept, losses


def _refuse_unlike(parts: Sequence[xr.Dataset], name: str) -> None:
    """Refuse a variable that has other units or dimensions in another basin."""
    there = {k: part[name] for k, part in enumerate(parts) if name in part}
    first, own = next(iter(there.items()))
    for k, other in there.items():
        units, others = (str(each.attrs.get("units", "")) for each in (own, other))
        if not same_units(units, others):
            what = f"in {units!r} in {_called(parts, first)} and in {others!r} in"
            msg = f"{name} is {what} {_called(parts, k)}; convert one of them"
            raise InvalidArgumentError(msg)
        if set(own.dims) != set(other.dims):
            what = f"over {own.dims} in {_called(parts, first)} and over {other.dims} in"
            msg = f"{name} is {what} {_called(parts, k)}; rename or drop it in one of them"
            raise InvalidArgumentError(msg)


def _with_labels(part: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Add labels that are missing everywhere where a basin has none."""
    for name in (name for name in names if name not in part):
        scale = name.rpartition("_")[2]
        blank = xr.full_like(part["time"], np.nan, np.float32).expand_dims({scale: part[scale]}, axis=1)
        part = part.assign({name: blank.drop_attrs()})
    return part


def _along(parts: Sequence[xr.Dataset], scale: Scale, names: Sequence[str]) -> xr.Dataset:
    """Put the variables of a scale of all basins one after another."""
    own = [name for name in names if scale in parts[0][name].dims]
    other = next(each for each in SCALES if each != scale)
    selected = [part[own].drop_dims(other, errors="ignore") for part in parts]
    objects = [name for name in own if any(_lazy_objects(each[name]) for each in selected)]
    selected = [each.assign({name: each[name].chunk(-1) for name in objects}) for each in selected]
    coords = set.intersection(*({str(name) for name in each.coords} for each in selected))
    plain = [each.drop_vars([str(name) for name in each.coords if name not in coords]) for each in selected]
    joined = xr.concat(
        plain,
        scale,
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="drop",
    )
    for name in own:
        joined[name].attrs = _first_attrs(parts, name)
    return joined


def _lazy_objects(array: xr.DataArray) -> bool:
    """Tell whether these are lazy lines or texts, which dask cannot join with others that are not lazy."""
    return array.dtype == object and array.chunks is not None


def _first_attrs(parts: Sequence[xr.Dataset], name: str) -> dict[str, Any]:
    return next(dict(part[name].attrs) for part in parts if part[name].attrs or part is parts[-1])


def _attributes(parts: Sequence[xr.Dataset]) -> dict[str, Any]:
    """Join the texts that CF has for a dataset; other attributes are kept where they are equal."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(str(name) for part in parts for name in part.attrs):
        values = list(dict.fromkeys(str(part.attrs[name]) for part in parts if name in part.attrs))
        if name in _TEXTS:
            found[name] = "; ".join(values)
        elif len(values) == 1 and name != ORIGIN:  # the file or the call that made one basin
            found[name] = parts[0].attrs[name] if name in parts[0].attrs else values[0]
    return found
