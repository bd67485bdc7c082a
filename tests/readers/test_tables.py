"""Pairs of CSV files, written by the standard library and looked up by hand."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import CycleError, InvalidArgumentError, InvalidDatasetError, NetworkError
from xmsgl.readers import read, read_csv, read_csv_basin

REACHES = pd.DataFrame(
    {
        "id": [30, 10, 20],
        "downstream": [np.nan, 20, 30],
        "length [m]": [500.0, 900.0, 400.0],
        "slope [m/m]": [0.001, 0.02, 0.01],
        "stream_order": [2, 1, 2],
        "lat": [40.0, 40.1, 40.2],
        "huc8": ["02040101", "02040101", "02040102"],
        "name": ["Mill Creek", None, "Mill Creek"],
    }
)
DAILY = pd.DataFrame(
    {
        "date": ["2001-03-02", "2001-03-01", "2001-03-04", "2001-03-04"],
        "id": [10, 30, 20, 10],
        "water_temperature [degC]": [4.5, 5.0, np.nan, 6.0],
        "air_temperature [degC]": [1.0, 2.0, 3.0, 4.0],
    }
)


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_values_by_id_and_day():
    ds = read_csv(REACHES, DAILY)
    assert ds["fine"].values.tolist() == [30, 10, 20]
    assert ds["downstream_fine"].values.tolist() == [0, 20, 30]
    assert [str(day)[:10] for day in ds["time"].values] == [f"2001-03-0{n}" for n in (1, 2, 3, 4)]
    expected = {(row.date, row.id): row[3] for row in DAILY.itertuples()}
    for day in ds["time"].values:
        for reach in ds["fine"].values:
            found = ds["water_temperature_fine"].sel(time=day, fine=reach).item()
            wanted = expected.get((str(day)[:10], reach), np.nan)
            assert found == wanted or (np.isnan(found) and np.isnan(wanted))
    assert ds["air_temperature_fine"].dims == ("time", "fine")


def test_units_are_those_stated():
    ds = read_csv(REACHES, DAILY)
    units = {str(name): ds[name].attrs["units"] for name in ds.data_vars}
    assert units == {
        "downstream_fine": "1",
        "length_fine": "m",
        "slope_fine": "m/m",
        "stream_order_fine": "1",
        "lat_fine": "degrees_north",
        "huc8_fine": "1",
        "name_fine": "1",
        "water_temperature_fine": "degC",
        "air_temperature_fine": "degC",
    }


def test_files_are_the_same_as_frames(tmp_path):
    REACHES.to_csv(tmp_path / "reaches.csv", index=False)  # pandas writes downstream as 20.0
    DAILY.to_csv(tmp_path / "daily.csv", index=False)
    ds = read("csv", tmp_path / "reaches.csv", tmp_path / "daily.csv")
    xr.testing.assert_equal(ds, read_csv(REACHES, DAILY))
    assert ds["huc8_fine"].values.tolist() == REACHES["huc8"].tolist()
    assert ds.attrs["source"] == "reaches.csv, daily.csv"
    assert ds.attrs["history"].endswith(
        "read 3 reaches of reaches.csv, daily.csv, 4 times (2001-03-01 00:00:00 to 2001-03-04 00:00:00)"
    )


def test_names_and_units_by_argument():
    reaches = REACHES.rename(columns={"id": "comid", "downstream": "tocomid", "length [m]": "len"})
    daily = DAILY.rename(columns={"id": "comid", "date": "day", "water_temperature [degC]": "wt [degC]"})
    ds = read_csv(
        reaches,
        daily,
        names={
            "id": "comid",
            "downstream_fine": "tocomid",
            "length": "len",
            "time": "day",
            "water_temperature": "wt",
        },
        units={"length": "m"},
    )
    xr.testing.assert_identical(ds.drop_attrs(), read_csv(REACHES, DAILY).drop_attrs())
    assert ds["length_fine"].attrs["units"] == "m"


def test_the_order_of_rows_and_columns_does_not_matter():
    mixed = read_csv(REACHES.iloc[::-1, ::-1], DAILY.iloc[::-1, ::-1])
    xr.testing.assert_equal(mixed.sel(fine=[30, 10, 20]), read_csv(REACHES, DAILY)[list(mixed.data_vars)])


def test_text_ids_keep_their_zeros(tmp_path):
    reaches = write(
        tmp_path / "r.csv",
        [["id", "downstream", "length [m]"], ["007", "012", 5], ["012", "", 6], ["100", "007", 7]],
    )
    daily = write(tmp_path / "d.csv", [["id", "time", "flow [m3 s-1]"], ["100", "2001-01-01", 3]])
    ds = read_csv(reaches, daily)
    assert ds["fine"].values.tolist() == ["007", "012", "100"]
    assert ds["downstream_fine"].values.tolist() == ["012", "", "007"]
    assert ds["flow_fine"].sel(fine="100").item() == 3.0


@pytest.fixture
def pairs(tmp_path):
    """A year of one segment system and its reaches, as four files."""
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


def test_days_of_both_scales_are_cut_to_the_common(pairs):
    ds = read_csv_basin((pairs["segments"], pairs["weather"]), (pairs["reaches"], pairs["labels"]))
    assert ds.sizes["time"] == 18
    assert str(ds["time"].values[0])[:10] == "2001-01-04"


def test_a_basin_takes_names_of_one_scale(pairs, tmp_path):
    reaches = pd.read_csv(pairs["reaches"]).rename(columns={"id": "comid", "coarse_segment": "seg"})
    ds = read_csv_basin(pairs["segments"], reaches, names={"id_fine": "comid", "coarse_segment": "seg"})
    assert ds["coarse_segment"].values.tolist() == [7, 7, 8]


def test_segments_that_look_like_numbers_follow_the_coarse_ids(tmp_path):
    """The coarse ids are text because of one of them; the reaches happen to lie on the others."""
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


@pytest.mark.parametrize(
    ("reaches", "daily", "error", "fault"),
    [
        pytest.param(
            REACHES.drop(columns="id"), None, InvalidArgumentError, r'lacks id .*names=\{"id"', id="no ids"
        ),
        pytest.param(
            REACHES.drop(columns="length [m]"), None, InvalidArgumentError, "lacks length", id="no lengths"
        ),
        pytest.param(
            REACHES.rename(columns={"length [m]": "length"}),
            None,
            InvalidArgumentError,
            r'units of length; write them .*"length \[m\]".* or give units=',
            id="no units",
        ),
        pytest.param(
            REACHES.assign(length=1.0), None, InvalidArgumentError, "several columns for length", id="twice"
        ),
        pytest.param(
            REACHES.assign(width_coarse=1.0), None, InvalidArgumentError, "of the other scale", id="scale"
        ),
        pytest.param(
            REACHES.assign(id=[1, 1, 2]), None, NetworkError, "duplicated reach ids 1", id="repeated"
        ),
        pytest.param(
            REACHES.assign(downstream=[0, 20, 99]), None, NetworkError, r"99 \(below 20\)", id="lost link"
        ),
        pytest.param(REACHES.assign(downstream=[10, 20, 30]), None, CycleError, "circle", id="circle"),
        pytest.param(
            REACHES.assign(downstream=["x", "", ""]),
            None,
            InvalidArgumentError,
            "downstream of DataFrame must be whole numbers; found 'x'",
            id="kinds",
        ),
        pytest.param(
            REACHES.assign(id=["a", "b", "c"]),
            None,
            InvalidArgumentError,
            "are numbers .* are text",
            id="kinds the other way",
        ),
        pytest.param(
            REACHES.assign(**{"slope [m/m]": [0.1, "steep", 0.2]}),
            None,
            InvalidArgumentError,
            "slope of DataFrame must be numbers; found 'steep'",
            id="a word among numbers",
        ),
        pytest.param(
            REACHES,
            DAILY.assign(id=[10, 30, 20, 99]),
            InvalidArgumentError,
            "ids that the other .* 99",
            id="lost id",
        ),
        pytest.param(
            REACHES,
            pd.concat([DAILY, DAILY.iloc[1:2]]),
            InvalidArgumentError,
            "more than once: 30 on 2001-03-01",
            id="a day twice",
        ),
        pytest.param(
            REACHES,
            DAILY.assign(date=["2001-03-02", "spring", "2001-03-04", "2001-03-05"]),
            InvalidArgumentError,
            "must be days, .* found spring",
            id="no day",
        ),
        pytest.param(
            REACHES,
            DAILY.assign(date="2001-03-02 06:00"),
            InvalidArgumentError,
            "must be days, .* found 2001-03-02 06:00",
            id="an hour",
        ),
        pytest.param(
            REACHES,
            DAILY.assign(date=pd.date_range("2001", periods=4, tz="UTC")),
            InvalidArgumentError,
            "have a zone",
            id="zone",
        ),
        pytest.param(REACHES, DAILY.iloc[:0], InvalidArgumentError, "has no rows", id="no rows"),
        pytest.param(REACHES, DAILY.drop(columns="date"), InvalidArgumentError, "lacks time", id="no time"),
        pytest.param(
            REACHES,
            DAILY.assign(flag="e"),
            InvalidArgumentError,
            "flag of DataFrame must be numbers",
            id="words by day",
        ),
    ],
)
def test_faults_are_named(reaches, daily, error, fault):
    with pytest.raises(error, match=fault):
        read_csv(reaches, daily)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        pytest.param({"scale": "both"}, "scale must be 'coarse' or 'fine'", id="scale"),
        pytest.param({"names": {"width": "breadth"}}, "'width': 'breadth'} fits no column", id="name"),
        pytest.param({"units": {"width": "m"}}, "'width': 'm'} fits no column", id="units"),
        pytest.param({"units": {"length": "km"}}, "'m' by its header and in 'km' by units=", id="two units"),
        pytest.param(
            {"names": {"length_coarse": "x"}}, "length_coarse is of the other scale", id="other scale"
        ),
    ],
)
def test_options_are_checked(options, fault):
    with pytest.raises(InvalidArgumentError, match=fault):
        read_csv(REACHES, DAILY, **options)


def test_a_basin_refuses_names_that_fit_nowhere(pairs):
    with pytest.raises(InvalidArgumentError, match="fits no column"):
        read_csv_basin(pairs["segments"], pairs["reaches"], names={"width": "breadth"})
    with pytest.raises(InvalidArgumentError, match=r"fine must be a table or two, .* not 3"):
        read_csv_basin(pairs["segments"], (pairs["reaches"], pairs["labels"], pairs["labels"]))


def test_gaps_stay_gaps_and_validate_names_them(pairs):
    weather = pd.read_csv(pairs["weather"]).iloc[:-1]
    ds = xmsgl.readers.read_csv(pairs["segments"], weather, scale="coarse")
    missing = ds["air_temperature_coarse"].isnull()
    assert missing.sum() == 1
    assert missing.sel(coarse=7, time="2001-02-09").item()
