"""Checks of a dataset's values: gaps, what lies outside of physical ranges, and labels that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import shorten
from xmsgl.schema.advice import fill_days, fill_places, mask
from xmsgl.schema.names import LABEL, PLACE, scale_of
from xmsgl.schema.ranges import HUGE, Range, is_code, likely_cause, physical_range
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.scan import summarise
from xmsgl.schema.structure import WITHOUT_LABELS, dates
from xmsgl.schema.units import advice, expected_units, same_units
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.schema.ranges import Cause
    from xmsgl.schema.scan import Spots, Summary

__all__ = ["allowed_values", "check_daily", "check_labels", "check_ranges", "check_statics", "node_labels"]

Values = dict[str, "npt.NDArray[Any]"]

_ANY: Range = (-HUGE, HUGE)
_LOWEST_VALUE = -990.0  # of a quantity nobody knows, where -999 and less are fill values
_KELVIN_FROM = 150.0  # degC: no air or water is as hot, none in kelvin as cold
_FAHRENHEIT_TO = 140.0  # degF, 60 degC
_YEAR = 365
_OFTEN = 0.02  # of the values of an id; sensors err more seldom, and in degF any summer is outside


def allowed_values(ds: xr.Dataset, name: str) -> Range:
    """Return what a variable may hold, both ends included; of quantities nobody knows all but huge values.

    Anything goes for a variable in other units than those of the convention: its units are the fault.
    """
    return physical_range(scale_of(name)[0]) or _ANY if _in_expected_units(ds, name) else _ANY


def _in_expected_units(ds: xr.Dataset, name: str) -> bool:
    expected, units = expected_units(scale_of(name)[0]), ds[name].attrs.get("units")
    if expected is None or not isinstance(units, str) or not units.strip():
        return True
    return same_units(units, expected)


def check_statics(ds: xr.Dataset, small: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Find gaps and impossible values in lengths, static attributes and places."""
    for base in ("length", *statics(ds), *sorted(PLACE)):
        for scale in SCALES:
            name = f"{base}_{scale}"
            if name not in small or small[name].dtype.kind not in "iuf" or ds[name].dims != (scale,):
                continue
            values = small[name].astype(np.float64)
            yield from _gaps_of_static(ds, name, values)
            if base == "length" and (values <= 0).any():
                yield _not_positive(ds, name, values <= 0)
                values = np.where(values > 0, values, np.nan)
            found = summarise(values[None, :], allowed_values(ds, name))
            plain = values[np.isfinite(values) & (values > _LOWEST_VALUE) & (values < HUGE)]
            yield from _range_faults(ds, name, found, float(np.median(plain)) if plain.size else np.nan)


def _gaps_of_static(ds: xr.Dataset, name: str, values: npt.NDArray[np.float64]) -> Iterator[str]:
    base, scale = scale_of(name)
    for gap, what in ((np.isnan(values), "NaN"), (np.isinf(values), "infinite")):
        if not gap.any():
            continue
        if base in PLACE or not np.isfinite(values).any():
            cure = f'give each its value, or drop the variable: ds = ds.drop_vars("{name}")'
        else:
            condition = "np.isfinite({})" if what == "infinite" else None
            cure = f"fill them, as a first guess with the median: {fill_places(name, condition=condition)}"
        where = shorten(node_labels(ds, scale or "")[gap])
        yield f"{name}: {gap.sum()} values are {what}: {scale} {where}; {cure}"


def _not_positive(ds: xr.Dataset, name: str, wrong: npt.NDArray[np.bool_]) -> str:
    scale = scale_of(name)[1] or ""
    cure = f"or as a first guess the median: {fill_places(name, condition='{} > 0')}"
    where = shorten(node_labels(ds, scale)[wrong])
    return f"{name}: {wrong.sum()} lengths are not positive: {scale} {where}; give their lengths in m, {cure}"


def check_daily(ds: xr.Dataset, summaries: Mapping[str, Summary]) -> Iterator[str]:
    """Find gaps and impossible values in daily variables."""
    features = drivers(ds)
    for name, found in summaries.items():
        base = scale_of(name)[0]
        if found.nan.count and base in features:
            cure = _fill_driver(ds, name, found)
            where = _where(ds, name, found.nan)
            yield f"{name}: {found.nan.count} values are NaN, and drivers may have none: {where}; {cure}"
        if found.infinite.count:
            condition = "np.isfinite({})"
            cure = _masked(ds, name, condition) if base in features else mask(name, condition)
            where = _where(ds, name, found.infinite)
            yield f"{name}: {found.infinite.count} values are infinite: {where}; mask them: {cure}"
        yield from _range_faults(ds, name, found, found.mean)
        if base.startswith(LABEL) and found.finite and not found.nonzero:
            cure = mask(name, "{} != 0")
            yield f"{name}: all {found.finite} labels are 0; if 0 stands for 'not observed': {cure}"


def check_ranges(ds: xr.Dataset, names: Iterable[str]) -> Iterator[str]:
    """Find impossible values in variables in memory, daily or static, that may have been lazy before.

    Wrong units are guessed from possible values only of a year or more: a heat wave in degC is like a mild
    year in degF.
    """
    for name in names:
        daily = "time" in ds[name].dims
        values = ds[name].transpose("time", ...).values if daily else ds[name].values[None]
        found = summarise(values, allowed_values(ds, name))
        if found.outside.count or found.codes.count or not daily or len(values) >= _YEAR:
            yield from _range_faults(ds.chunk(), name, found, found.mean)


def _fill_driver(ds: xr.Dataset, name: str, found: Summary) -> str:
    """Say how to fill gaps, of which some may be as long as the record."""
    scale = scale_of(name)[1] or ""
    if not found.finite:
        return f'there is no value at all, drop it: ds = ds.drop_vars("{name}")'
    chunked = ds[name].chunks is not None
    lost = found.known < 2
    code = fill_days(name, scale, lost=bool(lost.any()), chunked=chunked)
    if lost.any():
        where = f"{scale} {shorten(node_labels(ds, scale)[lost])}"
        return f"fill short gaps from the days around, and {where}, which have no record, by the mean: {code}"
    return f"fill short gaps from the days around: {code}"


def _masked(ds: xr.Dataset, name: str, condition: str) -> str:
    """Write code that masks values, and fills the gaps of what may have none."""
    base, scale = scale_of(name)
    if base in drivers(ds):
        return fill_days(name, scale or "", condition=condition, chunked=ds[name].chunks is not None)
    return fill_places(name, condition=condition) if _may_not_lack(ds, base) else mask(name, condition)


def _may_not_lack(ds: xr.Dataset, base: str) -> bool:
    return base == "length" or base in statics(ds)


def _range_faults(ds: xr.Dataset, name: str, found: Summary, middle: float) -> Iterator[str]:
    """Say what lies outside of the physical range, and what is wrong with the variable as a whole."""
    if not found.finite:
        return
    base, scale = scale_of(name)
    known = _in_expected_units(ds, name) and physical_range(base) is not None
    cause = likely_cause(name if known else f"_{scale}", found.low, found.high, middle)
    extent = f"from {found.low:g} to {found.high:g}"
    if found.outside.count and known:
        low, high = allowed_values(ds, name)
        what = "temperatures" if expected_units(base) == "degC" else "values"
        limits = f"{low:g}..{high:g} {_written_units(base)}".rstrip()
        where = _where(ds, name, found.outside)
        cure = _cure(ds, name, found, cause)
        yield f"{name}: {found.outside.count} {what} outside {limits} ({extent}): {where}; {cure}"
    elif found.outside.count or (found.codes.count and found.lowest > _LOWEST_VALUE):
        spots = found.outside if found.outside.count else found.codes
        cure = f"mask and fill them: {_masked(ds, name, _without_fill(ds, name, found))}"
        where = _where(ds, name, spots)
        yield f"{name}: {spots.count} values look like fill values ({extent}): {where}; {cure}"
    elif cause is not None and cause.units is not None:
        cure = advice(name, cause.units, expected_units(base) or "")
        units = _written_units(base) or "1"
        yield f"{name} looks like {cause.what} and not like {units} ({extent}, {middle:g} midway); {cure}"


def _written_units(base: str) -> str:
    units = expected_units(base) or ("degrees" if base in PLACE else "")
    return "" if units == "1" else units


def _cure(ds: xr.Dataset, name: str, found: Summary, cause: Cause | None) -> str:
    """Say what values outside of the range probably are, and what to do."""
    base = scale_of(name)[0]
    expected = expected_units(base) or ""
    low, high = allowed_values(ds, name)
    if cause is not None and cause.units is not None:
        return f"they look like {cause.what}; {advice(name, cause.units, expected)}"
    if cause is not None:
        condition = _without_fill(ds, name, found)
        if base in PLACE:
            return f'they look like {cause.what}: ds = ds.drop_vars("{name}"), or give the right ones'
        return f"they look like {cause.what}: mask them: {_masked(ds, name, condition)}"
    if base in PLACE:
        return f'give them in degrees (EPSG:4326), or drop the variable: ds = ds.drop_vars("{name}")'
    between = _masked(ds, name, f"({{}} >= {low:g}) & ({{}} <= {high:g})")
    if base == "slope" and found.low >= 0:
        code = advice(name, "%", expected)
        return f"if slopes are in per cent, {code}; if not, correct them, or mask them: {between}"
    if expected != "degC":
        return f"correct them, or mask them: {between}"
    if found.high > _KELVIN_FROM:
        array = f'ds["{name}"]'
        cure = f"{array} = {array}.where({array} < {_KELVIN_FROM:g}, {array} - 273.15)"
        return f"some look like kelvin, convert those: {cure}"
    some = found.known[found.outside.nodes].sum()
    if high < found.high <= _FAHRENHEIT_TO and found.outside.count > _OFTEN * some:
        cure = _some_from_fahrenheit(ds, name, found)
        return f"if these ids are in degrees Fahrenheit, convert them: {cure}; if not, mask them: {between}"
    return f"mask them: {between}"


def _without_fill(ds: xr.Dataset, name: str, found: Summary) -> str:
    """Write the condition that all values but the fill values meet, be they in other units or not."""
    low, high = allowed_values(ds, name)
    conditions = []
    if found.low < low or found.low <= _LOWEST_VALUE:
        conditions.append(f"{{}} >= {max(low, _LOWEST_VALUE):g}")
    if found.high >= HUGE:
        conditions.append(f"{{}} < {HUGE:g}")
    elif found.high > high and is_code(found.high):
        conditions.append(f"{{}} < {found.high - 1:.15g}")
    return conditions[0] if len(conditions) == 1 else " & ".join(f"({part})" for part in conditions)


def _some_from_fahrenheit(ds: xr.Dataset, name: str, found: Summary) -> str:
    scale = scale_of(name)[1] or ""
    ids = node_labels(ds, scale)[found.outside.nodes].tolist()
    array = f'ds["{name}"]'
    if len(ids) > 5 or len(ids) == ds.sizes[scale]:
        return f'{array} = (({array} - 32.0) / 1.8).assign_attrs(units="degC")'
    return f'{array} = {array}.where(~ds["{scale}"].isin({ids}), ({array} - 32.0) / 1.8)'


def check_labels(summaries: Mapping[str, Summary], labels: bool) -> Iterator[str]:
    """Find that there is nothing to learn from."""
    there = [f"{LABEL}_{scale}" for scale in SCALES if f"{LABEL}_{scale}" in summaries]
    if labels and there and not any(summaries[name].finite for name in there):
        yield (
            f"{' and '.join(there)} hold no finite value: there is nothing to learn from; add observations, "
            f"{WITHOUT_LABELS}"
        )


def node_labels(ds: xr.Dataset, dim: str) -> npt.NDArray[Any]:
    """Return the ids of a scale, or the days; positions where the dataset has none."""
    return ds.indexes[dim].to_numpy() if dim in ds.indexes else np.arange(ds.sizes[dim])


def _where(ds: xr.Dataset, name: str, spots: Spots) -> str:
    scale = scale_of(name)[1] or ""
    nodes = f"{scale} {shorten(node_labels(ds, scale)[spots.nodes])}"
    if "time" not in ds[name].dims:
        return nodes
    days = node_labels(ds, "time")[spots.days]
    return f"{nodes}; days {dates(days) if days.dtype.kind == 'M' else shorten(days)}"
