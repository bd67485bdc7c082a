"""The code that messages advise is run, as a user would: the fault is gone afterwards."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.conftest import make_river
from tests.schema.faults import AIR, DAYS, FAULTS, RAIN, WATER, put, retime
from xmsgl.errors import InvalidDatasetError
from xmsgl.schema.advice import daily_means, fill_days
from xmsgl.schema.validate import validate

# one statement, as far as the message goes on in words
CODE = re.compile(
    r'(ds(?:\["\w+"\])?(?:\.attrs\["units"\])? = (?:[^;"]|"[^"]*")+?)(?=; |, or |, then |$)', re.MULTILINE
)


def faults_of(ds):
    try:
        validate(ds)
    except InvalidDatasetError as error:
        return list(error.faults)
    return []


def run(code, ds):
    scope = {"ds": ds.copy(deep=True), "np": np, "pd": pd, "xr": xr}
    exec(code, scope)
    return scope["ds"]


def follow(ds, choice=0, known=None):
    """Run the advised code of the first fault that has any, at most six times."""
    for _ in range(6):
        advised = [code for fault in faults_of(ds) if (code := CODE.findall(fault))]
        if not advised:
            break
        code = advised[0][min(choice, len(advised[0]) - 1)]
        for placeholder, value in (known or {}).items():
            code = code.replace(placeholder, value)
        ds = run(code, ds)
    return faults_of(ds)


# faults whose cure is a decision: the message has no code, or code with a place to fill in
IN_WORDS = {
    "no-time", "no-fine", "empty-fine", "no-ids", "no-days", "no-downstream-coarse", "no-downstream-fine",
    "no-length-fine", "no-crosswalk", "no-drivers", "no-labels", "length-over-time", "driver-without-time",
    "cycle-coarse", "cycle-fine", "id-zero", "flows-up", "leaves-and-comes-back", "ends-in-mid-river",
    "time-monthly", "time-as-numbers", "labels-all-nan", "crosswalk-unknown", "reach-without-segment",
    "reach-with-missing-segment",
}  # fmt: skip
# what is left when the advice has been followed, and has no code
LEFT = {
    "downstream-nowhere": "ends? in mid-river",
    "self-loop": "ends? in mid-river",
    "labels-all-zero": r"validate\(labels=False\)",
}


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
@pytest.mark.parametrize("choice", [0, 1], ids=["first", "last"])
@pytest.mark.parametrize("name", sorted(set(FAULTS) - IN_WORDS))
def test_following_the_advice_ends_in_a_valid_dataset(river, name, choice, lazy):
    spoilt = FAULTS[name][0](river)
    if lazy:
        spoilt = spoilt.chunk({"time": 97, "fine": 5})
    assert faults_of(spoilt)
    left = follow(spoilt, choice)
    expected = LEFT.get(name)
    assert [fault for fault in left if expected is None or not re.search(expected, fault)] == []


def without_labels(ds):
    return ds.drop_vars([WATER, "water_temperature_coarse"])


def hourly(ds):
    return retime(ds, pd.date_range("2001-01-01", periods=720, freq="h", unit="ns"))


# what no table of faults has: (dataset, what the user fills in)
MORE = {
    "time-under-another-name": (lambda ds: ds.rename(time="date"), {"<your name>": "date"}),
    "topology-under-another-name": (lambda ds: ds.rename(downstream_coarse="to"), {"<your name>": "to"}),
    "crosswalk-under-another-name": (lambda ds: ds.rename(coarse_segment="seg"), {"<your name>": "seg"}),
    "time-in-days": (lambda ds: ds.assign_coords(time=np.arange(800)), {"<first day>": "2001-10-01"}),
    "time-with-zone": (lambda ds: ds.assign_coords(time=DAYS.tz_localize("UTC")), {}),
    "time-as-text": (lambda ds: ds.assign_coords(time=DAYS.strftime("%Y-%m-%d").to_numpy()), {}),
    "time-in-360-days": (
        lambda ds: ds.assign_coords(
            time=xr.date_range("2001-10-01", periods=800, calendar="360_day", use_cftime=True)
        ),
        {},
    ),
    "time-hourly": (hourly, {}),
    "time-hourly-and-shuffled": (
        lambda ds: hourly(ds).isel(time=np.random.default_rng(0).permutation(720)),
        {},
    ),
    "time-with-long-gap": (lambda ds: ds.isel(time=[*range(100), *range(300, 800)]), {}),
    "static-without-units": (
        lambda ds: ds.assign(depth_coarse=("coarse", np.ones(5))),
        {"<units>": "m"},
    ),
    "text-ids-with-numbers-downstream": (
        lambda ds: ds.assign_coords(coarse=ds["coarse"].astype(str)).assign(
            coarse_segment=ds["coarse_segment"].astype(str)
        ),
        {},
    ),
    "text-downstream-with-none": (
        lambda ds: ds.assign(
            downstream_coarse=("coarse", np.array(["103", "103", "105", "105", None], dtype=object))
        ),
        {},
    ),
    "outlet-nowhere": (lambda ds: put(ds, "downstream_fine", fine=11, value=99), {}),
    "tributary-on-no-segment": (lambda ds: put(ds, "coarse_segment", fine=[0, 7], value=0), {}),
    "tributary-on-an-unknown-segment": (lambda ds: put(ds, "coarse_segment", fine=2, value=999), {}),
    "two-segments-without-weather": (lambda ds: put(ds, AIR, coarse=[1, 4], value=np.nan), {}),
    "segment-with-weather-on-one-day": (
        lambda ds: put(ds, RAIN, coarse=1, time=np.arange(1, 800), value=np.nan),
        {},
    ),
    "weather-of-no-segment-on-some-days": (lambda ds: put(ds, AIR, time=[0, 1, 799], value=np.nan), {}),
    "kelvin-with-fill": (
        lambda ds: put(
            ds.assign({AIR: (ds[AIR] + 273.15).assign_attrs(units="degC")}),
            AIR,
            time=4,
            coarse=2,
            value=-9999.0,
        ),
        {},
    ),
}


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
@pytest.mark.parametrize("name", MORE)
def test_following_more_advice(river, name, lazy):
    spoil, known = MORE[name]
    spoilt = spoil(river)
    if lazy:
        spoilt = spoilt.chunk({dim: 97 for dim in ("time", "date") if dim in spoilt.dims})
    assert faults_of(spoilt)
    assert follow(spoilt, known=known) == []


def test_what_cannot_be_dropped_is_not_advised_to_be(river):
    (fault,) = faults_of(put(river, "coarse_segment", fine=5, value=0))
    assert "cannot be dropped" in fault
    assert not CODE.findall(fault)


def test_the_values_that_were_right_stay_as_they_were(river):
    spoilt = put(river, AIR, time=[3, 5], coarse=1, value=-9999.0)
    (fault,) = faults_of(spoilt)
    cured = run(CODE.findall(fault)[0], spoilt)
    others = np.ones(river[AIR].shape, dtype=bool)
    others[[3, 5], 1] = False
    np.testing.assert_array_equal(cured[AIR].values[others], river[AIR].values[others])
    near = [river[AIR].values[day, 1] for day in (2, 4, 6)]
    assert set(cured[AIR].values[[3, 5], 1]) <= set(near)
    assert cured[AIR].attrs == river[AIR].attrs


def test_statics_get_no_days(river):
    ds = run(daily_means(), hourly(river))
    assert ds["slope_coarse"].dims == ("coarse",)
    assert ds["downstream_fine"].dtype == river["downstream_fine"].dtype
    by_hand = river[AIR].values[:720].reshape(30, 24, 5).mean(axis=1)
    np.testing.assert_allclose(ds[AIR].values, by_hand, rtol=1e-5)
    xr.testing.assert_identical(ds.drop_dims("time"), river.drop_dims("time"))


def test_lost_ids_take_the_mean_of_the_others():
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 7.0]])
    ds = xr.Dataset({"x_coarse": (("time", "coarse"), values)}, {"time": DAYS[:2], "coarse": [1, 2, 3]})
    filled = run(fill_days("x_coarse", "coarse", lost=True), ds)["x_coarse"].values
    assert filled.tolist() == [[1.0, 3.0, 5.0], [3.0, 5.0, 7.0]]


def test_a_dataset_without_labels_is_checked_as_advised(river):
    (fault,) = faults_of(without_labels(river))
    (call,) = re.findall(r"ds\.msgl\.validate\(.*?\)", fault)
    assert eval(call, {"ds": without_labels(river)}).labels_fine == 0


def test_river_is_valid_to_begin_with():
    assert faults_of(make_river(60)) == []
