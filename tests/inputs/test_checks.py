"""Whether a dataset fits a model: every fault at once, with a way out; and a word where it is far outside."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import ExtrapolationWarning, ModelMismatchError
from xmsgl.inputs.checks import check_features, warn_outside
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import Scaling
from xmsgl.inputs.scales import ScaleInputs


def refusal(ds, features):
    """The numbered faults, and the whole message."""
    with pytest.raises(ModelMismatchError) as error:
        check_features(ds, features)
    return re.findall(r"^  \d+\. (.*)$", str(error.value), re.MULTILINE), str(error.value)


@pytest.fixture
def features(river):
    return choose_features(river)


# --------------------------------------------------------------------- faults


def test_a_dataset_that_fits_passes(river, features):
    check_features(river, features)
    river["air_temperature_coarse"].attrs["units"] = "degrees_Celsius"
    check_features(river, features)


def test_order_does_not_matter(river, features):
    shuffled = river[sorted(river.data_vars, reverse=True)].transpose("fine", "coarse", "time")
    check_features(shuffled, features)
    check_features(river, features[::-1])


def test_everything_that_does_not_fit_is_listed_at_once(river, features):
    other = river.drop_vars("precipitation_coarse")
    other["solar_radiation_coarse"].attrs["units"] = "MJ m-2 d-1"
    other["slope_coarse"] = other["air_temperature_coarse"].assign_attrs(units="1")
    del other["elevation_fine"].attrs["units"]
    faults, text = refusal(other, features)
    assert [fault.split()[0] for fault in faults] == [
        "precipitation_coarse",
        "solar_radiation_coarse",
        "elevation_fine",
        "slope_coarse",
    ]
    assert "does not match the model, 4 faults" in text
    assert faults[0] == "precipitation_coarse is missing, (time, coarse) in 'mm d-1'"
    assert faults[1].startswith(
        "solar_radiation_coarse is in 'MJ m-2 d-1', the model needs 'W m-2'; convert: "
    )
    assert faults[2] == (
        "elevation_fine has no units, the model needs 'm'; if these are its units, "
        'ds["elevation_fine"].attrs["units"] = "m"'
    )
    assert faults[3] == "slope_coarse has dimensions (time, coarse), the model needs (coarse)"
    assert "ds.msgl.train()" in text


def test_a_feature_with_means_is_named_once(river, features):
    faults, text = refusal(river.drop_vars("air_temperature_coarse"), features)
    assert len(faults) == 1
    assert "1 fault:" in text


def test_units_of_a_reachs_own_driver_are_checked_too(river, features):
    river["air_temperature_fine"] = ("time", "fine"), np.full((800, 12), 280.0), {"units": "K"}
    ((fault,), _) = refusal(river, features)
    assert fault.startswith("air_temperature_fine is in 'K', the model needs 'degC'")


@pytest.mark.parametrize(
    ("name", "units", "factor"), [("air_temperature", "K", (1, 273.15)), ("drainage_area", "m2", (1e6, 0))]
)
def test_the_advice_on_units_is_code_that_works(river, features, name, units, factor):
    ds = river.copy()
    expected = river[f"{name}_coarse"]
    ds[f"{name}_coarse"] = (expected * factor[0] + factor[1]).assign_attrs(units=units)
    ((fault,), _) = refusal(ds, features)
    exec(re.search(r"convert: (ds.*)$", fault)[1], {"ds": ds})
    check_features(ds, features)
    np.testing.assert_allclose(ds[f"{name}_coarse"], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("feature", "theirs"),
    [
        ("air_temperature", "air_temp_coarse"),
        ("air_temperature", "Air_Temperature_coarse"),
        ("precipitation", "precip_coarse"),
        ("solar_radiation", "solar_rad_coarse"),
        ("slope", "slope"),
        ("drainage_area", "drain_area_coarse"),
    ],
)
def test_a_feature_under_another_name_is_found_and_the_advice_works(river, features, feature, theirs):
    ds = river.rename({f"{feature}_coarse": theirs})
    fault = next(f for f in refusal(ds, features)[0] if f.startswith(f"{feature}_coarse is missing"))
    assert f"similar: {theirs} in {river[f'{feature}_coarse'].attrs['units']!r}" in fault
    assert "convert" not in fault
    scope = {"ds": ds}
    exec(re.search(r"if it is the same quantity, (ds = .*)$", fault)[1], scope)
    check_features(scope["ds"], features)


def test_what_is_alike_but_in_other_units_is_to_be_converted(river, features):
    ds = river.rename(air_temperature_coarse="air_temp_coarse")
    ds["air_temp_coarse"].attrs["units"] = "K"
    ((fault,), _) = refusal(ds, features)
    assert "similar: air_temp_coarse in 'K'" in fault
    rename, convert = fault.split("if it is the same quantity, ")[1].split("; then convert: ")
    scope = {"ds": ds}
    exec(rename, scope)
    exec(convert, scope)
    check_features(scope["ds"], features)


def test_neither_labels_nor_features_in_use_nor_other_shapes_are_offered(river, features):
    ds = river.drop_vars(["air_temperature_coarse", "elevation_coarse"])
    ds["observed_air_temperature_coarse"] = ds["solar_radiation_coarse"]
    ds["air_temperatures_fine"] = ("time", "fine"), np.zeros((800, 12))
    ds["elevations_coarse"] = ds["solar_radiation_coarse"]
    ds["simulated_temperature_coarse"] = ds["solar_radiation_coarse"]
    faults, text = refusal(ds, [f for f in features if f.name in {"air_temperature", "slope", "elevation"}])
    assert len(faults) == 2
    assert "alike" not in text
    assert "elevation_coarse is missing, (coarse) in 'm'; the dataset has it for reaches" in faults[1]


def test_a_lazy_dataset_is_checked_without_computing(river, features, refuse_to_compute):
    lazy = river.drop_vars("slope_coarse").chunk()
    with refuse_to_compute():
        assert len(refusal(lazy, features)[0]) == 1


# ------------------------------------------------------------------ far outside


def scaling_of(ds, features):
    mean, deviation = ScaleInputs(ds, features, "coarse").fit(np.ones(ds.sizes["time"], bool))
    fitted = Scaling(mean, deviation, 10.0, 5.0)
    return {"coarse": fitted, "fine": fitted}


def said(ds, features, scaling):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_outside(ds, features, scaling)
    assert all(issubclass(warning.category, ExtrapolationWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


def test_the_training_dataset_is_not_outside(river, features):
    assert said(river, features, scaling_of(river, features)) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [("elevation_coarse", 4000.0), ("elevation_fine", -5000.0), ("air_temperature_coarse", 273.15)],
)
def test_what_lies_far_outside_is_named_with_its_values(river, features, name, change):
    scaling = scaling_of(river, features)
    river[name] = (river[name] + change).assign_attrs(river[name].attrs)
    (message,) = said(river, features, scaling)
    values = river[name]
    assert f"{name} (100% of {values.size:,} values" in message
    assert f"{float(values.min()):.4g} to {float(values.max()):.4g} {values.attrs['units']}" in message
    assert message.count("% of") == 1


def test_the_share_counts_in_the_space_of_the_transform(river, features):
    """Ten times the area is far on a linear scale and near on a logarithmic one."""
    scaling = scaling_of(river, features)
    area = river["drainage_area_coarse"]
    assert float(((area * 20 - area.mean()) / area.std()).max()) > 6
    river["drainage_area_coarse"] = (area * 20).assign_attrs(area.attrs)
    assert said(river, features, scaling) == []
    river["drainage_area_coarse"] = (area * 1e6).assign_attrs(area.attrs)
    assert len(said(river, features, scaling)) == 1


@pytest.mark.parametrize(("far", "count"), [(1, 0), (2, 1)])
def test_a_few_odd_reaches_are_no_reason_to_warn(river, features, far, count):
    scaling = scaling_of(river, features)
    many = xr.concat([river["elevation_fine"]] * 3, "fine")[:30].assign_attrs(units="m")
    many[:far] = 9e5
    ds = river.drop_dims("fine").assign(elevation_fine=many.drop_vars("fine"))
    assert len(said(ds, features, scaling)) == count


def test_what_is_missing_or_nan_is_not_judged(river, features):
    scaling = scaling_of(river, features)
    river["elevation_coarse"][:] = np.nan
    assert said(river, features, scaling) == []
    assert said(river.isel(time=slice(0)), features, scaling) == []
