"""Pairs of CSV files, written with the standard library and compared value by value."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.readers.csv_tables import DAILY, REACHES, advised_value, write
from xmsgl.errors import CycleError, InvalidArgumentError, NetworkError
from xmsgl.readers import read, read_csv


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


def test_units_are_those_given():
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


def test_dates_written_as_numbers_need_a_format(tmp_path):
    path = write(
        tmp_path / "d.csv", [["id", "time", "flow [m3 s-1]"], [10, 20010131, 3], [10, "20010201", 4]]
    )
    with pytest.raises(InvalidArgumentError, match=r"d\.csv .* line 2 of the file has '20010131'.*%Y%m%d"):
        read_csv(REACHES, path)
    ds = read("csv", REACHES, path, date_format="%Y%m%d")
    assert ds["flow_fine"].sel(fine=10).to_series().to_dict() == {
        pd.Timestamp("2001-01-31"): 3.0,
        pd.Timestamp("2001-02-01"): 4.0,
    }


@pytest.mark.parametrize(
    ("reaches", "daily", "error", "fault"),
    [
        pytest.param(
            REACHES.drop(columns="id"), None, InvalidArgumentError, r'lacks id; .*names=\{"id"', id="no ids"
        ),
        pytest.param(
            REACHES.drop(columns="length [m]"), None, InvalidArgumentError, "lacks length", id="no lengths"
        ),
        pytest.param(
            REACHES.rename(columns={"length [m]": "length"}),
            None,
            InvalidArgumentError,
            r'units of length; write them .*"length \[m\]".* or give units=\{"length_fine": "m"\}',
            id="no units",
        ),
        pytest.param(
            REACHES.assign(length=1.0), None, InvalidArgumentError, "several columns for length", id="twice"
        ),
        pytest.param(
            REACHES.assign(width_coarse=1.0),
            None,
            InvalidArgumentError,
            "belongs to the other scale",
            id="scale",
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
            "downstream of DataFrame must be whole numbers; found 'x' in row 1 below the header",
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
            "slope of DataFrame must be numbers; found 'steep' in row 2 below the header",
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
            "row 2 below the header has 'spring'",
            id="no day",
        ),
        pytest.param(
            REACHES,
            DAILY.assign(date="2001-03-02 06:00"),
            InvalidArgumentError,
            "at midnight; row 1 below the header has '2001-03-02 06:00'. Average to daily means",
            id="an hour",
        ),
        pytest.param(
            REACHES,
            DAILY.assign(date=pd.date_range("2001", periods=4, tz="UTC")),
            InvalidArgumentError,
            "have a time zone",
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
        pytest.param({"date_format": "%m/%Y"}, "must contain year, month and day", id="date format"),
        pytest.param({"units": {"length": "km"}}, "'m' by its header but in 'km' by units=", id="two units"),
        pytest.param(
            {"names": {"length_coarse": "x"}}, "length_coarse belongs to the other scale", id="other scale"
        ),
    ],
)
def test_options_are_checked(options, fault):
    with pytest.raises(InvalidArgumentError, match=fault):
        read_csv(REACHES, DAILY, **options)


def test_following_the_advice_gives_names():
    theirs = {"id": "comid", "downstream": "tocomid", "length [m]": "len"}
    with pytest.raises(InvalidArgumentError) as caught:
        read_csv(REACHES.rename(columns=theirs), units={"length": "m"})
    names = advised_value(str(caught.value), "names")
    assert set(names) == {"id", "downstream", "length"}
    filled = dict(zip(names, theirs.values(), strict=True))
    ds = read_csv(REACHES.rename(columns=theirs), names=filled, units={"length": "m"})
    assert ds["length_fine"].values.tolist() == [500.0, 900.0, 400.0]


@pytest.mark.parametrize("by", ["header", "argument"])
@pytest.mark.parametrize("names", [{}, {"length": "len", "slope": "gradient"}], ids=["ours", "theirs"])
def test_following_the_advice_gives_units(by, names):
    bare = REACHES.rename(columns={"length [m]": "length", "slope [m/m]": "slope"}).rename(columns=names)
    with pytest.raises(InvalidArgumentError) as caught:
        read_csv(bare, names=names)
    if by == "argument":
        ds = read_csv(bare, names=names, units=advised_value(str(caught.value), "units"))
    else:
        headers = re.findall(r'"([^"]* \[[^"]*\])"', str(caught.value))
        ds = read_csv(bare.rename(columns={header.split(" [")[0]: header for header in headers}), names=names)
    assert ds["length_fine"].attrs["units"] == "m"
    assert ds["slope_fine"].values.tolist() == REACHES["slope [m/m]"].tolist()


def test_following_the_advice_renames_a_column_of_the_other_scale():
    wrong = REACHES.rename(columns={"slope [m/m]": "slope_coarse [m/m]"})
    with pytest.raises(InvalidArgumentError, match="call it 'slope' if"):
        read_csv(wrong)
    ds = read_csv(wrong.rename(columns={"slope_coarse [m/m]": "slope [m/m]"}))
    assert "slope_fine" in ds


def test_following_the_advice_leaves_out_the_second_units():
    with pytest.raises(InvalidArgumentError, match="or leave 'length' out of units="):
        read_csv(REACHES, units={"length": "km"})
    assert read_csv(REACHES)["length_fine"].attrs["units"] == "m"


def test_following_the_advice_chooses_a_layer(tmp_path):
    """These readers take no layer=, so the message asks for a frame."""
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    pytest.importorskip("pyogrio")
    table = REACHES[["id", "length [m]"]].assign(downstream=0)
    frame = geopandas.GeoDataFrame(table, geometry=[shapely.Point(0, 0)] * 3, crs="EPSG:4326")
    path = tmp_path / "basin.gpkg"
    for name in ("one", "two"):
        frame.to_file(path, layer=name)
    with pytest.raises(InvalidArgumentError, match="2 layers") as caught:
        read_csv(path)
    assert 'layer="<its name>"' in str(caught.value)
    code = re.search(r"geopandas\.read_file\(.*\)", str(caught.value)).group().replace("<its name>", "two")
    found = eval(code, {"geopandas": geopandas})
    assert read_csv(found.drop(columns="geometry"))["fine"].values.tolist() == [30, 10, 20]


def as_text(rows, separator):
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_separators_and_encodings(tmp_path, separator, encoding):
    rows = [
        ["id", "downstream", "length [m]", "name"],
        ["007", "", 5.5, "Bäche, drei"],
        ["012", "007", 6, ""],
    ]
    (tmp_path / "r.csv").write_bytes(as_text(rows, separator).encode(encoding))
    ds = read_csv(tmp_path / "r.csv")
    assert ds["fine"].values.tolist() == ["007", "012"]
    assert ds["downstream_fine"].values.tolist() == ["", "007"]
    assert ds["length_fine"].values.tolist() == [5.5, 6.0]
    assert ds["name_fine"].values.tolist() == ["Bäche, drei", ""]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_following_the_advice_reads_decimal_commas(tmp_path, encoding):
    rows = [["id", "downstream", "length [m]", "name"], ["007", "", "5,5", "Bäche"], ["012", "007", 6, ""]]
    (tmp_path / "r.csv").write_bytes(as_text(rows, ";").encode(encoding))
    with pytest.raises(
        InvalidArgumentError, match=r"'length \[m\]' of r.csv has numbers with a comma, .* '5,5'"
    ) as caught:
        read_csv(tmp_path / "r.csv")
    advice = str(caught.value)
    room = {"pd": pd}
    exec(re.search(r"frame = .*?(?=;  ?if it separates)", advice.replace("; if", ";  if"))[0], room)
    ds = read_csv(room["frame"])
    assert ds["length_fine"].values.tolist() == [5.5, 6.0]
    assert ds["fine"].values.tolist() == ["007", "012"]
    assert ds["name_fine"].values[0] == "Bäche"


def test_capitals_in_column_names(tmp_path):
    upper = REACHES.rename(columns={"id": "ID", "downstream": "Downstream", "length [m]": "Length [m]"})
    upper = upper.rename(columns={"slope [m/m]": "SLOPE [m/m]", "lat": "LAT", "huc8": "HUC8"})
    days = DAILY.rename(
        columns={"date": "DATE", "id": "Id", "air_temperature [degC]": "Air_Temperature [degC]"}
    )
    ds = read_csv(upper, days)
    xr.testing.assert_equal(ds, read_csv(REACHES, DAILY))
    path = write(tmp_path / "r.csv", [["ID", "DOWNSTREAM", "length [m]"], ["007", "", 5]])
    assert read_csv(path)["fine"].values.tolist() == ["007"]
    with pytest.raises(InvalidArgumentError, match="several columns for id"):
        read_csv(REACHES.assign(ID=REACHES["id"]))


@pytest.mark.parametrize("numbers", ["1434000", 1434000])
def test_a_gauge_number_is_not_joined_to_one_without_its_zero(tmp_path, numbers):
    reaches = pd.DataFrame({"id": [numbers], "downstream": [None], "length [m]": [5.0]})
    days = write(tmp_path / "d.csv", [["id", "time", "flow [m3 s-1]"], ["01434000", "2001-01-01", 3]])
    with pytest.raises(InvalidArgumentError, match=r"found '01434000' in line 2 .* leading zeros are text"):
        read_csv(reaches, days)
    padded = reaches.assign(id="01434000")  # as advised
    assert read_csv(padded, days)["flow_fine"].sel(fine="01434000").item() == 3.0


def test_faults_name_the_line_of_the_file(tmp_path):
    head = "id,time,water_temperature [degC]\n"
    lines = ["30,2001-01-01,4.5", "30,2001-01-02,warm", "30,2001-01-03,hot"]
    faults = {
        "\n".join(lines): "lines 3, 4 of the file",
        "\n".join([*lines, ""]): "lines 3, 4 of the file",
        "\r\n".join([*lines, ""]): "lines 3, 4 of the file",
        "\n".join([lines[0], "", *lines[1:]]): "rows 2, 3 below the header",  # lines and rows differ
    }
    for body, where in faults.items():
        (tmp_path / "d.csv").write_bytes((head + body).encode())
        with pytest.raises(InvalidArgumentError, match=rf"found 'warm', 'hot' in {where}; correct"):
            read_csv(REACHES, tmp_path / "d.csv")
    (tmp_path / "d.csv").write_text(head + "30,2001-01-01,4.5\n30,,4\n")
    with pytest.raises(InvalidArgumentError, match="without a time: line 3 of the file; give"):
        read_csv(REACHES, tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        pytest.param(
            lambda: read_csv(
                REACHES, DAILY.rename(columns={"air_temperature [degC]": "air_temprature [degC]"})
            ),
            "has 'air_temprature'; did you mean 'air_temperature'",
            id="variable",
        ),
        pytest.param(
            lambda: read_csv(REACHES.assign(**{"elevatoin [m]": 3.0})),
            "did you mean 'elevation'",
            id="static",
        ),
        pytest.param(
            lambda: read_csv(REACHES, names={"slope": "slpe [m/m]"}),
            r"did you mean 'slope \[m/m\]'",
            id="names",
        ),
        pytest.param(
            lambda: read_csv(REACHES.assign(width=3.0), units={"widht": "m", "width": "m"}),
            "did you mean 'width'",
            id="units",
        ),
    ],
)
def test_near_misses_are_named(call, hint):
    with pytest.raises(InvalidArgumentError, match=hint):
        call()


def test_following_the_advice_names_a_misspelt_header():
    wrong = REACHES.rename(columns={"downstream": "downstrem"})
    with pytest.raises(InvalidArgumentError, match="lacks downstream") as caught:
        read_csv(wrong)
    names = eval(re.search(r"names=(\{.*\})", str(caught.value))[1])
    xr.testing.assert_equal(read_csv(wrong, names=names), read_csv(REACHES))


def test_names_that_go_on_are_not_near_misses():
    more = {"elevation2 [m]": 3.0, "air_temperatures [degC]": 4.0, "depth [m]": 1.0, "humidity [%]": 2.0}
    more |= {"bwidth [m]": 5.0, "wslope [1]": 0.1, "Length2 [m]": 6.0}
    found = read_csv(REACHES.assign(**more))
    assert {f"{name.split(' ')[0]}_fine" for name in more} <= set(found.variables)


def test_a_table_of_reaches_with_days_is_refused(tmp_path):
    frame = REACHES.assign(Date="2001-01-01")
    frame.to_csv(tmp_path / "reaches.csv", index=False)
    with pytest.raises(InvalidArgumentError, match=r"reaches\.csv has a column of days; .* daily="):
        read_csv(tmp_path / "reaches.csv")


def test_lists_in_a_table_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    REACHES.assign(downstream=[[20], [30], [0]]).to_parquet(tmp_path / "reaches.parquet")
    with pytest.raises(InvalidArgumentError, match="must be whole numbers; found array"):
        read_csv(tmp_path / "reaches.parquet")
