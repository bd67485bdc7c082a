"""Gauges of the Willamette and the Yakima, and their daily water temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from xmsgl.readers.rds import read_rds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DATE_FORMAT", "LEFT_OUT", "gauge_series", "read_sites", "willamette_gauges", "yakima_gauges"]

DATE_FORMAT = "%m/%d/%Y"
_FOOT = 0.3048  # m

LEFT_OUT: Mapping[str, str] = {
    "1250547010": "no reach within 250 m",
    "12507560": "no reach within 250 m",
    "12508670": "no reach within 250 m",
    "12505350": "on a drain without a link to the Yakima in the flowlines",
    "12500447": "the flowline of its creek has no link; the nearest reach is another creek",
}
"""Sites of the Yakima that have observations but no reach, and why."""

_AREAS = {"12500450": 9011.0, "12510500": 14543.0}
"""Drainage areas (km2, USGS) of gauges on the Yakima whose nearest reach is a creek."""


def read_sites(path: Path, unit: str) -> pd.DataFrame:
    """Read the sites of a hydrologic unit: site, lat, lon (degrees), elevation (m) and name."""
    table = read_rds(path).drop_duplicates("site_no")
    table = table[table["huc_cd"].astype("string").str.startswith(unit).fillna(False).to_numpy(bool)]
    return pd.DataFrame(
        {
            "site": table["site_no"].astype(str),
            "lat": table["dec_lat_va"].astype(float),
            "lon": table["dec_long_va"].astype(float),
            "elevation": table["alt_va"].astype(float) * _FOOT,
            "name": table["station_nm"].astype(str),
        }
    ).reset_index(drop=True)


def willamette_gauges(files: Mapping[str, Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the gauges with a record of 2016-20, and their water temperature by site and day."""
    sites = read_sites(files["oregon_sites"], "1709")
    numbers = _numbers(files["gauge_names"])
    about = pd.read_csv(files["gauge_attributes"], index_col="Site")["DRAIN_SQKM"].rename(numbers)
    sites = sites[sites["site"].isin(numbers.values())].reset_index(drop=True)
    sites["drainage_area"] = sites["site"].map(about)
    return sites, gauge_series(files, "gauge_temperature", sites["site"], "water_temperature")


def gauge_series(files: Mapping[str, Path], table: str, sites: pd.Series[str], column: str) -> pd.DataFrame:
    """Read a table with one column per gauge as one row per site and day, with dates in DATE_FORMAT."""
    wide = pd.read_csv(files[table]).drop(columns="MonYr").rename(columns=_numbers(files["gauge_names"]))
    long: pd.DataFrame = wide[["Date", *sites]].melt("Date", var_name="site", value_name=column)
    return long


def _numbers(path: Path) -> dict[str, str]:
    """Return the number of each gauge, written behind an apostrophe, by its short name."""
    return dict(pd.read_csv(path).set_index("ID")["site"].str.strip("'"))


def yakima_gauges(files: Mapping[str, Path], days: pd.DatetimeIndex) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read all sites of the basin, and the water temperature of those on its reaches."""
    sites = read_sites(files["washington_sites"], "1703")
    sites["drainage_area"] = sites["site"].map(_AREAS)
    table = read_rds(files["washington_temperature"])
    date = pd.to_datetime(table["dateTime"])
    water = pd.DataFrame(
        {
            "site": table["site_no"].astype(str),
            "date": date.dt.strftime("%Y-%m-%d"),
            "water_temperature": table["X_00010_00003"].astype(float),
        }
    )
    used = water["site"].isin(sites["site"]) & ~water["site"].isin(LEFT_OUT) & date.isin(days)
    return sites, water[used]
