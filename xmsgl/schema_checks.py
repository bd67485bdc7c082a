"""Checks of a dataset against the convention: every fault is found, none hides another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidDatasetError, shorten
from xmsgl.network.topology import find_cycles
from xmsgl.schema_geometry import check_geometry
from xmsgl.schema_names import (
    CROSSWALK,
    LABEL,
    SCALES,
    Scale,
    drivers,
    id_values,
    positions,
    rename,
    scale_of,
    statics,
)
from xmsgl.schema_report import FeatureSource, ValidationReport
from xmsgl.schema_scan import Range, Spots, Summary, scan
from xmsgl.schema_structure import check_sizes, check_time, check_units, check_variables, dates
from xmsgl.schema_units import same_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

__all__ = ["ValidationReport", "validate"]

Values = dict[str, "npt.NDArray[Any]"]

_WATER: Range = (-5.0, 45.0)
_AIR: Range = (-60.0, 60.0)
_ANY: Range = (-np.inf, np.inf)


def validate(
    obj: xr.Dataset | xr.DataTree,
    *,
    names: Mapping[str, str] | None = None,
    values: bool = True,
    labels: bool = True,
) -> ValidationReport:
    """Check a dataset against the convention and report every fault at once.

    Parameters
    ----------
    obj
        Dataset or DataTree.
    names
        Our names to those of the dataset, as in :func:`xmsgl.schema.rename`. Default None: it uses ours.
    values
        Look at values too: NaN and infinite values, ranges, empty labels. Lazy arrays are reduced chunk
        by chunk in one computation. False: read no daily array and compute nothing; a topology that is
        itself lazy is then not looked at either.
    labels
        Ask for observed temperatures. False accepts a dataset that is only to be predicted on.

    Returns
    -------
    ValidationReport
        Sizes, period, labels and features.

    Raises
    ------
    InvalidDatasetError
        One message a fault, each with what is wrong, where, and what to do.
    InvalidArgumentError
        `names` does not fit the dataset.

    Examples
    --------
    >>> import xarray as xr
    >>> try:
    ...     validate(xr.Dataset({"slope_coarse": ("coarse", [0.1])}))
    ... except InvalidDatasetError as error:
    ...     print(error.faults[0])
    dimension 'time' is missing; the dataset has coarse. Rename yours: names={"time": "<your name>"}
    """
    ds = rename(obj, names)
    structure = [
        *check_sizes(ds),
        *check_variables(ds, labels),
        *check_time(ds),
        *check_units(ds),
        *check_geometry(ds),
    ]
    summaries, small = _gather(ds, values)
    content = [
        *(fault for scale in SCALES for fault in _check_network(ds, scale, small)),
        *_check_crosswalk(ds, small),
        *_check_statics(ds, small),
        *_check_daily(ds, summaries),
        *_check_labels(summaries, labels),
    ]
    if structure or content:
        raise InvalidDatasetError([*structure, *content])
    return _report(ds, summaries, small, values)


def _gather(ds: xr.Dataset, values: bool) -> tuple[dict[str, Summary], Values]:
    """Everything the checks need of the data, in one computation."""
    daily: dict[str, Range] = {}
    small = []
    wanted = {"downstream", "length", *statics(ds)}
    for key, array in ds.variables.items():
        name, (base, scale) = str(key), scale_of(key)
        if name == CROSSWALK or (scale and base in wanted and array.dims == (scale,)):
            if values or array.chunks is None:
                small.append(name)
        elif values and scale and set(array.dims) == {"time", scale} and array.dtype.kind in "iuf":
            daily[name] = _range(ds, name)
    return scan(ds, daily, small)


def _range(ds: xr.Dataset, name: str) -> Range:
    """Return the allowed values; anything goes for a temperature in other units, its units are the fault."""
    base = scale_of(name)[0]
    units = ds[name].attrs.get("units")
    if isinstance(units, str) and units.strip() and not same_units(units, "degC"):
        return _ANY
    if re.match(r"(water|simulated|true|observed)_temperature", base):
        return _WATER
    return _AIR if base.startswith(("air_temperature", "dew_point")) else _ANY


def _check_network(ds: xr.Dataset, scale: Scale, small: Values) -> Iterator[str]:
    if scale not in ds.indexes:
        return
    index = ds.indexes[scale]
    ids = id_values(index.to_numpy())
    if ids.dtype.kind not in "iU" or index.dtype.kind == "f":
        yield (
            f"{scale} ids are {_kind(index.to_numpy())}, must be all integers or all text: "
            f"ds = ds.assign_coords({scale}=ds['{scale}'].astype('int64')), or .astype(str)"
        )
    if ids.dtype.kind not in "iU":
        return
    none = _missing(ids)
    if none.any():
        yield f"{scale} has {none.sum()} ids that are 0 or empty, which means outlet; give them other ids"
    twice = index[index.duplicated()].unique()
    if len(twice):
        cure = f"keep one of each: ds = ds.drop_duplicates('{scale}')"
        yield f"{scale} has duplicated ids: {shorten(twice)}; {cure}"
    if f"downstream_{scale}" in small and ds[f"downstream_{scale}"].dims == (scale,):
        yield from _check_flow(scale, ids, small[f"downstream_{scale}"], unique=not len(twice))


def _check_flow(scale: Scale, ids: npt.NDArray[Any], raw: npt.NDArray[Any], *, unique: bool) -> Iterator[str]:
    name, below = f"downstream_{scale}", id_values(raw)
    outlet = _missing(below)
    if below.dtype.kind not in "iU" or (below.dtype.kind != ids.dtype.kind and not outlet.all()):
        yield f"{name} holds {_kind(raw)}, but {scale} ids are {_kind(ids)}; use one kind for both"
        return
    target = positions(pd.unique(ids), below)
    unknown = (target < 0) & ~outlet
    if unknown.any():
        yield (
            f"{name}: {unknown.sum()} point nowhere: {_arrows(ids[unknown], below[unknown])}; "
            "correct them, or set 0 ('' for text ids) where the water leaves the dataset"
        )
    loops = (below == ids) & ~outlet
    if loops.any():
        cure = "set the id downstream, or 0 ('' for text ids) at an outlet"
        yield f"{name}: {shorten(ids[loops])} flow into themselves; {cure}"
    if unique:
        for cycle in find_cycles(np.where(loops, -1, target)):
            circle = [*ids[cycle], ids[cycle[0]]]
            yield f"{name}: water flows in a circle: {_circle(circle)}; correct one of these links"


def _check_crosswalk(ds: xr.Dataset, small: Values) -> Iterator[str]:
    if CROSSWALK not in small or any(s not in ds.indexes for s in SCALES) or ds[CROSSWALK].dims != ("fine",):
        return
    reaches, segments = (id_values(ds.indexes[scale].to_numpy()) for scale in ("fine", "coarse"))
    owner = id_values(small[CROSSWALK])
    none = _missing(owner)
    if none.any():
        yield (
            f"{CROSSWALK}: {none.sum()} reaches lie on no segment: {shorten(reaches[none])}; "
            "give each its segment, or drop them"
        )
    if owner.dtype.kind not in "iU" or (owner.dtype.kind != segments.dtype.kind and not none.all()):
        held = _kind(small[CROSSWALK])
        yield f"{CROSSWALK} holds {held}, but coarse ids are {_kind(segments)}; use one kind for both"
        return
    if segments.dtype.kind not in "iU":
        return
    unknown = (positions(pd.unique(segments), owner) < 0) & ~none
    if unknown.any():
        yield (
            f"{CROSSWALK}: {unknown.sum()} reaches lie on segments that are not there: "
            f"{_arrows(reaches[unknown], owner[unknown])}; correct them, or drop these reaches"
        )


def _check_statics(ds: xr.Dataset, small: Values) -> Iterator[str]:
    wanted = [(base, scale) for base in ("length", *statics(ds)) for scale in SCALES]
    for base, scale in wanted:
        name = f"{base}_{scale}"
        if name not in small or small[name].dtype.kind not in "iuf" or ds[name].dims != (scale,):
            continue
        found = small[name].astype(np.float64)
        for mask, what in ((np.isnan(found), "NaN"), (np.isinf(found), "infinite")):
            if mask.any():
                where = shorten(_labels(ds, scale)[mask])
                yield f"{name}: {mask.sum()} values are {what}: {scale} {where}; fill them, or drop these ids"
        wrong = found <= 0
        if base == "length" and wrong.any():
            where = shorten(_labels(ds, scale)[wrong])
            yield f"{name}: {wrong.sum()} lengths are not positive: {scale} {where}; give their lengths in m"


def _check_daily(ds: xr.Dataset, summaries: Mapping[str, Summary]) -> Iterator[str]:
    features = drivers(ds)
    for name, found in summaries.items():
        base = scale_of(name)[0]
        if found.nan.count and base in features:
            yield (
                f"{name}: {found.nan.count} values are NaN, and drivers may have none: "
                f"{_where(ds, name, found.nan)}; fill short gaps with ds['{name}'].interpolate_na('time'), "
                "else drop these ids or days"
            )
        if found.infinite.count:
            yield (
                f"{name}: {found.infinite.count} values are infinite: {_where(ds, name, found.infinite)}; "
                f"mask them: ds['{name}'] = ds['{name}'].where(np.isfinite(ds['{name}']))"
            )
        if found.outside.count:
            low, high = allowed = _range(ds, name)
            extent = f"from {found.low:g} to {found.high:g}"
            yield (
                f"{name}: {found.outside.count} temperatures outside {low:g}..{high:g} degC ({extent}): "
                f"{_where(ds, name, found.outside)}; {_cure(name, found, allowed)}"
            )
        if base.startswith(LABEL) and found.finite and not found.nonzero:
            yield (
                f"{name}: all {found.finite} labels are 0; if 0 stands for 'not observed', "
                f"ds['{name}'] = ds['{name}'].where(ds['{name}'] != 0)"
            )


def _cure(name: str, found: Summary, allowed: Range) -> str:
    if found.low > 150:
        return f'they look like kelvin: ds["{name}"] - 273.15'
    low, high = allowed
    return f"mask them: ds['{name}'].where((ds['{name}'] >= {low:g}) & (ds['{name}'] <= {high:g}))"


def _check_labels(summaries: Mapping[str, Summary], labels: bool) -> Iterator[str]:
    there = [f"{LABEL}_{scale}" for scale in SCALES if f"{LABEL}_{scale}" in summaries]
    if labels and there and not any(summaries[name].finite for name in there):
        yield (
            f"{' and '.join(there)} hold no finite value: there is nothing to learn from; add observations, "
            "or pass labels=False to a dataset that is only predicted on"
        )


def _missing(ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which ids mean "none": 0 and empty text."""
    if ids.dtype.kind in "iU":
        return np.asarray(ids == ("" if ids.dtype.kind == "U" else 0))
    return np.zeros(ids.shape, dtype=bool)


def _kind(values: npt.NDArray[Any]) -> str:
    names = {"i": "integers", "u": "integers", "f": "floating-point numbers", "U": "text", "M": "dates"}
    if values.dtype.kind in names:
        return names[values.dtype.kind]
    kinds = sorted({type(value).__name__ for value in values.ravel()})
    return (
        f"a mix of {' and '.join(kinds)}" if len(kinds) > 1 else f"{kinds[0] if kinds else 'object'} values"
    )


def _labels(ds: xr.Dataset, scale: str) -> npt.NDArray[Any]:
    return ds.indexes[scale].to_numpy() if scale in ds.indexes else np.arange(ds.sizes[scale])


def _where(ds: xr.Dataset, name: str, spots: Spots) -> str:
    scale = scale_of(name)[1] or ""
    days = _labels(ds, "time")[spots.days]
    when = dates(days) if days.dtype.kind == "M" else shorten(days)
    return f"{scale} {shorten(_labels(ds, scale)[spots.nodes])}; days {when}"


def _arrows(sources: npt.NDArray[Any], targets: npt.NDArray[Any]) -> str:
    return shorten([f"{source} -> {target}" for source, target in zip(sources, targets, strict=True)])


def _circle(ids: list[Any]) -> str:
    shown = ids if len(ids) <= 12 else [*ids[:10], "...", ids[-1]]
    return " -> ".join(str(value) for value in shown)


def _report(
    ds: xr.Dataset, summaries: Mapping[str, Summary], small: Values, values: bool
) -> ValidationReport:
    def outlets(scale: Scale) -> int | None:
        name = f"downstream_{scale}"
        return int(_missing(id_values(small[name])).sum()) if name in small else None

    def labels(scale: Scale) -> int | None:
        name = f"{LABEL}_{scale}"
        return summaries[name].finite if name in summaries else (0 if values else None)

    def source(base: str) -> str:
        if f"{base}_fine" in ds.variables:
            return "own"
        heights = all(f"elevation_{scale}" in ds.variables for scale in SCALES)
        lapse = base.startswith("air_temperature") and heights
        return "inherited, corrected for height" if lapse else "inherited"

    time = ds.indexes["time"]
    roles = [*((base, "driver") for base in drivers(ds)), *((base, "static") for base in statics(ds))]
    return ValidationReport(
        segments=ds.sizes["coarse"],
        reaches=ds.sizes["fine"],
        days=ds.sizes["time"],
        start=str(time[0].date()),
        end=str(time[-1].date()),
        outlets_coarse=outlets("coarse"),
        outlets_fine=outlets("fine"),
        labels_coarse=labels("coarse"),
        labels_fine=labels("fine"),
        features=tuple(
            FeatureSource(base, role, str(ds[f"{base}_coarse"].attrs["units"]), source(base))  # type: ignore[arg-type]
            for base, role in roles
        ),
    )
