"""Make the dataset of the convention from a coarse and a fine one that use other names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError, shorten, warn
from xmsgl.schema.days import day_spans, join_days
from xmsgl.schema.names import CROSSWALK, id_values, positions, scale_of
from xmsgl.schema.tree import period, rename, suffixed, union
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Crosswalk", "combine"]

logger = logging.getLogger(__name__)

Crosswalk: TypeAlias = "xr.DataArray | pd.Series[Any] | Mapping[Any, Any]"


def combine(
    coarse_ds: xr.Dataset | xr.DataTree,
    fine_ds: xr.Dataset | xr.DataTree,
    crosswalk: Crosswalk,
    *,
    names: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Join a coarse and a fine dataset into the one everything here works on.

    Everything is matched by id and by day, nothing by order. Variables along a scale get its suffix
    where they lack it. The days are those of the weather, the drivers: where both have weather, the days they
    share. Labels and simulated states never shorten it: they are NaN on days that they lack. What cannot be
    used, such as labels on days without weather, is counted in a warning and in ``history``.

    Parameters
    ----------
    coarse_ds, fine_ds
        Dataset, or one node of a DataTree, of each scale.
    crosswalk
        The id of the coarse segment of each reach: a 1-D DataArray or a Series indexed by fine ids, or
        a dict from fine id to coarse id. Ids of reaches that are not in `fine_ds` are not needed and
        ignored.
    names
        Our names to theirs, for dimensions and variables:
        ``{"coarse": "seg_id_nat", "fine": "comid", "time": "date", "air_temperature": "tave"}``.
        Names without a scale are looked for in both datasets. Default None: they use ours.

    Returns
    -------
    xarray.Dataset
        Lazy variables stay lazy; nothing is read that is not in memory. Not validated yet.

    Raises
    ------
    InvalidArgumentError
        A name is in neither dataset, or the crosswalk is not one.
    InvalidDatasetError
        Ids are missing, a reach has no segment or one that is not there, or the two have no day in
        common.

    Warns
    -----
    DataLossWarning
        Days are left out, with how many and which.

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
    given: dict[Scale, xr.Dataset] = {
        "coarse": _flat(coarse_ds, "coarse_ds"),
        "fine": _flat(fine_ds, "fine_ds"),
    }
    _refuse_unknown(given, names or {})
    parts: dict[Scale, xr.Dataset] = {scale: _bring(given[scale], scale, names or {}) for scale in SCALES}
    faults = [
        fault for scale in SCALES for fault in _id_faults(parts[scale], scale, given[scale], names or {})
    ]
    if faults := faults or _day_faults(given, parts, names or {}):
        raise InvalidDatasetError(faults)
    joined = join_days(parts["coarse"], parts["fine"])
    coarse, fine = _tell_apart(joined.coarse, joined.fine)
    owner = _aligned(crosswalk, fine.indexes["fine"], coarse.indexes["coarse"])
    fine = fine.drop_vars(CROSSWALK, errors="ignore").assign(
        {
            CROSSWALK: (
                "fine",
                owner,
                {"units": "1", "long_name": "id of the coarse segment the reach lies on"},
            )
        }
    )
    days = f", {period(fine.indexes['time'])}" if "time" in fine.indexes else ""
    sizes = f"{coarse.sizes['coarse']} segments and {fine.sizes['fine']} reaches"
    done = "; ".join(part for part in (f"combined {sizes}{days}", joined.note, *joined.losses) if part)
    logger.info("%s", done)
    for loss in joined.losses:
        warn(loss, DataLossWarning)
    return stamp(union([coarse, fine]), done)


def _flat(obj: xr.Dataset | xr.DataTree, what: str) -> xr.Dataset:
    if isinstance(obj, xr.DataTree):
        return obj.to_dataset()
    if not isinstance(obj, xr.Dataset):  # callers need not be type-checked
        msg = f"{what} must be an xarray.Dataset or a node of a DataTree, not {type(obj).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return obj


def _meant_for(ours: str) -> tuple[Scale, ...]:
    """Tell which dataset a name of ours can be in."""
    if ours in SCALES:
        return ("coarse",) if ours == "coarse" else ("fine",)
    if ours == CROSSWALK:
        return ("fine",)
    scale = scale_of(ours)[1]
    return SCALES if scale is None else (scale,)


def _refuse_unknown(given: Mapping[Scale, xr.Dataset], names: Mapping[str, str]) -> None:
    there = {scale: {str(name) for name in (*ds.variables, *ds.dims)} for scale, ds in given.items()}
    lost = [
        f"{theirs!r} (for {ours!r}) not in {' or '.join(f'{scale}_ds' for scale in _meant_for(ours))}"
        for ours, theirs in names.items()
        if not any(theirs in there[scale] for scale in _meant_for(ours))
    ]
    if lost:
        has = "; ".join(f"{scale}_ds has {shorten(sorted(found), 40)}" for scale, found in there.items())
        msg = f"names: {'; '.join(lost)}. {has}"
        raise InvalidArgumentError(msg)


def _bring(ds: xr.Dataset, scale: Scale, names: Mapping[str, str]) -> xr.Dataset:
    """Rename one dataset and give its variables the scale's suffix."""
    mine = {ours: theirs for ours, theirs in names.items() if scale in _meant_for(ours)}
    ds = rename(ds, mine, partial=True)
    return suffixed(ds, scale)


def _id_faults(ds: xr.Dataset, scale: Scale, given: xr.Dataset, names: Mapping[str, str]) -> list[str]:
    if scale not in ds.dims:
        there = ", ".join(map(str, ds.dims)) or "none"
        return [
            f"{scale}_ds has no dimension {scale!r} but {there}; "
            f"name the one that counts its {'segments' if scale == 'coarse' else 'reaches'}: "
            f'names={{"{scale}": "<your name>"}}'
        ]
    if scale not in ds.indexes:
        theirs = _theirs(given, names, scale)
        return [
            f'{scale}_ds has no ids; give them: {scale}_ds = {scale}_ds.assign_coords({{"{theirs}": ids}})'
        ]
    index = ds.indexes[scale]
    if not index.is_unique:
        twice = shorten(_repeated(index))
        return [f"{scale}_ds has duplicated ids: {twice}; {_one_of_each(scale, given, names, scale)}"]
    return []


def _repeated(index: pd.Index) -> pd.Index:
    return index[index.duplicated()].unique()


def _theirs(given: xr.Dataset, names: Mapping[str, str], ours: str) -> str:
    """Return what the caller's dataset calls an index."""
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
    """Find days given twice, and two datasets without a day in common."""
    times = {scale: part.indexes.get("time") for scale, part in parts.items()}
    first, second = times["coarse"], times["fine"]
    if first is None or second is None or first.equals(second):
        return []
    repeated = [scale for scale in SCALES if not parts[scale].indexes["time"].is_unique]
    if repeated:
        return [
            f"{scale}_ds has duplicated times: {day_spans(_repeated(parts[scale].indexes['time']))}; "
            f"{_one_of_each(scale, given[scale], names, 'time')}"
            for scale in repeated
        ]
    if len(first.intersection(second)):
        return []
    has = f"coarse_ds has {period(first)}, fine_ds has {period(second)}: no time in common; "
    return [has + _same_days(given, names, first, second)]


def _same_days(
    given: Mapping[Scale, xr.Dataset], names: Mapping[str, str], first: pd.Index, second: pd.Index
) -> str:
    """Say how two datasets get days in common: the same hour where that is all, else the same period."""
    if not (isinstance(first, pd.DatetimeIndex) and isinstance(second, pd.DatetimeIndex)):
        return "give both the same period"
    times = {"coarse": first, "fine": second}
    floors = {scale: index.floor("D") for scale, index in times.items()}
    if not len(floors["coarse"].intersection(floors["fine"])):
        return "give both the same period"
    cures = []
    for scale in SCALES:
        theirs = _theirs(given[scale], names, "time")
        if not floors[scale].is_unique:
            cures.append(f'{scale}_ds = {scale}_ds.resample({{"{theirs}": "D"}}).mean()')
        elif not floors[scale].equals(times[scale]):
            floor = f'{scale}_ds["{theirs}"].dt.floor("D")'
            cures.append(f'{scale}_ds = {scale}_ds.assign_coords({{"{theirs}": {floor}}})')
    return f"give both the same hour of day: {'; '.join(cures)}"


def _tell_apart(coarse: xr.Dataset, fine: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Give variables without a scale that both have (a grid mapping, a flag a day) a suffix."""
    both = (set(coarse.variables) & set(fine.variables)) - {"time"}
    wrong = sorted(str(name) for name in both if scale_of(name)[1] is not None)
    if wrong:
        msg = f"both datasets have {shorten(wrong)}; drop or rename it in the one it does not belong to"
        raise InvalidArgumentError(msg)
    return (
        coarse.rename({name: f"{name}_coarse" for name in both}),
        fine.rename({name: f"{name}_fine" for name in both}),
    )


def _aligned(crosswalk: Crosswalk, reaches: pd.Index, segments: pd.Index) -> npt.NDArray[Any]:
    """Look up the segment of each reach, in the order of the reaches."""
    keys, owners = _pairs(crosswalk)
    repeated = pd.Index(keys)[pd.Index(keys).duplicated()].unique()
    if len(repeated):
        msg = f"the crosswalk has reaches more than once: {shorten(repeated)}; keep one segment for each"
        raise InvalidArgumentError(msg)
    wanted = id_values(reaches.to_numpy())
    faults = []
    where = positions(keys, wanted)
    if (where < 0).any():
        lost = shorten(wanted[where < 0])
        faults.append(
            f"{(where < 0).sum()} reaches of fine_ds are not in the crosswalk: {lost}"
            f"{_kinds('fine ids', wanted, 'crosswalk', keys)}; add them, or drop these reaches"
        )
    owner = owners[where]
    found = positions(segments.to_numpy(), owner)
    unknown = (found < 0) & (where >= 0)
    if unknown.any():
        pairs = zip(wanted[unknown], owner[unknown], strict=True)
        faults.append(
            f"{unknown.sum()} reaches lie on segments that coarse_ds lacks: "
            f"{shorten(f'{reach} -> {segment}' for reach, segment in pairs)}"
            f"{_kinds('coarse ids', id_values(segments.to_numpy()), 'crosswalk', owner)}; "
            "correct the crosswalk, or drop these reaches"
        )
    if faults:
        raise InvalidDatasetError(faults)
    return owner


def _kinds(first: str, values: npt.NDArray[Any], second: str, others: npt.NDArray[Any]) -> str:
    if values.dtype.kind == others.dtype.kind:
        return ""
    kind = {"i": "integers", "U": "text"}
    one, two = kind.get(values.dtype.kind, "mixed"), kind.get(others.dtype.kind, "mixed")
    return f" ({first} are {one}, in the {second} they are {two})"


def _pairs(crosswalk: Crosswalk) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return fine ids and coarse ids of a crosswalk in any of its forms."""
    if isinstance(crosswalk, xr.DataArray):
        if crosswalk.ndim != 1 or crosswalk.dims[0] not in crosswalk.indexes:
            msg = (
                f"a crosswalk DataArray must be 1-D with the fine ids as its index, not {crosswalk.dims} "
                f"with coordinates {list(map(str, crosswalk.coords))}"
            )
            raise InvalidArgumentError(msg)
        keys, owners = crosswalk.indexes[crosswalk.dims[0]].to_numpy(), crosswalk.to_numpy()
    elif isinstance(crosswalk, pd.Series):
        keys, owners = crosswalk.index.to_numpy(), crosswalk.to_numpy()
    elif isinstance(crosswalk, Mapping):
        keys = np.array(list(crosswalk), dtype=object)
        owners = np.array(list(crosswalk.values()), dtype=object)
    else:  # callers need not be type-checked
        msg = f"a crosswalk is a DataArray, a pandas Series or a dict, not {type(crosswalk).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    if not len(keys):
        msg = "the crosswalk is empty; it must give the segment of every reach"
        raise InvalidArgumentError(msg)
    return id_values(keys), id_values(owners)
