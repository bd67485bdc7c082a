"""Sites on reaches: by hand on a small river, and the gauges of the Willamette."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import DataLossWarning, InvalidArgumentError
from xmsgl.readers.sites import place_sites, reads_air

shapely = pytest.importorskip("shapely")
geopandas = pytest.importorskip("geopandas")

SITES = pd.DataFrame(
    {
        "SITE_NO": ["A", "B", "C", "D"],
        "dec_lat_va": [40.0050, 40.0150, 40.0050, 41.0],
        "dec_long_va": [-75.0001, -75.0001, -75.0009, -75.0],
    }
)


@pytest.fixture
def river():
    """Reach 1 flows into 2 along 75 degrees west; 3 runs beside 1, about 130 m to the west."""
    ends = [((-75, 40.01), (-75, 40.0)), ((-75, 40.02), (-75, 40.01)), ((-75.0015, 40.01), (-75.0015, 40.0))]
    return xr.Dataset(
        {
            "geometry_fine": ("fine", np.array([shapely.LineString(line) for line in ends], dtype=object)),
            "drainage_area_fine": ("fine", [1000.0, 900.0, 5.0], {"units": "km2"}),
        },
        coords={"fine": [11, 12, 13]},
    )


def daily(**records):
    rows = [
        (site, day, value)
        for site, values in records.items()
        for day, value in zip(pd.date_range("2001-07-01", periods=len(values)), values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["site_no", "Date", "temperature"])


def test_each_site_is_on_its_nearest_reach(river):
    with pytest.warns(DataLossWarning, match=r"1 sites: no reach within 250 m \(D\)"):
        placed = place_sites(SITES, daily(A=[18.0, 19.0], B=[17.0], C=[15.0], D=[10.0]), river)
    report = placed.report
    assert report["reach"].tolist()[:3] == [11, 12, 13]
    # Degrees of longitude at 40 N by the radius of the earth.
    metres = np.array([0.0001, 0.0001, 0.0006]) * np.pi / 180 * 6_378_137 * np.cos(np.deg2rad(40.005))
    np.testing.assert_allclose(report["distance"][:3], metres, rtol=5e-3)
    assert report["outcome"].tolist() == ["placed"] * 3 + ["no reach within 250 m"]
    assert placed.labels.sel(fine=11).values.tolist() == [18.0, 19.0]
    assert placed.labels.sel(fine=13).isnull().values.tolist() == [False, True]
    assert placed.labels.attrs["units"] == "degC"
    np.testing.assert_array_equal(placed.labels["fine"], river["fine"])


def test_long_ids_are_exact(river):
    """Beside a site that is not placed, too; these two ids are the same number in floating point."""
    ids = [2**53, 2**53 + 1, 13]
    with pytest.warns(DataLossWarning, match="no reach within"):
        placed = place_sites(SITES, daily(A=[18.0], B=[17.0], D=[10.0]), river.assign_coords(fine=ids))
    assert placed.report["reach"].tolist()[:2] == ids[:2]
    assert placed.labels.values[0, :2].tolist() == [18.0, 17.0]


def test_loggers_of_a_reach_are_averaged(river):
    sites = SITES.iloc[[0, 1]].assign(dec_lat_va=[40.005, 40.006])
    placed = place_sites(sites, daily(A=[18.0, 19.0], B=[17.0]), river)
    assert placed.labels.sel(fine=11).values.tolist() == [17.5, 19.0]
    assert placed.report["days"].tolist() == [2, 1]


def test_the_drainage_area_decides_between_reaches(river):
    sites = SITES.iloc[[2]].assign(drain_area_km2=[990.0])  # nearer to the brook, but a site of the river
    placed = place_sites(sites, daily(C=[15.0]), river)
    assert placed.report.loc["C", "reach"] == 11
    assert placed.report.loc["C", "area_ratio"] == pytest.approx(1000 / 990)
    with pytest.raises(InvalidArgumentError, match=r"no observation is on a reach.*drainage area, name"):
        place_sites(sites.assign(drain_area_km2=[100.0]), daily(C=[15.0]), river)


def test_the_name_decides_between_reaches(river):
    named = river.assign(name_fine=("fine", ["Big River", "Big River", "Small Brook"]))
    sites = SITES.iloc[[2]].assign(station_nm=["BIG RIVER AT BRIDGE, PA"])
    assert place_sites(sites, daily(C=[15.0]), named).report.loc["C", "reach"] == 11


@pytest.mark.parametrize(
    ("reach", "gauge", "same"),
    [
        ("Willamette River", "WILLAMETTE R. AT SALEM, OR", True),
        ("North Yamhill River", "N. YAMHILL R. NR YAMHILL, OR", True),
        ("Mill Creek", "MILL CR. NR. SHERIDAN, OR", True),
        ("South Fork Toutle River", "SF TOUTLE RIVER AT TOUTLE, WA", True),
        ("Saint John's Creek", "ST JOHNS CK AT MOUTH", True),
        ("Mill Creek", "SAWMILL CREEK AT MOUTH", False),
        ("West Branch Delaware River", "EAST BR DELAWARE R AT FISHS EDDY NY", False),
        ("", "MILL CREEK", True),
        ("Mill Creek", None, True),
    ],
)
def test_names_of_gauges_are_abbreviated(river, reach, gauge, same):
    named = river.isel(fine=[0]).assign(name_fine=("fine", np.array([reach], object)))
    sites = SITES.iloc[[0]].assign(station_nm=[gauge])
    if same:
        assert place_sites(sites, daily(A=[15.0]), named).report.loc["A", "reach"] == 11
    else:
        with pytest.raises(InvalidArgumentError, match="name or reach differs"):
            place_sites(sites, daily(A=[15.0]), named)


def test_the_reach_of_a_site_may_be_given(river):
    sites = SITES.iloc[[0, 2, 1]].assign(rid=[13.0, np.nan, 99.0])  # A is on 11, C nearest to 13
    with pytest.warns(DataLossWarning, match=r"1 sites: drainage area, name or reach differs \(B\)"):
        report = place_sites(sites, daily(A=[15.0], B=[15.0], C=[15.0]), river).report
    assert report["reach"].dropna().to_dict() == {"A": 13, "C": 13}
    far = SITES.iloc[[1]].assign(rid=[11])  # more than 250 m from its reach
    with pytest.raises(InvalidArgumentError, match="name or reach differs"):
        place_sites(far, daily(B=[15.0]), river)


def test_numbers_of_gauges_keep_their_zeros(river, tmp_path):
    """Two agencies, one of which writes its numbers with zeros in front."""
    sites = SITES.iloc[:2].assign(SITE_NO=["01434000", "1434000"])
    sites.to_csv(tmp_path / "sites.csv", index=False)
    days = daily(A=[18.0], B=[12.0]).replace({"A": "01434000", "B": "1434000"})
    days.to_csv(tmp_path / "days.csv", index=False)
    placed = place_sites(tmp_path / "sites.csv", tmp_path / "days.csv", river)
    assert placed.report["reach"].to_dict() == {"01434000": 11, "1434000": 12}
    assert placed.labels.values.tolist()[0][:2] == [18.0, 12.0]
    with pytest.warns(DataLossWarning, match=r"sites lacks \(1434000\)"):
        one = place_sites(sites.iloc[:1], tmp_path / "days.csv", river)
    assert int(one.labels.count()) == 1


def test_a_site_may_have_several_equal_rows_but_not_two_places(river):
    twice = pd.concat([SITES.iloc[[0]]] * 2)
    assert place_sites(twice, daily(A=[18.0]), river).report.index.tolist() == ["A"]
    apart = pd.concat([SITES.iloc[[0]], SITES.iloc[[0]].assign(dec_lat_va=[40.1])])
    with pytest.raises(InvalidArgumentError, match="have rows that differ: A"):
        place_sites(apart, daily(A=[18.0]), river)


def test_points_are_as_good_as_coordinates(river):
    points = geopandas.GeoDataFrame(
        {"site": SITES["SITE_NO"]},
        geometry=geopandas.points_from_xy(SITES["dec_long_va"], SITES["dec_lat_va"]),
        crs="EPSG:4326",
    ).to_crs("EPSG:5070")
    own = place_sites(SITES.iloc[:3], daily(A=[18.0]), river).report
    xr.testing.assert_allclose(
        place_sites(points.iloc[:3], daily(A=[18.0]), river).report["distance"].to_xarray(),
        own["distance"].rename_axis("site").to_xarray(),
    )


@pytest.mark.parametrize(
    ("sites", "days", "arguments", "message"),
    [
        (SITES.drop(columns="SITE_NO"), daily(A=[1.0]), {}, "no column for site; it has dec_lat_va"),
        (SITES, daily(A=[1.0]).drop(columns="Date"), {}, "no column for time; it has site_no, temperature"),
        (SITES, daily(A=[1.0]), {"max_distance": 0}, "max_distance must be above 0"),
        (SITES, daily(A=[1.0]), {"area_factor": 0.5}, "area_factor at least 1"),
        (SITES, daily(A=[1.0]).assign(Date="01/07/2001"), {}, "date_format"),
        (
            SITES,
            daily(Z=[1.0]),
            {},
            "no observation is on a reach.*of 'Z' but the sites are 'A'.*leading zeros",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused(river, sites, days, arguments, message):
    with pytest.raises(InvalidArgumentError, match=message):
        place_sites(sites, days, river, **arguments)


def test_impossible_values_are_left_out_and_counted(river):
    with pytest.warns(DataLossWarning, match="2 daily values that are impossible"):
        placed = place_sites(SITES, daily(A=[18.0, -9.0, 99.0, 17.0]), river)
    assert placed.labels.sel(fine=11).values[[0, 3]].tolist() == [18.0, 17.0]
    assert placed.report.loc["A", "in_air"] == 2


def weather(n, seed=0):
    """Air temperature whose weather lasts some days, over a season."""
    rng = np.random.default_rng(seed)
    noise = np.zeros(n)
    for k in range(1, n):
        noise[k] = 0.6 * noise[k - 1] + rng.normal(0, 2.5)
    return 12 - 10 * np.cos(2 * np.pi * np.arange(n) / 365) + noise


def test_a_dry_logger_is_recognised_and_a_river_is_not(river):
    air = weather(200)
    water = pd.Series(air).ewm(halflife=6).mean().to_numpy() + 1
    dry = water.copy()
    dry[80:130] = air[80:130] + np.random.default_rng(1).normal(0, 0.5, 50)
    found = reads_air(np.column_stack([water, dry]), np.column_stack([air, air]))
    assert not found[:, 0].any()
    assert found[85:125, 1].mean() > 0.9
    assert not found[:70, 1].any()
    assert not found[140:, 1].any()
    days = pd.date_range("2001-07-01", periods=200)
    over = xr.DataArray(
        np.tile(air[:, None], 3), coords={"time": days, "fine": [11, 12, 13]}, dims=("time", "fine")
    )
    with pytest.warns(DataLossWarning, match="follow the air"):
        placed = place_sites(SITES.iloc[:2], daily(A=water, B=dry), river, air=over)
    assert placed.report["in_air"].tolist() == [0, found[:, 1].sum()]
    assert int(placed.labels.sel(fine=12).count()) == 200 - found[:, 1].sum()


@pytest.fixture
def dry_logger():
    """Observations of a logger in air at A and in water at B, and the air temperature of the reaches."""
    values = weather(60) + 10
    water = 12 + np.random.default_rng(1).normal(0, 0.3, 60)
    days = pd.date_range("2001-07-01", periods=60)
    air = xr.DataArray(
        np.tile(values[:, None], 3),
        coords={"time": days, "fine": [11, 12, 13]},
        dims=("time", "fine"),
        attrs={"units": "degC"},
    )
    return daily(A=values, B=water), air


@pytest.mark.parametrize(
    "change",
    [
        lambda air: (air * 1.8 + 32).assign_attrs(units="degF"),
        lambda air: (air + 273.15).assign_attrs(units="K"),
        lambda air: air.drop_attrs(),
        lambda air: air.isel(time=slice(None, None, -1), fine=[2, 0, 1]).transpose(),
        lambda air: air.chunk(time=7),
        lambda air: air.assign_coords(fine=air["fine"].astype("i4")),
    ],
    ids=["degF", "K", "no units", "order", "chunks", "dtype"],
)
def test_units_and_order_of_the_air_play_no_part(river, dry_logger, change):
    observed, air = dry_logger
    with pytest.warns(DataLossWarning, match="follow the air"):
        expected = place_sites(SITES, observed, river, air=air)
    assert expected.report["in_air"].tolist()[0] > 40
    assert expected.report["in_air"].tolist()[1:] == [0, 0, 0]
    with pytest.warns(DataLossWarning, match="follow the air"):
        found = place_sites(SITES, observed, river, air=change(air))
    xr.testing.assert_equal(found.labels, expected.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda air: air.sel(fine=[12, 13]), "air lacks reaches that have sites: 11; it has 12, 13"),
        (lambda air: air.assign_coords(fine=["11", "12", "13"]), "air lacks reaches.*it has '11'"),
        (lambda air: air.drop_vars("fine"), "with days and ids"),
        (lambda air: air.rename(fine="coarse"), "air must be over .time, fine."),
        (lambda air: air.expand_dims(member=2), "air must be over .time, fine."),
        (lambda air: xr.concat([air, air], "time"), "one value a day.*daily means"),
        (lambda air: air.assign_coords(time=air["time"] + np.timedelta64(12, "h")), "at midnight"),
        (lambda air: air.assign_coords(time=air["time"] + np.timedelta64(3650, "D")), "of the same days"),
        (lambda air: air + 273.15, "air: .*probably kelvin.*air = .air - 273.15"),
        (lambda air: air.where(air["time"] != air["time"][3], -9999.0), "air: .*fill values"),
    ],
)
def test_air_that_does_not_fit_is_refused(river, dry_logger, change, message):
    observed, air = dry_logger
    with pytest.raises(InvalidArgumentError, match=message):
        place_sites(SITES, observed, river, air=change(air))


def test_air_in_unknown_units_is_refused(river, dry_logger):
    observed, air = dry_logger
    with pytest.raises(InvalidArgumentError, match=r"air is in m, not in degC; .*air\.attrs"):
        place_sites(SITES, observed, river, air=air.assign_attrs(units="m"))


def test_days_without_observations_are_no_days_of_the_air(river, dry_logger):
    """A logger read every third day has no changes from day to day, alone and beside another."""
    observed, air = dry_logger
    third = (observed["Date"].dt.day_of_year % 3 == 0) | (observed["site_no"] == "B")
    for given in (observed[third], observed[third & (observed["site_no"] == "A")]):
        report = place_sites(SITES, given, river, air=air).report
        assert report["in_air"].sum() == 0
        assert report.loc["A", "days"] == 20


def test_units_of_drainage_areas_play_no_part(river):
    sites = SITES.iloc[:2].assign(drain_area_km2=[1000.0, 5.0])
    with pytest.warns(DataLossWarning, match="1 sites: drainage area"):
        expected = place_sites(sites, daily(A=[18.0], B=[17.0]), river).report
    area = (river["drainage_area_fine"] * 1e6).assign_attrs(units="m2")
    with pytest.warns(DataLossWarning, match="1 sites: drainage area"):
        found = place_sites(sites, daily(A=[18.0], B=[17.0]), river.assign(drainage_area_fine=area)).report
    pd.testing.assert_frame_equal(found, expected)


def test_rule_for_dry_loggers_against_plain_loops():
    rng = np.random.default_rng(3)
    air = rng.normal(10, 4, 60)
    water = np.where(np.arange(60) < 30, air + rng.normal(0, 0.6, 60), 0.2 * air + 8)
    water[rng.random(60) < 0.1] = np.nan
    expected = np.zeros(60, bool)
    for shift in (0, 1):
        for day in range(60):
            pairs = []
            for k in range(max(1, day - 7), min(60, day + 8)):
                if k + shift < 60 and k + shift >= 1:
                    pairs.append((water[k] - water[k - 1], air[k + shift] - air[k + shift - 1]))
                else:
                    pairs.append((water[k] - water[k - 1], np.nan))
            there = np.array([pair for pair in pairs if np.isfinite(pair[0])])
            both = there[np.isfinite(there[:, 1])] if len(there) else there
            if len(there) < 10 or len(both) < 10:
                continue
            ratio = there[:, 0].std(ddof=1) / both[:, 1].std(ddof=1)
            scale = np.sqrt((there[:, 0] ** 2).mean() * (both[:, 1] ** 2).mean())
            expected[day] |= ratio > 0.8 and (both[:, 0] * both[:, 1]).mean() / scale > 0.8
    found = reads_air(water[:, None], air[:, None])[:, 0]
    np.testing.assert_array_equal(found, expected)
    assert found.any()
    assert not found[45:].any()
