"""Observed stream temperatures of the Delaware on segments and on reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.readers.geometry import EQUAL_AREA
from xmsgl.readers.rds import read_rds
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from xmsgl.datasets.delaware_basin.reaches import Crosswalk, Flowlines

__all__ = ["Labels", "coarse_labels", "fine_labels", "read_observations", "snap_sites"]

SNAP_LIMIT = 250.0  # largest distance of a site from its reach, m


@dataclass(frozen=True)
class Labels:
    """The observed temperatures of one scale."""

    table: pd.DataFrame  # columns id (segment id or COMID), time (midnight), temperature (degC); sorted
    counts: Mapping[str, int]  # of rows used and left out, for attributes of the dataset


def read_observations(path: Path) -> pd.DataFrame:
    """Read the table of daily stream temperatures; a ``site_id`` may be several, separated by commas."""
    raw = read_rds(path)
    middle = (raw["min_temp_c"] + raw["max_temp_c"]) / 2.0
    return pd.DataFrame(
        {
            "subsegment": raw["subseg_id"],
            "time": raw["date"].dt.normalize().astype("datetime64[ns]"),
            "site_id": raw["site_id"],
            "temperature": raw["mean_temp_c"].fillna(middle),
        }
    )


def _average(ids: Any, observations: pd.DataFrame) -> pd.DataFrame:
    table = observations[["time", "temperature"]].assign(id=np.asarray(ids, dtype=np.int64))
    return table.groupby(["id", "time"])["temperature"].mean().reset_index()


def coarse_labels(observations: pd.DataFrame, segment_of: Mapping[str, int]) -> Labels:
    """Average the observations of each segment and day."""
    valued = observations[observations["temperature"].notna()]
    segment = valued["subsegment"].map(segment_of)
    known = segment.notna()
    table = _average(segment[known], valued[known])
    counts = {
        "observation_rows": len(observations),
        "rows_without_temperature": len(observations) - len(valued),
        "rows_on_unknown_segments": int((~known).sum()),
        "labels": len(table),
        "ids_with_labels": int(table["id"].nunique()),
    }
    return Labels(table, counts)


def snap_sites(sites_path: Path, flowlines: Flowlines, crosswalk: Crosswalk) -> pd.DataFrame:
    """Find the nearest main-stem reach of every site, within the site's own sub-segment."""
    geopandas = require("geopandas", "placing the observation sites")
    sites = read_rds(sites_path).drop_duplicates(["site_id", "subseg_id"])
    points = geopandas.GeoSeries.from_xy(
        sites["longitude"], sites["latitude"], index=sites.index, crs="EPSG:4326"
    ).to_crs(EQUAL_AREA)
    stem = crosswalk.main_stem
    stem = stem[stem["comid"].isin(flowlines.table.index)]
    lines = flowlines.table.geometry
    by_subsegment = {name: group["comid"].to_numpy() for name, group in stem.groupby("subsegment")}
    rows = []
    for subsegment, group in sites[sites["subseg_id"].isin(by_subsegment)].groupby("subseg_id"):
        comids = by_subsegment[subsegment]
        distance = np.stack([lines.loc[comid].distance(points.loc[group.index]) for comid in comids])
        best = distance.argmin(axis=0)
        found = {
            "site_id": group["site_id"].to_numpy(),
            "subsegment": subsegment,
            "comid": comids[best],
            "distance": distance.min(axis=0),
        }
        rows.append(pd.DataFrame(found))
    return pd.concat(rows, ignore_index=True)


def fine_labels(observations: pd.DataFrame, snapped: pd.DataFrame) -> Labels:
    """Assign the observations of a single site to the reach of that site."""
    valued = observations[observations["temperature"].notna()]
    single = valued[~valued["site_id"].str.contains(",", regex=False)]
    near = snapped[snapped["distance"] <= SNAP_LIMIT]
    placed = single.merge(near[["site_id", "subsegment", "comid"]], on=["site_id", "subsegment"], how="inner")
    table = _average(placed["comid"], placed)
    counts = {
        "observation_rows": len(observations),
        "rows_without_temperature": len(observations) - len(valued),
        "rows_of_several_sites": len(valued) - len(single),
        "rows_off_the_main_stem": len(single) - len(placed),
        "labels": len(table),
        "ids_with_labels": int(table["id"].nunique()),
    }
    return Labels(table, counts)
