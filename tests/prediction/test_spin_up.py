"""The start of a record: which days stand in for those before it, and what the choice changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.prediction.spin_up import SPIN_UP_DAYS, days_before, flag_spin_up


@pytest.mark.parametrize("n_days", [1, 2, 5, 8, 200, 365, 366, 900])
def test_days_before_a_record_are_those_found_one_by_one(preceded, n_days):
    record = xr.Dataset(coords={"time": np.arange(n_days)})
    expected = preceded(record, 800)["time"].values
    np.testing.assert_array_equal(days_before(np.arange(-800, n_days), n_days), expected)


def test_stand_ins_have_the_season(preceded):
    time = pd.date_range("2001-04-01", periods=800)
    stand_ins = time[days_before(np.arange(-365, -7), 800)]
    there = time[0] + pd.to_timedelta(np.arange(-365, -7), "D")
    np.testing.assert_array_equal(stand_ins.month, there.month)


def test_the_flags_follow_cf_and_say_how_much():
    days = xr.DataArray(pd.date_range("2001-01-01", periods=400), dims="time")
    flags = flag_spin_up(days, [(1, 0.784), (30, 0.105)])
    assert flags.dtype == flags.attrs["flag_values"].dtype == np.int8
    np.testing.assert_array_equal(flags, np.arange(400) < SPIN_UP_DAYS)
    assert flags.attrs["flag_meanings"].split() == ["settled", "spin_up"]
    assert flags.attrs["change"] == "day 1: 0.78 degC, day 30: 0.10 degC"
    assert "not measured" in flag_spin_up(days, []).attrs["change"]


@pytest.fixture(scope="module")
def long_river(river_of):
    return river_of(1400)


@pytest.fixture(scope="module")
def model(long_river):
    return long_river.msgl.train(
        "msgl", epochs=6, hidden=8, window=120, warmup=60, progress=False, device="cpu"
    )


@pytest.mark.parametrize("cut", [365, 400, 431, 511, 600, 700])
def test_the_start_of_a_record_does_not_matter_after_the_flagged_days(long_river, model, cut):
    whole = long_river.msgl.downscale(model)
    part = long_river.isel(time=slice(cut, None)).msgl.downscale(model)
    change = abs(part - whole).max("fine")
    settled = change.where(part["spin_up"] == 0, drop=True)
    assert settled.size > 300
    assert float(settled.max()) < 0.05
    assert float(change[0]) > 0.05  # or there would be nothing to flag


def test_what_a_cut_changes_is_measured_as_by_hand(long_river, model):
    whole = long_river.isel(time=slice(0, 1003)).msgl.downscale(model)
    squares = {1: [], 30: [], 180: []}
    for cut in (365, 456, 547, 638):
        part = long_river.isel(time=slice(cut, 1003)).msgl.downscale(model)
        for day, found in squares.items():
            found.append(((part - whole)[day - 1] ** 2).values)
    measured = dict(model.spec.spin_up)
    for day, found in squares.items():
        np.testing.assert_allclose(measured[day], np.sqrt(np.mean(found)), atol=6e-4)
    assert f"day 1: {measured[1]:.2f} degC" in whole["spin_up"].attrs["change"]


def test_a_short_record_is_not_measured(river):
    short = river.msgl.train("remap", epochs=1, hidden=4, window=100, progress=False, device="cpu")
    assert short.spec.spin_up == ()
    assert "not measured" in river.msgl.downscale(short)["spin_up"].attrs["change"]
