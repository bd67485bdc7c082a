"""Features, their transforms, the means they remember, and the scaling as plain values."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import (
    SKEWED,
    TRANSFORMS,
    Feature,
    Scaling,
    feature_variables,
    parse_feature,
    trailing_mean,
)
from xmsgl.util.plain import read_plain


@settings(max_examples=40, deadline=None)
@given(
    values=arrays(float, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(-50, 50)),
    days=st.integers(1, 60),
)
def test_trailing_mean_is_that_of_pandas(values, days):
    expected = pd.DataFrame(values).rolling(days, min_periods=1).mean().to_numpy()
    np.testing.assert_allclose(trailing_mean(values, days), expected, rtol=0, atol=1e-10)


def test_trailing_mean_keeps_its_precision_over_decades_of_float32():
    values = np.random.default_rng(0).normal(300, 5, 40_000).astype("float32")
    expected = pd.Series(values.astype(float)).rolling(30, min_periods=1).mean().to_numpy()
    np.testing.assert_allclose(trailing_mean(values, 30), expected, rtol=0, atol=1e-6)


def test_trailing_mean_never_looks_ahead():
    values = np.arange(20.0)
    changed = values.copy()
    changed[12:] = 1e6
    np.testing.assert_array_equal(trailing_mean(values, 5)[:12], trailing_mean(changed, 5)[:12])


@pytest.mark.parametrize("label", ["slope", "air_temperature:7", "air_temperature:90"])
def test_a_feature_is_written_as_it_is_read(label):
    name, days = parse_feature(label)
    assert Feature(name, "degC", dynamic=True, days=days).label == label


@pytest.mark.parametrize("label", ["a:", "a:0", "a:-3", "a:month", "a:7.5", "a:7:30"])
def test_an_invalid_number_of_days_is_refused(label):
    with pytest.raises(InvalidArgumentError, match="number of days") as error:
        parse_feature(label)
    assert repr(label) in str(error.value)


def test_transforms_spread_what_is_skewed_and_never_give_nan():
    values = np.array([-1.0, 0.0, 1.0, 30_000.0])
    np.testing.assert_allclose(TRANSFORMS["log1p"](values), [0, 0, np.log(2), np.log(30_001)])
    np.testing.assert_allclose(TRANSFORMS["sqrt"](values), [0, 0, 1, np.sqrt(30_000)])
    np.testing.assert_array_equal(TRANSFORMS["identity"](values), values)
    assert set(SKEWED.values()) <= set(TRANSFORMS)


def test_features_and_scaling_survive_json():
    feature = Feature("precipitation", "mm d-1", dynamic=True, transform="log1p", days=3)
    scaling = Scaling((0.1, 1 / 3), (2.0, 1e-9), 11.123456789012345, 6.7)
    assert read_plain(Feature, json.loads(json.dumps(asdict(feature))), "feature") == feature
    assert read_plain(Scaling, json.loads(json.dumps(asdict(scaling))), "scaling") == scaling


def test_variables_of_features_come_once_each_at_both_scales(river):
    names = ["air_temperature", "air_temperature:7", "precipitation:30", "drainage_area", "slope"]
    features = choose_features(river, names)
    daily = ["air_temperature_coarse", "precipitation_coarse"]
    assert feature_variables(river, features, dynamic=True) == daily
    fixed = ["drainage_area_coarse", "drainage_area_fine", "slope_coarse"]
    assert set(fixed) <= set(feature_variables(river, features, dynamic=False))
