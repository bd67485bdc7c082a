"""Segments of the National Hydrologic Model, from small files written by the tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import (
    CycleError,
    DataUnavailableError,
    InvalidArgumentError,
    InvalidDatasetError,
    NetworkError,
    NetworkWarning,
)
from xmsgl.readers import read
from xmsgl.readers.prms import converter

DAYS = pd.date_range("1979-01-01", periods=3)
SEGMENTS = {"nhm_seg": ("nsegment", [7, 8, 9])}


def parameters(**changes) -> xr.Dataset:
    held = {
        "tosegment": ("nsegment", [3, 3, 0]),
        "tosegment_nhm": ("nsegment", [9, 9, 0]),
        "seg_length": ("nsegment", [900.0, 1200.0, 700.0], {"units": "meters"}),
        "seg_slope": ("nsegment", [0.1, 0.2, 0.3], {"units": "decimal fraction"}),
        "seg_cum_area": ("nsegment", [1000.0, 0.0, 3000.0], {"units": "unknown"}),
        "seg_lat": ("nsegment", [40.0, 41.0, 42.0]),
        "poi_gage_segment": ("npoigages", [1]),
    }
    held.update(changes)
    return xr.Dataset({k: v for k, v in held.items() if v is not None}, coords=SEGMENTS)


def units(**changes) -> xr.Dataset:
    held = {
        "hru_area": ("nhru", [1.0, 3.0, 2.0]),
        "hru_segment": ("nhru", [1, 1, 3]),
        "hru_lat": ("nhru", [40.0, 40.0, 42.0]),
        "hru_lon": ("nhru", [-75.0, -75.0, -75.0]),
    }
    return xr.Dataset({**held, **changes}, coords={"nhm_id": ("nhru", [31, 32, 33]), **SEGMENTS})


def forcing() -> list[xr.Dataset]:
    table = {"tmax": ("degree_fahrenheit", 50.0), "tmin": ("degree_fahrenheit", 32.0), "prcp": ("in", 1.0)}
    places = {"time": DAYS, "nhm_id": [31, 32, 33]}
    return [
        xr.Dataset(
            {
                name: (
                    ("time", "nhm_id"),
                    np.add(np.full((3, 3), value, "float32"), [0, 4, 9]),
                    {"units": unit},
                )
            },
            coords=places,
        )
        for name, (unit, value) in table.items()
    ]


@pytest.fixture
def fabric():
    geopandas, shapely = pytest.importorskip("geopandas"), pytest.importorskip("shapely")
    points = [[(0, 0), (0, 1000)], [(0, 1000), (0, 2000)], [(500, 0), (500, 900)], [(0, 2000), (0, 9000)]]
    lines = [shapely.LineString(np.add(line, (1.7e6, 2.1e6))) for line in points]
    # segment 7 in two parts in any order, and a line without id
    table = {"Seg_ID_Nat": [7.0, 7.0, np.nan, 9.0]}
    whole = geopandas.GeoDataFrame(table, geometry=lines, crs="EPSG:5070")
    east = geopandas.GeoDataFrame(
        {"Seg_ID_Nat": [8.0]}, geometry=[lines[0].parallel_offset(20000.0)], crs="EPSG:5070"
    )
    return geopandas.GeoDataFrame(pd.concat([whole, east], ignore_index=True), crs="EPSG:5070")


def test_reads_files(tmp_path, fabric):
    parameters().to_netcdf(tmp_path / "parameters_dis_seg.nc")
    units().to_netcdf(tmp_path / "parameters_dis_hru.nc")
    for one in forcing():
        one.to_netcdf(tmp_path / f"{next(iter(one.data_vars))}.nc")
    text = "a title\nrhavg 3\n####\n" + "".join(f"1979 1 {day} 0 0 0 50 70 90\n" for day in (1, 2, 3))
    (tmp_path / "rhavg.cbh").write_text(text)
    fabric.to_file(tmp_path / "fabric.gpkg")
    daily = [tmp_path / name for name in ("tmax.nc", "tmin.nc", "prcp.nc", "rhavg.cbh")]
    ds = read("nhm", sorted(tmp_path.glob("parameters_*")), daily, tmp_path / "fabric.gpkg")
    assert ds["coarse"].values.tolist() == [7, 8, 9]
    assert ds["downstream_coarse"].values.tolist() == [9, 9, 0]
    assert ds["drainage_area_coarse"].values == pytest.approx([4.046856, 0.0, 12.140569])
    # segment 7: units of 1 and 3, so 53 degF at most; segment 8 has none and takes a nearest one
    first = ds.isel(time=0)
    assert first["air_temperature_max_coarse"].values[0] == pytest.approx((53 - 32) * 5 / 9)
    assert first["air_temperature_min_coarse"].values[2] == pytest.approx(9 * 5 / 9)
    assert first["air_temperature_coarse"].values[0] == pytest.approx(((53 + 35) / 2 - 32) * 5 / 9)
    assert first["precipitation_coarse"].values[0] == pytest.approx(4 * 25.4)
    assert first["relative_humidity_coarse"].values[0] == pytest.approx(65.0)
    assert ds["precipitation_coarse"].attrs["segments_without_own_unit"] == 1
    assert ds["precipitation_coarse"].dtype == np.float32
    lines = pytest.importorskip("shapely").from_wkb(ds["geometry_coarse"].values)
    assert [line.geom_type for line in lines] == ["LineString"] * 3
    assert ds["geometry_coarse"].attrs["lines_without_id"] == 1
    middle = fabric.geometry.iloc[[0]].interpolate(1.0, normalized=True)  # where its two parts meet
    place = middle.to_crs("EPSG:4326").iloc[0]
    assert (ds["lon_coarse"].values[0], ds["lat_coarse"].values[0]) == pytest.approx((place.x, place.y))


def test_is_valid_once_it_has_labels():
    outputs = xr.Dataset(
        {
            "seg_tave_water": (("time", "nhm_seg"), np.full((3, 3), 8.0), {"units": "degC"}),
            "seg_outflow": (("time", "nhm_seg"), np.full((3, 3), 100.0), {"units": "cfs"}),
        },
        coords={"time": DAYS, "nhm_seg": [9, 8, 7]},
    )
    every = units(hru_segment=("nhru", [1, 2, 3]))
    ds = read("nhm", [parameters(), every], [*forcing(), outputs])
    assert ds["simulated_discharge_coarse"].values[0, 0] == pytest.approx(2.8316847)
    assert ds["lat_coarse"].values.tolist() == [40.0, 41.0, 42.0]
    labels = ds["simulated_temperature_coarse"].assign_attrs(units="degC", long_name="observed")
    two = xmsgl.readers.one_scale(ds.assign(water_temperature_coarse=labels))
    report = two.msgl.validate()
    assert "air_temperature" in str(report)
    assert "simulated" not in str(sorted(feature.name for feature in report.features))


def test_stays_lazy(refuse_to_compute):
    every = units(hru_segment=("nhru", [1, 2, 3]))
    with refuse_to_compute():
        lazy = read("nhm", [parameters(), every], [one.chunk(time=1) for one in forcing()])
    eager = read("nhm", [parameters(), every], forcing())
    xr.testing.assert_equal(lazy.compute(), eager)


def test_a_cut_of_the_national_model_has_outlets_where_it_ends():
    cut = parameters(tosegment_nhm=("nsegment", [9, 9, 555]))
    ds = read("nhm", cut)
    assert ds["downstream_coarse"].values.tolist() == [9, 9, 0]
    assert ds["downstream_coarse"].attrs["links_out_of_the_file"] == 1
    only = read("nhm", parameters(tosegment=None))
    assert only["downstream_coarse"].values.tolist() == [9, 9, 0]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        pytest.param({"seg_length": None}, InvalidDatasetError, "seg_length", id="no lengths"),
        pytest.param({"tosegment": None, "tosegment_nhm": None}, NetworkError, "neither", id="no links"),
        pytest.param({"tosegment": ("nsegment", [2, 3, 0])}, NetworkError, "7 to 8 or 9", id="disagree"),
        pytest.param(
            {"tosegment": ("nsegment", [3, 4, 0])},
            NetworkError,
            "exceeds the number of segments, 3, at segments 8",
            id="beyond",
        ),
        pytest.param(
            {"tosegment": ("nsegment", [2, 1, 0]), "tosegment_nhm": None},
            CycleError,
            "in a circle",
            id="circle",
        ),
    ],
)
def test_refuses_parameters(changes, error, words):
    with pytest.raises(error, match=words):
        read("nhm", parameters(**changes))


def test_refuses_files_of_different_models(tmp_path):
    other = xr.Dataset({"seg_width": ("nsegment", [1.0])}, coords={"nhm_seg": ("nsegment", [7])})
    with pytest.raises(InvalidDatasetError, match="disagree on 'nhm_seg'"):
        read("nhm", [parameters(), other])
    with pytest.raises(InvalidDatasetError, match="no 'nhm_seg'"):
        read("nhm", other.drop_vars("nhm_seg"))
    with pytest.raises(DataUnavailableError, match="no file"):
        read("nhm", tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("text")
    with pytest.raises(InvalidArgumentError, match="as netCDF"):
        read("nhm", tmp_path / "text.nc")
    with pytest.raises(InvalidArgumentError, match="middle"):
        read("nhm", parameters(), scale="middle")


def test_refuses_two_series_of_one_variable():
    twice = xr.Dataset(
        {
            "swrad": (("time", "nhm_seg"), np.ones((3, 3)), {"units": "Langleys"}),
            "seginc_swrad": (("time", "nhm_seg"), np.ones((3, 3)), {"units": "Langleys"}),
        },
        coords={"time": DAYS, "nhm_seg": [7, 8, 9]},
    )
    with pytest.raises(InvalidDatasetError, match="'seginc_swrad' and 'swrad' are both solar_radiation"):
        read("nhm", parameters(), twice)
    one = read("nhm", parameters(), twice.drop_vars("swrad"))
    assert one["solar_radiation_coarse"].values[0, 0] == pytest.approx(41840 / 86400)


def test_refuses_fabrics(fabric):
    with pytest.raises(InvalidArgumentError, match="no line of segments 8"):
        read("nhm", parameters(), fabric=fabric.iloc[:-1])
    with pytest.raises(InvalidArgumentError, match="id_field="):
        read("nhm", parameters(), fabric=fabric.rename(columns={"Seg_ID_Nat": "mine"}))
    with pytest.raises(InvalidArgumentError, match="coordinate system"):
        read("nhm", parameters(), fabric=pd.DataFrame(fabric))
    named = read("nhm", parameters(), fabric=fabric.rename(columns={"Seg_ID_Nat": "mine"}), id_field="mine")
    assert "geometry_coarse" in named


@pytest.mark.parametrize(
    ("name", "found", "wanted", "value", "expected"),
    [
        ("a", "degF", "degC", 212.0, 100.0),
        ("a", "K", "degC", 273.15, 0.0),
        ("a", "inches", "mm d-1", 2.0, 50.8),
        ("a", "acres", "km2", 247.10538147, 1.0),
        ("a", "feet", "m", 1000.0, 304.8),
        ("a", "cfs", "m3 s-1", 35.314666721, 1.0),
        ("a", "Langley/day", "W m-2", 2065.0096, 1000.0),
        ("a", "m d-1", "mm d-1", 0.25, 250.0),
        ("a", "Decimal Fraction", "%", 0.25, 25.0),
        ("a", "kg m-2 s-1", "mm d-1", 1e-4, 8.64),
        ("a", "degrees", "1", 45.0, 1.0),
    ],
)
def test_conversions_against_tables(name, found, wanted, value, expected):
    assert converter(name, found, wanted)(value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("units", [None, 1, ["m"]])
def test_units_that_are_not_text_are_refused(units):
    with pytest.raises(InvalidDatasetError, match="'seg_elev' does not state its units"):
        converter("seg_elev", units, "m")


def test_an_outlet_where_another_line_begins_gets_a_warning(fabric):
    """The line of 7 ends where that of 9 begins; giving its link, as advised, ends the warning."""
    blank = parameters(
        tosegment=("nsegment", [0, 3, 0]), tosegment_nhm=None, seg_cum_area=("nsegment", [1.0, 1.0, 3.0])
    )
    with pytest.warns(
        NetworkWarning, match="1 reaches have no tosegment and are outlets.*: 7 -> 9;"
    ) as caught:
        ds = xmsgl.readers.read_nhm(blank, (), fabric)
    assert caught[0].filename == __file__
    assert ds["downstream_coarse"].values.tolist() == [0, 9, 0]
    assert read("nhm", parameters(), (), fabric)["downstream_coarse"].values.tolist() == [9, 9, 0]


def test_response_units_missing_from_the_parameters_are_logged(caplog, fabric):
    more = [
        ds.pad(nhm_id=(0, 2), constant_values=0).assign_coords(nhm_id=[31, 32, 33, 34, 35])
        for ds in forcing()
    ]
    with caplog.at_level("INFO", "xmsgl.readers"):
        read("nhm", [parameters(), units()], more, fabric)
    assert "2 of 5 nhru of a Dataset are not in the parameter files" in caplog.messages


def test_following_the_advice_gives_missing_units(fabric):
    humid = forcing()[2].rename(prcp="swrad").drop_attrs()
    with pytest.raises(InvalidDatasetError) as caught:
        read("nhm", [parameters(), units()], humid, fabric)
    assert "units={'swrad': ...}" in str(caught.value)
    ds = read("nhm", [parameters(), units()], humid, fabric, units={"swrad": "langley d-1"})
    assert "solar_radiation_coarse" in ds


def test_following_the_advice_gives_the_fabric(fabric):
    with pytest.raises(NetworkError, match="Give fabric="):
        read("nhm", [parameters(), units()], forcing())
    assert "air_temperature_coarse" in read("nhm", [parameters(), units()], forcing(), fabric=fabric)


def test_following_the_advice_chooses_a_layer(tmp_path, fabric):
    for name in ("one", "two"):
        fabric.to_file(tmp_path / "fabric.gpkg", layer=name)
    with pytest.raises(InvalidArgumentError, match="choose one with layer="):
        read("nhm", parameters(), (), tmp_path / "fabric.gpkg")
    assert "geometry_coarse" in read("nhm", parameters(), (), tmp_path / "fabric.gpkg", layer="two")
