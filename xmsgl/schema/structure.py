"""Checks of dimensions, variables, days and units, without reading values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.network.ids import id_values, kind_of
from xmsgl.schema.advice import counted, daily_means
from xmsgl.schema.names import CROSSWALK, LABEL, TOPOLOGY, scale_of
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.units import advice, expected_units, in_degrees, same_units, tidy_units
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    import xarray as xr

__all__ = ["WITHOUT_LABELS", "check_labels", "check_numbers", "check_sizes", "check_time"]
__all__ += ["check_units", "check_variables", "dates"]

_MEANING = {
    "downstream": "the id of the {node} each {node} flows into, 0 or '' at an outlet",
    "length": "the length of each {node}, m",
    CROSSWALK: "the id of the coarse segment each reach lies on",
}
WITHOUT_LABELS = (
    "or check a dataset for prediction only with ds.msgl.validate(labels=False), "
    "on the command line with xmsgl validate --no-labels"
)

_NODE = {"time": "day", "coarse": "segment", "fine": "reach"}
_DAILY = re.compile(
    r"((air|water|simulated|true)_temperature(_min|_max)?|precipitation|solar_radiation"
    r"|relative_humidity|potential_evapotranspiration)$"
)
_ANGLES = {"lat", "lon", "latitude", "longitude"}
_NUMBERS = {"lat", "lon", "length", "drainage_area", "stream_order"}
_DAY = np.timedelta64(1, "D")


def check_sizes(ds: xr.Dataset, dims: Iterable[str] = ("time", *SCALES)) -> Iterator[str]:
    """Find dimensions and index coordinates that are missing or empty."""
    for dim in dims:
        if dim not in ds.sizes:
            there = ", ".join(map(str, ds.sizes)) or "none"
            yield (
                f"dimension {dim!r} is missing; the dataset has {there}; "
                f'rename yours: ds = ds.rename({{"<your name>": "{dim}"}})'
            )
        elif ds.sizes[dim] == 0:
            yield f"dimension {dim!r} has size 0; give at least one {_NODE[dim]}"
        elif dim not in ds.indexes:
            what = "days" if dim == "time" else "ids"
            yield f"coordinate {dim!r} is missing; give the {what}: ds = ds.assign_coords({dim}={what})"


def check_variables(ds: xr.Dataset, labels: bool) -> Iterator[str]:
    """Find variables that are missing, along the wrong dimensions or not numeric."""
    needed = {f"{base}_{scale}": scale for base in ("downstream", "length") for scale in SCALES}
    for name, scale in {**needed, CROSSWALK: "fine"}.items():
        if name not in ds.variables:
            meaning = _MEANING[scale_of(name)[0]].format(node=_NODE[scale])
            yield (
                f"variable {name!r} over ({scale}) is missing: {meaning}; "
                f'add it, or rename yours: ds = ds.rename({{"<your name>": "{name}"}})'
            )
        elif ds[name].dims != (scale,):
            yield f"{name} has dimensions {ds[name].dims} instead of ({scale!r},)"
    if not drivers(ds):
        yield (
            "there are no drivers: no numeric variable '<name>_coarse' over (time, coarse) except labels; "
            "add at least air_temperature_coarse (degC)"
        )
    if labels and not any(f"{LABEL}_{scale}" in ds.variables for scale in SCALES):
        yield (
            f"there are no labels: neither {LABEL}_coarse nor {LABEL}_fine; "
            f"add one (NaN where not observed), {WITHOUT_LABELS}"
        )
    yield from _check_shapes(ds)
    yield from check_numbers(ds)


def _check_shapes(ds: xr.Dataset) -> Iterator[str]:
    for name, array in ds.variables.items():
        base, scale = scale_of(name)
        if scale is None or base in TOPOLOGY:
            continue
        other = "fine" if scale == "coarse" else "coarse"
        instead = f"{name} has dimensions {array.dims} instead of ('time', {scale!r})"
        if other in array.dims and scale not in array.dims:
            cure = f'ds = ds.rename({{"{name}": "{base}_{other}"}})'
            yield f"{name} is named {scale} but has dimensions {array.dims}; rename it: {cure}"
        elif _DAILY.match(base) and set(array.dims) != {"time", scale}:
            yield instead
        elif array.dims == (scale, "time"):
            yield f'{instead}: ds = ds.transpose("time", ...)'


def check_numbers(ds: xr.Dataset) -> Iterator[str]:
    """Find variables that are computed with and not numeric."""
    for name, array in ds.variables.items():
        base, scale = scale_of(name)
        kind = "float32" if _DAILY.match(base) else "float64" if base in _NUMBERS else ""
        if scale is not None and kind and array.dtype.kind not in "iuf":
            code = f'ds["{name}"] = ds["{name}"].astype("{kind}")'
            yield f"{name} has dtype {array.dtype}; it must be numeric: {code}"


def check_labels(labels: Mapping[Hashable, pd.Index[Any]]) -> Iterator[str]:
    """Find days and ids that no function can use."""
    for dim in ("time", *SCALES):
        index = labels.get(dim)
        if isinstance(index, pd.MultiIndex):
            levels = shorten(index.names)
            yield f'{dim} has several levels ({levels}); keep one: ds = ds.reset_index("{dim}"), then set it'
        elif index is not None and dim == "time":
            yield from _check_calendar(index)
        elif index is not None and id_values(index.to_numpy()).dtype.kind not in "iU":
            yield f"{dim} has ids that are {kind_of(index.to_numpy())}; give integers or text"
        elif index is not None and not index.is_unique:
            yield f"{dim}: duplicated ids {shorten(index[index.duplicated()].unique())}; keep one of each"


def check_time(ds: xr.Dataset) -> Iterator[str]:
    """Find days that are not sorted, daily or complete."""
    index = ds.indexes.get("time")
    if isinstance(index, pd.DatetimeIndex) and index.tz is None:
        time = index.dropna()
        back = np.diff(time.to_numpy()) < np.timedelta64(0)
        if back.any():
            where = dates(time[:-1][back])
            yield f'time is not sorted: it goes back after {where}; sort it: ds = ds.sortby("time")'
    yield from check_days(ds)


def _check_calendar(index: pd.Index[Any]) -> Iterator[str]:
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        kind = "with a time zone" if isinstance(index, pd.DatetimeIndex) else type(index).__name__
        found = f"{kind} ({index.dtype})"
        yield f"time is {found} instead of datetime64 of the standard calendar: {_decode(index)}"
    elif index.hasnans:
        cure = 'drop them: ds = ds.isel(time=ds["time"].notnull().values)'
        found = counted(int(np.count_nonzero(index.isna())), "missing value", "missing values")
        yield f"time has {found} (NaT); {cure}"


def check_days(ds: xr.Dataset) -> Iterator[str]:
    """Find days that are not daily or complete, in any order."""
    if "time" not in ds.indexes or ds.sizes["time"] == 0:
        return
    index = ds.indexes["time"]
    yield from _check_calendar(index)
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        return
    time = index.dropna()
    if time.has_duplicates:
        twice = time[time.duplicated()].unique()
        yield f'time has duplicates: {dates(twice)}; keep one of each: ds = ds.drop_duplicates("time")'
    off = time != time.normalize()
    if off.any():
        cure = f"take daily means: {daily_means()}"
        if time.normalize().is_unique:
            cure = 'round down: ds = ds.assign_coords(time=ds["time"].dt.floor("D"))'
        yield f"time is not at midnight: {shorten(time[off], 3)}; {cure}"
    yield from _check_daily_steps(time.unique().sort_values())


def _check_daily_steps(time: pd.DatetimeIndex) -> Iterator[str]:
    if len(time) < 2:
        return
    steps = pd.Series(np.diff(time.to_numpy()))
    usual = steps.mode().iloc[0]
    if usual != _DAY:
        longer = "give daily values, which cannot be derived from longer steps"
        cure = longer if usual > _DAY else f"take daily means: {daily_means()}"
        yield f"time is not daily: the usual step is {usual}; {cure}"
        return
    short = steps.to_numpy() < _DAY
    if short.any():
        twice = dates(time[:-1][short])
        yield f"time is not daily: several values on {twice}; take their mean: {daily_means()}"
    days = time.normalize().unique()
    absent = pd.date_range(days[0], days[-1], freq="D").difference(days)
    if len(absent):
        first, last = _longest(days)
        yield (
            f"time has gaps: {counted(len(absent), 'day is', 'days are')} missing: {dates(absent)}; "
            f'keep the longest period without gaps: ds = ds.sel(time=slice("{first}", "{last}")); '
            f'or insert the missing days: ds = ds.reindex(time=pd.date_range("{days[0].date()}", '
            f'"{days[-1].date()}")); and fill the drivers on them'
        )


def _longest(days: pd.DatetimeIndex) -> tuple[Any, Any]:
    """Find the first and the last day of the longest period without gaps."""
    start = np.flatnonzero(np.append(True, np.diff(days.to_numpy()) != _DAY))
    length = np.diff(np.append(start, len(days)))
    run = int(length.argmax())
    return days[start[run]].date(), days[start[run] + length[run] - 1].date()


def _decode(index: pd.Index[Any]) -> str:
    """Write code that turns an index into days of the standard calendar."""
    if isinstance(index, pd.DatetimeIndex):
        return 'ds = ds.assign_coords(time=ds.indexes["time"].tz_localize(None))'
    if isinstance(index, pd.PeriodIndex):
        return 'ds = ds.assign_coords(time=ds.indexes["time"].to_timestamp())'
    if type(index).__name__ == "CFTimeIndex":
        return 'ds = ds.convert_calendar("standard", use_cftime=False, align_on="date")'
    if index.dtype.kind in "iuf":
        units = '{"units": "days since <first day>"}'
        return f'ds = xr.decode_cf(ds.assign_coords(time=("time", ds["time"].values, {units})))'
    return 'ds = ds.assign_coords(time=pd.to_datetime(ds["time"].values))'


def check_units(ds: xr.Dataset) -> Iterator[str]:
    """Find units that are missing or need a conversion."""
    features = {*drivers(ds), *statics(ds)}
    for name in ds.variables:
        base, scale = scale_of(name)
        found, expected = ds[name].attrs.get("units"), expected_units(base)
        if scale and base in _ANGLES and not in_degrees(found):
            yield f"{name} is in {found!r} instead of 'degree'; {advice(str(name), str(found), 'degree')}"
        if scale is None or (base not in features and expected is None):
            continue
        if not isinstance(found, str) or not found.strip():
            yield f'{name} has no units; set them: ds["{name}"].attrs["units"] = "{expected or "<units>"}"'
        elif expected is not None and not same_units(found, expected):
            yield f"{name} is in {found!r} instead of {expected!r}; {advice(str(name), found, expected)}"
        elif expected is None and scale == "fine":
            coarse = str(ds[f"{base}_coarse"].attrs.get("units", found))
            if not same_units(found, coarse):
                cure = advice(str(name), found, tidy_units(coarse))
                yield f"{name} is in {found!r}, but {base}_coarse is in {coarse!r}; {cure}"


def dates(time: Iterable[Any]) -> str:
    """Write the first few days for a message."""
    return shorten([str(pd.Timestamp(day).date()) for day in time])
