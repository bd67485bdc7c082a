"""From the words of a user to the features of a dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.choose import assign_inputs, choose_features, parse_features
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours, fit_neighbours
from xmsgl.inputs.season import SEASON, assign_season

DRIVERS = ["air_temperature", "precipitation", "solar_radiation"]
MEMORY = ["air_temperature:7", "air_temperature:30", "air_temperature:90"]
STATICS = ["drainage_area", "elevation", "slope"]
KINDS = ("mean", "warm", "cold", "support")
WORDS = {
    "default": [*DRIVERS, *MEMORY, *STATICS],
    "drivers": DRIVERS,
    "statics": STATICS,
    "season": ["season_cos", "season_sin"],
    "neighbour_anomalies:10km": [f"neighbour_10km_{kind}" for kind in KINDS],
    "neighbour_anomalies:2.5km": [f"neighbour_2.5km_{kind}" for kind in KINDS],
}


def labels(features):
    return [feature.label for feature in features]


@pytest.fixture(scope="module")
def known(river_once):
    return fit_neighbours(river_once, (1e4, 2.5e3))


@pytest.fixture(scope="module")
def computed(river_once, known):
    """The river with all that features may ask to be computed."""
    return assign_inputs(river_once, season=True, neighbours=known)


# ---------------------------------------------------------------------- words


def test_default_features_are_drivers_memory_and_attributes(river):
    assert labels(choose_features(river)) == labels(choose_features(river, ["default"])) == WORDS["default"]


def test_without_air_temperature_the_default_features_have_no_memory(river):
    found = labels(choose_features(river.drop_vars("air_temperature_coarse")))
    assert found == ["precipitation", "solar_radiation", *STATICS]


@pytest.mark.parametrize("means", [(), (30,), (90, 2)], ids=str)
def test_the_memory_may_be_chosen(river, means):
    memory = [f"air_temperature:{days}" for days in means]
    features = choose_features(river, ["drivers", *memory, "statics"])
    assert labels(features) == [*DRIVERS, *memory, *STATICS]
    assert [feature.days for feature in features] == [*[1] * 3, *means, *[1] * 3]


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from([*WORDS, *DRIVERS, *STATICS, "precipitation:7"]), min_size=1, unique=True)
)
def test_words_stand_for_their_features_in_order_and_each_comes_once(river_once, known, names):
    lengths = parse_features(names)
    around = replace(known, lengths=lengths) if lengths else None
    ds = assign_inputs(river_once, season="season" in names, neighbours=around)
    expected = []
    for name in names:
        expected += [label for label in WORDS.get(name, [name]) if label not in expected]
    if not set(expected) & {*DRIVERS, *MEMORY, *SEASON, "precipitation:7"}:
        with pytest.raises(InvalidArgumentError, match="at least one driver"):
            choose_features(ds, names)
        return
    features = choose_features(ds, names)
    assert labels(features) == expected
    static = {*STATICS, *(label for word in WORDS if ":" in word for label in WORDS[word])}
    assert {feature.label for feature in features if not feature.dynamic} == static & set(expected)


def test_what_is_asked_for_is_not_among_the_default_features_too(computed):
    assert {*SEASON} <= {*schema.drivers(computed)}
    names = ["default", "neighbour_anomalies:10km", "season", "neighbour_anomalies:2.5km"]
    assert labels(choose_features(computed, names)) == [label for name in names for label in WORDS[name]]


def test_variables_that_a_dataset_has_by_those_names_are_its_own(computed):
    """Nobody asked for them to be computed: they are drivers and attributes like all others."""
    assert labels(choose_features(computed, ["drivers"])) == schema.drivers(computed)
    assert {*SEASON, "neighbour_10km_warm"} < {*labels(choose_features(computed))}


def test_units_and_transforms_are_those_of_the_variables(computed):
    features = choose_features(computed, ["precipitation:7", "slope", "season", "neighbour_anomalies:10km"])
    assert [each.units for each in features] == ["mm d-1", "1", "1", "1", "degC", "degC", "degC", "1"]
    assert [each.transform for each in features][:3] == ["log1p", "sqrt", "identity"]


def test_what_a_model_must_not_see_is_not_a_feature(river):
    for name in ("simulated_temperature", "true_temperature", "discharge"):
        river[f"{name}_coarse"] = river["air_temperature_coarse"]
    assert {feature.name for feature in choose_features(river)} == {*DRIVERS, *STATICS}


# ------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["air_temperature", "snow"],
            "snow are not in the dataset, which has air_temperature, precipitation",
        ),
        (["water_temperature"], "water_temperature"),
        (["air_temperature", "season_cos"], "season_cos"),
        (["air_temperature", "season:7"], "season"),
        (["air_temperature", "slope:7"], "do not change in time"),
        (["slope"], "at least one driver"),
        (["statics"], "at least one driver"),
        ([], "at least one driver"),
    ],
    ids=[
        "unknown",
        "label",
        "not-computed",
        "mean-of-a-word",
        "memory-of-a-static",
        "static",
        "word",
        "none",
    ],
)
def test_features_that_cannot_be_used_are_named(river, names, message):
    with pytest.raises(InvalidArgumentError, match=message):
        choose_features(river, names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("season", r"must be a list of names, such as \['default', 'season'\], got 'season'"),
        (None, "must be a list of names.*got None"),
        (5, "must be a list of names.*got 5"),
        (["default", 7], "must be a list of names"),
        ([["default"]], "must be a list of names"),
        (["slope", "season", "slope"], "slope are given twice"),
        (["air_temperature:x"], "number of days"),
        (["neighbour_anomalies"], "'neighbour_anomalies' must give a length along the river, as in"),
        (["neighbour_anomalies:10"], "as in 'neighbour_anomalies:10km'"),
        (["neighbour_anomalies:10 km"], "give a length along the river"),
        (["neighbour_anomalies:-1km"], "give a length along the river"),
        (["neighbour_anomalies:1e3km"], "give a length along the river"),
        (["neighbour_anomalies:infkm"], "give a length along the river"),
        (["neighbour_anomalies:10km", "neighbour_anomalies:10.0km"], "give the same length"),
    ],
    ids=repr,
)
def test_what_cannot_be_a_list_of_features_is_refused_without_a_dataset(names, message):
    with pytest.raises(InvalidArgumentError, match=message):
        parse_features(names)


@given(lengths=st.lists(st.decimals("0.01", 5000, places=2), unique=True, max_size=4), season=st.booleans())
def test_lengths_are_read_in_metres_and_written_as_their_features_are(lengths, season):
    names = [*(f"neighbour_anomalies:{length}km" for length in lengths), *(["season"] if season else [])]
    metres = parse_features(names)
    assert metres == tuple(pytest.approx(1000 * float(length)) for length in lengths)
    kilometres = [f"{float(length):g}" for length in lengths]
    assert list(neighbour_features(metres)) == [
        f"neighbour_{length}km_{kind}" for length in kilometres for kind in KINDS
    ]


def test_other_features_need_no_neighbours():
    assert parse_features(["default", "air_temperature:7", "slope", "season"]) == ()


# ------------------------------------------------------------- what is computed


def test_assigned_inputs_are_the_time_of_year_and_the_anomalies(river):
    known = fit_neighbours(river, (1e4,))
    assert assign_inputs(river, season=False, neighbours=None) is river
    xr.testing.assert_identical(assign_inputs(river, season=True, neighbours=None), assign_season(river))
    both = assign_inputs(river, season=True, neighbours=known)
    xr.testing.assert_identical(both, assign_season(assign_neighbours(river, known)))
    turn = 2 * np.pi * river.time.dt.dayofyear.to_numpy() / 365.25
    np.testing.assert_allclose(both["season_sin_coarse"].isel(coarse=2), np.sin(turn), atol=1e-6)


def test_assigning_inputs_computes_nothing(river, refuse_to_compute):
    known = fit_neighbours(river, (1e4,))
    with refuse_to_compute():
        lazy = assign_inputs(river.chunk(time=100), season=True, neighbours=known)
        names = labels(choose_features(lazy, ["default", "season", "neighbour_anomalies:10km"]))
    assert set(WORDS["season"]) < set(names)
    assert lazy["air_temperature_coarse"].chunks is not None
