"""Stores of river-dl, written by the tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError, NetworkError
from xmsgl.readers import read

pytest.importorskip("zarr")

DAYS = pd.date_range("2003-09-15", periods=4)
IDS = [2012, 2007, 2037]
BELOW = {2007: 2037, 2012: 2037, 2037: 0}
FAR = np.inf
# rows and columns in an order of their own, one segment more than the store
NAMES = [2037, 2007, 2040, 2012]
DISTANCE = np.array([[0, FAR, 900.0, FAR], [700, 0, 1600, FAR], [FAR, FAR, 0, FAR], [700, FAR, 1600, 0]])


def series(start: float) -> tuple[tuple[str, str], np.ndarray]:
    return ("seg_id_nat", "date"), start + np.arange(12.0).reshape(3, 4)


def drivers(**changes) -> xr.Dataset:
    held = {
        "seg_tave_air": series(1.0),
        "seg_tave_water": series(2.0),
        "seg_rain": (("seg_id_nat", "date"), np.full((3, 4), 0.012)),
        "seg_humid": (("seg_id_nat", "date"), np.full((3, 4), 0.7)),
        "seg_slope": (("seg_id_nat", "date"), np.repeat([[0.01], [0.02], [0.001]], 4, axis=1)),
        "seg_length": ("seg_id_nat", [800.0, 900.0, 700.0]),
        "model_idx": ("seg_id_nat", [3, 4, 5]),
    }
    held.update(changes)
    return xr.Dataset(held, coords={"seg_id_nat": IDS, "date": DAYS})


def observed() -> xr.Dataset:
    """Another order of segments, one that the drivers lack, other days."""
    values = np.arange(9.0).reshape(3, 3)
    days = DAYS[1:].append(pd.DatetimeIndex(["2003-10-01"]))[-3:]
    return xr.Dataset(
        {"temp_c": (("seg_id_nat", "date"), values)}, coords={"seg_id_nat": [2037, 2012, 9], "date": days}
    )


@pytest.fixture
def stores(tmp_path):
    drivers().to_zarr(tmp_path / "drivers", zarr_format=2, consolidated=True)
    observed().to_zarr(tmp_path / "observed", zarr_format=2, consolidated=True)
    matrices = {"downstream": DISTANCE, "upstream": DISTANCE.T}
    np.savez(tmp_path / "matrix.npz", rowcolnames=np.array(NAMES), **matrices)
    return tmp_path


def test_reads_stores_of_version_2(stores, refuse_to_compute):
    with pytest.warns(DataLossWarning) as caught:
        ds = read("river-dl", stores / "drivers", stores / "matrix.npz", stores / "observed")
    losses = [
        "1 segments of the observations left out, because drivers lacks them: 9",
        "1 days of the observations left out, because drivers lacks them: 2003-10-01",
    ]
    assert [str(warning.message) for warning in caught] == losses
    assert ds.attrs["history"].endswith("; ".join(["read 3 segments of river-dl", *losses]))
    assert ds["coarse"].values.tolist() == IDS
    assert dict(zip(IDS, ds["downstream_coarse"].values.tolist(), strict=True)) == BELOW
    assert ds["length_coarse"].values.tolist() == [800.0, 900.0, 700.0]
    assert ds["slope_coarse"].values.tolist() == [0.01, 0.02, 0.001]
    assert ds["rainfall_coarse"].dims == ("time", "coarse")
    assert ds["rainfall_coarse"].values == pytest.approx(12.0)
    assert ds["relative_humidity_coarse"].values == pytest.approx(70.0)
    assert ds["air_temperature_coarse"].sel(coarse=2007).values.tolist() == [5.0, 6.0, 7.0, 8.0]
    label = ds["water_temperature_coarse"].compute()
    assert label.sel(coarse=2037, time="2003-09-17").item() == 0.0
    assert label.sel(coarse=2012, time="2003-09-18").item() == 4.0
    assert int(label.notnull().sum()) == 4
    units = {name: ds[name].attrs["units"] for name in ds.data_vars}
    assert units["simulated_temperature_coarse"] == "degC"
    assert units["rainfall_coarse"] == "mm d-1"
    assert ds.attrs["left_out"] == "model_idx"
    daily = drivers().drop_vars(["seg_slope", "seg_length"]).chunk()
    with refuse_to_compute(), pytest.warns(DataLossWarning):
        read("river-dl", daily, BELOW, observed().chunk(), length=dict.fromkeys(IDS, 1.0))


def test_observations_without_values_give_no_warning():
    """The segment and the day that the drivers lack have no values."""
    seen = observed()
    seen["temp_c"][2] = seen["temp_c"][:, 2] = np.nan
    ds = read("river-dl", drivers(), BELOW, seen)
    assert int(ds["water_temperature_coarse"].notnull().sum()) == 4
    assert ds.attrs["history"].endswith("read 3 segments of river-dl")


@pytest.mark.parametrize("matrix", ["downstream", "upstream"])
def test_matrix_and_dict_agree(stores, matrix):
    one = read("river-dl", drivers(), stores / "matrix.npz", matrix=matrix, scale="fine")
    other = read("river-dl", drivers(), BELOW, scale="fine")
    xr.testing.assert_equal(one, other)
    assert one["downstream_fine"].values.tolist() == [2037, 2037, 0]


def test_network_of_a_dataset_is_cut_to_the_store():
    network = xr.Dataset(
        {
            "downstream_coarse": ("coarse", [3, 2037, 2037, 3, 0]),
            "length_coarse": ("coarse", [1.0, 2.0, 3.0, 4.0, 5.0]),
        },
        coords={"coarse": [2012, 3, 2007, 4, 2037]},
    )
    ds = read("river-dl", drivers().drop_vars("seg_length"), network)
    assert ds["downstream_coarse"].values.tolist() == [2037, 2037, 0]
    assert ds["length_coarse"].values.tolist() == [1.0, 3.0, 5.0]


def test_units_of_the_caller_take_precedence():
    wet = drivers(seginc_potet=series(0.0), seginc_swrad=series(500.0))
    with pytest.raises(InvalidDatasetError, match="'seginc_potet' does not state its units"):
        read("river-dl", wet, BELOW)
    ds = read("river-dl", wet, BELOW, units={"seginc_potet": "in d-1", "seg_rain": "mm d-1"})
    assert ds["potential_evapotranspiration_coarse"][1, 0].item() == 25.4
    assert ds["rainfall_coarse"].values == pytest.approx(0.012)
    joules = 500 * 4.184e4  # 1 langley is a calorie (4.184 J) a square centimetre
    assert ds["solar_radiation_coarse"][0, 0].item() == pytest.approx(joules / 86400)


def test_a_width_that_changes_is_averaged_with_a_comment():
    ds = read("river-dl", drivers(seg_width=series(1.0)), BELOW)
    assert ds["width_coarse"].values.tolist() == [2.5, 6.5, 10.5]
    assert "mean over the days" in ds["width_coarse"].attrs["comment"]


@pytest.mark.parametrize(
    ("store", "options", "error", "words"),
    [
        pytest.param(
            drivers(seg_slope=series(1.0)), {}, InvalidDatasetError, "day to day", id="slope changes"
        ),
        pytest.param(drivers().drop_vars("date"), {}, InvalidDatasetError, "of days", id="no days"),
        pytest.param(drivers()[["model_idx"]], {}, InvalidDatasetError, "of days", id="no days left"),
        pytest.param(
            drivers().rename({name: f"my_{name}" for name in drivers().data_vars}),
            {},
            InvalidDatasetError,
            "none of the variables",
            id="other names",
        ),
        pytest.param(
            drivers().assign_coords(seg_id_nat=[1, 1, 2]), {}, InvalidDatasetError, "once: 1", id="twice"
        ),
        pytest.param(
            drivers().isel(date=[0, 0, 1]), {}, InvalidDatasetError, "days more than once", id="a day twice"
        ),
        pytest.param(drivers().drop_vars("seg_length"), {}, NetworkError, "length=", id="no lengths"),
        pytest.param(drivers(), {"length": {2012: 1.0}}, NetworkError, "2007, 2037", id="lengths missing"),
        pytest.param(drivers(), {"scale": "middle"}, InvalidArgumentError, "middle", id="scale"),
        pytest.param(3, {}, InvalidArgumentError, "not int", id="no store"),
        pytest.param(
            drivers(),
            {"observations": drivers().assign_coords(seg_id_nat=["2012", "2007", "2037"])},
            InvalidDatasetError,
            "no segment in common: 2012, 2007, 2037",
            id="observations of text ids",
        ),
        pytest.param(
            drivers(),
            {"observations": drivers().assign_coords(date=drivers().date + np.timedelta64(9999, "D"))},
            InvalidDatasetError,
            "no day in common",
            id="observations of other days",
        ),
    ],
)
def test_refuses(store, options, error, words):
    with pytest.raises(error, match=words):
        read("river-dl", store, BELOW, **options)


@pytest.mark.parametrize(
    ("store", "before", "advice", "after"),
    [
        pytest.param(
            drivers(seginc_potet=series(0.0)),
            {},
            "units={'seginc_potet': ...}",
            {"units": {"seginc_potet": "mm d-1"}},
            id="units",
        ),
        pytest.param(
            drivers().drop_vars("seg_length"),
            {},
            "length={id: metres, ...}",
            {"length": dict.fromkeys(IDS, 1.0)},
            id="lengths",
        ),
        pytest.param(
            drivers(seg_rain=series(0.0)),
            {"units": {"seg_rain": "furlong"}},
            "convert it and set its units",
            {"units": {"seg_rain": "mm d-1"}},
            id="no conversion",
        ),
    ],
)
def test_following_the_advice_fixes_the_error(store, before, advice, after):
    with pytest.raises((InvalidDatasetError, NetworkError)) as caught:
        read("river-dl", store, BELOW, **before)
    assert advice in str(caught.value)
    assert read("river-dl", store, BELOW, **after)["downstream_coarse"].values.tolist() == [2037, 2037, 0]


def test_following_the_advice_replaces_an_inconsistent_matrix(stores):
    doubled = DISTANCE.copy()
    doubled[2, 0] = 5.0  # 2040 and 2037 then flow into each other
    np.savez(stores / "matrix.npz", rowcolnames=np.array(NAMES), downstream=doubled)
    with pytest.raises(NetworkError, match="give the network as a Dataset or a dict instead"):
        read("river-dl", drivers(), stores / "matrix.npz")
    assert read("river-dl", drivers(), BELOW)["downstream_coarse"].values.tolist() == [2037, 2037, 0]


@pytest.mark.parametrize(
    ("network", "options", "error", "words"),
    [
        pytest.param({2012: 2007, 2007: 2012, 2037: 0}, {}, NetworkError, "cycle|circle", id="circle"),
        pytest.param({2012: 2037}, {}, NetworkError, "2007, 2037", id="segments missing"),
        pytest.param(3, {}, InvalidArgumentError, "network must be a Dataset or a mapping", id="kind"),
        pytest.param("matrix.npz", {"matrix": "complete"}, InvalidArgumentError, "complete", id="symmetric"),
        pytest.param("matrix.npz", {"matrix": "updown"}, NetworkError, "lacks updown", id="not in the file"),
    ],
)
def test_refuses_networks(stores, network, options, error, words):
    network = stores / network if isinstance(network, str) else network
    with pytest.raises(error, match=words):
        read("river-dl", drivers(), network, **options)


def test_refuses_a_matrix_without_segments_of_the_store(stores):
    np.savez(stores / "matrix.npz", rowcolnames=np.array([1, 2, 3, 4]), downstream=DISTANCE)
    with pytest.raises(NetworkError, match="lacks segments 2012, 2007, 2037"):
        read("river-dl", drivers(), stores / "matrix.npz")
