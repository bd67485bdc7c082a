"""What a model can learn the rest of: the regression against plain loops, and who its fit listens to."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.features import SKEWED
from xmsgl.residual import Residual
from xmsgl.residual_fit import baseline_temperature, find_residual, fit_residual
from xmsgl.schema import statics
from xmsgl.windows import choose_features

MARKER = 44.0


def labels_of(ds, *scales):
    return {scale: ds[f"water_temperature_{scale}"].transpose("time", scale).values for scale in scales}


def every(ds):
    return np.ones(ds.sizes["time"], bool)


def fitted(ds, *scales, days=None, features=None):
    plan = find_residual(ds, "regression", choose_features(ds, features))
    return fit_residual(plan, ds, labels_of(ds, *scales), every(ds) if days is None else days)


def rows_by_hand(ds, names):
    """What is regressed on for every segment and day, one number after the other."""
    days = pd.DatetimeIndex(ds["time"].values).day_of_year
    fixed = {}
    for name in names:
        values = ds[f"{name}_coarse"].values.astype(float)
        values = {"log1p": np.log1p, "sqrt": np.sqrt}.get(SKEWED.get(name), np.asarray)(values)
        fixed[name] = np.clip((values - values.mean()) / values.std(), -3, 3)
    rows = np.empty((ds.sizes["time"], ds.sizes["coarse"], 13 + len(names)))
    for segment in range(ds.sizes["coarse"]):
        air = ds["air_temperature_coarse"].transpose("time", "coarse").values[:, segment].astype(float)
        for day in range(ds.sizes["time"]):
            angle = 2 * np.pi * days[day] / 365.25
            mean = {n: air[max(0, day - n + 1) : day + 1].mean() for n in (1, 3, 7, 30, 90)}
            rows[day, segment] = [
                1.0,
                np.cos(angle),
                np.sin(angle),
                np.cos(2 * angle),
                np.sin(2 * angle),
                *mean.values(),
                max(mean[7], 0.0),
                mean[30] * np.cos(angle),
                mean[30] * np.sin(angle),
                *(fixed[name][segment] for name in names),
            ]
    return rows


def solved_by_hand(rows, labels, ridge):
    """Ridge regression on standardised columns, the intercept free, as augmented least squares."""
    mean, deviation = rows[:, 1:].mean(axis=0), rows[:, 1:].std(axis=0)
    standard = (rows[:, 1:] - mean) / deviation
    whole = np.vstack([standard, np.diag(np.sqrt(ridge))])
    target = np.concatenate([labels - labels.mean(), np.zeros(len(ridge))])
    slopes = np.linalg.lstsq(whole, target, rcond=None)[0] / deviation
    return np.concatenate([[labels.mean() - mean @ slopes], slopes])


NAMES = ["drainage_area", "elevation", "slope"]


@pytest.fixture(scope="module")
def short(river_once):
    return river_once.isel(time=slice(0, 150))


@pytest.fixture(scope="module")
def by_hand(short):
    return rows_by_hand(short, NAMES)


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_it_is_a_regression_on_rows_made_by_hand(short, by_hand, scale):
    """A fine label is compared with the weather of its segment; three segments hold attributes back."""
    found = fitted(short, scale, features=["air_temperature", *NAMES])
    labels = labels_of(short, scale)[scale]
    segment = np.arange(5)
    if scale == "fine":
        segment = np.array([list(short["coarse"]).index(s) for s in short["coarse_segment"]])
    day, node = np.nonzero(np.isfinite(labels))
    ridge = np.array([1.0] * 12 + [3 * day.size / len(set(segment[node]))] * 3)
    expected = solved_by_hand(by_hand[day, segment[node]], labels[day, node].astype(float), ridge)
    temperature = np.maximum(by_hand @ expected, 0)
    np.testing.assert_allclose(baseline_temperature(found, short), temperature, atol=1e-3)
    assert len(found.coefficients) == 16
    assert temperature.std() > 2


def test_all_days_and_places_take_part(short, by_hand):
    """A window with days before it to look back on gives what the record gives, in any order of segments."""
    found = fitted(short, "coarse", features=["air_temperature", *NAMES])
    whole = baseline_temperature(found, short)
    late = short.isel(time=slice(20, 150))
    np.testing.assert_allclose(baseline_temperature(found, late)[89:], whole[109:], atol=1e-5)
    order = [3, 0, 4, 1, 2]
    np.testing.assert_array_equal(baseline_temperature(found, short.isel(coarse=order)), whole[:, order])
    turned = short.transpose("fine", "coarse", "time")
    np.testing.assert_array_equal(baseline_temperature(found, turned), whole)
    many = short.isel(coarse=np.arange(300) % 5)  # more than are computed at once
    np.testing.assert_array_equal(baseline_temperature(found, many), whole[:, np.arange(300) % 5])


def test_only_training_days_are_looked_at(river_once):
    """A marker on every other day, in the labels of either scale, moves nothing; on one of them it does."""
    days = every(river_once)
    days[100:300] = False
    planted = river_once.copy()
    for scale in ("coarse", "fine"):
        name = f"water_temperature_{scale}"
        planted[name] = river_once[name].where(days[:, None], MARKER)
    for scale in ("coarse", "fine"):
        clean = fitted(river_once, scale, days=days)
        assert fitted(planted, scale, days=days) == clean
        one_more = days.copy()
        one_more[100] = True
        assert fitted(planted, scale, days=one_more) != fitted(river_once, scale, days=one_more)


def test_coarse_labels_come_first_and_fine_ones_stand_in(river_once):
    both = fitted(river_once, "coarse", "fine")
    assert both == fitted(river_once, "coarse")
    assert both != fitted(river_once, "fine")
    days = every(river_once)
    days[:300] = False
    bare = river_once.copy()
    bare["water_temperature_coarse"] = river_once["water_temperature_coarse"].where(~days[:, None])
    assert fitted(bare, "coarse", "fine", days=days) == fitted(river_once, "fine", days=days)


def test_a_label_or_two_give_something_finite(river_once):
    ds = river_once.copy()
    label = ds["water_temperature_fine"]
    day, reach = np.argwhere(np.isfinite(label.values))[0]
    only = np.zeros(label.shape, bool)
    only[day, reach] = True
    ds["water_temperature_fine"] = label.where(only)
    found = fitted(ds, "fine")
    np.testing.assert_allclose(baseline_temperature(found, ds), label.values[day, reach], rtol=1e-5)


def test_daily_extremes_stand_in_for_their_mean(short, by_hand):
    """Each has means of its own; what is bent is the mean of both."""
    air = short["air_temperature_coarse"]
    ends = short.drop_vars("air_temperature_coarse").assign(
        air_temperature_min_coarse=air - 3, air_temperature_max_coarse=air + 3
    )
    found = fitted(ends, "coarse", features=["air_temperature_min"])
    assert found.drivers == ("air_temperature_max", "air_temperature_min")
    weather = {name: ends[f"{name}_coarse"].values for name in found.drivers}
    columns = list(found.columns(weather, {}, pd.DatetimeIndex(ends["time"].values).day_of_year))
    whole = [np.broadcast_to(column, air.shape) for column in columns]
    expected = np.concatenate(
        [by_hand[..., 1:5], by_hand[..., 5:10] + 3, by_hand[..., 5:10] - 3, by_hand[..., 10:13]], axis=-1
    )
    np.testing.assert_allclose(np.stack(whole, axis=-1), expected, atol=1e-5)
    assert len(found.coefficients) == 18


def test_attributes_far_outside_count_as_at_three_deviations(river_once):
    found = fitted(river_once, "coarse", features=["air_temperature", "elevation"])
    high, higher = (
        baseline_temperature(found, river_once.assign(elevation_coarse=river_once["elevation_coarse"] + up))
        for up in (2_000.0, 9_000.0)
    )
    np.testing.assert_array_equal(high, higher)
    assert not np.array_equal(high, baseline_temperature(found, river_once))


def test_it_uses_the_attributes_among_the_features(river_once):
    assert [f.name for f in fitted(river_once, "coarse").attributes] == statics(river_once)
    assert fitted(river_once, "coarse", features=["solar_radiation"]).attributes == ()


def test_a_process_model_is_taken_as_it_is(river_once):
    simulated = (river_once["air_temperature_coarse"] * 0.5 + 7).assign_attrs(units="degC")
    ds = river_once.assign(simulated_temperature_coarse=simulated)
    found = find_residual(ds, "process", ())
    assert fit_residual(found, ds, labels_of(ds, "coarse"), every(ds)) == found
    np.testing.assert_array_equal(
        baseline_temperature(found, ds), simulated.transpose("time", "coarse").values
    )


@pytest.mark.parametrize("kind", ["regression", "process"])
def test_it_survives_as_json(river_once, kind):
    ds = river_once.assign(simulated_temperature_coarse=river_once["air_temperature_coarse"])
    found = fit_residual(find_residual(ds, kind, choose_features(ds)), ds, labels_of(ds, "coarse"), every(ds))
    assert Residual.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert fit_residual(found, ds, labels_of(ds, "fine"), every(ds)) == found  # fitted already


def test_what_is_missing_is_named(river_once):
    with pytest.raises(InvalidArgumentError, match="needs simulated_temperature_coarse"):
        find_residual(river_once, "process", ())
    bare = river_once.drop_vars([n for n in river_once if n.startswith("air_temperature")])
    with pytest.raises(InvalidArgumentError, match="needs air_temperature_coarse"):
        find_residual(bare, "regression", ())
