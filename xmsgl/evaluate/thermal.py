"""Thermal indices of daily temperature, and their errors on observed days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.pairs import common_units
from xmsgl.network.ids import other_kind
from xmsgl.schema.arrays import as_array
from xmsgl.schema.ranges import refuse_impossible_water, refuse_unlike_water
from xmsgl.schema.structure import check_days
from xmsgl.schema.units import converted, same_units
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

__all__ = ["indices"]

_YEAR = 365.25  # days
_WEEK = 7  # days
_ATTRS = {
    "n": ("1", "days with a value", "time: sum"),
    "max_7day_mean": ("degC", "highest mean over 7 consecutive days", "time: maximum (of means over 7 days)"),
    "days_above": ("d", "days above the threshold", "time: sum"),
    "degree_days": ("degC d", "sum of the daily temperatures above {base:g} degC", "time: sum"),
    "amplitude": ("degC", "amplitude of the mean annual cycle, half its range", "time: mean over years"),
    "phase": ("d", "day of the year of the maximum of the mean annual cycle", "time: mean over years"),
}


@checked
def indices(
    temperature: xr.DataArray | xr.Dataset,
    observed: xr.DataArray | xr.Dataset | None = None,
    *,
    thresholds: Sequence[float] = (18.0, 20.0, 22.0),
    base: float = 0.0,
    min_days: int = 330,
) -> xr.Dataset:
    """Compute thermal indices of each year and reach from daily temperature, or their errors.

    Parameters
    ----------
    temperature
        Daily temperature with the dimension ``time`` (gaps are allowed), NaN where missing, degC; other
        dimensions are kept. May be lazy. Daily maxima give the indices of daily maxima, such as 7DADM.
    observed
        Observations, degC: return errors, the index of `temperature` minus that of the observations, both
        from the observed days alone. Default: return the indices of `temperature`.
    thresholds
        Temperatures above which days are counted, degC.
    base
        Temperature above which degree days are summed, degC.
    min_days
        Days with a value that a year needs for its indices. The annual cycle needs as many in all years
        together, and some in each of the 12 months.

    Returns
    -------
    xarray.Dataset
        By calendar year, in the dimension ``year``: ``n``, the days with a value; ``max_7day_mean``, the
        highest mean over 7 consecutive days with values that end in the year; ``days_above``, along
        ``threshold``; ``degree_days``. Sums are over the days with a value. Over all years, from a harmonic
        fitted by least squares: ``amplitude`` and ``phase``, the day of the year of the maximum, whose error
        is between -183 and 183 days. NaN where there are too few days, or where `temperature` lacks an
        observed day. Lazy if `temperature` is.

    Raises
    ------
    InvalidArgumentError
        Other units, no dimension ``time``, days that are not daily, no day and reach in common or none with
        labels, observations with a dimension that `temperature` lacks, values that are no water temperatures.
    InvalidDatasetError
        Observations that are no water temperatures.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-01-01", "2001-12-31")
    >>> cycle = 12 - 10 * np.cos(2 * np.pi * (np.arange(365) - 19) / 365.25)
    >>> observed = xr.DataArray(cycle[:, None], coords={"time": days, "fine": [7]})
    >>> result = indices(observed)
    >>> result.days_above.sel(year=2001, threshold=20.0).item()
    75.0
    >>> round(result.amplitude.item(), 3), round(result.phase.item(), 1)
    (10.0, 202.6)
    >>> round(indices(observed + 0.5, observed).max_7day_mean.item(), 3)
    0.5
    """
    options: dict[str, Any] = {"thresholds": thresholds, "base": base, "min_days": min_days}
    array = as_array(temperature, "temperature")
    if observed is None:
        return _indices(daily(array), **options)
    seen = as_array(observed, "observed")
    if strange := set(seen.dims) - set(array.dims):
        msg = f"observed has the dimension {shorten(strange)}, which the temperature, {array.dims}, lacks"
        raise InvalidArgumentError(f"{msg}; give both along the same reaches")
    common_units(array, seen)
    array, seen = _in_common(array, seen)
    mine = _indices(daily(array.where(seen.notnull())), **options)
    theirs = _indices(daily(seen, "observed", refuse_impossible_water), **options)
    errors = mine - theirs
    errors["phase"] = (errors["phase"] + _YEAR / 2) % _YEAR - _YEAR / 2
    whole = mine["n"] == theirs["n"]
    errors = errors.map(lambda error: error.where(whole if "year" in error.dims else whole.all("year")))
    for name in errors.data_vars:
        about = f"error of the {mine[name].attrs['long_name']}"
        errors[name].attrs = {**mine[name].attrs, "long_name": about}
    return errors.assign(n=theirs["n"]).assign_attrs(title="errors of thermal indices on observed days")


def _in_common(array: xr.DataArray, seen: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Keep the days and reaches that both arrays have."""
    for dim in map(str, seen.dims):
        for what, each in (("temperature", array), ("observed", seen)):
            index = each.indexes.get(dim)
            if index is None:
                msg = f"{what} has no labels along {dim!r}; arrays are aligned by label only"
                raise InvalidArgumentError(msg)
            if not index.is_unique:
                twice = index[index.duplicated()].unique()
                msg = f"{what} has labels along {dim!r} more than once: {shorten(twice)}; keep one of each"
                raise InvalidArgumentError(msg)
        if not len(array.indexes[dim].intersection(seen.indexes[dim])):
            mine, theirs = array.indexes[dim], seen.indexes[dim]
            both = f"{shorten(mine, 3)} against {shorten(theirs, 3)}{other_kind(mine, theirs)}"
            msg = f"temperature and observed have no label in common along {dim!r}: {both}"
            raise InvalidArgumentError(msg)
    array, seen = xr.align(array, seen, join="inner")
    return array, seen


def _indices(array: xr.DataArray, thresholds: Sequence[float], base: float, min_days: int) -> xr.Dataset:
    above = np.atleast_1d(np.asarray(thresholds, np.float64))
    levels = xr.DataArray(above, {"threshold": ("threshold", above, {"units": "degC"})})
    found = {
        "max_7day_mean": array.rolling(time=_WEEK).mean().groupby("time.year").max(),
        "days_above": (array > levels).groupby("time.year").sum(),
        "degree_days": (array - base).clip(min=0).groupby("time.year").sum(),
    }
    n = array.groupby("time.year").count()
    amplitude, phase = _cycle(array, min_days)
    result = xr.Dataset({key: value.where(n >= min_days) for key, value in found.items()})
    result = result.assign(n=n, amplitude=amplitude, phase=phase)[list(_ATTRS)]
    for name, (units, text, method) in _ATTRS.items():
        result[name].attrs = {"units": units, "long_name": text.format(base=base), "cell_methods": method}
    result["year"].attrs = {"long_name": "calendar year", "units": "1"}
    return result.assign_attrs(title="thermal indices of daily temperature")


def daily(
    array: xr.DataArray,
    what: str = "temperature",
    refuse: Callable[[npt.NDArray[Any], str], None] = refuse_unlike_water,
) -> xr.DataArray:
    """Check the array, sort it and insert the missing days; lazy values are checked when computed."""
    units = str(array.attrs.get("units", "degC"))
    if not same_units(units, "degC"):
        code = converted(what, units, "degC")
        msg = f"the {what} is in {units!r}; {f'convert: {code}' if code else 'give it in degC'}"
        raise InvalidArgumentError(msg)
    if "time" not in array.indexes or not array.size:
        msg = f"the temperature has sizes {dict(array.sizes)}; it needs days with labels along 'time'"
        raise InvalidArgumentError(msg)
    # Gaps are no fault here: no mean over 7 days spans one.
    faults = [fault for fault in check_days(array.coords.to_dataset()) if "has gaps" not in fault]
    if faults:
        raise InvalidArgumentError("; ".join(faults))
    options: dict[str, Any] = {"dask": "parallelized", "output_dtypes": [array.dtype], "keep_attrs": True}
    array = xr.apply_ufunc(_possible, array, kwargs={"refuse": refuse, "what": what}, **options)
    days = array.indexes["time"]
    return array.astype(np.float64).reindex(time=pd.date_range(days.min(), days.max(), name="time"))


def _possible(
    values: npt.NDArray[Any], *, refuse: Callable[[npt.NDArray[Any], str], None], what: str
) -> npt.NDArray[Any]:
    """Return the values of a block if they are not refused."""
    refuse(values, what)
    return values


def _cycle(array: xr.DataArray, min_days: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Fit a harmonic to all days: its amplitude, and the day of the year of its maximum."""
    fit, enough = annual_cycle(array, min_days)
    cosine: Any = fit.isel(other=1)
    sine: Any = fit.isel(other=2)
    amplitude = np.hypot(cosine, sine).where(enough)
    return amplitude, (np.arctan2(sine, cosine) * _YEAR / (2 * np.pi) % _YEAR).where(enough)


def annual_cycle(array: xr.DataArray, min_days: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Fit a mean, a cosine and a sine of the year to all days with a value, by least squares.

    Return them along ``other``, and where there are `min_days` and a day in each month; 0 elsewhere.
    """
    angle = 2 * np.pi / _YEAR * array["time"].dt.dayofyear.values
    terms = xr.DataArray([np.ones_like(angle), np.cos(angle), np.sin(angle)], dims=("term", "time"))
    seen = array.notnull()
    months = seen.groupby("time.month").any("time").sum("month")
    enough = (seen.sum("time") >= min_days) & (months == 12)
    normal = xr.dot(terms, terms.rename(term="other"), seen.astype(np.float64), dim="time")
    right = xr.dot(terms, array.fillna(0.0), dim="time")
    fit: xr.DataArray = xr.apply_ufunc(
        lambda left, right: np.linalg.solve(left, right[..., None])[..., 0],
        normal.where(enough, xr.DataArray(np.eye(3), dims=("term", "other"))),
        right.where(enough, 0.0),
        input_core_dims=[["term", "other"], ["term"]],
        output_core_dims=[["other"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return fit, enough
