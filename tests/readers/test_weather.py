"""Weather on segments, from grids against xarray's interpolation and from stations against plain loops."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.readers.weather import weather_from_grid, weather_from_stations

DAYS = pd.date_range("2001-10-01", periods=40)


@pytest.fixture(scope="module")
def river():
    ds = xmsgl.datasets.simulated(n_coarse=8, reaches_per_segment=3, years=1, seed=2)
    return ds.isel(time=slice(0, DAYS.size))


@pytest.fixture
def grid(river):
    lat = np.arange(float(river["lat_fine"].min()) - 0.1, float(river["lat_fine"].max()) + 0.1, 0.04)
    lon = np.arange(float(river["lon_fine"].min()) - 0.1, float(river["lon_fine"].max()) + 0.1, 0.05)
    rng = np.random.default_rng(0)
    size = (DAYS.size, lat.size, lon.size)
    return xr.Dataset(
        {
            "tmmx": (("day", "lat", "lon"), rng.normal(285, 5, size).astype("f4"), {"units": "K"}),
            "pr": (("day", "lat", "lon"), rng.gamma(1, 3, size).astype("f4"), {"units": "mm"}),
        },
        coords={"day": DAYS, "lat": lat, "lon": lon},
    )


NAMES = {"air_temperature_max": "tmmx", "precipitation": "pr"}


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_a_grid_is_interpolated_as_by_xarray(river, grid, scale):
    weather = weather_from_grid(grid, river, NAMES, scale=scale)
    at = {"lat": river[f"lat_{scale}"].drop_vars(scale), "lon": river[f"lon_{scale}"].drop_vars(scale)}
    expected = grid.interp(at, method="linear")
    np.testing.assert_allclose(weather[f"air_temperature_max_{scale}"], expected["tmmx"] - 273.15, atol=1e-4)
    np.testing.assert_allclose(weather[f"precipitation_{scale}"], expected["pr"], atol=1e-4)
    assert weather[f"precipitation_{scale}"].attrs["units"] == "mm d-1"
    merged = river.drop_vars(["precipitation_coarse"]).merge(weather, compat="override")
    merged.msgl.validate(labels=False)


def test_the_mean_of_a_segment_is_that_of_its_reaches(river, grid):
    means = weather_from_grid(grid, river, NAMES, method="mean")["precipitation_coarse"]
    fine = weather_from_grid(grid, river, NAMES, scale="fine")["precipitation_fine"]
    for segment in river["coarse"].values:
        own = fine.sel(fine=river["coarse_segment"] == segment)
        length = river["length_fine"].sel(fine=own["fine"])
        expected = (own * length).sum("fine") / length.sum()
        np.testing.assert_allclose(means.sel(coarse=segment), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda grid: grid.isel(lat=slice(None, None, -1)),
        lambda grid: grid.isel(lon=slice(None, None, -1)),
        lambda grid: grid.transpose("lon", "day", "lat"),
        lambda grid: grid.rename(day="time", lat="latitude", lon="longitude"),
        lambda grid: grid.assign_coords(lon=grid["lon"] % 360),
        lambda grid: grid.chunk(day=7, lat=5, lon=4),
    ],
    ids=["north-first", "east-first", "transposed", "renamed", "0-360", "chunked"],
)
def test_order_names_and_chunks_play_no_part(river, grid, change):
    expected = weather_from_grid(grid, river, NAMES)
    xr.testing.assert_allclose(weather_from_grid(change(grid), river, NAMES).compute(), expected, atol=1e-4)


def test_a_lazy_grid_stays_lazy(river, grid):
    lazy = weather_from_grid(grid.chunk(day=10), river, NAMES)
    assert all(isinstance(array.data, dask.array.Array) for array in lazy.data_vars.values())


def test_cells_at_sea_are_left_out(river, grid):
    lat, lon = float(river["lat_coarse"][0]), float(river["lon_coarse"][0])
    near = grid.sel(lat=lat, lon=lon, method="nearest")
    sea = (np.abs(grid["lat"] - near["lat"]) < 0.09) & (np.abs(grid["lon"] - near["lon"]) < 0.11)
    weather = weather_from_grid(grid.where(~sea), river, NAMES)["precipitation_coarse"]
    assert bool(weather.notnull().all())
    land = grid["pr"].where(~sea).stack(cell=("lat", "lon")).dropna("cell", how="any")
    far = (land["lat"] - lat) ** 2 + (land["lon"] - lon) ** 2
    np.testing.assert_allclose(weather[:, 0], land.isel(cell=int(np.argmin(far.values))), rtol=1e-6)


def test_a_projected_grid(river, grid):
    pyproj = pytest.importorskip("pyproj")
    to = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:5070", always_xy=True)
    x, y = to.transform(river["lon_coarse"].values, river["lat_coarse"].values)
    axis_x = np.linspace(x.min() - 5e3, x.max() + 5e3, 30)
    axis_y = np.linspace(y.min() - 5e3, y.max() + 5e3, 25)
    plane = axis_y[:, None] * 1e-3 + axis_x[None, :] * 2e-3  # linear, so interpolation is exact
    flat = xr.Dataset(
        {"swe": (("time", "y", "x"), np.tile(plane, (DAYS.size, 1, 1)), {"units": "m"})},
        coords={"time": DAYS, "y": axis_y, "x": axis_x},
    )
    found = weather_from_grid(flat, river, {"swe": "swe"}, crs="EPSG:5070")["swe_coarse"]
    np.testing.assert_allclose(found[0], y * 1e-3 + x * 2e-3, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (lambda g: g.drop_vars("pr"), {}, InvalidArgumentError, "the grid has no pr; it has tmmx"),
        (lambda g: g.rename(lat="phi"), {}, InvalidArgumentError, "no dimension for latitude or y"),
        (lambda g: g.isel(lat=slice(0, 2)), {}, InvalidArgumentError, "the grid does not cover"),
        (lambda g: g.isel(day=[0, 1, 3]), {}, InvalidDatasetError, "1 day is missing"),
        (
            lambda g: g.assign(pr=g["pr"].drop_attrs()),
            {},
            InvalidArgumentError,
            "'pr' does not state its units",
        ),
        (
            lambda g: g,
            {"units": {"tmmx": "m"}},
            InvalidArgumentError,
            "'tmmx' is in 'm', which cannot be converted",
        ),
        (
            lambda g: g.assign(pr=g["pr"].assign_attrs(units=1)),
            {},
            InvalidArgumentError,
            "'pr' does not state its units",
        ),
        (
            lambda g: g,
            {"units": {"precipitation": "in"}},
            InvalidArgumentError,
            "units has precipitation, but the variables of the grid are tmmx, pr",
        ),
        (lambda g: g.drop_vars("lat"), {}, InvalidArgumentError, "no coordinate 'lat'"),
        (lambda g: g.drop_vars("day"), {}, InvalidArgumentError, "no coordinate 'day'"),
        (
            lambda g: g.assign_coords(lat=g["lat"].where(g["lat"] != g["lat"][3])),
            {},
            InvalidArgumentError,
            "'lat' of the grid must be distinct numbers; it has nan",
        ),
        (
            lambda g: xr.concat([g, g.isel(lon=[0])], "lon"),
            {},
            InvalidArgumentError,
            "'lon' of the grid must be distinct",
        ),
        (
            lambda g: g.expand_dims(member=2),
            {},
            InvalidArgumentError,
            "other dimensions, too .member.; choose",
        ),
        (lambda g: g.astype(str), {}, InvalidArgumentError, "'tmmx' must be numbers over"),
        (
            lambda g: g.assign(pr=g["pr"].astype("i2").assign_attrs(units="mm", scale_factor=0.1)),
            {},
            InvalidArgumentError,
            "'pr' is packed, with scale_factor",
        ),
        (
            lambda g: g.where(g["day"] > DAYS[0]),
            {},
            InvalidArgumentError,
            "'tmmx' has no value near the network on the first day",
        ),
        (
            lambda g: g.assign(pr=g["pr"].where(g["day"] != DAYS[5], -9999.0)),
            {},
            InvalidArgumentError,
            "'pr' has .* impossible values: -9999, on 2001-10-06; set missing ones to NaN",
        ),
        (
            lambda g: g.assign(tmmx=g["tmmx"].where(g["day"] != DAYS[5], np.inf)),
            {},
            InvalidArgumentError,
            "'tmmx' has .* impossible values: inf, on 2001-10-06",
        ),
        (lambda g: g, {"scale": "middle"}, InvalidArgumentError, "scale must be 'coarse' or 'fine'"),
        (lambda g: g, {"method": "cubic"}, InvalidArgumentError, "method must be 'linear', or 'mean'"),
        (lambda g: g, {"method": "mean", "scale": "fine"}, InvalidArgumentError, "for the coarse scale"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(river, grid, change, arguments, error, message):
    with pytest.raises(error, match=message):
        weather_from_grid(change(grid), river, NAMES, **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda ds: ds.drop_vars("lat_coarse"), InvalidArgumentError, "the network needs 'lat_coarse'"),
        (lambda ds: ds.drop_vars("coarse"), InvalidDatasetError, "coordinate 'coarse' is missing"),
        (
            lambda ds: ds.assign(lon_coarse=ds["lon_coarse"].where(ds["coarse"] != ds["coarse"][2])),
            InvalidArgumentError,
            "possible values of 'lon_coarse' .* it has 3: nan",
        ),
        (
            lambda ds: ds.assign(lat_coarse=np.deg2rad(ds["lat_coarse"]).assign_attrs(units="radian")),
            InvalidArgumentError,
            "needs 'lat_coarse' in degrees .* not in 'radian'",
        ),
    ],
)
def test_a_network_without_locations_is_refused(river, grid, change, error, message):
    with pytest.raises(error, match=message):
        weather_from_grid(grid, change(river), NAMES)


def test_reaches_on_unknown_segments_are_refused(river, grid):
    ds = river.assign(coarse_segment=river["coarse_segment"] + 1)
    with pytest.raises(InvalidDatasetError, match="5 reaches lie on segments that are not in the dataset"):
        weather_from_grid(grid, ds, NAMES, method="mean")


def test_impossible_values_of_a_lazy_grid_are_refused_when_they_are_computed(river, grid):
    grid = grid.assign(pr=grid["pr"].where(grid["day"] != DAYS[5], -9999.0)).chunk(day=3)
    weather = weather_from_grid(grid, river, NAMES)
    with pytest.raises(InvalidArgumentError, match="impossible values: -9999, on 2001-10-06"):
        weather.compute()


def test_impossible_values_elsewhere_play_no_part(river, grid):
    far = xr.full_like(grid, -9999.0).assign_coords(lat=grid["lat"] + 10)
    expected = weather_from_grid(grid, river, NAMES)
    xr.testing.assert_allclose(weather_from_grid(xr.concat([grid, far], "lat"), river, NAMES), expected)


# ------------------------------------------------------------------------------ stations

PLACES = pd.DataFrame(
    {
        "Station": ["A", "B", "C"],
        "LAT": [40.0, 40.3, 40.6],
        "LON": [-75.2, -75.6, -75.0],
        "elevation": [50.0, 400.0, 900.0],
    }
)


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    rows = [(s, d, rng.normal(50, 10), rng.gamma(1, 0.2)) for s in "ABC" for d in DAYS]
    frame = pd.DataFrame(rows, columns=["station", "date", "air_temperature [degF]", "precipitation [in]"])
    return frame.drop(index=[3, 50]).reset_index(drop=True)  # A lacks a day, B another


def test_stations_are_averaged_by_distance_and_height(river, table):
    weather = weather_from_stations(PLACES, table, river)
    degrees = (table["air_temperature [degF]"] - 32) / 1.8
    for day in (0, 3, 10, 39):
        for k in range(river.sizes["coarse"]):
            lat, lon = np.deg2rad([float(river["lat_coarse"][k]), float(river["lon_coarse"][k])])
            total = weighted = wet = 0.0
            for place in PLACES.itertuples():
                seen = (table["station"] == place.Station) & (table["date"] == DAYS[day])
                if not seen.any():
                    continue
                phi, east = np.deg2rad([place.LAT, place.LON])
                cosine = np.sin(lat) * np.sin(phi) + np.cos(lat) * np.cos(phi) * np.cos(lon - east)
                weight = (6_371_000 * np.arccos(cosine)) ** -2.0
                height = float(river["elevation_coarse"][k])
                weighted += weight * (degrees[seen].item() - 0.0065 * (height - place.elevation))
                wet += weight * table["precipitation [in]"][seen].item() * 25.4
                total += weight
            found = weather.isel(time=day, coarse=k)
            assert float(found["air_temperature_coarse"]) == pytest.approx(weighted / total, abs=1e-6)
            assert float(found["precipitation_coarse"]) == pytest.approx(wet / total, abs=1e-6)
    assert weather["air_temperature_coarse"].attrs["units"] == "degC"


def test_the_units_of_elevations_play_no_part(river, table):
    expected = weather_from_stations(PLACES, table, river)
    feet = PLACES.assign(elevation=PLACES["elevation"] / 0.3048).rename(columns={"elevation": "Elev [ft]"})
    xr.testing.assert_allclose(weather_from_stations(feet, table, river), expected)
    km = (river["elevation_coarse"] / 1000).assign_attrs(units="km")
    found = weather_from_stations(PLACES, table, river.assign(elevation_coarse=km))
    xr.testing.assert_allclose(found, expected)


def test_the_error_at_the_stations_is_that_without_them(river, table):
    """A network at the place of each station, predicted from the two others."""
    found = weather_from_stations(PLACES, table, river)["air_temperature_coarse"].attrs["leave_one_out_rmse"]
    errors = []
    for k in range(3):
        here, rest = PLACES.iloc[k], PLACES.drop(index=k)
        point = xr.Dataset(
            {
                f"{base}_coarse": ("coarse", [float(here[name])])
                for base, name in (("lat", "LAT"), ("lon", "LON"), ("elevation", "elevation"))
            },
            coords={"coarse": [1]},
        )
        others = table[table["station"] != here["Station"]]
        guess = weather_from_stations(rest, others, point)["air_temperature_coarse"][:, 0].to_pandas()
        own = table[table["station"] == here["Station"]].set_index("date")["air_temperature [degF]"]
        errors.append(guess - (own - 32) / 1.8)
    assert found == pytest.approx(np.sqrt((pd.concat(errors) ** 2).mean()), abs=1e-3)


@pytest.mark.parametrize(
    ("places", "change", "message"),
    [
        (PLACES.drop(columns="elevation"), lambda t: t, "no column for elevation"),
        (PLACES.assign(**{"elevation [ft]": 1.0}), lambda t: t, "two columns of elevation"),
        (PLACES.assign(LAT=np.nan), lambda t: t, "one row per station, with lat, lon and elevation"),
        (PLACES.assign(LON=[-75.2, np.nan, -75.0]), lambda t: t, "one row per station.*correct B .40.3, nan"),
        (PLACES.assign(LAT=[40.0, 40.3, 400.0]), lambda t: t, "one row per station.*correct C .400.0"),
        (PLACES.rename(columns={"elevation": "elev_ft"}), lambda t: t, "elev_ft. Name it 'elevation .m.'"),
        (
            PLACES.rename(columns={"elevation": "elevation [s]"}),
            lambda t: t,
            "'s', which cannot be converted",
        ),
        (
            PLACES,
            lambda t: t.assign(
                **{"air_temperature [degF]": t["air_temperature [degF]"].mask(t.index == 7, -999.9)}
            ),
            "'air_temperature' has 1 impossible values of A: -999.9, on 2001-10-09",
        ),
        (
            PLACES,
            lambda t: t.rename(columns={"precipitation [in]": "precipitation_fine [in]"}),
            "leave out the scale, which is added: 'precipitation'",
        ),
        (PLACES.iloc[:2], lambda t: t, "stations that the table of stations lacks: C"),
        (PLACES, lambda t: pd.concat([t, t]), "several rows for a station and day"),
        (PLACES, lambda t: t[t["date"] != DAYS[7]], "no station has air_temperature on 1 days: 2001-10-08"),
        (PLACES, lambda t: t.rename(columns=str.upper)[["STATION", "DATE"]], "no column such as"),
        (
            PLACES,
            lambda t: t.rename(columns={"precipitation [in]": "precipitatoin [in]"}),
            "did you mean 'precipitation'",
        ),
        (
            PLACES,
            lambda t: t.rename(columns={"precipitation [in]": "precipitation [m2]"}),
            "cannot be converted",
        ),
    ],
)
def test_stations_that_do_not_fit_are_refused(river, table, places, change, message):
    with pytest.raises(InvalidArgumentError, match=message):
        weather_from_stations(places, change(table), river)


def test_numbers_of_stations_keep_their_zeros(river, table, tmp_path):
    expected = weather_from_stations(PLACES, table, river)
    numbers = {"A": "001", "B": "002", "C": "003"}
    PLACES.replace(numbers).to_csv(tmp_path / "places.csv", index=False)
    found = weather_from_stations(tmp_path / "places.csv", table.replace(numbers), river)
    xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs())
