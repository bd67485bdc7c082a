"""One object for all settings: the same by whichever way they come, and checked before anything is read."""

from __future__ import annotations

import inspect
import json
import tomllib
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmsgl.accessor import MsglAccessor
from xmsgl.cli.config import to_toml
from xmsgl.cli.main import main
from xmsgl.cli.train import train_config
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.file import storage
from xmsgl.models.file.model import load_model
from xmsgl.models.methods.registry import MODELS
from xmsgl.network.kernels import Exponential, Gaussian, Kernel
from xmsgl.schema.graphs import build_graph
from xmsgl.training.recipes import RECIPES
from xmsgl.training.settings import TrainSettings, network_arguments
from xmsgl.training.train import train

OWN = [each.name for each in fields(TrainSettings)]
METHODS = sorted(MODELS)
NETWORKS = [name for name in METHODS if not MODELS[name].defaults]  # those that a recipe may be for
WORDS = [
    "default",
    "drivers",
    "statics",
    "season",
    "weather_memory",
    "slope",
    "air_temperature:30",
    "neighbour_anomalies:2.5km",
]

# ------------------------------------------------------------------- round trips

POSITIVE = st.floats(1e-9, 1e9)
DAYS = st.dates().map(str) | st.just("..")
PERIODS = st.lists(st.tuples(DAYS, DAYS).map("/".join), min_size=1, max_size=3).map(",".join)
KERNELS = (
    st.sampled_from(["exponential", "gaussian", "reference"])
    | POSITIVE.map(Gaussian)
    | POSITIVE.map(lambda scale: Exponential(scale).to_dict())
)
VALUES = {
    "validation": st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True) | PERIODS,
    "refit": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
    "ensemble": st.integers(1, 20),
    "features": st.lists(st.sampled_from(WORDS), min_size=1, unique=True),
    "scaling": st.sampled_from(["shared", "own"]),
    "window": st.integers(1, 5000),
    "warmup": st.integers(0, 3660),
    "identity": st.integers(0, 50),
    "epochs": st.integers(1, 5000),
    "steps": st.integers(0, 10**6),
    "pretrain": st.none() | st.integers(0, 500) | st.lists(st.integers(1, 99), min_size=1, max_size=2),
    "learning_rate": POSITIVE | st.lists(POSITIVE, min_size=1, max_size=3),
    "keep": st.sampled_from(["best", "last"]),
    "batch": st.integers(1, 99),
    "basins": st.none() | st.integers(1, 99),
    "clip": st.none() | POSITIVE,
    "patience": st.none() | st.integers(1, 99),
    "weighting": st.sampled_from(["uniform", "mgda"]),
    "average": st.floats(0, 1, exclude_max=True),
    "amp": st.none() | st.booleans(),
    "frozen": st.lists(st.sampled_from(["cell", "cell.W_hh", "fine_head"]), unique=True),
    "kernel": st.none() | KERNELS,
    "hops": st.none() | st.integers(1, 99),
    "limit": st.none() | POSITIVE,
    "nearest": st.none() | st.integers(1, 99),
    "direction": st.sampled_from(["both", "upstream", "downstream"]),
}
SIZES = {
    "hidden": st.integers(1, 99),
    "backbone": st.sampled_from(["rgcn", "lstm", "stgcn"]),
    "recurrent_dropout": st.floats(0, 0.9),
    "heads": st.integers(1, 9),
    "dropout": st.floats(0, 0.9),
    "anchored": st.booleans(),
    "tasks": st.lists(st.sampled_from(["coarse", "interpolation", "fine"]), min_size=1, unique=True),
    "labels": st.sampled_from(["coarse", "fine"]),
    "iterations": st.integers(1, 999),
    "min_samples_leaf": st.integers(1, 999),
    "max_features": st.floats(0.1, 1),
}


@st.composite
def keywords(draw, methods=METHODS):
    """What a user may give: a method, some settings that it uses, some arguments of its network."""
    method = draw(st.sampled_from(methods))
    sizes = {name: SIZES[name] for name in SIZES if name in network_arguments(method)}
    uses = MODELS[method].uses
    values = {name: value for name, value in VALUES.items() if uses is None or name in uses}
    return {"method": method, **draw(st.fixed_dictionaries({}, optional=values | sizes))}


def meant(method, features):
    """Features with the default of trees written out."""
    if method != "trees" or "default" not in features:
        return list(features)
    place = features.index("default")
    all_of_it = [*features[:place], "weather_memory", "statics", "season", *features[place + 1 :]]
    return [name for k, name in enumerate(all_of_it) if name not in all_of_it[:k]]


def test_every_setting_is_drawn():
    assert {*VALUES, "method", "architecture"} == set(OWN)
    networks = set().union(*(network_arguments(method) for method in MODELS))
    assert networks - {"backend"} == set(SIZES)


def written(value):
    """A value as a file holds it, written down anew."""
    if isinstance(value, Kernel):
        return {"name": value.name, **vars(value)}
    return list(value) if isinstance(value, tuple) else value


@given(keywords())
def test_settings_are_what_was_given_and_defaults_beside_it(given):
    chosen = TrainSettings.of(**given)
    known = chosen.to_dict()
    expected = {name: written(each) for name, each in given.items()}
    if "features" in given:
        expected["features"] = meant(chosen.method, given["features"])
    assert {name: known[name] for name in given} == expected
    usual = {each.name: each.default for each in fields(TrainSettings)} | MODELS[chosen.method].defaults
    defaults = {name: value for name, value in usual.items() if name not in given}
    defaults.pop("architecture")
    if MODELS[chosen.method].uses is None and "epochs" not in given and "steps" in defaults:
        defaults["steps"] = 1000
    assert {name: known[name] for name in defaults} == {name: written(v) for name, v in defaults.items()}
    assert set(known) == set(OWN) - {"architecture"} | set(given) | set(MODELS[chosen.method].defaults)


@given(keywords())
def test_settings_come_back_from_keywords_json_and_toml(given):
    chosen = TrainSettings.of(**given)
    for plain in (chosen.to_dict(), chosen.differing()):
        assert TrainSettings.of(**plain) == chosen
        assert TrainSettings.of(**json.loads(json.dumps(plain, allow_nan=False))) == chosen
        read = tomllib.loads(to_toml({"set": plain}))["set"]
        valid = {name: None if value == "none" else value for name, value in read.items()}
        assert TrainSettings.of(**valid) == chosen


@given(keywords())
def test_what_differs_is_what_differs_from_the_defaults(given):
    chosen = TrainSettings.of(**given)
    usual = TrainSettings.of(chosen.method).to_dict()
    known, differing = chosen.to_dict(), chosen.differing()
    assert differing.pop("method") == chosen.method
    assert differing == {name: known[name] for name in known if known[name] != usual.get(name, "unset")}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=keywords())
def test_the_command_reads_the_settings_that_a_model_keeps(tmp_path, monkeypatch, given):
    """By the configuration that ``describe --toml`` prints, up to where the command would open the data."""
    chosen = TrainSettings.of(**given)
    seen = []

    def note(found):
        seen.append(TrainSettings.of(**found))
        raise InvalidArgumentError("enough")

    monkeypatch.setattr("xmsgl.cli.train._check_settings", note)
    kept = {"settings": chosen.differing(), "data": {"dataset": "simulated", "years": 1}}
    training = {**kept, "fingerprint": "ab12", "versions": {"xmsgl": "0.1"}, "dataset": "a river"}
    (tmp_path / "run.toml").write_text(train_config(training, "m"), encoding="utf-8")
    words = ["train", "--config", str(tmp_path / "run.toml"), "-o", str(tmp_path / "m")]
    result = CliRunner().invoke(main, ["--quiet", *words])
    assert result.stderr == "error: enough\n", result.output
    assert seen == [chosen]


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.method is None])
@pytest.mark.parametrize("method", NETWORKS)
def test_a_recipe_is_settings_like_all_others(name, method):
    chosen = TrainSettings.of(method, recipe=name)
    recipe = RECIPES[name]
    expected = {**recipe.settings, **recipe.methods.get(method, {})}
    assert {each: getattr(chosen, each) for each in expected} == expected
    assert chosen.architecture == {
        each: value for each, value in recipe.architecture.items() if each in network_arguments(method)
    }
    assert TrainSettings.of(**chosen.to_dict()) == TrainSettings.of(**chosen.differing()) == chosen


@given(keywords(NETWORKS))
def test_what_is_given_wins_over_a_recipe_even_where_it_is_the_default(given):
    method = given.pop("method")
    plain, chosen = TrainSettings.of(method, **given), TrainSettings.of(method, recipe="published", **given)
    known = chosen.to_dict()
    assert {name: known[name] for name in given} == {name: plain.to_dict()[name] for name in given}
    rest = TrainSettings.of(method, recipe="published").to_dict()
    assert {name: known[name] for name in rest if name not in given} == {
        name: rest[name] for name in rest if name not in given
    }
    usual = {name: value for name, value in TrainSettings.of(method).to_dict().items() if name != "method"}
    assert TrainSettings.of(method, recipe="published", **usual).differing() == {
        "method": method,
        **TrainSettings.of(method, recipe="published").architecture,
    }


SMALL = {
    "epochs": 2,
    "hidden": 4,
    "window": 60,
    "warmup": 5,
    "features": ("air_temperature", "season", "slope", "neighbour_anomalies:10km"),
    "validation": [slice("2001-11", "2001-12-15"), slice(np.datetime64("2002-03-10"), None)],
    "average": np.float64(0.1),
    "kernel": Gaussian(4e3),
    "learning_rate": np.array([0.01]),
    "identity": np.int64(2),
    "patience": None,
}


@pytest.mark.parametrize("ensemble", [1, 2])
def test_a_model_and_its_checkpoint_keep_the_settings(river, tmp_path, ensemble):
    ds = river.isel(time=slice(0, 200))
    given = {**SMALL, "seed": 3, "ensemble": ensemble}
    chosen = TrainSettings.of("remap", **given)
    train(ds, "remap", device="cpu", progress=False, checkpoint=tmp_path / "c", **given).save(tmp_path / "m")
    kept = load_model(tmp_path / "m").spec.training["settings"]
    assert TrainSettings.of(**kept) == chosen
    assert kept == chosen.differing()
    header = storage.from_bytes((tmp_path / "c").read_bytes(), "c")[1]
    assert header["settings"]["settings"] == chosen.to_dict()
    assert TrainSettings.of(**header["settings"]["settings"]) == chosen
    assert TrainSettings.of(**header["training"]["settings"]) == chosen


# ---------------------------------------------------------------- names and values


@pytest.mark.parametrize(
    ("name", "method", "hint"),
    [
        ("anchord", "msgl", "did you mean anchored?"),
        ("Features", "remap", "did you mean features?"),
        ("feature", "msgl", "did you mean features?"),
        ("learning_rates", "msgl", "did you mean learning_rate?"),
        ("epoch", "msgl", "did you mean epochs?"),
        ("hiden", "fine-only", "did you mean hidden?"),
        ("anchored", "remap", "its network has backbone, backend, hidden, recurrent_dropout"),
        ("zzz", "remap", "its network has backbone, backend,"),
        ("obj", "remap", "its network has backbone"),
        ("architecture", "remap", "its network has backbone"),
        ("n_features", "remap", ""),
        ("segments", "remap", ""),
    ],
)
def test_an_unknown_setting_suggests_the_most_similar_one(name, method, hint):
    with pytest.raises(InvalidArgumentError) as caught:
        TrainSettings.of(method, **{name: 1})
    assert str(caught.value).startswith(f"{method!r} has no setting {name}; {hint}")


def test_a_wrong_name_is_refused_before_a_dataset_is_looked_at():
    with pytest.raises(InvalidArgumentError, match="no setting anchord; did you mean anchored"):
        train(None, "msgl", anchord=False)


@pytest.mark.parametrize("method", sorted(MODELS))
def test_the_settings_of_a_network_are_the_arguments_of_its_class(method):
    decided = {"n_features", "segments", "identity"}
    assert network_arguments(method) == set(inspect.signature(MODELS[method]).parameters) - decided
    assert not network_arguments(method) & set(OWN)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "lstm"}, "unknown network model 'lstm'; known: .*fine-only, msgl, progressive, remap"),
        ({"recipe": "secret"}, "unknown recipe 'secret'; known: gauged, published, quick, sensors, ungauged"),
        ({"scaling": "both"}, "unknown scaling 'both'; known: own, shared"),
        ({"keep": "first"}, "unknown keep 'first'; known: best, last"),
        ({"weighting": "best"}, "unknown weighting 'best'; known: mgda, uniform"),
        ({"weighting": None}, "unknown weighting None"),
        ({"keep": ["best"]}, r"unknown keep \('best',\)"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(given, message):
    with pytest.raises(UnknownNameError, match=message):
        TrainSettings.of(**given)


LARGE = {"warmup": 3660, "ensemble": 10_000, "identity": 10_000}
LEAST = {
    "epochs": 1,
    "window": 1,
    "batch": 1,
    "basins": 1,
    "ensemble": 1,
    "patience": 1,
    "warmup": 0,
    "seed": 0,
}


@pytest.mark.parametrize("name", [*LEAST, "identity"])
def test_a_count_is_a_whole_number_that_is_large_enough(name):
    least = LEAST.get(name, 0)
    for value in (least, least + 1, LARGE.get(name, 10**6), np.int32(least + 7)):
        kept = getattr(TrainSettings.of("msgl", **{name: value}), name)
        assert (kept, type(kept)) == (value, int)
    wrong = [least - 1, -(10**6), least + 0.5, float(least + 1), "x", "3", True, False, [least + 1]]
    for value in [*wrong, float("nan"), float("inf"), np.float64(least + 1), np.True_]:
        with pytest.raises(
            InvalidArgumentError, match=f"^{name} must be a whole number of at least {least}, got"
        ):
            TrainSettings.of("msgl", **{name: value})


@pytest.mark.parametrize(
    "name", sorted({*LEAST, "identity", "average", "learning_rate"} - {"patience", "basins"})
)
def test_only_what_can_be_without_a_limit_may_be_none(name):
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be .*, got None"):
        TrainSettings.of(**{name: None})
    assert TrainSettings.of("msgl", patience=None, clip=None, amp=None).clip is None


@pytest.mark.parametrize("name", ["learning_rate", "clip"])
@pytest.mark.parametrize(
    "value",
    [0, 0.0, -1e-9, float("nan"), float("inf"), "fast", True, [0.1, "fast"], [0.1, 0], [[0.1]]],
    ids=repr,
)
def test_rates_and_limits_are_positive_numbers(name, value):
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be a positive number, got "):
        TrainSettings.of(**{name: value})


def test_a_warm_up_has_a_limit():
    with pytest.raises(InvalidArgumentError, match="warmup must be at most 3660 days, got 3661"):
        TrainSettings.of("msgl", warmup=3661)


def test_bytes_are_not_a_list_of_rates():
    with pytest.raises(InvalidArgumentError, match="learning_rate must be a positive number, got b'x'"):
        TrainSettings.of("msgl", learning_rate=b"x")


def test_only_learning_rates_may_be_several():
    assert TrainSettings.of("msgl", learning_rate=[0.5, 0.25]).learning_rate == (0.5, 0.25)
    with pytest.raises(InvalidArgumentError, match=r"^clip must be a positive number, got \(1.0, 2.0\)"):
        TrainSettings.of("msgl", clip=[1.0, 2.0])


@pytest.mark.parametrize("value", [1, 1.0, -0.1, 2, float("nan"), "x", True, False, [0.5]], ids=repr)
def test_the_share_of_the_past_is_below_one(value):
    with pytest.raises(InvalidArgumentError, match=r"^average must be in \[0, 1\), got "):
        TrainSettings.of("msgl", average=value)
    assert TrainSettings.of("msgl", average=0).average == 0
    assert TrainSettings.of("msgl", average=0.999).average == 0.999


@pytest.mark.parametrize("value", ["False", "no", "on", 0, 1, 1.0, []], ids=repr)
def test_a_switch_takes_true_and_false_only(value):
    with pytest.raises(InvalidArgumentError, match=r"^amp must be True or False or None, not "):
        TrainSettings.of("msgl", amp=value)
    assert TrainSettings.of("msgl", amp=np.True_).amp is True
    assert TrainSettings.of("msgl", amp=False).amp is False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"features": "season"}, "features must be a list of names"),
        ({"features": None}, "features must be a list of names"),
        ({"features": {"season", "default"}}, "features must be a list of names"),
        ({"features": ["neighbour_anomalies:5"]}, "give a length along the river"),
        ({"features": ["slope", "slope"]}, "slope are given twice"),
        ({"validation": 1.5}, "validation must be a fraction of the windows"),
        ({"validation": "2002"}, "validation must be a fraction of the windows between 0 and 1, None"),
    ],
)
def test_features_and_validation_are_read_when_they_are_given(given, message):
    with pytest.raises(InvalidArgumentError, match=message):
        TrainSettings.of(**given)


def test_settings_made_without_of_are_checked_too():
    with pytest.raises(InvalidArgumentError, match="epochs must be a whole number"):
        TrainSettings(epochs=0)
    with pytest.raises(UnknownNameError, match="unknown scaling"):
        TrainSettings(scaling="both")


# ------------------------------------------------------------------------- plain values


@pytest.mark.parametrize("name", OWN)
def test_settings_are_frozen(name):
    chosen = TrainSettings.of("msgl", epochs=3)
    with pytest.raises(FrozenInstanceError):
        setattr(chosen, name, getattr(chosen, name))


def test_what_the_user_gave_may_change_afterwards():
    features, tasks, kernel = ["default"], ["coarse", "fine"], {"name": "gaussian", "scale_m": 1e3}
    chosen = TrainSettings.of("msgl", features=features, tasks=tasks, kernel=kernel)
    before = chosen.to_dict()
    features.append("season")
    tasks.pop()
    kernel["scale_m"] = 0
    assert chosen.to_dict() == before


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.array([0.5, 0.25]), (0.5, 0.25)),
        ([np.float32(0.5), np.float64(0.25)], (0.5, 0.25)),
        (pd.Index([1.0, 2.0]), (1.0, 2.0)),
        (range(1, 4), (1, 2, 3)),
        (np.float32(0.5), 0.5),
    ],
    ids=["array", "list", "index", "range", "number"],
)
def test_values_of_numpy_and_pandas_are_as_good(value, plain):
    kept = TrainSettings.of("msgl", learning_rate=value).learning_rate
    assert kept == plain
    assert {type(each) for each in (kept if isinstance(kept, tuple) else [kept])} <= {float, int}


def test_the_arguments_of_the_graph_are_those_of_the_accessor(river):
    given = {"kernel": Gaussian(3e3), "hops": 2, "limit": 3e4, "nearest": 3, "direction": "upstream"}
    chosen = TrainSettings.of("msgl", **given).graph
    assert set(chosen) == set(inspect.signature(MsglAccessor.graph).parameters) - {"self", "scale"}
    expected = build_graph(river, "fine", **given).operator.toarray()
    np.testing.assert_array_equal(build_graph(river, "fine", **chosen).operator.toarray(), expected)
