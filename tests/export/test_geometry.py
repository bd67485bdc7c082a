"""Results with lines: xvec cubes, GeoDataFrames, and both forms of geometries."""

from __future__ import annotations

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
import xarray as xr
import xvec

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.export import to_geodataframe
from xmsgl.plot.places import lines as drawn_lines
from xmsgl.schema.geometry import read_geometry


def test_a_result_goes_to_a_geodataframe_through_xvec(placed, predicted, lines):
    frame = placed.msgl.export(predicted.isel(time=5), convention="xvec").xvec.to_geodataframe()
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert frame.crs.to_epsg() == 4326
    assert shapely.equals_identical(frame.geometry.values, lines).all()
    np.testing.assert_array_equal(frame["water_temperature"], predicted.isel(time=5))
    assert frame["reach_id"].tolist() == list(range(1, 13))
    np.testing.assert_array_equal(frame["elevation"], placed.elevation_fine)


def test_a_cube_is_indexed_by_its_lines(placed, predicted):
    done = placed.msgl.export(predicted, convention="xvec")
    assert isinstance(done.xindexes["geometry"], xvec.GeometryIndex)
    found = done.xvec.query("geometry", shapely.Point(-75.25, 41.25).buffer(1e-6))
    assert sorted(found.reach_id.values.tolist()) == [1, 2]
    reproj = done.xvec.to_crs(geometry="EPSG:5070")
    assert float(reproj.geometry.values[0].length) == pytest.approx(6900, rel=0.1)  # m


def test_a_geodataframe_has_a_column_for_each_day(placed, predicted, lines):
    days = predicted.sel(time=["2001-10-03", "2001-11-20"])
    frame = to_geodataframe(days, placed)
    assert list(frame.columns) == ["water_temperature 2001-10-03", "water_temperature 2001-11-20", "geometry"]
    assert frame.index.name == "reach_id"
    assert frame.index.tolist() == list(range(1, 13))
    np.testing.assert_array_equal(frame.iloc[:, 1], days.isel(time=1))
    assert shapely.equals_identical(frame.geometry.values, lines).all()
    assert frame.crs.to_epsg() == 4326


def test_a_geodataframe_has_a_column_for_each_statistic(placed, predicted, quantiles):
    frame = to_geodataframe(predicted.mean("time"), placed)
    np.testing.assert_allclose(frame["water_temperature"], predicted.mean("time"))
    both = to_geodataframe(quantiles.isel(time=[0, 1]), placed)
    assert list(both.columns[:2]) == [
        "water_temperature 0.05 2001-10-01",
        "water_temperature 0.05 2001-10-02",
    ]
    np.testing.assert_array_equal(both.iloc[:, 5], quantiles.isel(quantile=2, time=1))
    scores = placed.msgl.evaluate(predicted, by="reach")
    frame = to_geodataframe(scores[["rmse", "n"]], placed)
    assert list(frame.columns) == ["rmse", "n", "geometry"]
    assert frame["n"].sum() == int(placed.water_temperature_fine.count())


def test_a_geodataframe_refuses_values_without_reaches(placed, predicted):
    values = xr.Dataset({"warmest": predicted.max("time"), "mean": predicted.mean()})
    with pytest.raises(InvalidArgumentError, match=r"'mean' has dimensions \(\), not 'fine'"):
        to_geodataframe(values, placed)


def test_a_geodataframe_is_what_map_libraries_take(placed, predicted, tmp_path):
    """Text for names, plain numbers for values: Arrow (lonboard), GeoJSON (folium, hvplot) and files."""
    frame = to_geodataframe(predicted.isel(time=[0, 1]), placed)
    assert all(isinstance(name, str) for name in frame.columns)
    arrow = pa.table(frame.to_arrow(index=True))
    assert arrow.num_rows == 12
    assert {"reach_id", "geometry", *frame.columns} == set(arrow.column_names)
    assert len(frame.to_geo_dict()["features"]) == 12
    frame.to_file(tmp_path / "rivers.gpkg", index=True)
    back = geopandas.read_file(tmp_path / "rivers.gpkg").set_index("reach_id")
    np.testing.assert_array_equal(back.iloc[:, 0], frame.iloc[:, 0])
    assert back.geometry.geom_equals_exact(frame.geometry, 0).all()


def test_points_replace_missing_lines(placed):
    day = placed.water_temperature_coarse.isel(time=0)
    frame = to_geodataframe(day, placed)
    assert frame.index.name == "segment_id"
    assert frame.geometry.geom_type.unique().tolist() == ["Point"]
    np.testing.assert_array_equal(frame.geometry.y, placed.lat_coarse)


def test_lines_are_read_from_text_bytes_and_geometries(placed, indexed, lines):
    binary = placed.assign(geometry_fine=("fine", shapely.to_wkb(lines).astype(object)))
    fixed = placed.assign(geometry_fine=placed.geometry_fine.astype(str))
    for ds in (placed, indexed, binary, fixed):
        assert shapely.equals_identical(read_geometry(ds, "fine"), lines).all()
        assert ds.msgl.validate().reaches == 12


def test_pictures_take_both_forms(placed, indexed):
    text, geometries = drawn_lines(placed, "fine"), drawn_lines(indexed, "fine")
    assert [path.tolist() for path in text.paths] == [path.tolist() for path in geometries.paths]
    day = placed.elevation_fine
    xmsgl.plot.network(day, indexed)


def test_exports_take_both_forms(placed, indexed, predicted):
    for convention in ("cf", "ugrid", "xvec"):
        one, other = (ds.msgl.export(predicted, convention=convention) for ds in (placed, indexed))
        one.attrs["history"] = other.attrs["history"] = ""
        xr.testing.assert_identical(one, other)


def test_faults_of_lines_are_named(placed):
    with pytest.raises(InvalidDatasetError, match=r"geometry_fine has dimensions \('coarse',\)"):
        placed.assign(geometry_fine=("coarse", ["00"] * 5)).msgl.validate()
    with pytest.raises(InvalidDatasetError, match="geometry_fine has dtype float64"):
        placed.assign(geometry_fine=("fine", np.zeros(12))).msgl.validate()
    changed = placed.copy()
    changed["geometry_fine"].attrs["crs"] = "EPSG:5070"
    with pytest.raises(InvalidDatasetError, match=r"EPSG:5070 instead of EPSG:4326"):
        changed.msgl.validate()
    text = placed.geometry_fine.values.copy()
    text[[1, 4]] = ["not a line", "0102"]
    with pytest.raises(InvalidDatasetError, match="2 values are not valid lines: fine 2, 5"):
        read_geometry(placed.assign(geometry_fine=("fine", text)), "fine")


@pytest.mark.parametrize("form", ["text", "gaps", "long-name", "geometries"])
def test_the_advised_code_converts_lines(placed, lines, form):
    projected = geopandas.GeoSeries(lines, crs="EPSG:4326").to_crs("EPSG:5070")
    if form != "geometries":
        text = projected.to_wkb(hex=True).to_numpy(dtype=object, copy=True)
        if form == "gaps":
            text[:3], lines = ["", None, np.nan], np.where(np.arange(12) < 3, None, lines)
        crs = projected.crs.to_wkt() if form == "long-name" else "EPSG:5070"
        ds = placed.assign(geometry_fine=("fine", text, {"crs": crs}))
    else:
        ds = placed.drop_vars("geometry_fine").assign_coords(geometry_fine=("fine", projected.values))
        ds = ds.set_xindex("geometry_fine", xvec.GeometryIndex, crs="EPSG:5070")
    with pytest.raises(InvalidDatasetError) as caught:
        ds.msgl.validate()
    (fault,) = caught.value.faults
    scope = {"ds": ds, "geopandas": geopandas, "shapely": shapely}
    exec(fault.split("convert: ")[1], scope)
    assert scope["ds"].msgl.validate().reaches == 12
    found = read_geometry(scope["ds"], "fine")
    there = shapely.is_geometry(lines)
    assert (shapely.is_geometry(found) == there).all()
    assert shapely.equals_exact(found[there], lines[there], 1e-6).all()


@pytest.mark.parametrize("crs", ["EPSG:4326", "epsg:4326", "OGC:CRS84", "WGS 84", 4326])
def test_spellings_of_the_coordinate_system(placed, crs):
    changed = placed.copy()
    changed["geometry_fine"].attrs["crs"] = crs
    assert changed.msgl.validate().reaches == 12


def test_missing_lines_are_none(placed, lines):
    text = placed.geometry_fine.values.copy()
    text[:3] = ["", None, np.nan]
    found = read_geometry(placed.assign(geometry_fine=("fine", text)), "fine")
    assert pd.isna(found[:3]).all()
    assert shapely.equals_identical(found[3:], lines[3:]).all()
