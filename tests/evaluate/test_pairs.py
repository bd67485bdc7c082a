"""Units of predictions and observations: every spelling is accepted, other units are refused with a cure."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate import score
from xmsgl.evaluate.pairs import covering, gather, observations

SPELLINGS = ["degree_Celsius", "celsius", "°C", "degrees C", "Celsius", "degC"]


@pytest.fixture
def labelled():
    days = pd.date_range("2001-06-01", periods=40)
    values = 15 + 5 * np.random.default_rng(0).random((40, 3))
    array = xr.DataArray(values, coords={"time": days, "fine": [7, 8, 9]}, attrs={"units": "degC"})
    return xr.Dataset({"water_temperature_fine": array})


def spelled(ds, units):
    return ds.assign(water_temperature_fine=ds["water_temperature_fine"].assign_attrs(units=units))


@pytest.mark.parametrize("units", SPELLINGS)
def test_spellings_of_degrees_are_the_same(labelled, units):
    prediction = (labelled["water_temperature_fine"] + 0.5).assign_attrs(units="degC")
    scores = spelled(labelled, units).msgl.evaluate(prediction)
    assert scores["rmse"].item() == pytest.approx(0.5)
    assert scores["rmse"].attrs["units"] == "degC"
    backwards = labelled.msgl.evaluate(prediction.assign_attrs(units=units))
    assert backwards["rmse"].attrs["units"] == "degC"


@pytest.mark.parametrize("units", SPELLINGS)
def test_spellings_that_validate_accepts(river, units):
    """Labels that validate() accepts can be scored."""
    name = "water_temperature_fine"
    ds = river.assign({name: river[name].assign_attrs(units=units)})
    ds.msgl.validate()
    ds.msgl.evaluate((ds[name].fillna(0.0) + 1).assign_attrs(units="degC"))


def test_kelvin_is_converted_as_advised(labelled):
    name = "water_temperature_fine"
    prediction = (labelled[name] + 0.5).assign_attrs(units="degC")
    ds = labelled.assign({name: (labelled[name] + 273.15).assign_attrs(units="K")})
    with pytest.raises(
        InvalidArgumentError, match=r"in 'degC', the observations in 'K'; convert: ds\["
    ) as caught:
        ds.msgl.evaluate(prediction)
    exec(str(caught.value).split("convert: ")[1], {"ds": ds})
    assert ds.msgl.evaluate(prediction)["rmse"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("which", ["observed", "prediction"])
def test_arrays_in_kelvin_are_converted_as_advised(labelled, which):
    observed = labelled["water_temperature_fine"]
    scope = {"observed": observed, "prediction": (observed + 0.5).assign_attrs(units="degC")}
    scope[which] = (scope[which] + 273.15).assign_attrs(units="kelvin")
    with pytest.raises(InvalidArgumentError, match=f"convert: {which} = ") as caught:
        score(scope["prediction"], scope["observed"])
    exec(str(caught.value).split("convert: ")[1], scope)
    assert score(scope["prediction"], scope["observed"])["rmse"].item() == pytest.approx(0.5)


def test_units_without_a_conversion(labelled):
    observed = labelled["water_temperature_fine"]
    with pytest.raises(InvalidArgumentError, match=re.escape("convert one of them")):
        score(observed.assign_attrs(units="furlong"), observed)


def test_a_series_is_not_drawn_over_other_units(labelled):
    pytest.importorskip("matplotlib")
    name = "water_temperature_fine"
    ds = labelled.assign({name: (labelled[name] + 273.15).assign_attrs(units="K")})
    with pytest.raises(InvalidArgumentError, match="observations in 'K'"):
        ds.msgl.plot.series(labelled[name], reach=7)


def test_observations_that_are_missing_are_named(labelled):
    array = labelled["water_temperature_fine"]
    assert observations(labelled, array) is not None
    for ds in (None, labelled.drop_vars("water_temperature_fine")):
        with pytest.raises(InvalidDatasetError, match="water_temperature_fine is missing"):
            observations(ds, array)


def test_arrays_have_time_and_one_scale(labelled):
    array = labelled["water_temperature_fine"]
    for wrong in (array.isel(fine=0), array.expand_dims(member=2), array.rename(time="day")):
        with pytest.raises(InvalidArgumentError, match="prediction has dims"):
            gather(wrong, array)
        with pytest.raises(InvalidArgumentError, match="observed has dims"):
            gather(array, wrong)


@pytest.mark.parametrize(
    ("dim", "said"), [("time", "for 2001-06-01 along 'time'"), ("fine", "for 7 along 'fine'")]
)
def test_what_a_mask_does_not_cover_is_named(labelled, dim, said):
    array = labelled["water_temperature_fine"]
    mask = xr.ones_like(array[dim], dtype=bool)
    assert covering(mask[::-1], array, "mask").indexes[dim].equals(array.indexes[dim])
    with pytest.raises(InvalidArgumentError, match=said):
        covering(mask.isel({dim: slice(1, None)}), array, "mask")


@pytest.mark.parametrize("value", [-999.0, 99.0, np.inf])
@pytest.mark.parametrize("units", ["degC", "K"])
def test_observations_that_cannot_be_are_refused(labelled, units, value):
    ds = labelled.copy(deep=True)
    ds["water_temperature_fine"][3, 1] = value
    ds["water_temperature_fine"] = (ds["water_temperature_fine"] + 273.15 * (units == "K")).assign_attrs(
        units=units
    )
    prediction = xr.full_like(ds["water_temperature_fine"], 290.0 if units == "K" else 17.0)
    with pytest.raises(
        InvalidDatasetError, match=rf"1 observed temperature outside -5 to 45 degC: \[?{value}"
    ):
        ds.msgl.evaluate(prediction)


def test_other_quantities_may_have_any_finite_value(labelled):
    flow = (labelled["water_temperature_fine"] * 100).assign_attrs(units="m3 s-1")
    assert score(flow + 1, flow)["rmse"].item() == pytest.approx(1.0)
    flow[3, 1] = np.inf
    with pytest.raises(InvalidDatasetError, match="infinite"):
        score(xr.ones_like(flow), flow)


@pytest.mark.parametrize("units", ["K", "degF"])
@pytest.mark.parametrize("which", ["prediction", "observed"])
def test_a_temperature_without_units_is_in_celsius(labelled, which, units):
    observed = labelled["water_temperature_fine"]
    scope = {"observed": observed, "prediction": observed + 0.5}
    other = observed * 1.8 + 32 if units == "degF" else observed + 273.15
    scope[which] = scope[which].drop_attrs()
    stated = ({*scope} - {which}).pop()
    scope[stated] = other.assign_attrs(units=units)
    with pytest.raises(InvalidArgumentError, match=f"{which} has no units, which counts as degC"):
        score(scope["prediction"], scope["observed"])
    scope[which].attrs["units"] = "degC"
    with pytest.raises(InvalidArgumentError, match=r"the prediction is in .*; convert"):
        score(scope["prediction"], scope["observed"])
    scope[stated] = observed.drop_attrs()
    assert score(scope["prediction"], scope["observed"])["rmse"].item() <= 0.51


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array + 273.15, "probably kelvin; convert: prediction = "),
        (lambda array: array.where(array["fine"] > 7, -9999.0), "from -9999 .* set missing values to NaN"),
        (lambda array: array.where(array["fine"] > 7, array + 273.15), "which water cannot have; set"),
    ],
    ids=["kelvin", "fill", "some-kelvin"],
)
@pytest.mark.parametrize("attrs", [{}, {"units": "degC"}], ids=["none", "degC"])
def test_a_prediction_that_is_no_temperature_of_water_is_refused(labelled, change, message, attrs):
    observed = labelled["water_temperature_fine"]
    with pytest.raises(InvalidDatasetError, match=message):
        score(change(observed).drop_attrs().assign_attrs(attrs), observed)


def test_a_poor_prediction_is_scored(labelled):
    observed = labelled["water_temperature_fine"]
    for error in (-25.0, 30.0):
        assert score(observed + error, observed)["bias"].item() == pytest.approx(error)
