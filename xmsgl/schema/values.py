"""Checks of values: gaps, values outside physical ranges, and labels that cannot be observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import shorten
from xmsgl.schema.advice import counted, fill_days, fill_places, mask
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

__all__ = ["allowed_values", "check_daily", "check_labels", "check_ranges", "check_statics"]

_ANY: Range = (-HUGE, HUGE)
_LOWEST_VALUE = -990.0  # of an unknown quantity, where -999 and lower are fill values
_KELVIN_FROM = 150.0  # no air or water is as hot in degC or as cold in kelvin
_FAHRENHEIT_TO = 140.0  # degF, 60 degC
_YEAR = 365
_OFTEN = 0.02  # of the values of an id; faulty sensors affect fewer, and in degF all summers are outside


def allowed_values(ds: xr.Dataset, name: str) -> Range:
    """Return the range of a variable: any but huge values for unknown quantities and in other units."""
    return physical_range(scale_of(name)[0]) or _ANY if _in_expected_units(ds, name) else _ANY


def _in_expected_units(ds: xr.Dataset, name: str) -> bool:
    expected, units = expected_units(scale_of(name)[0]), ds[name].attrs.get("units")
    if expected is None or not isinstance(units, str) or not units.strip():
        return True
    return same_units(units, expected)


def check_statics(ds: xr.Dataset, small: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Find gaps and impossible values in lengths, static attributes and coordinates."""
    for base in ("length", *statics(ds), *sorted(PLACE)):
        for scale in SCALES:
            name = f"{base}_{scale}"
            if name not in small or small[name].dtype.kind not in "iuf" or ds[name].dims != (scale,):
                continue
            values = small[name].astype(np.float64)
            yield from _gaps_of_static(ds, name, values)
            wrong = values <= 0
            if base == "length" and wrong.any():
                what = f"{counted(wrong.sum(), 'length is', 'lengths are')} not positive"
                cure = f"use the median as a first guess: {fill_places(name, condition='{} > 0')}"
                yield f"{name}: {what}: {_nodes(ds, name, wrong)}; give the length in m, or {cure}"
                values = np.where(wrong, np.nan, values)
            found = summarise(values[None, :], allowed_values(ds, name))
            plain = values[np.isfinite(values) & (values > _LOWEST_VALUE) & (values < HUGE)]
            yield from _range_faults(ds, name, found, float(np.median(plain)) if plain.size else np.nan)


def _gaps_of_static(ds: xr.Dataset, name: str, values: npt.NDArray[np.float64]) -> Iterator[str]:
    for gap, what, condition in (
        (np.isnan(values), "NaN", None),
        (np.isinf(values), "infinite", "np.isfinite({})"),
    ):
        if not gap.any():
            continue
        if scale_of(name)[0] in PLACE or not np.isfinite(values).any():
            cure = f'give the values, or drop the variable: ds = ds.drop_vars("{name}")'
        else:
            code = fill_places(name, condition=condition)
            cure = f"fill the gaps, as a first guess with the median: {code}"
        count = counted(gap.sum(), "value is", "values are")
        yield f"{name}: {count} {what}: {_nodes(ds, name, gap)}; {cure}"


def check_daily(ds: xr.Dataset, summaries: Mapping[str, Summary]) -> Iterator[str]:
    """Find gaps and impossible values in daily variables."""
    features = drivers(ds)
    for name, found in summaries.items():
        base = scale_of(name)[0]
        if found.nan.count and base in features:
            what = counted(found.nan.count, "value is", "values are")
            where, cure = _where(ds, name, found.nan), _fill_driver(ds, name, found)
            yield f"{name}: {what} NaN, but drivers must be complete: {where}; {cure}"
        if found.infinite.count:
            condition = "np.isfinite({})"
            cure = _masked(ds, name, condition) if base in features else mask(name, condition)
            what = counted(found.infinite.count, "value is", "values are")
            yield f"{name}: {what} infinite: {_where(ds, name, found.infinite)}; mask them: {cure}"
        yield from _range_faults(ds, name, found, found.mean)
        if base.startswith(LABEL) and found.finite and not found.nonzero:
            cure = mask(name, "{} != 0")
            yield f"{name}: all {found.finite} labels are 0; if 0 means 'not observed': {cure}"


def check_ranges(ds: xr.Dataset, names: Iterable[str]) -> Iterator[str]:
    """Find impossible values in variables in memory that may have been lazy before.

    Wrong units are guessed from possible values of a year or more only: a heat wave in degC resembles a mild
    year in degF.
    """
    for name in names:
        daily = "time" in ds[name].dims
        values = ds[name].transpose("time", ...).values if daily else ds[name].values[None]
        found = summarise(values, allowed_values(ds, name))
        enough = found.outside.count or found.codes.count or not daily or len(values) >= _YEAR
        if enough and any(_range_faults(ds, name, found, found.mean)):
            yield from _range_faults(ds.chunk(), name, found, found.mean)  # advice for a lazy dataset


def _fill_driver(ds: xr.Dataset, name: str, found: Summary) -> str:
    """Write how to fill the gaps of a driver, some of which may be as long as the record."""
    scale = scale_of(name)[1] or ""
    if not found.finite:
        return f'the variable has no values; drop it: ds = ds.drop_vars("{name}")'
    lost = found.known < 2
    code = fill_days(name, scale, lost=bool(lost.any()), chunked=ds[name].chunks is not None)
    where = f", and {_nodes(ds, name, lost)} (no record) with the {scale} mean" if lost.any() else ""
    return f"fill short gaps from neighbouring days{where}: {code}"


def _masked(ds: xr.Dataset, name: str, condition: str) -> str:
    """Write code that masks values, and fills the gaps of variables that must be complete."""
    base, scale = scale_of(name)
    if base in drivers(ds):
        return fill_days(name, scale or "", condition=condition, chunked=ds[name].chunks is not None)
    complete = base == "length" or base in statics(ds)
    return fill_places(name, condition=condition) if complete else mask(name, condition)


def _range_faults(ds: xr.Dataset, name: str, found: Summary, middle: float) -> Iterator[str]:
    """Find values outside the physical range, or a fault of the variable as a whole."""
    if not found.finite:
        return
    base, scale = scale_of(name)
    known = _in_expected_units(ds, name) and physical_range(base) is not None
    cause = likely_cause(name if known else f"_{scale}", found.low, found.high, middle)
    extent = f"from {found.low:g} to {found.high:g}"
    if found.outside.count and known:
        low, high = allowed_values(ds, name)
        kind = "temperature" if expected_units(base) == "degC" else "value"
        what = counted(found.outside.count, f"{kind} is", f"{kind}s are")
        limits = f"{low:g}..{high:g} {_written_units(base)}".rstrip()
        where = _where(ds, name, found.outside)
        yield f"{name}: {what} outside {limits} ({extent}): {where}; {_cure(ds, name, found, cause)}"
    elif found.outside.count or (found.codes.count and found.lowest > _LOWEST_VALUE):
        spots = found.outside if found.outside.count else found.codes
        what = counted(spots.count, "value looks like a fill value", "values look like fill values")
        cure = _masked(ds, name, _without_fill(ds, name, found))
        yield f"{name}: {what} ({extent}): {_where(ds, name, spots)}; mask and fill them: {cure}"
    elif cause is not None and cause.units is not None:
        cure = advice(name, cause.units, expected_units(base) or "")
        units = _written_units(base) or "1"
        extent += f", typically {middle:g}"
        yield f"{name}: values are probably {cause.what}, not {units} ({extent}); {cure}"


def _written_units(base: str) -> str:
    units = expected_units(base) or ("degrees" if base in PLACE else "")
    return "" if units == "1" else units


def _cure(ds: xr.Dataset, name: str, found: Summary, cause: Cause | None) -> str:
    """Write what values outside the range probably are, and what to do."""
    base = scale_of(name)[0]
    expected = expected_units(base) or ""
    low, high = allowed_values(ds, name)
    if cause is not None and cause.units is not None:
        return f"probably {cause.what}; {advice(name, cause.units, expected)}"
    probably = f"probably {cause.what}; " if cause is not None else ""
    if base in PLACE:
        return f'{probably}give degrees (EPSG:4326), or drop the variable: ds = ds.drop_vars("{name}")'
    if probably:
        return f"{probably}mask them: {_masked(ds, name, _without_fill(ds, name, found))}"
    between = _masked(ds, name, f"({{}} >= {low:g}) & ({{}} <= {high:g})")
    if base == "slope" and found.low >= 0:
        code = advice(name, "%", expected)
        return f"if slopes are in per cent, {code}; if not, correct them, or mask them: {between}"
    if expected != "degC":
        return f"correct them, or mask them: {between}"
    if found.high > _KELVIN_FROM:
        cure = mask(name, f"{{}} < {_KELVIN_FROM:g}", f'ds["{name}"] - 273.15')
        return f"some are probably kelvin; convert those: {cure}"
    some = found.known[found.outside.nodes].sum()
    if high < found.high <= _FAHRENHEIT_TO and found.outside.count > _OFTEN * some:
        cure = _some_from_fahrenheit(ds, name, found)
        return f"if these ids are in degrees Fahrenheit, convert them: {cure}; if not, mask them: {between}"
    return f"mask them: {between}"


def _without_fill(ds: xr.Dataset, name: str, found: Summary) -> str:
    """Write the condition that all values except fill values meet, in whichever units."""
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
    ids = _node_labels(ds, scale)[found.outside.nodes].tolist()
    array = f'ds["{name}"]'
    if len(ids) > 5 or len(ids) == ds.sizes[scale]:
        return f'{array} = (({array} - 32.0) / 1.8).assign_attrs(units="degC")'
    return f'{array} = {array}.where(~ds["{scale}"].isin({ids}), ({array} - 32.0) / 1.8)'


def check_labels(summaries: Mapping[str, Summary], labels: bool) -> Iterator[str]:
    """Find datasets without any label."""
    there = [name for name in (f"{LABEL}_{scale}" for scale in SCALES) if name in summaries]
    if labels and there and not any(summaries[name].finite for name in there):
        what = f"{' and '.join(there)} contain no finite value: there is nothing to train on"
        yield f"{what}; add observations, {WITHOUT_LABELS}"


def _nodes(ds: xr.Dataset, name: str, where: npt.NDArray[Any]) -> str:
    """Write the scale and the first few ids of a variable at some positions."""
    scale = scale_of(name)[1] or ""
    return f"{scale} {shorten(_node_labels(ds, scale)[where])}"


def _node_labels(ds: xr.Dataset, dim: str) -> npt.NDArray[Any]:
    """Return the ids of a scale, or the days; positions where the dataset has none."""
    return ds.indexes[dim].to_numpy() if dim in ds.indexes else np.arange(ds.sizes[dim])


def _where(ds: xr.Dataset, name: str, spots: Spots) -> str:
    nodes = _nodes(ds, name, spots.nodes)
    if "time" not in ds[name].dims:
        return nodes
    days = _node_labels(ds, "time")[spots.days]
    return f"{nodes}; days {dates(days) if days.dtype.kind == 'M' else shorten(days)}"
