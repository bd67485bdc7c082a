"""Errors added to the coarse labels or to the process model, to test how sensitive a method is to them.

Fine labels never change, so every degraded dataset is scored on the same observations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UnknownNameError
from xmsgl.evaluate.resample import check_confidence
from xmsgl.schema.names import LABEL, PROCESS_COARSE
from xmsgl.schema.units import need_units
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEGRADATIONS", "SOURCES", "degrade", "is_random", "parse_degradation"]

SOURCES = {"coarse": f"{LABEL}_coarse", "process": PROCESS_COARSE}
"""The coarse labels and the temperature of the process model, which can be degraded."""

_LOW, _HIGH = -5.0, 45.0  # degC, allowed by the convention
_WARMEST = 208  # day of the year: late July, when rivers of the northern mid-latitudes peak
_PREFIX = "process_"
_RANDOM = ("noise", "missing_segments")


def _noise(temperature: xr.DataArray, deviation: float, seed: int) -> xr.DataArray:
    """Add independent Gaussian noise to every value."""
    if not deviation >= 0:
        msg = f"noise is {deviation}; it is a standard deviation in degC, at least 0"
        raise InvalidArgumentError(msg)
    # In the order of dates and ids, so that the order of the file does not matter.
    rows, columns = (np.argsort(np.argsort(temperature[dim].values)) for dim in ("time", "coarse"))
    drawn = np.random.default_rng(seed).standard_normal(temperature.shape, dtype=np.float32)
    return (temperature + np.float32(deviation) * drawn[np.ix_(rows, columns)]).clip(_LOW, _HIGH)


def _bias(temperature: xr.DataArray, bias: float, _: int) -> xr.DataArray:
    """Add a constant to every value."""
    return (temperature + np.float32(bias)).clip(_LOW, _HIGH)


def _seasonal_bias(temperature: xr.DataArray, amplitude: float, _: int) -> xr.DataArray:
    """Add a bias that follows the season: too warm in summer and too cold in winter, or the reverse."""
    day = pd.DatetimeIndex(temperature["time"].values).day_of_year.to_numpy(np.float64)
    wave = amplitude * np.cos(2 * np.pi * (day - _WARMEST) / 365.25)
    return (temperature + wave.astype(np.float32)[:, None]).clip(_LOW, _HIGH)


def _missing_segments(temperature: xr.DataArray, fraction: float, seed: int) -> xr.DataArray:
    """Remove all values of a random fraction of the segments."""
    if not 0 <= fraction <= 1:
        msg = f"missing_segments is {fraction}; it is a fraction of the segments, between 0 and 1"
        raise InvalidArgumentError(msg)
    segments = temperature["coarse"].values
    known = np.sort(segments[temperature.notnull().any("time").values])
    drawn = np.random.RandomState(seed).choice(known.size, round(fraction * known.size), replace=False)
    return temperature.where(xr.DataArray(~np.isin(segments, known[drawn]), dims="coarse"))


DEGRADATIONS: dict[str, Callable[[xr.DataArray, float, int], xr.DataArray]] = {
    "noise": _noise,
    "bias": _bias,
    "seasonal_bias": _seasonal_bias,
    "missing_segments": _missing_segments,
}
"""Degradations of a temperature ``(time, coarse)`` by name, given an amount and a seed."""


def parse_degradation(name: str) -> tuple[str, str]:
    """Split a name into that of the degradation and that of its source."""
    base = name.removeprefix(_PREFIX)
    if base not in DEGRADATIONS:
        known = [f"{prefix}{each}" for prefix in ("", _PREFIX) for each in DEGRADATIONS]
        raise UnknownNameError("degradation", name, known)
    return base, "coarse" if base == name else "process"


def is_random(name: str) -> bool:
    """Say whether a degradation depends on the seed."""
    return name.removeprefix(_PREFIX) in _RANDOM


@checked
def degrade(ds: xr.Dataset, amounts: Mapping[str, float], seed: int = 0) -> xr.Dataset:
    """Apply degradations by name, in the order given.

    Parameters
    ----------
    ds
        A dataset of the convention; it is not changed.
    amounts
        By name: ``noise``, ``bias``, ``seasonal_bias`` (degC) and ``missing_segments`` (a fraction) of the
        coarse labels, or with the prefix ``process_`` of the process model.
    seed
        Seed of the noise and the missing segments.

    Returns
    -------
    xarray.Dataset
        Lazy where ``ds`` is. Integers become float32.

    Raises
    ------
    UnknownNameError
        No degradation has that name.
    InvalidArgumentError
        A negative noise, a fraction outside 0..1, or an amount that is not finite.
    InvalidDatasetError
        The temperature to degrade is missing or not in degC.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> ds = xr.Dataset(
    ...     {"water_temperature_coarse": (("time", "coarse"), [[10.0]])},
    ...     {"time": pd.date_range("2000-01-01", periods=1), "coarse": [1]},
    ... )
    >>> degrade(ds, {"bias": 1.0}).water_temperature_coarse.item()
    11.0
    """
    check_confidence(None, seed)
    for name, amount in amounts.items():
        kind, source = parse_degradation(name)
        variable = SOURCES[source]
        if variable not in ds:
            raise InvalidDatasetError([f"{variable} is missing, so it cannot be degraded"])
        if not np.isfinite(amount):
            msg = f"{name} is {amount}; it must be a finite number"
            raise InvalidArgumentError(msg)
        former = ds[variable]
        need_units(former, "degC")
        former = former if former.dtype.kind == "f" else former.astype(np.float32)
        worse = DEGRADATIONS[kind](former.transpose("time", "coarse"), amount, seed)
        worse = worse.astype(former.dtype).transpose(*former.dims).assign_attrs(former.attrs)
        line = f"degraded {variable}: {kind.replace('_', ' ')} {amount}"
        ds = stamp(ds.assign({variable: worse}), line)
    return ds
