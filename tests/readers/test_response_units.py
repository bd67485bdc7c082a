"""Averages of response units, compared with loops; series in any order of units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidDatasetError, NetworkError
from xmsgl.readers.response_units import average, hru_weights, read_daily, unit_weights

DAYS = pd.date_range("1979-01-01", periods=3)
UNITS = [31, 32, 33, 34]


def test_weights_agree_with_a_plain_loop():
    rng = np.random.default_rng(0)
    area = rng.uniform(1, 9, 40)
    segment = rng.integers(-1, 9, 40)
    segment[segment == 4] = 5
    alone = sorted(set(range(9)) - set(segment))
    assert 4 in alone
    unit_place, place = rng.uniform(40, 41, (40, 2)), rng.uniform(40, 41, (9, 2))
    weights, borrowed = hru_weights(area, segment, unit_place, place)
    assert borrowed == len(alone)
    values = rng.normal(size=40)
    found = weights @ values
    for one in range(9):
        mine = np.flatnonzero(segment == one)
        if len(mine):
            assert found[one] == pytest.approx(sum(area[mine] * values[mine]) / sum(area[mine]))
    squash = np.array([1, np.cos(np.deg2rad(place[:, 0].mean()))])
    nearest = min(range(40), key=lambda unit: np.sum(((unit_place[unit] - place[4]) * squash) ** 2))
    assert found[4] == values[nearest]


def parameters(**changes) -> xr.Dataset:
    held = {
        "hru_area": ("nhru", [1.0, 3.0, 2.0, 5.0]),
        "hru_segment": ("nhru", [2, 2, 1, 0]),
        "hru_lat": ("nhru", [40.0, 41.0, 42.0, 43.0]),
        "hru_lon": ("nhru", [-75.0] * 4),
    }
    ids = {"nhm_id": ("nhru", UNITS), "nhm_seg": ("nsegment", [7, 8, 9])}
    return xr.Dataset({**held, **changes}, coords=ids)


def test_weights_of_parameters_follow_the_ids():
    """Unit 34 drains to none; segment 9 has no unit and takes the nearest, which is 34."""
    place = np.array([[42.9, -75.0], [40.0, -75.0], [40.0, -75.0]])
    weights, borrowed = unit_weights(parameters(), pd.Index([9, 8, 7]), place)
    assert weights.toarray().tolist() == [[0, 0, 0, 1], [0.25, 0.75, 0, 0], [0, 0, 1, 0]]
    assert borrowed == 1


def test_without_locations_every_segment_needs_a_unit():
    weights, borrowed = unit_weights(parameters(), pd.Index([8, 7]), None)
    assert (weights.toarray().tolist(), borrowed) == ([[0.25, 0.75, 0, 0], [0, 0, 1, 0]], 0)
    with pytest.raises(NetworkError, match="1 segments have no unit: 9"):
        unit_weights(parameters(), pd.Index([7, 8, 9]), None)
    with pytest.raises(InvalidDatasetError, match="hru_area, hru_lon"):
        unit_weights(parameters().drop_vars(["hru_area", "hru_lon"]), pd.Index([7]), None)


@pytest.mark.parametrize(("number", "unit"), [(-9, None), (4, "exceeds the number of segments, 3: 4")])
def test_a_unit_drains_to_a_known_segment_or_to_none(number, unit):
    model = parameters(hru_segment=("nhru", [2, 2, 1, number]))
    if unit is None:
        weights, _ = unit_weights(model, pd.Index([8, 7]), None)
        assert weights.toarray()[:, 3].tolist() == [0, 0]
    else:
        with pytest.raises(NetworkError, match=unit):
            unit_weights(model, pd.Index([8, 7]), None)


def test_average_is_lazy_and_equal(refuse_to_compute):
    rng = np.random.default_rng(0)
    field = xr.DataArray(rng.normal(size=(3, 4)).astype("float32"), dims=("time", "nhru"))
    weights, _ = unit_weights(parameters(), pd.Index([8, 7]), None)
    with refuse_to_compute():
        lazy = average(weights, field.chunk(time=1, nhru=2))
    eager = average(weights, field)
    np.testing.assert_array_equal(lazy.compute(), eager)
    by_hand = field.to_numpy().astype(float) @ weights.toarray().T
    np.testing.assert_allclose(eager, by_hand, rtol=1e-12)
    assert eager.dtype == np.float64


def series(name: str = "tmax", ids=UNITS, dim: str = "nhm_id", days=DAYS) -> xr.Dataset:
    values = np.arange(3.0)[:, None] * 100 + np.array(ids)
    return xr.Dataset({name: (("time", dim), values)}, coords={"time": days, dim: list(ids)})


def test_series_come_in_the_order_of_the_parameters(tmp_path):
    text = "a title\nprcp 4\n####\n" + "".join(f"1979 1 {day} 0 0 0 1 2 3 4\n" for day in (1, 2, 3))
    (tmp_path / "prcp.cbh").write_text(text)
    series("tmin", [34, 31, 33, 32]).to_netcdf(tmp_path / "tmin.nc")
    extra = series("seg_tave_water", [9, 7, 5, 8], "nhm_seg").transpose()
    found = read_daily([series(), tmp_path / "prcp.cbh", tmp_path / "tmin.nc", extra], parameters())
    assert found["tmin"].dims == ("time", "nhru")
    assert found["tmin"].values[0].tolist() == UNITS
    assert found["prcp"].values[2].tolist() == [1, 2, 3, 4]
    assert found["seg_tave_water"].values.tolist() == [[7, 8, 9], [107, 108, 109], [207, 208, 209]]


def test_ids_take_precedence_over_row_numbers():
    numbered = series("tmin", [34, 31, 33, 32], "nhru").assign_coords(nhm_id=("nhru", [34, 31, 33, 32]))
    found = read_daily([numbered.assign_coords(nhru=[1, 2, 3, 4])], parameters())
    assert found["tmin"].values[0].tolist() == UNITS


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        pytest.param([series("mood")], "none of tmax", id="unknown"),
        pytest.param([series(), series()], "in several files", id="twice"),
        pytest.param(
            [series(), series("tmin", days=DAYS + pd.Timedelta(days=1))], "not have the same days", id="days"
        ),
        pytest.param([series(ids=[31, 32, 33, 35])], "lacks nhru 34", id="units"),
        pytest.param([series().drop_vars("nhm_id").isel(nhm_id=[0, 1])], "2 columns", id="columns"),
        pytest.param([series(dim="valley")], "valley", id="dimension"),
        pytest.param([series().drop_vars("time")], "the dimensions days and one of", id="no days"),
    ],
)
def test_refuses(sources, words):
    with pytest.raises(InvalidDatasetError, match=words):
        read_daily(sources, parameters())


def test_refuses_units_without_ids_in_the_parameters():
    with pytest.raises(InvalidDatasetError, match="no 'nhm_id'"):
        read_daily([series()], parameters().drop_vars("nhm_id"))
