"""Errors added to the coarse labels or to the process model, to test how sensitive a method is to them.

Each function returns a new dataset that differs in one coarse temperature only. Fine labels never change, so
every degraded dataset is scored on the same observations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UnknownNameError
from xmsgl.schema.names import LABEL, PROCESS_COARSE
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DEGRADATIONS",
    "SOURCES",
    "add_bias",
    "add_noise",
    "add_seasonal_bias",
    "degrade",
    "drop_segments",
    "is_random",
    "parse_degradation",
]

Floats: TypeAlias = npt.NDArray[np.float32]

SOURCES: dict[str, str] = {
    "coarse": f"{LABEL}_coarse",
    "process": PROCESS_COARSE,
}
"""What can be degraded: the coarse labels, and the temperature of the process model."""

_LOW, _HIGH = -5.0, 45.0  # degC, allowed by the convention
_WARMEST = 208  # day of the year: late July, when rivers of the northern mid-latitudes peak
_PREFIX = "process_"
_RANDOM = ("noise", "missing_segments")


def add_noise(ds: xr.Dataset, deviation: float, seed: int = 0, *, source: str = "coarse") -> xr.Dataset:
    """Add independent Gaussian noise of a standard deviation, degC, to every value."""
    if not deviation >= 0:
        msg = f"noise is {deviation}; it is a standard deviation in degC, at least 0"
        raise InvalidArgumentError(msg)
    variable = _variable(ds, source)
    rows, columns = _ranks(variable["time"].values), _ranks(variable["coarse"].values)
    drawn = np.random.default_rng(seed).standard_normal((len(rows), len(columns)), dtype=np.float32)
    return _shifted(ds, source, np.float32(deviation) * drawn[np.ix_(rows, columns)], f"noise {deviation}")


def add_bias(ds: xr.Dataset, bias: float, *, source: str = "coarse") -> xr.Dataset:
    """Add a constant, degC, to every value."""
    return _shifted(ds, source, np.full((1, 1), bias, np.float32), f"bias {bias}")


def add_seasonal_bias(ds: xr.Dataset, amplitude: float, *, source: str = "coarse") -> xr.Dataset:
    """Add a bias that follows the season: too warm in summer and too cold in winter, or the reverse."""
    variable = _variable(ds, source)
    day = pd.DatetimeIndex(variable["time"].values).day_of_year.to_numpy(np.float64)
    wave = amplitude * np.cos(2 * np.pi * (day - _WARMEST) / 365.25)
    return _shifted(ds, source, wave.astype(np.float32)[:, None], f"seasonal bias {amplitude}")


def drop_segments(ds: xr.Dataset, fraction: float, seed: int = 0, *, source: str = "coarse") -> xr.Dataset:
    """Remove all values of a random fraction of the segments."""
    if not 0 <= fraction <= 1:
        msg = f"missing_segments is {fraction}; it is a fraction of the segments, between 0 and 1"
        raise InvalidArgumentError(msg)
    variable = _variable(ds, source)
    known = np.sort(variable["coarse"].values[variable.notnull().any("time").values])
    drawn = np.random.RandomState(seed).choice(known.size, round(fraction * known.size), replace=False)
    kept = xr.DataArray(~np.isin(variable["coarse"].values, known[drawn]), dims="coarse")
    return _replaced(ds, source, variable.where(kept), f"missing segments {fraction}")


DEGRADATIONS: dict[str, Callable[..., xr.Dataset]] = {
    "noise": add_noise,
    "bias": lambda ds, bias, _, *, source: add_bias(ds, bias, source=source),
    "seasonal_bias": lambda ds, amplitude, _, *, source: add_seasonal_bias(ds, amplitude, source=source),
    "missing_segments": drop_segments,
}
"""Degradations by name; with the prefix ``process_``, of the process model."""


def parse_degradation(name: str) -> tuple[Callable[..., xr.Dataset], str]:
    """Return the function and the source of a name."""
    base = name.removeprefix(_PREFIX)
    if base not in DEGRADATIONS:
        raise UnknownNameError(
            "degradation", name, [*DEGRADATIONS, *(f"{_PREFIX}{known}" for known in DEGRADATIONS)]
        )
    return DEGRADATIONS[base], "coarse" if base == name else "process"


def is_random(name: str) -> bool:
    """Say whether a degradation depends on the seed."""
    return name.removeprefix(_PREFIX) in _RANDOM


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
        Lazy where ``ds`` is.

    Raises
    ------
    UnknownNameError
        No degradation has that name.
    InvalidArgumentError
        A negative noise, or a fraction outside 0..1.
    InvalidDatasetError
        The temperature to degrade is missing.

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
    for name, amount in amounts.items():
        function, source = parse_degradation(name)
        ds = function(ds, amount, seed, source=source)
    return ds


def _variable(ds: xr.Dataset, source: str) -> xr.DataArray:
    if source not in SOURCES:
        raise UnknownNameError("source", source, SOURCES)
    name = SOURCES[source]
    if name not in ds:
        raise InvalidDatasetError([f"{name} is missing, so it cannot be degraded"])
    return ds[name].transpose("time", "coarse")


def _ranks(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return the position of each label among the sorted ones."""
    return np.argsort(np.argsort(labels)).astype(np.int64)


def _shifted(ds: xr.Dataset, source: str, shift: Floats, line: str) -> xr.Dataset:
    variable = _variable(ds, source)
    return _replaced(ds, source, variable.copy(data=variable.data + shift).clip(_LOW, _HIGH), line)


def _replaced(ds: xr.Dataset, source: str, values: xr.DataArray, line: str) -> xr.Dataset:
    former = ds[SOURCES[source]]
    kept = values.astype(former.dtype).transpose(*former.dims).assign_attrs(former.attrs)
    return stamp(ds.assign({SOURCES[source]: kept}), f"degraded {SOURCES[source]}: {line}")
