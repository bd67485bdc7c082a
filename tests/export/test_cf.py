"""CF files: compliance-checker finds no error, and values survive a round trip."""

from __future__ import annotations

import geopandas
import netCDF4
import numpy as np
import pytest
import shapely
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UnknownNameError
from xmsgl.export import export


def check(path) -> tuple[list[str], list[str]]:
    """Errors and warnings of compliance-checker, as lines of text."""
    from compliance_checker.suite import CheckSuite

    if "cf:1.11" not in CheckSuite.checkers:
        CheckSuite.load_all_available_checkers()
    suite = CheckSuite()
    dataset = suite.load_dataset(str(path))
    ((scores, exceptions),) = suite.run_all(dataset, ["cf:1.11"], skip_checks=[]).values()
    assert exceptions == {}
    found: dict[int, list[str]] = {3: [], 2: [], 1: []}
    for result in scores:
        passed, asked = result.value if isinstance(result.value, tuple) else (int(result.value), 1)
        found[result.weight] += [] if passed == asked else [str(message) for message in result.msgs]
    return found[3], found[2]


@pytest.fixture
def written(placed, predicted, tmp_path):
    path = tmp_path / "temperature.nc"
    placed.msgl.export(predicted).to_netcdf(path)
    return path


def test_a_checker_finds_no_error(written):
    errors, warnings = check(written)
    assert errors == []
    # lines of several nodes do not lie along "node" themselves, whatever this version of the checker says
    assert [text for text in warnings if "geometry dimension 'node'" not in text] == []


def test_the_checker_can_find_an_error(written):
    with netCDF4.Dataset(written, "a") as file:
        file["water_temperature"].units = "warm"
    assert check(written)[0]


@pytest.mark.parametrize("what", ["quantiles", "segments", "one day, text ids", "scores"])
def test_a_checker_finds_no_error_in_other_exports(what, placed, predicted, quantiles, tmp_path):
    ds = placed.drop_vars(
        [f"{name}_fine" for name in ("elevation", "drainage_area")]
    )  # a check takes its time
    named = [f"r{k}" for k in range(1, 13)]
    if what == "one day, text ids":
        ds = ds.assign_coords(fine=named).assign(downstream_fine=("fine", [*named[1:], ""]))
    values = {
        "quantiles": quantiles,
        "segments": placed.water_temperature_coarse.chunk(time=40),
        "one day, text ids": predicted.assign_coords(fine=named).isel(time=3),
        "scores": placed.msgl.evaluate(predicted, by="reach")[["rmse", "bias", "n"]],
    }[what]
    path = tmp_path / "file.nc"
    ds.msgl.export(values).to_netcdf(path)
    assert check(path)[0] == []


def test_what_is_read_back_is_what_was_written(written, placed, predicted, lines):
    with xr.open_dataset(written) as raw:
        back = raw.load().xvec.decode_cf()
    np.testing.assert_array_equal(back.reach_id, placed.fine)
    np.testing.assert_array_equal(back.time, predicted.time)
    np.testing.assert_array_equal(back.water_temperature.transpose("time", "geometry"), predicted)
    assert shapely.equals_identical(back.geometry.values, lines).all()
    np.testing.assert_array_equal(back.downstream, placed.downstream_fine)
    np.testing.assert_array_equal(back.coarse_segment, placed.coarse_segment)
    np.testing.assert_array_equal(back.length, placed.length_fine)
    assert back.xvec.geom_coords_indexed["geometry"].crs.to_epsg() == 4326


@pytest.mark.parametrize("kind", [object, np.dtypes.StringDType()], ids=["objects", "text of zarr"])
def test_text_of_any_dtype_is_written(placed, predicted, kind, tmp_path):
    names = np.array([f"stretch {k}" for k in range(12)], dtype=kind)
    if kind is object:
        names[3] = None
    text = placed.geometry_fine.values.astype(kind)
    ds = placed.assign(gnis_name_fine=("fine", names), geometry_fine=("fine", text))
    ds.msgl.export(predicted).to_netcdf(tmp_path / "named.nc")
    with xr.open_dataset(tmp_path / "named.nc") as back:
        assert back.gnis_name.values[:3].tolist() == ["stretch 0", "stretch 1", "stretch 2"]
        assert back.gnis_name.values[3] == ("" if kind is object else "stretch 3")


def test_quantiles_are_read_back(placed, quantiles, tmp_path):
    placed.msgl.export(quantiles).to_netcdf(tmp_path / "q.nc")
    with xr.open_dataset(tmp_path / "q.nc") as back:
        assert back.water_temperature.dims == ("quantile", "geometry", "time")
        np.testing.assert_array_equal(back["quantile"], quantiles["quantile"])
        found = back.water_temperature.transpose(*("quantile", "time", "geometry"))
        np.testing.assert_array_equal(found, quantiles)


def test_attributes_of_the_file(written):
    with netCDF4.Dataset(written) as file:
        assert file.Conventions == "CF-1.11"
        assert file.featureType == "timeSeries"
        assert file.title == "the small river of the tests: downscaled daily mean stream water temperature"
        assert "method msgl" in file.source
        assert "ab" * 32 in file.source
        assert "10.1609/aaai.v39i27.35014" in file.references
        first, last = file.history.splitlines()
        assert "downscale(" in first
        assert "CF-1.11" in last
        assert "institution" not in file.ncattrs()
        temperature = file["water_temperature"]
        assert temperature.dimensions == ("geometry", "time")
        assert temperature.units == "degC"
        assert temperature.cell_methods == "time: mean"
        assert "standard_name" not in temperature.ncattrs()
        assert "history" not in temperature.ncattrs()
        assert set(temperature.coordinates.split()) == {"lat", "lon", "reach_id"}
        assert file["reach_id"].cf_role == "timeseries_id"
        container = file[temperature.geometry]
        assert container.geometry_type == "line"
        assert file[container.node_count][:].tolist() == [3] * 12
        assert len(file[container.node_coordinates.split()[0]][:]) == 36
        bounds = file[file["time"].bounds][:]
        np.testing.assert_array_equal(bounds[:, 0], file["time"][:])
        np.testing.assert_array_equal(bounds[:, 1] - bounds[:, 0], 1)
        assert "coordinates" not in file.ncattrs()


def test_lines_in_pieces_have_part_node_counts(placed, predicted, tmp_path):
    pieces = shapely.MultiLineString([[(-75.3, 41.3), (-75.28, 41.28)], [(-75.27, 41.27), (-75.25, 41.25)]])
    text = placed.geometry_fine.values.copy()
    text[0] = pieces.wkb_hex
    ds = placed.assign(geometry_fine=("fine", text, placed.geometry_fine.attrs))
    ds.msgl.export(predicted).to_netcdf(tmp_path / "parts.nc")
    with netCDF4.Dataset(tmp_path / "parts.nc") as file:
        assert file["part_node_count"][:].tolist() == [2, 2, *[3] * 11]
        assert file["node_count"][:].tolist() == [4, *[3] * 11]
    with xr.open_dataset(tmp_path / "parts.nc") as raw:
        assert raw.load().xvec.decode_cf().geometry.values[0].equals(pieces)
    assert check(tmp_path / "parts.nc")[0] == []


def test_the_institution_is_that_of_the_dataset(placed, predicted):
    done = placed.assign_attrs(institution="a university", licence="CC0-1.0").msgl.export(predicted)
    assert done.attrs["institution"] == "a university"
    assert done.attrs["licence"] == "CC0-1.0"


def test_standard_names_only_where_cf_has_one(placed):
    done = placed.msgl.export(placed[["air_temperature_coarse", "precipitation_coarse"]].rename(
        air_temperature_coarse="air_temperature", precipitation_coarse="precipitation"
    ))  # fmt: skip
    assert done.air_temperature.attrs["standard_name"] == "air_temperature"
    assert done.precipitation.attrs["standard_name"] == "lwe_precipitation_rate"
    assert "standard_name" not in done.length.attrs
    in_inches = placed.precipitation_coarse.rename("precipitation").assign_attrs(units="in")
    assert "standard_name" not in placed.msgl.export(in_inches).precipitation.attrs


def test_days_have_bounds_only_where_they_follow_one_another(placed, predicted):
    assert "time_bounds" in placed.msgl.export(predicted.isel(time=slice(3)))
    monthly = predicted.resample(time="MS").mean()
    assert "time_bounds" not in placed.msgl.export(monthly)
    assert "bounds" not in placed.msgl.export(monthly).time.attrs


def test_some_reaches_in_another_order(placed, predicted):
    chosen = predicted.sel(fine=[7, 2, 11])
    done = placed.msgl.export(chosen)
    assert done.reach_id.values.tolist() == [7, 2, 11]
    np.testing.assert_array_equal(done.elevation, placed.elevation_fine.sel(fine=[7, 2, 11]))
    np.testing.assert_array_equal(done.water_temperature, chosen.transpose("fine", "time"))


def test_locations_half_way_along_the_line_unless_stored(placed, predicted, lines):
    done = placed.msgl.export(predicted)
    metres = geopandas.GeoSeries(lines, crs="EPSG:4326").to_crs("EPSG:32618")  # UTM, the zone of 75 W
    middle = metres.interpolate(0.5, normalized=True).to_crs("EPSG:4326")
    np.testing.assert_allclose(done.lon, middle.x, atol=1e-5, rtol=0)  # of lines 0.1 degrees long
    np.testing.assert_allclose(done.lat, middle.y, atol=1e-5, rtol=0)
    stored = placed.assign(lat_fine=("fine", np.full(12, 41.0)), lon_fine=("fine", np.full(12, -75.0)))
    assert stored.msgl.export(predicted).lat.values.tolist() == [41.0] * 12


def test_missing_locations_and_unknown_ids_are_errors(placed, predicted, river):
    with pytest.raises(InvalidDatasetError, match=r"no locations along 'fine': add geometry_fine"):
        river.msgl.export(predicted)
    text = placed.geometry_fine.values.copy()
    text[[2, 5]] = ["", None]
    with pytest.raises(InvalidDatasetError, match=r"missing or .* for 2 of 12 ids along 'fine': 3, 6"):
        placed.assign(geometry_fine=("fine", text)).msgl.export(predicted)
    with pytest.raises(InvalidArgumentError, match="not in the dataset: 99"):
        placed.msgl.export(predicted.assign_coords(fine=[99, *range(2, 13)]))
    with pytest.raises(InvalidArgumentError, match="occur twice: 2"):
        placed.msgl.export(predicted.assign_coords(fine=[2, *range(2, 13)]))
    with pytest.raises(InvalidArgumentError, match="neither scale"):
        placed.msgl.export(predicted.rename(fine="reach"))
    with pytest.raises(InvalidArgumentError, match="both scales"):
        placed.msgl.export(placed)
    with pytest.raises(InvalidArgumentError, match="not ndarray"):
        placed.msgl.export(predicted.values)
    with pytest.raises(UnknownNameError, match="cf, ugrid, xvec"):
        placed.msgl.export(predicted, convention="CF-1.11")


def test_nothing_is_computed(placed, predicted, refuse_to_compute):
    lazy = predicted.chunk(time=90)
    with refuse_to_compute():
        done = placed.msgl.export(lazy)
    assert done.water_temperature.chunks is not None
    np.testing.assert_array_equal(done.water_temperature, predicted.transpose("fine", "time"))
    assert done.water_temperature.encoding["chunksizes"] == (12, 90)


def test_the_input_is_not_changed(placed, predicted):
    before, values = placed.copy(deep=True), predicted.copy(deep=True)
    for convention in ("cf", "ugrid", "xvec"):
        export(placed, predicted, convention=convention)
    xr.testing.assert_identical(placed, before)
    xr.testing.assert_identical(predicted, values)
    assert predicted.attrs == values.attrs
    assert predicted.time.attrs == values.time.attrs
    assert predicted.encoding == values.encoding


def test_points_and_parts_of_lines_in_any_order_have_locations(placed, predicted):
    text = placed.geometry_fine.values.copy()
    text[0] = shapely.from_wkt("MULTILINESTRING ((-75 41.1, -75 41.2), (-75 41, -75 41.1))").wkb_hex
    text[1] = shapely.Point(-75.25, 41.25).wkb_hex
    done = placed.assign(geometry_fine=("fine", text)).msgl.export(predicted, convention="ugrid")
    found = np.stack([done.network1d_edge_x, done.network1d_edge_y], axis=1)
    np.testing.assert_allclose(found[:2], [(-75, 41.1), (-75.25, 41.25)], atol=1e-9)


def test_a_selection_of_no_reach_is_refused(placed, predicted):
    with pytest.raises(InvalidArgumentError, match="no values along 'fine'; select reaches"):
        placed.msgl.export(predicted.isel(fine=slice(0, 0)))
