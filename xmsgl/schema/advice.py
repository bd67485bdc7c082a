"""Code that cures a fault, ready to run on a dataset named ``ds``: what messages advise."""

from __future__ import annotations

__all__ = ["daily_means", "fill_days", "fill_places", "mask", "settle_none"]


def mask(name: str, condition: str) -> str:
    """Write code that sets to NaN what does not meet a condition."""
    return f'ds["{name}"] = {_kept(name, condition)}'


def _kept(name: str, condition: str | None) -> str:
    array = f'ds["{name}"]'
    return f"{array}.where({condition.replace('{}', array)})" if condition else array


def fill_days(
    name: str, scale: str, *, condition: str | None = None, lost: bool = False, chunked: bool = False
) -> str:
    """Write code that fills the gaps of a daily variable with the values of the nearest days."""
    kept = _kept(name, condition)
    whole = ".chunk(time=-1)" if chunked else ""
    filled = f'{kept}{whole}.interpolate_na(dim="time", method="nearest", fill_value="extrapolate")'
    return f'ds["{name}"] = {filled}' + (f'.fillna({kept}.mean("{scale}"))' if lost else "")


def fill_places(name: str, *, condition: str | None = None) -> str:
    """Write code that fills the gaps of a static variable with its median."""
    kept = _kept(name, condition)
    return f'ds["{name}"] = {kept}.fillna({kept}.compute().median())'


def settle_none(name: str, condition: str, kind: str) -> str:
    """Write code that sets ids to "none" where they do not meet a condition."""
    array = f'ds["{name}"]'
    none = '""' if kind == "U" else "0"
    return f"{array} = {array}.where({condition.replace('{}', array)}, {none})"


def daily_means() -> str:
    """Write code that brings several values a day to one, and leaves what has no days as it is."""
    daily = 'ds[[name for name in ds.data_vars if "time" in ds[name].dims]]'
    return f'ds = ds.drop_dims("time").merge({daily}.resample(time="D").mean(keep_attrs=True))'
