"""Gauges and labels against plain readings of the files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.datasets.pacific_northwest.sites import LEFT_OUT, read_sites
from xmsgl.readers.rds import read_rds

pytestmark = pytest.mark.delaware

# USGS, square miles
AREAS = {"12510500": 5615, "12500450": 3479, "12498690": 941, "12488500": 78.9}


def on_reaches(ds):
    names = ds["gauge_fine"].to_series()
    return {name.split()[0]: reach for reach, name in names[names != ""].items()}


def test_all_gauges_of_the_willamette_and_their_days(files, willamette):
    raw = pd.read_csv(files["gauge_temperature"], index_col="Date", parse_dates=True)
    names = pd.read_csv(files["gauge_names"]).set_index("site")["ID"]
    areas = pd.read_csv(files["gauge_attributes"]).set_index("Site")["DRAIN_SQKM"]
    found = on_reaches(willamette)
    assert len(found) == len(set(found.values())) == 36
    labels = willamette["water_temperature_fine"].load()
    assert labels.attrs["largest_distance_m"] < 120
    for number, reach in found.items():
        short = names[f"'{number}"]
        np.testing.assert_allclose(labels.sel(fine=reach), raw[short], atol=1e-5)
        ratio = float(willamette["drainage_area_fine"].sel(fine=reach)) / areas[short]
        assert 1 / 1.5 < ratio < 1.5, number
    assert int(labels.count()) == 52_254
    assert (float(labels.min()), float(labels.max())) == (0.0, pytest.approx(24.8))


def test_gauges_of_the_yakima_and_their_days(files, yakima):
    raw = read_rds(files["washington_temperature"]).dropna(subset="X_00010_00003")
    raw["time"] = pd.to_datetime(raw["dateTime"])
    inside = set(read_sites(files["washington_sites"], "1703")["site"])
    raw = raw[raw["site_no"].isin(inside)]
    late = raw[raw["time"].between("2004-01-01", "2008-12-31")]
    assert (raw["site_no"].nunique(), len(raw), len(late)) == (24, 11_063, 10_141)
    found = on_reaches(yakima)
    assert set(found) == set(raw["site_no"]) - set(LEFT_OUT)
    assert len(found) == len(set(found.values())) == 19
    labels = yakima["water_temperature_fine"].load()
    late = late[~late["site_no"].isin(LEFT_OUT)]
    assert int(labels.count()) == len(late) == 8_120
    for row in late.sample(200, random_state=0).itertuples():
        value = float(labels.sel(time=row.time, fine=found[row.site_no]))
        assert value == pytest.approx(row.X_00010_00003, abs=1e-5)


def test_gauges_of_the_yakima_are_on_rivers_of_their_size(yakima):
    found = on_reaches(yakima)
    for number, square_miles in AREAS.items():
        area = float(yakima["drainage_area_fine"].sel(fine=found[number]))
        assert area == pytest.approx(square_miles * 2.589988, rel=0.06), number


def test_labels_of_a_segment_are_the_mean_of_its_gauges(willamette):
    fine = willamette["water_temperature_fine"].to_pandas()
    mean = fine.T.groupby(willamette["coarse_segment"].values).mean().T.dropna(how="all", axis=1)
    coarse = willamette["water_temperature_coarse"].to_pandas()[mean.columns]
    np.testing.assert_allclose(coarse, mean, atol=1e-5)
