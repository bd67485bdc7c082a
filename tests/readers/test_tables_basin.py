"""Segments and reaches read from two pairs of CSV files, against the values that were written."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from tests.readers.csv_tables import REACHES, advised_value, write
from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError
from xmsgl.readers import read, read_csv, read_csv_basin


@pytest.fixture
def pairs(tmp_path):
    """40 days of two segments and their reaches, as four files."""
    days = [str(day)[:10] for day in pd.date_range("2001-01-01", periods=40)]
    segments = [["id", "downstream", "length [m]", "elevation [m]"], [7, 8, 900, 200], [8, 0, 1200, 100]]
    reaches = [
        ["id", "downstream", "length [m]", "elevation [m]", "coarse_segment"],
        ["a", "b", 500, 220, 7],
        ["b", "c", 400, 180, 7],
        ["c", "", 1200, 100, 8],
    ]
    weather = [["id", "time", "air_temperature [degC]"]]
    weather += [[segment, day, 10 * segment + n / 10] for n, day in enumerate(days) for segment in (8, 7)]
    labels = [["id", "time", "water_temperature [degC]"], ["b", days[3], 4.5], ["c", days[20], 5.5]]
    files = {"segments": segments, "weather": weather, "reaches": reaches, "labels": labels}
    return {name: write(tmp_path / f"{name}.csv", rows) for name, rows in files.items()}


def test_two_pairs_make_a_dataset(pairs):
    weather = pd.read_csv(pairs["weather"])
    weather["air_temperature [degC]"] -= 60
    labels = pd.read_csv(pairs["labels"])
    labels.loc[len(labels)] = ["a", "2001-02-09", 3.0]
    labels.loc[len(labels)] = ["a", "2001-01-01", np.nan]
    ds = read("csv-basin", (pairs["segments"], weather), (pairs["reaches"], labels))
    report = ds.msgl.validate()
    assert {feature.name: feature.fine for feature in report.features}["elevation"] == "own"
    assert ds["coarse_segment"].values.tolist() == [7, 7, 8]
    assert ds.sizes == {"time": 40, "coarse": 2, "fine": 3}
    assert ds["air_temperature_coarse"].sel(coarse=8, time="2001-01-03").item() == pytest.approx(20.2)
    assert ds["water_temperature_fine"].sel(fine="b", time="2001-01-04").item() == 4.5
    assert ds["water_temperature_fine"].notnull().sum() == 3
    graph = ds.msgl.graph("fine", hops=1)
    assert graph.downstream.tolist() == [1, 2, -1]


def test_labels_on_few_days_do_not_shorten_the_weather(pairs):
    ds = read_csv_basin((pairs["segments"], pairs["weather"]), (pairs["reaches"], pairs["labels"]))
    assert ds.sizes["time"] == 40
    label = ds["water_temperature_fine"].to_series().dropna()
    assert label.to_dict() == {(pd.Timestamp("2001-01-04"), "b"): 4.5, (pd.Timestamp("2001-01-21"), "c"): 5.5}
    assert ds["air_temperature_coarse"].notnull().all()


def test_two_years_of_weather_and_twenty_labels(pairs):
    """The days of the result are counted by hand: 730, of which 20 have a label."""
    days = pd.date_range("2001-01-01", periods=730)
    weather = pd.DataFrame(
        {"id": np.repeat([7, 8], 730), "time": [*days, *days], "air_temperature [degC]": 10.0}
    )
    labels = pd.DataFrame({"id": "b", "time": days[100:160:3], "water_temperature [degC]": 5.0})
    ds = read_csv_basin((pairs["segments"], weather), (pairs["reaches"], labels))
    assert ds.sizes["time"] == 730
    assert int(ds["water_temperature_fine"].notnull().sum()) == 20


def test_labels_without_weather_are_counted_and_named(pairs):
    labels = pd.read_csv(pairs["labels"])
    labels.loc[len(labels)] = ["a", "2001-02-20", 3.0]
    labels.loc[len(labels)] = ["b", "1999-12-31", 3.0]
    with pytest.warns(
        DataLossWarning, match=r"^2 days with 2 labels .* 1999-12-31, 2001-02-20; give"
    ) as caught:
        ds = read_csv_basin((pairs["segments"], pairs["weather"]), (pairs["reaches"], labels))
    assert len(caught) == 1
    assert ds.sizes["time"] == 40
    assert int(ds["water_temperature_fine"].notnull().sum()) == 2
    assert "2 days with 2 labels of the fine dataset left out" in ds.attrs["history"]


def test_following_the_advice_reads_other_date_formats(pairs, tmp_path):
    """One daily table has ISO dates, the other has the day first, only once above 12."""
    labels = pd.read_csv(pairs["labels"])
    expected = read_csv_basin((pairs["segments"], pairs["weather"]), (pairs["reaches"], labels))
    labels["time"] = ["04/01/2001", "21/01/2001"]
    labels.to_csv(tmp_path / "labels.csv", index=False)
    tables = (pairs["segments"], pairs["weather"]), (pairs["reaches"], tmp_path / "labels.csv")
    with pytest.raises(
        InvalidArgumentError, match=r"labels\.csv must be .* line 2 .* '04/01/2001'"
    ) as caught:
        read_csv_basin(*tables)
    (advised,) = re.findall(r'date_format="([^"]*)"', str(caught.value))
    ds = read_csv_basin(*tables, date_format=advised)
    xr.testing.assert_equal(ds, expected)


def test_a_basin_takes_names_of_one_scale(pairs, tmp_path):
    reaches = pd.read_csv(pairs["reaches"]).rename(columns={"id": "comid", "coarse_segment": "seg"})
    ds = read_csv_basin(pairs["segments"], reaches, names={"id_fine": "comid", "coarse_segment": "seg"})
    assert ds["coarse_segment"].values.tolist() == [7, 7, 8]


def test_crosswalk_ids_have_the_type_of_the_coarse_ids(tmp_path):
    """One coarse id makes all of them text; the reaches lie on the others."""
    segments = write(tmp_path / "s.csv", [["id", "downstream", "length [m]"], ["01", "X", 5], ["X", "", 6]])
    reaches = write(
        tmp_path / "r.csv",
        [["id", "downstream", "length [m]", "coarse_segment"], [1, 2, 5, "01"], [2, 0, 5, "01"]],
    )
    assert read_csv_basin(segments, reaches)["coarse_segment"].values.tolist() == ["01", "01"]


def test_a_basin_needs_the_crosswalk(pairs):
    bare = pd.read_csv(pairs["reaches"]).drop(columns="coarse_segment")
    with pytest.raises(InvalidArgumentError, match="DataFrame has no column coarse_segment"):
        read_csv_basin(pairs["segments"], bare)
    with pytest.raises(InvalidDatasetError, match="a -> 9"):
        read_csv_basin(pairs["segments"], pd.read_csv(pairs["reaches"]).replace({"coarse_segment": {7: 9}}))


def test_a_basin_refuses_names_that_fit_no_column(pairs):
    with pytest.raises(InvalidArgumentError, match="fits no column"):
        read_csv_basin(pairs["segments"], pairs["reaches"], names={"width": "breadth"})
    with pytest.raises(InvalidArgumentError, match=r"fine must be a table or two, .* not 3"):
        read_csv_basin(pairs["segments"], (pairs["reaches"], pairs["labels"], pairs["labels"]))


def test_gaps_stay_missing(pairs):
    weather = pd.read_csv(pairs["weather"]).iloc[:-1]
    ds = xmsgl.readers.read_csv(pairs["segments"], weather, scale="coarse")
    missing = ds["air_temperature_coarse"].isnull()
    assert missing.sum() == 1
    assert missing.sel(coarse=7, time="2001-02-09").item()


def test_a_date_format_needs_a_daily_table(pairs):
    with pytest.raises(InvalidArgumentError, match="date_format= is for a table of daily values"):
        read_csv(REACHES, date_format="%d/%m/%Y")
    with pytest.raises(InvalidArgumentError, match="date_format= is for a table of daily values"):
        read_csv_basin(pairs["segments"], pairs["reaches"], date_format="%d/%m/%Y")


def test_the_units_advised_apply_to_one_table_of_a_basin(pairs):
    """The other has kilometres in its header."""
    segments = pd.read_csv(pairs["segments"]).rename(columns={"length [m]": "length [km]"})
    reaches = pd.read_csv(pairs["reaches"]).rename(columns={"length [m]": "length"})
    with pytest.raises(InvalidArgumentError) as caught:
        read_csv_basin(segments, reaches)
    ds = read_csv_basin(segments, reaches, units=advised_value(str(caught.value), "units"))
    assert (ds["length_coarse"].attrs["units"], ds["length_fine"].attrs["units"]) == ("km", "m")


def test_following_the_advice_gives_the_crosswalk(pairs):
    reaches = pd.read_csv(pairs["reaches"]).rename(columns={"coarse_segment": "seg"})
    with pytest.raises(InvalidArgumentError) as caught:
        read_csv_basin(pairs["segments"], reaches, units={"seg": "1"})
    (name,) = advised_value(str(caught.value), "names")
    ds = read_csv_basin(pairs["segments"], reaches, names={name: "seg"})
    assert ds["coarse_segment"].values.tolist() == [7, 7, 8]
