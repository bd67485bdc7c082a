"""Days of two datasets, compared with sets of days and a loop over values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.schema.days import day_spans, join_days, lost, padded

FIRST = pd.Timestamp("2001-01-01")


def dataset(scale: str, days: list[int], *bases: str) -> xr.Dataset:
    """Two reaches of each variable, whose value is the day's number and half that for the second."""
    values = np.outer(days, [1.0, 0.5])
    data = {f"{base}_{scale}": (("time", scale), values.copy()) for base in bases}
    time = FIRST + pd.to_timedelta(days, unit="D")
    return xr.Dataset(data, coords={"time": ("time", time, {"long_name": "day"}), scale: [1, 2]})


AIR, WATER = "air_temperature", "water_temperature"
NUMBERS = st.sets(st.integers(0, 12), min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    coarse=NUMBERS,
    fine=NUMBERS,
    weather=st.sampled_from([("coarse",), ("fine",), ("coarse", "fine"), ()]),
    lazy=st.booleans(),
)
def test_days_are_those_of_the_weather(coarse, fine, weather, lazy):
    """By sets: the weather's days where both or one have any, else all; every value stays on its day."""
    held = {"coarse": coarse, "fine": fine}
    given_ = {
        scale: dataset(scale, sorted(days), WATER, *([AIR] if scale in weather else []))
        for scale, days in held.items()
    }
    if not coarse & fine:
        return  # refused before
    told = [held[scale] for scale in weather] or [coarse | fine]
    wanted = set.intersection(*told)
    joined = join_days(*(ds.chunk() if lazy else ds for ds in given_.values()))
    for scale, done in (("coarse", joined.coarse), ("fine", joined.fine)):
        numbers = ((done.indexes["time"] - FIRST) / pd.Timedelta("1D")).astype(int).tolist()
        assert numbers == sorted(wanted)
        for number in numbers:
            found = done[f"{WATER}_{scale}"].sel(time=FIRST + pd.Timedelta(number, "D")).values
            expected = [number, number / 2] if number in held[scale] else [np.nan, np.nan]
            np.testing.assert_array_equal(found, expected)
        gone = held[scale] - wanted
        told_of = [loss for loss in joined.losses if f"of the {scale} dataset" in loss.split(" left out")[0]]
        assert len(told_of) == bool(gone)
        if gone:
            assert told_of[0].startswith(f"{len(gone)} day{'s' if len(gone) > 1 else ''} ")
        if held[scale] != wanted:
            assert f"{len(held[scale] & wanted)} of {len(held[scale])} days of the {scale}" in joined.note


def test_weather_is_never_cut_by_labels():
    weather, labels = dataset("coarse", list(range(730)), AIR), dataset("fine", [3, 9, 500], WATER)
    joined = join_days(weather, labels)
    xr.testing.assert_identical(joined.coarse, weather)
    assert joined.fine.sizes["time"] == 730
    assert int(joined.fine[f"{WATER}_fine"].notnull().sum()) == 6
    assert joined.losses == ()
    assert joined.note == "3 of 3 days of the fine dataset joined"


@pytest.mark.parametrize(
    "base", ["simulated_temperature", "observed_discharge", "discharge", "true_temperature"]
)
def test_states_do_not_shorten_the_weather(base):
    joined = join_days(dataset("coarse", list(range(9)), AIR), dataset("fine", [2, 3], base))
    assert joined.fine.sizes["time"] == 9


def test_variables_that_are_not_features_are_not_weather():
    """A fine variable is a feature only if it exists at the coarse scale too."""
    coarse = dataset("coarse", list(range(9)), AIR)
    assert join_days(coarse, dataset("fine", [2, 3], "gauge_height")).fine.sizes["time"] == 9
    assert join_days(coarse, dataset("fine", [2, 3], AIR)).fine.sizes["time"] == 2


def test_losses_say_how_many_labels_and_which_days():
    weather, labels = dataset("coarse", [5, 6, 7], AIR), dataset("fine", [1, 2, 6, 9], WATER)
    labels[f"{WATER}_fine"][0, 1] = np.nan
    (loss,) = join_days(weather, labels).losses
    assert loss.startswith("3 days with 5 labels of the fine dataset left out")
    assert "2001-01-02 to 2001-01-03, 2001-01-10;" in loss
    (loss,) = join_days(weather, labels.chunk()).losses
    assert loss.startswith("3 days of the fine dataset left out")


def test_following_the_advice_of_a_loss_mends_it():
    weather, labels = dataset("coarse", [5, 6, 7], AIR), dataset("fine", [1, 6], WATER)
    (loss,) = join_days(weather, labels).losses
    assert "give the weather of these days" in loss
    assert join_days(dataset("coarse", [1, 2, 3, 4, 5, 6, 7], AIR), labels).losses == ()
    own = dataset("fine", [6, 7, 8], AIR)
    before = join_days(weather, own)
    assert all("give both the weather of the same days" in loss for loss in before.losses)
    assert join_days(dataset("coarse", [5, 6, 7, 8], AIR), dataset("fine", [5, 6, 7, 8], AIR)).losses == ()


def test_days_without_any_value_are_not_a_loss():
    labels = dataset("fine", [1, 2, 6], WATER)
    labels[f"{WATER}_fine"][:2] = np.nan
    joined = join_days(dataset("coarse", [5, 6, 7], AIR), labels)
    assert joined.losses == ()
    assert joined.fine.sizes["time"] == 3


def test_attributes_and_whole_numbers_survive():
    labels = dataset("fine", [6], WATER).astype("float32").assign_attrs(title="t")
    labels = labels.assign(slope_fine=("fine", [1, 2]))
    done = join_days(dataset("coarse", [5, 6, 7], AIR), labels).fine
    assert done.attrs == {"title": "t"}
    assert done["time"].attrs == {"long_name": "day"}
    assert done[f"{WATER}_fine"].dtype == np.float32
    assert done["slope_fine"].dtype == np.int64


def test_a_file_is_not_read(tmp_path):
    """What xarray holds on disk without dask stays there, padded or not."""
    dataset("fine", list(range(40)), WATER, AIR).assign(flag_fine=("time", ["a"] * 40)).to_netcdf(
        tmp_path / "f.nc"
    )
    with xr.open_dataset(tmp_path / "f.nc") as stored:
        done = padded(stored, {"time": FIRST + pd.to_timedelta(np.arange(-5, 50), unit="D")})
        assert not any(array.variable._in_memory for name, array in stored.data_vars.items())
        assert not any(array.variable._in_memory for name, array in done.data_vars.items())
        assert len(lost(stored, "time", stored.indexes["time"][:30])) == 10
        assert not any(array.variable._in_memory for name, array in stored.data_vars.items())
        assert int(done[f"{WATER}_fine"].notnull().sum()) == 80


def test_nothing_is_computed(refuse_to_compute):
    with refuse_to_compute():
        joined = join_days(
            dataset("coarse", list(range(9)), AIR).chunk(time=4),
            dataset("fine", [1, 20], WATER).chunk(time=1),
        )
    assert joined.fine[f"{WATER}_fine"].chunks is not None
    assert "1 day of the fine dataset left out" in joined.losses[0]


@pytest.mark.parametrize(
    ("days", "text"),
    [
        pytest.param(["2001-01-03", "2001-01-01", "2001-01-02"], "2001-01-01 to 2001-01-03", id="sorted"),
        pytest.param(["2001-01-03 06:00"], "2001-01-03 06:00:00", id="hours"),
        pytest.param([f"2001-{m:02}-01" for m in range(1, 8)], "2001-05-01 and 2 more", id="many"),
    ],
)
def test_spans(days, text):
    assert day_spans(pd.to_datetime(days)).endswith(text)
