"""Words and code for messages: the code corrects a fault of a dataset named ``ds`` when it is run."""

from __future__ import annotations

__all__ = ["counted", "daily_means", "fill_days", "fill_places", "mask"]


def counted(number: int, one: str, many: str) -> str:
    """Write a number with the words for one or for many."""
    return f"{number:,} {one if number == 1 else many}"


def mask(name: str, condition: str, other: str = "") -> str:
    """Write code that sets to NaN, or to another value, what does not meet a condition."""
    return f'ds["{name}"] = {_kept(name, condition, other)}'


def _kept(name: str, condition: str | None, other: str = "") -> str:
    array = f'ds["{name}"]'
    if condition is None:
        return array
    return f"{array}.where({condition.replace('{}', array)}{other and f', {other}'})"


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


def daily_means() -> str:
    """Write code that takes daily means and leaves variables without time as they are."""
    daily = 'ds[[name for name in ds.data_vars if "time" in ds[name].dims]]'
    return f'ds = ds.drop_dims("time").merge({daily}.resample(time="D").mean(keep_attrs=True))'
