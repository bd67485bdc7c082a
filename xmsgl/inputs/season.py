"""The time of year as an input: cosine and sine of it, the same at every place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.inputs.features import time_of_year

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

__all__ = ["SEASON", "assign_season", "wants_season"]

#: Base names of the two drivers.
SEASON = ("season_cos", "season_sin")
_WORDS = {"season_cos": "cosine", "season_sin": "sine"}


def assign_season(ds: xr.Dataset) -> xr.Dataset:
    """Add the time of year to the drivers of a dataset.

    Air temperature and radiation are alike in spring and autumn, rivers are not: snow melts, groundwater
    lags, leaves shade.

    Shapes: returns (time, coarse).
    """
    circle = time_of_year(pd.DatetimeIndex(ds["time"].values).day_of_year)
    shape = ds.sizes["time"], ds.sizes["coarse"]
    series = dict(zip(SEASON, circle.T, strict=True))
    return ds.assign(
        {
            f"{name}_coarse": (
                ("time", "coarse"),
                np.broadcast_to(values.astype(np.float32)[:, None], shape),
                {"units": "1", "long_name": f"{_WORDS[name]} of the time of year"},
            )
            for name, values in series.items()
        }
    )


def wants_season(names: Iterable[str]) -> bool:
    """Say whether the time of year is among the base names of some features."""
    return any(name in SEASON for name in names)
