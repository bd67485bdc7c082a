"""Two-scale datasets of any size in the package's convention, generated fast, without physics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from benchmarks.rivers import make_river

__all__ = ["DRIVERS", "STATICS", "make_basin"]

Variable = tuple[tuple[str, ...], NDArray[np.generic], dict[str, str]]

# name: units, mean, amplitude over the year, spread from day to day, spread between segments
DRIVERS = {
    "air_temperature": ("degC", 11.0, 12.0, 3.0, 1.5),
    "air_temperature_max": ("degC", 17.0, 12.0, 3.0, 1.5),
    "air_temperature_min": ("degC", 5.0, 12.0, 3.0, 1.5),
    "potential_evapotranspiration": ("mm d-1", 3.0, 2.0, 0.5, 0.2),
    "precipitation": ("mm d-1", 5.0, 0.5, 2.0, 1.0),
    "relative_humidity": ("%", 65.0, 5.0, 8.0, 4.0),
    "solar_radiation": ("W m-2", 170.0, 100.0, 30.0, 5.0),
}
STATICS = {
    "drainage_area": ("km2", 1.0, 3.0),
    "elevation": ("m", 50.0, 500.0),
    "slope": ("1", 0.001, 0.02),
    "stream_order": ("1", 1.0, 4.0),
    "width": ("m", 2.0, 30.0),
}


def make_basin(n_coarse: int, n_fine: int, days: int, *, labelled: int = 0, seed: int = 0) -> xr.Dataset:
    """Make a basin: a river of segments, each a chain of reaches, weather, and labels on some reaches.

    Parameters
    ----------
    n_coarse, n_fine
        Segments and reaches; each segment has at least one reach.
    days
        Days of weather, float32 over (time, coarse), in memory.
    labelled
        Reaches with labels, each on about two consecutive months; their segments have the same labels.
        0: no labels.
    seed
        Seed of all random numbers.

    Returns
    -------
    xarray.Dataset
        The seven drivers and five attributes of the Delaware, attributes at both scales.
    """
    rng = np.random.default_rng(seed)
    down = make_river(n_coarse, seed=seed, jumble=100.0).downstream
    count = 1 + rng.multinomial(n_fine - n_coarse, np.full(n_coarse, 1 / n_coarse))
    first = np.cumsum(count) - count
    segment = np.repeat(np.arange(n_coarse), count)
    # Down the chain of a segment, and from its last reach to the first one of the next segment.
    below = np.arange(1, n_fine + 1)
    below[first + count - 1] = np.where(down < 0, -1, first[down])
    length = rng.uniform(500.0, 1800.0, n_fine)
    variables: dict[str, Variable] = {
        "downstream_coarse": (("coarse",), down + 1, {}),  # ids count from 1; 0 is none
        "downstream_fine": (("fine",), below + 1, {}),
        "coarse_segment": (("fine",), segment + 1, {}),
        "length_coarse": (("coarse",), np.bincount(segment, length), {"units": "m"}),
        "length_fine": (("fine",), length, {"units": "m"}),
    }
    time = pd.date_range("2001-10-01", periods=days, unit="ns")
    season = np.sin(2 * np.pi * (time.day_of_year.to_numpy() - 110) / 365.25)
    for name, (units, mean, amplitude, daily, spread) in DRIVERS.items():
        weather = mean + amplitude * season + rng.normal(0, daily, days)
        values = rng.standard_normal((days, n_coarse), np.float32) * np.float32(spread)
        values += weather.astype(np.float32)[:, None]
        if not name.startswith("air_temperature"):
            np.maximum(values, 0, out=values)
        variables[f"{name}_coarse"] = (("time", "coarse"), values, {"units": units})
    for name, (units, low, high) in STATICS.items():
        for scale, n in (("coarse", n_coarse), ("fine", n_fine)):
            variables[f"{name}_{scale}"] = ((scale,), rng.uniform(low, high, n), {"units": units})
    if labelled:
        water = (11.0 + 9.0 * season)[:, None]
        fine, coarse = (np.full((days, n), np.nan, np.float32) for n in (n_fine, n_coarse))
        for reach in rng.choice(n_fine, labelled, replace=False):
            start = int(rng.integers(max(1, days - 60)))
            run = water[start : start + 60, 0] + rng.normal(0, 1.0, min(60, days - start))
            fine[start : start + 60, reach] = coarse[start : start + 60, segment[reach]] = run
        for scale, values in (("coarse", coarse), ("fine", fine)):
            variables[f"water_temperature_{scale}"] = (("time", scale), values, {"units": "degC"})
    ids = {"coarse": np.arange(1, n_coarse + 1), "fine": np.arange(1, n_fine + 1)}
    return xr.Dataset(variables, {"time": time, **ids}, {"title": f"made for benchmarks, seed {seed}"})
