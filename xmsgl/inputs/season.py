"""The time of year as an input: its cosine and sine, the same at every segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.inputs.features import time_of_year

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

__all__ = ["SEASON", "assign_season", "wants_season"]

#: Base names of the two drivers, and what each is of the time of year.
SEASON = {"season_cos": "cosine", "season_sin": "sine"}


def assign_season(ds: xr.Dataset) -> xr.Dataset:
    """Add the time of year to the drivers of a dataset, (time, coarse) each.

    At equal air temperature and radiation, spring and autumn differ in snow melt, groundwater and shade.
    """
    circle = time_of_year(pd.DatetimeIndex(ds["time"].values).day_of_year).astype(np.float32)
    shape = ds.sizes["time"], ds.sizes["coarse"]
    return ds.assign(
        {
            f"{name}_coarse": (
                ("time", "coarse"),
                np.broadcast_to(circle[:, k, None], shape),
                {"units": "1", "long_name": f"{what} of the time of year"},
            )
            for k, (name, what) in enumerate(SEASON.items())
        }
    )


def wants_season(names: Iterable[str]) -> bool:
    """Say whether the time of year is among the base names of some features."""
    return not SEASON.keys().isdisjoint(names)
