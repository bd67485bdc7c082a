"""The small river with locations: lines that meet as in the topology, some drawn upstream."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import xarray as xr
import xvec

# where the reach downstream begins, by hand: reach -> (longitude, latitude) of its upper end
TOPS = {
    1: (-75.30, 41.30), 2: (-75.25, 41.25), 3: (-75.05, 41.30), 4: (-75.10, 41.25), 5: (-75.20, 41.20),
    6: (-75.20, 41.15), 7: (-75.20, 41.10), 8: (-75.00, 41.15), 9: (-75.10, 41.10), 10: (-75.20, 41.05),
    11: (-75.22, 41.00), 12: (-75.24, 40.95),
}  # fmt: skip
MOUTH = (-75.25, 40.90)
BELOW = {1: 2, 2: 5, 3: 4, 4: 5, 5: 6, 6: 7, 7: 10, 8: 9, 9: 10, 10: 11, 11: 12, 12: 0}
DRAWN_UPSTREAM = {4, 7, 12}


def line(reach: int) -> shapely.LineString:
    top, end = TOPS[reach], TOPS.get(BELOW[reach], MOUTH)
    bend = ((top[0] + end[0]) / 2 + 0.004, (top[1] + end[1]) / 2)
    path = shapely.LineString([top, bend, end])
    return path.reverse() if reach in DRAWN_UPSTREAM else path


@pytest.fixture
def lines() -> np.ndarray:
    return np.array([line(reach) for reach in range(1, 13)], dtype=object)


@pytest.fixture
def placed(river: xr.Dataset, lines: np.ndarray) -> xr.Dataset:
    """The river of all tests with lines for its reaches and points for its segments."""
    river = river.isel(time=slice(0, 120))
    attrs = {"units": "1", "long_name": "line", "encoding_format": "hex WKB", "crs": "EPSG:4326"}
    return river.assign(
        geometry_fine=("fine", shapely.to_wkb(lines, hex=True).astype(object), attrs),
        lat_coarse=("coarse", 41 + np.arange(5) / 10, {"units": "degrees_north", "long_name": "latitude"}),
        lon_coarse=("coarse", -75 - np.arange(5) / 10, {"units": "degrees_east", "long_name": "longitude"}),
    )


@pytest.fixture
def indexed(placed: xr.Dataset, lines: np.ndarray) -> xr.Dataset:
    """The same with lines as xvec indexes them."""
    done = placed.drop_vars("geometry_fine").assign_coords(geometry_fine=("fine", lines))
    return done.set_xindex("geometry_fine", xvec.GeometryIndex, crs="EPSG:4326")


@pytest.fixture
def predicted(placed: xr.Dataset) -> xr.DataArray:
    """A prediction without a model: different in every reach and on every day."""
    rng = np.random.default_rng(5)
    values = rng.normal(12, 3, (placed.sizes["time"], 12)).astype("float32")
    return xr.DataArray(
        values,
        coords={"time": placed.time, "fine": placed.fine},
        name="water_temperature",
        attrs={
            "units": "degC",
            "long_name": "downscaled daily mean stream water temperature",
            "cell_methods": "time: mean",
            "method": "msgl",
            "model_sha256": "ab" * 32,
            "source": "the small river of the tests",
            "history": "2001-01-01T00:00:00Z xmsgl 0.1.0: downscale(method='msgl')",
        },
    )


@pytest.fixture
def quantiles(predicted: xr.DataArray) -> xr.DataArray:
    offset = xr.DataArray(
        np.array([-1.0, 0.0, 1.0], dtype="float32"),
        coords={
            "quantile": (
                "quantile",
                [0.05, 0.5, 0.95],
                {"long_name": "probability of the quantile", "units": "1"},
            )
        },
        dims="quantile",
    )
    return (offset + predicted).assign_attrs(predicted.attrs).rename(predicted.name)
