"""Combine a coarse and a fine dataset with other names into one dataset of the convention."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError, shorten, warn
from xmsgl.network.ids import id_values, kind_of
from xmsgl.schema.advice import counted
from xmsgl.schema.days import day_spans, join_days
from xmsgl.schema.names import CROSSWALK, positions, scale_of
from xmsgl.schema.topology import arrows
from xmsgl.schema.tree import native, period, rename, suffixed, union
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Crosswalk", "combine"]

logger = logging.getLogger(__name__)

Crosswalk: TypeAlias = "xr.DataArray | pd.Series[Any] | Mapping[Any, Any]"


@checked
def combine(
    coarse_ds: xr.Dataset | xr.DataTree,
    fine_ds: xr.Dataset | xr.DataTree,
    crosswalk: Crosswalk,
    *,
    names: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Combine a coarse and a fine dataset into one dataset of the convention.

    Segments, reaches and days are matched by their labels, never by order. Variables along a scale get its
    suffix if they have none. The days are those with drivers: if both datasets have drivers, their common
    days. Labels and simulated states do not affect the days; they are NaN where they have no value. Data
    that cannot be used, such as labels on days without drivers, are reported in a warning and in ``history``.

    Parameters
    ----------
    coarse_ds, fine_ds
        Dataset, or one node of a DataTree, of each scale.
    crosswalk
        The id of the coarse segment of each reach: a 1-D DataArray or a Series indexed by fine ids, or
        a dict from fine id to coarse id. Ids of reaches that are not in `fine_ds` are ignored.
    names
        Our names to theirs, for dimensions and variables:
        ``{"coarse": "seg_id_nat", "fine": "comid", "time": "date", "air_temperature": "tave"}``.
        Names without a scale apply to both datasets. Default None: the datasets use our names.

    Returns
    -------
    xarray.Dataset
        Lazy variables stay lazy. The dataset is not validated.

    Raises
    ------
    InvalidArgumentError
        A name is in neither dataset, or the crosswalk has another form.
    InvalidDatasetError
        Ids are missing, a reach has no segment or one that is not in `coarse_ds`, or the datasets have no
        day in common.

    Warns
    -----
    DataLossWarning
        Days are left out; the warning says how many and which.

    Examples
    --------
    >>> import xarray as xr
    >>> nhm = xr.Dataset({"seg_slope": ("seg_id_nat", [0.1, 0.2])}, coords={"seg_id_nat": [7, 8]})
    >>> nhd = xr.Dataset({"lengthkm": ("comid", [0.9, 1.1, 0.4])}, coords={"comid": [1, 2, 3]})
    >>> ds = combine(nhm, nhd, {3: 7, 2: 8, 1: 8}, names={
    ...     "coarse": "seg_id_nat", "fine": "comid", "slope_coarse": "seg_slope", "length": "lengthkm"})
    >>> ds["coarse_segment"].values
    array([8, 8, 7])
    """
    names = names or {}
    given: dict[Scale, xr.Dataset] = {"coarse": _flat(coarse_ds, "coarse"), "fine": _flat(fine_ds, "fine")}
    _refuse_unknown(given, names)
    parts = {scale: _renamed(given[scale], scale, names) for scale in SCALES}
    faults = [fault for scale in SCALES for fault in _id_faults(parts[scale], scale, given[scale], names)]
    if faults := faults or _day_faults(given, parts, names):
        raise InvalidDatasetError(faults)
    joined = join_days(parts["coarse"], parts["fine"])
    coarse, fine = _suffix_common(joined.coarse, joined.fine)
    owner = _owners(crosswalk, fine.indexes["fine"], coarse.indexes["coarse"])
    attrs = {"units": "1", "long_name": "id of the coarse segment the reach lies on"}
    fine = fine.drop_vars(CROSSWALK, errors="ignore").assign({CROSSWALK: ("fine", owner, attrs)})
    days = f", {period(fine.indexes['time'])}" if "time" in fine.indexes else ""
    sizes = f"{coarse.sizes['coarse']} segments and {fine.sizes['fine']} reaches"
    done = "; ".join(part for part in (f"combined {sizes}{days}", joined.note, *joined.losses) if part)
    logger.info("%s", done)
    for loss in joined.losses:
        warn(loss, DataLossWarning)
    return stamp(union([coarse, fine]), done)


def _flat(obj: xr.Dataset | xr.DataTree, scale: Scale) -> xr.Dataset:
    if isinstance(obj, xr.DataTree):
        return obj.to_dataset()
    if not isinstance(obj, xr.Dataset):  # callers need not be type-checked
        msg = f"{scale}_ds must be an xarray.Dataset or a node of a DataTree, not {type(obj).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return obj


def _meant_for(ours: str) -> tuple[Scale, ...]:
    """Return the scales of the datasets that one of our names applies to."""
    if ours == CROSSWALK:
        return ("fine",)
    own = tuple(scale for scale in SCALES if scale in (ours, scale_of(ours)[1]))
    return own or SCALES


def _refuse_unknown(given: Mapping[Scale, xr.Dataset], names: Mapping[str, str]) -> None:
    there = {scale: {str(name) for name in (*ds.variables, *ds.dims)} for scale, ds in given.items()}
    lost = [
        f"{theirs!r} (for {ours!r}) is not in {' or '.join(f'{scale}_ds' for scale in _meant_for(ours))}"
        for ours, theirs in names.items()
        if not any(theirs in there[scale] for scale in _meant_for(ours))
    ]
    if lost:
        has = "; ".join(f"{scale}_ds has {shorten(sorted(found), 40)}" for scale, found in there.items())
        msg = f"names: {'; '.join(lost)}. {has}"
        raise InvalidArgumentError(msg)


def _renamed(ds: xr.Dataset, scale: Scale, names: Mapping[str, str]) -> xr.Dataset:
    """Give one dataset our names and the scale's suffix."""
    own = {ours: theirs for ours, theirs in names.items() if scale in _meant_for(ours)}
    return native(suffixed(rename(ds, own, partial=True), scale))


def _id_faults(ds: xr.Dataset, scale: Scale, given: xr.Dataset, names: Mapping[str, str]) -> list[str]:
    if scale not in ds.dims:
        there = ", ".join(map(str, ds.dims)) or "none"
        nodes = "segments" if scale == "coarse" else "reaches"
        cure = f'name the dimension of its {nodes}: names={{"{scale}": "<your name>"}}'
        return [f"{scale}_ds has no dimension {scale!r}, only {there}; {cure}"]
    if scale not in ds.indexes:
        cure = f'{scale}_ds = {scale}_ds.assign_coords({{"{_theirs(given, names, scale)}": ids}})'
        return [f"{scale}_ds has no ids; give them: {cure}"]
    if len(twice := _repeated(ds.indexes[scale])):
        cure = _one_of_each(scale, given, names, scale)
        return [f"{scale}_ds has duplicated ids: {shorten(twice)}; {cure}"]
    return []


def _repeated(index: pd.Index) -> pd.Index:
    return index[index.duplicated()].unique()


def _theirs(given: xr.Dataset, names: Mapping[str, str], ours: str) -> str:
    """Return the name of an index in the caller's dataset."""
    theirs = names.get(ours, ours)
    return theirs if theirs in {*given.variables, *given.dims} else ours


def _one_of_each(scale: Scale, given: xr.Dataset, names: Mapping[str, str], ours: str) -> str:
    theirs = _theirs(given, names, ours)
    (dim,) = given[theirs].dims
    first = f'~{scale}_ds["{theirs}"].to_index().duplicated()'
    return f'keep one of each: {scale}_ds = {scale}_ds.isel({{"{dim}": {first}}})'


def _day_faults(
    given: Mapping[Scale, xr.Dataset], parts: Mapping[Scale, xr.Dataset], names: Mapping[str, str]
) -> list[str]:
    """Find duplicated days, and two datasets without a day in common."""
    first, second = (parts[scale].indexes.get("time") for scale in SCALES)
    if first is None or second is None or first.equals(second):
        return []
    repeated = {scale: _repeated(part.indexes["time"]) for scale, part in parts.items()}
    faults = [
        f"{scale}_ds has duplicated times: {day_spans(times)}; "
        f"{_one_of_each(scale, given[scale], names, 'time')}"
        for scale, times in repeated.items()
        if len(times)
    ]
    if faults or len(first.intersection(second)):
        return faults
    has = f"coarse_ds has {period(first)}, fine_ds has {period(second)}: no time in common; "
    return [has + _same_days(given, names, first, second)]


def _same_days(
    given: Mapping[Scale, xr.Dataset], names: Mapping[str, str], first: pd.Index, second: pd.Index
) -> str:
    """Write how two datasets get days in common: the same hour if only that differs, else the same period."""
    if not (isinstance(first, pd.DatetimeIndex) and isinstance(second, pd.DatetimeIndex)):
        return "give both the same period"
    if not len(first.floor("D").intersection(second.floor("D"))):
        return "give both the same period"
    cures = []
    for scale, times in zip(SCALES, (first, second), strict=True):
        theirs, days = _theirs(given[scale], names, "time"), times.floor("D")
        if not days.is_unique:
            cures.append(f'{scale}_ds = {scale}_ds.resample({{"{theirs}": "D"}}).mean()')
        elif not days.equals(times):
            floor = f'{scale}_ds["{theirs}"].dt.floor("D")'
            cures.append(f'{scale}_ds = {scale}_ds.assign_coords({{"{theirs}": {floor}}})')
    return f"give both the same hour of day: {'; '.join(cures)}"


def _suffix_common(coarse: xr.Dataset, fine: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Give a suffix to variables without a scale that both have, such as a grid mapping."""
    both = (set(coarse.variables) & set(fine.variables)) - {"time"}
    if wrong := sorted(str(name) for name in both if scale_of(name)[1] is not None):
        msg = f"both datasets have {shorten(wrong)}; drop or rename it in the one it does not belong to"
        raise InvalidArgumentError(msg)
    return (
        coarse.rename({name: f"{name}_coarse" for name in both}),
        fine.rename({name: f"{name}_fine" for name in both}),
    )


def _owners(crosswalk: Crosswalk, reaches: pd.Index, segments: pd.Index) -> npt.NDArray[Any]:
    """Look up the segment of each reach, in the order of the reaches."""
    keys, owners = _pairs(crosswalk)
    if len(twice := _repeated(pd.Index(keys))):
        msg = f"the crosswalk has reaches more than once: {shorten(twice)}; keep one segment for each"
        raise InvalidArgumentError(msg)
    wanted, there = id_values(reaches.to_numpy()), id_values(segments.to_numpy())
    faults = []
    where = positions(keys, wanted)
    if len(lost := wanted[where < 0]):
        what = counted(len(lost), "reach of fine_ds is", "reaches of fine_ds are")
        kinds = _kinds("fine", wanted, keys)
        faults.append(f"{what} not in the crosswalk: {shorten(lost)}{kinds}; add them, or drop these reaches")
    owner = owners[where]
    unknown = (positions(there, owner) < 0) & (where >= 0)
    if unknown.any():
        what = counted(unknown.sum(), "reach lies", "reaches lie")
        pairs = arrows(wanted[unknown], owner[unknown]) + _kinds("coarse", there, owner)
        faults.append(
            f"{what} on segments that are not in coarse_ds: {pairs}; "
            "correct the crosswalk, or drop these reaches"
        )
    if faults:
        raise InvalidDatasetError(faults)
    return owner


def _kinds(scale: Scale, ids: npt.NDArray[Any], others: npt.NDArray[Any]) -> str:
    """Write the kinds of ids where they differ."""
    if ids.dtype.kind == others.dtype.kind:
        return ""
    return f" ({scale} ids are {kind_of(ids)}, in the crosswalk they are {kind_of(others)})"


def _pairs(crosswalk: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return fine ids and coarse ids of a crosswalk in any form."""
    if isinstance(crosswalk, xr.DataArray):
        if crosswalk.ndim != 1 or crosswalk.dims[0] not in crosswalk.indexes:
            msg = (
                f"a crosswalk DataArray must be 1-D with the fine ids as its index; it has dimensions "
                f"{crosswalk.dims} and coordinates {list(map(str, crosswalk.coords))}"
            )
            raise InvalidArgumentError(msg)
        keys, owners = crosswalk.indexes[crosswalk.dims[0]].to_numpy(), crosswalk.to_numpy()
    elif isinstance(crosswalk, pd.Series):
        keys, owners = crosswalk.index.to_numpy(), crosswalk.to_numpy()
    elif isinstance(crosswalk, Mapping) and not isinstance(crosswalk, xr.Dataset):
        keys = np.array(list(crosswalk), dtype=object)
        owners = np.array(list(crosswalk.values()), dtype=object)
    else:  # callers need not be type-checked
        msg = f"the crosswalk must be a DataArray, a pandas Series or a dict, not {type(crosswalk).__name__}"
        raise InvalidArgumentError(msg)
    if not len(keys):
        msg = "the crosswalk is empty; it must give the segment of every reach"
        raise InvalidArgumentError(msg)
    return id_values(keys), id_values(owners)
