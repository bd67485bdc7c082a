"""Recipes: the published method by its name, and what is given wins over it."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tests.small import FEATURES, same
from xmsgl.errors import CheckpointError, InvalidArgumentError, UnknownNameError
from xmsgl.models.file import storage
from xmsgl.models.file.model import load_model
from xmsgl.models.methods.base import MODELS
from xmsgl.prediction.downscale import downscale
from xmsgl.schema.graphs import build_graph
from xmsgl.training.recipes import PUBLISHED as RECIPE
from xmsgl.training.recipes import RECIPES, recipe_settings
from xmsgl.training.settings import TrainSettings
from xmsgl.training.train import train

PUBLISHED = ("async-msgl", "direct", "fine-only", "msgl", "progressive", "remap")
# The run, the data and the machine decide these, not a method.
NOT_FOR_RECIPES = {"method", "validation", "seed", "ensemble", "amp", "architecture", "frozen"}
QUICK = {"epochs": 2, "window": 60, "device": "cpu", "progress": False}
SMALL = {**QUICK, "hidden": 4, "pretrain": 0, "features": FEATURES}


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 120))


@pytest.fixture(scope="module")
def published(river_once):
    return train(river_once.isel(time=slice(0, 120)), "msgl", recipe="published", **QUICK)


# ------------------------------------------------------------- the table


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.method is None])
@pytest.mark.parametrize("method", PUBLISHED)
def test_a_recipe_sets_what_the_method_takes_and_no_more(name, method):
    settings = recipe_settings(name, method)
    own = {each.name for each in fields(TrainSettings)}
    network = set(inspect.signature(MODELS[method]).parameters) - own
    assert set(settings) <= (own | network) - NOT_FOR_RECIPES
    assert set(settings) - {"pretrain"} >= own - NOT_FOR_RECIPES - {"pretrain"}  # no default shows through
    assert ("heads" in settings) == (method in ("msgl", "async-msgl"))
    assert RECIPES[name].name == name


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.method])
def test_a_recipe_of_one_method_needs_no_method(name):
    settings = TrainSettings.of(recipe=name)
    assert settings.method == RECIPES[name].method
    assert TrainSettings.of(**settings.to_dict()).to_dict() == settings.to_dict()
    assert settings.differing(name) == {"method": settings.method}
    with pytest.raises(InvalidArgumentError, match="leave method out"):
        TrainSettings.of("msgl", recipe=name)


def test_what_is_given_wins_over_a_recipe_of_one_method():
    assert TrainSettings.of(recipe="ungauged").validation == "segments"
    assert TrainSettings.of(recipe="ungauged", validation=0.2, seed=3).validation == 0.2
    assert TrainSettings.of(recipe="quick", iterations=5).architecture["iterations"] == 5


@pytest.mark.parametrize("method", ["trees", "stack", "dynamic-msgl"])
def test_the_published_recipe_is_one_of_networks(method):
    with pytest.raises(InvalidArgumentError, match="leave recipe out"):
        TrainSettings.of(method, recipe="published")


def test_the_limit_on_the_gradient_is_that_of_the_loop():
    limits = {method: recipe_settings("published", method)["clip"] for method in PUBLISHED}
    assert limits.pop("msgl") is limits.pop("async-msgl") is None
    assert set(limits.values()) == {3.0}


def test_unknown_names(tiny):
    with pytest.raises(
        UnknownNameError, match="unknown recipe 'secret'; known: gauged, published, quick, sensors, ungauged"
    ):
        train(tiny, recipe="secret", **QUICK)
    with pytest.raises(UnknownNameError, match="unknown network model 'lstn'"):
        train(tiny, "lstn", recipe="published", **QUICK)
    with pytest.raises(UnknownNameError, match="unknown recipe 'secret'"):
        tiny.msgl.train(recipe="secret")
    with pytest.raises(UnknownNameError, match="unknown network model 'lstn'"):
        recipe_settings("published", "lstn")


# ------------------------------------------------------- the published method


def test_the_published_model_is_the_one_described(published):
    """2,660 shared numbers at seven inputs and 21 for the head; here there are six inputs."""
    spec = published.spec
    labels = [feature.label for feature in spec.features]
    drivers = ["air_temperature", "precipitation", "solar_radiation"]
    assert labels == [*drivers, "drainage_area", "elevation", "slope"]
    cell = sum(value.numel() for name, value in published.weights.items() if name.startswith("cell."))
    assert cell == 2660 - 80
    assert sum(v.numel() for n, v in published.weights.items() if n.startswith("coarse_head.")) == 21
    assert "blend" not in published.weights
    assert spec.warmup == 0
    assert spec.segments == ()
    assert spec.scaling["coarse"] != spec.scaling["fine"]
    assert spec.graph["kernel"] == {"name": "reference"}
    assert spec.training["recipe"] == "published"
    assert all(np.isfinite(published.history["loss_fine"]))  # all tasks from the first epoch on


@pytest.mark.parametrize("method", PUBLISHED)
def test_every_published_method_trains_and_downscales(tiny, tmp_path, method):
    ds = tiny.assign(simulated_temperature_coarse=tiny["air_temperature_coarse"].assign_attrs(units="degC"))
    model = ds.msgl.train(method, recipe="published", **{**QUICK, "epochs": 3})
    back = load_model(model.save(tmp_path / "m.safetensors"))
    assert back.spec == model.spec
    prediction = downscale(ds, back, device="cpu")
    assert prediction.dims == ("time", "fine")
    assert np.isfinite(prediction).all()


def test_the_published_operators_are_the_formula(river, published):
    """One pair at a time: signed ways, negated, standardised, through the logistic function, rows to 1."""
    graphs = build_graph(river, **published.spec.graph)
    reach = {i: k for k, i in enumerate(river["fine"].values.tolist())}
    below = {
        scale: [
            {i: k for k, i in enumerate(river[scale].values.tolist())}.get(i, -1)
            for i in river[f"downstream_{scale}"].values.tolist()
        ]
        for scale in ("coarse", "fine")
    }

    def signed(scale):
        """Way from one node to another: positive downstream, negative upstream, none elsewhere."""
        length, ways = river[f"length_{scale}"].values, {}
        for start in range(len(length)):
            node, way = below[scale][start], 0.0
            while node >= 0:
                way += length[node]
                ways[start, node], ways[node, start] = way, -way
                node = below[scale][node]
        return ways

    def weights(ways, shape):
        found = np.zeros(shape)
        entries = [-way for way in ways.values()]
        mean = sum(entries) / len(entries)
        deviation = math.sqrt(sum((entry - mean) ** 2 for entry in entries) / len(entries))
        for place, way in ways.items():
            found[place] = 1 / (1 + math.exp((way + mean) / deviation))
        return found

    for scale in ("coarse", "fine"):
        n = river.sizes[scale]
        expected = weights(signed(scale), (n, n)) + np.eye(n)
        operator = getattr(graphs, scale).operator.toarray()
        np.testing.assert_allclose(operator, expected / expected.sum(1, keepdims=True), rtol=1e-9)
    # Each segment's outlet is the only reach from which the water goes to another segment. Its own weight
    # there is 1 instead of none, which is what we repair.
    segment = river["coarse_segment"].values.tolist()
    outlets = {segment[k]: k for k, to in enumerate(below["fine"]) if to < 0 or segment[to] != segment[k]}
    assert sorted(outlets.values()) == [reach[i] for i in (2, 4, 7, 9, 12)]
    number = {i: k for k, i in enumerate(river["coarse"].values.tolist())}
    ways = signed("fine")
    found = {
        (start, number[i]): ways[start, outlet]
        for i, outlet in outlets.items()
        for start in range(river.sizes["fine"])
        if (start, outlet) in ways
    }
    expected = weights(found, (river.sizes["fine"], river.sizes["coarse"]))
    for i, outlet in outlets.items():
        assert expected[outlet, number[i]] == 0
        expected[outlet, number[i]] = 1
    np.testing.assert_allclose(
        graphs.interpolation.toarray(), expected / expected.sum(1, keepdims=True), rtol=1e-9
    )


# ------------------------------------------------------------- who wins


def test_what_is_given_wins_over_the_recipe_even_where_it_is_the_default(tiny):
    usual = {each.name: each.default for each in fields(TrainSettings)}
    given = {name: usual[name] for name in ("warmup", "scaling")}
    assert all(RECIPE.settings[name] != value for name, value in given.items())
    model = train(tiny, recipe="published", **{**QUICK, **given, "hidden": 8})
    assert (model.spec.warmup, model.spec.architecture["hidden"]) == (60, 8)
    assert model.spec.scaling["coarse"] == model.spec.scaling["fine"]
    assert model.spec.graph["kernel"] == {"name": "reference"}


@pytest.mark.parametrize(
    ("given", "expected"),
    # Thirty epochs of two windows are 60 steps; seventeen times as many are the first above 1,000.
    [({}, 510), ({"recipe": "short"}, 3), ({"recipe": "short", "epochs": 2}, 2), ({"epochs": 1}, 1)],
    ids=["package", "recipe", "user", "user-alone"],
)
def test_the_number_of_epochs_is_the_users_the_recipes_or_the_packages(tiny, monkeypatch, given, expected):
    """None, the default of the argument, is none of the user's."""
    short = replace(RECIPE, name="short", settings={**RECIPE.settings, "epochs": 3})
    monkeypatch.setitem(RECIPES, "short", short)
    quick = {"window": 60, "hidden": 2, "device": "cpu", "progress": False}
    for epochs in ({}, {"epochs": None}):
        model = train(tiny, "remap", **{**quick, **epochs, **given})
        assert len(model.history["epoch"]) == expected


def test_features_that_are_given_replace_those_of_the_recipe(tiny):
    model = train(tiny, "remap", recipe="published", features=["air_temperature:7", "slope"], **QUICK)
    assert [feature.label for feature in model.spec.features] == ["air_temperature:7", "slope"]
    model = train(tiny, "remap", recipe="published", features=["default"], **QUICK)
    assert "air_temperature:30" in [feature.label for feature in model.spec.features]


def test_an_anchored_model_is_refused_where_the_recipe_keeps_scales_apart(tiny):
    with pytest.raises(InvalidArgumentError, match="scaling='shared'"):
        train(tiny, recipe="published", anchored=True, **QUICK)


def test_without_a_recipe_nothing_is_recorded_and_nothing_changes(tiny):
    model = train(tiny, "remap", **SMALL)
    assert "recipe" not in model.spec.training
    assert train(tiny, "remap", recipe=None, **SMALL).sha256 == model.sha256


# -------------------------------------------------------- options of their own


def test_the_last_epoch_is_returned_where_it_is_kept(tiny, tmp_path):
    """What is returned are the weights the last step left; the best epoch is another."""
    settings = {**SMALL, "epochs": 4, "learning_rate": 0.3}
    last = train(tiny, "remap", keep="last", checkpoint=tmp_path / "c", **settings)
    best = train(tiny, "remap", keep="best", **settings)
    assert last.history == best.history
    assert np.argmin(last.history["validation"]) < 3
    tensors, _ = storage.from_bytes((tmp_path / "c").read_bytes(), "c")
    left = {name.removeprefix("module/"): v for name, v in tensors.items() if name.startswith("module/")}
    assert all(torch.equal(last.weights[name], value) for name, value in left.items())
    assert not same(last, best)


def test_the_last_epoch_of_a_stage_is_handed_on(tiny):
    """The teacher of carried labels: with a score that only rises, its weights differ by what is kept."""
    settings = {**SMALL, "epochs": 7, "pretrain": 6, "learning_rate": 0.3}
    last, best = (train(tiny, "progressive", keep=keep, **settings) for keep in ("last", "best"))
    assert last.history["loss_coarse"][:3] == best.history["loss_coarse"][:3]
    assert np.argmin(best.history["validation"][:3]) < 2
    assert last.history["loss_fine"][3] != best.history["loss_fine"][3]


def test_patience_still_looks_at_the_best_epoch(tiny):
    settings = {**SMALL, "epochs": 12, "learning_rate": 0.3, "patience": 2}
    last, best = (train(tiny, "remap", keep=keep, **settings) for keep in ("last", "best"))
    assert len(last.history["epoch"]) == len(best.history["epoch"]) < 12


def test_without_a_limit_gradients_are_as_long_as_they_are(tiny):
    free = train(tiny, "remap", clip=None, **SMALL)
    assert same(free, train(tiny, "remap", clip=1e6, **SMALL))
    assert not same(free, train(tiny, "remap", clip=1e-3, **SMALL))
    with pytest.raises(InvalidArgumentError, match="clip must be a positive number"):
        train(tiny, "remap", clip=0, **SMALL)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"keep": "last"}, r"loop\.keep: 'best' in the file, now 'last'"),
        ({"clip": None}, r"loop\.clip: 3\.0 in the file, now None"),
        ({"scaling": "own"}, r"scaling\.fine\.label_mean"),
        ({"features": ["drivers", "statics"]}, "features"),
        ({"recipe": "published"}, r"settings\.weighting: 'uniform' in the file, now 'mgda'"),
    ],
    ids=["keep", "clip", "scaling", "features", "recipe"],
)
def test_a_checkpoint_of_other_options_is_refused(tiny, tmp_path, changed, named):
    settings = {**SMALL, "epochs": 1, "pretrain": 0, "anchored": False}
    train(tiny, "msgl", checkpoint=tmp_path / "c", **settings)
    with pytest.raises(CheckpointError, match=named):
        train(tiny, "msgl", resume=tmp_path / "c", **{**settings, **changed})


def test_a_recipe_is_its_settings_also_to_a_checkpoint(tiny, published, tmp_path):
    """Who gives all of them by hand goes on where the recipe stopped."""
    train(tiny, recipe="published", checkpoint=tmp_path / "c", **QUICK)
    by_hand = {**recipe_settings("published", "msgl"), **QUICK}
    again = train(tiny, "msgl", resume=tmp_path / "c", **by_hand)
    assert "recipe" not in again.spec.training
    assert again.spec.training["settings"] == published.spec.training["settings"]
    assert same(again, published)


def test_a_published_run_goes_on_bit_for_bit(tiny, published, tmp_path):
    train(tiny, recipe="published", checkpoint=tmp_path / "c", **QUICK)
    assert train(tiny, recipe="published", resume=tmp_path / "c", **QUICK).sha256 == published.sha256
