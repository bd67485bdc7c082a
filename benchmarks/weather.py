"""Air temperature of the Delaware dataset against PRISM at 20 gauges: ``python -m benchmarks.weather``.

RMSE (degC) of the gauge's segment on the two years after those that ``forcing="stations"`` is fitted to. A
PRISM mean covers the 24 hours until 12 UTC of its day, so it is compared in two ways: with half of the
maximum of the day before and a quarter of the minimum of each of both days ("12 UTC"), and with these four
values weighted by least squares on the two years before ("weighted"). For "left out", the regression is
fitted without the gauges within 25 km.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.datasets.delaware_basin.forcing import (
    fit_temperature,
    predictors,
    read_era5,
    read_hru_forcing,
    read_stations,
)
from xmsgl.datasets.delaware_basin.segments import read_segments
from xmsgl.datasets.download import fetch
from xmsgl.readers.rds import read_rds
from xmsgl.readers.weather import inverse_distance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["main", "table"]

TESTED = "2018-10-01"
NEAR = 25e3  # m
LABELS = ("era5", "stations", "left out")
# two parts of the basin; 01466500, in the Pine Barrens, has its own climate
PARTS = {"mean 39.8-40.2 N": (39.8, 40.2), "mean 41.4-42.1 N": (41.4, 42.1)}
APART = "USGS-01466500"


def _rmse(
    low: NDArray[np.float64], high: NDArray[np.float64], prism: pd.Series[float]
) -> tuple[float, float]:
    """Compare extremes (time,) with PRISM of the same days, at 12 UTC and weighted."""
    truth = prism.to_numpy()[1:]
    parts = np.column_stack([np.ones(truth.size), high[:-1], high[1:], low[:-1], low[1:]])
    test = prism.index[1:] >= TESTED
    fitted, *_ = np.linalg.lstsq(parts[~test], truth[~test], rcond=None)
    fixed = np.array([0.0, 0.5, 0.0, 0.25, 0.25])
    plain, weighted = (float(np.sqrt(((parts @ w - truth)[test] ** 2).mean())) for w in (fixed, fitted))
    return plain, weighted


def table(files: Mapping[str, Path]) -> pd.DataFrame:
    """Score every gauge, from south to north."""
    segments = read_segments(files).table
    era5, hru, stations = read_era5(files), read_hru_forcing(files, segments), read_stations(files)
    sites = read_rds(files["sites"]).drop_duplicates("site_id").set_index("site_id")
    own = segments.index.get_indexer(sites.loc[list(stations.prism), "seg_id_nat"].astype(int))
    distance = 1.0 / inverse_distance(stations.place, stations.place, 1.0)
    day = pd.DatetimeIndex(stations.prism.index)
    rows = {}
    for gauge, name in enumerate(stations.prism):
        far = distance[gauge] > NEAR
        fewer = replace(stations, prism=stations.prism.loc[:, far], place=stations.place[far])
        scores = []
        for given in (None, stations, fewer):
            low, high = (
                predictors(era5, day, given) @ fit[:, own[gauge]]
                for fit in fit_temperature(era5, hru, segments, given)
            )
            scores.append(_rmse(low, high, stations.prism[name]))
        by_way = dict(zip(("12 UTC", "weighted"), zip(*scores, strict=True), strict=True))
        found = {
            f"{label}, {way}": value
            for way in by_way
            for label, value in zip(LABELS, by_way[way], strict=True)
        }
        rows[name] = {"lat": stations.place[gauge, 0], **found}
    scored = pd.DataFrame.from_dict(rows, orient="index").sort_values("lat")
    means = {
        part: scored[scored["lat"].between(*band) & (scored.index != APART)].mean()
        for part, band in PARTS.items()
    }
    return pd.concat([scored, pd.DataFrame(means).T])


def main() -> None:
    """Print the table."""
    sys.stdout.write(table(fetch("delaware")).round(2).to_string() + "\n")


if __name__ == "__main__":
    main()
