"""Methods: what each learns from, tested by changing the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xmsgl.benchmark.methods import REFERENCES, Place, contender, register_reference
from xmsgl.benchmark.plan import make_plan
from xmsgl.benchmark.protocols import make_split
from xmsgl.benchmark.runs import Run
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import air_temperature_regression, climatology
from xmsgl.models.methods.registry import MODELS
from xmsgl.training.recipes import PUBLISHED, RECIPES, Recipe

QUICK = {"hidden": 4, "window": 400, "warmup": 5, "epochs": 3, "features": ["air_temperature"]}
NAMES = {
    "fine": "water_temperature_fine",
    "coarse": "water_temperature_coarse",
    "process": "simulated_temperature_coarse",
}


def warmer(temperature):
    """Warm each place by another amount, because a uniform change leaves neighbour anomalies as they are."""
    scale = temperature.dims[1]
    return temperature.copy(data=temperature.values + (1 + np.arange(temperature.sizes[scale]) % 3))


METHODS = [pytest.param(name, {}, id=name) for name in sorted({*REFERENCES, *MODELS} - {"async-msgl"})]
WITH_NEIGHBOURS = [
    pytest.param(
        "fine-only", {"features": ["default", "neighbour_anomalies:9km"]}, id="fine-only, neighbours"
    ),
    pytest.param("booster-fine", {"neighbours": [9e3]}, id="booster-fine, neighbours"),
    pytest.param("trees", {"labels": "fine"}, id="trees, fine"),
]


@pytest.mark.parametrize(("method", "more"), METHODS + WITH_NEIGHBOURS)  # async-msgl as msgl
def test_a_method_learns_from_what_it_says(rich, offer, tmp_path, method, more):
    """Changing a temperature changes the prediction if and only if it is among the sources."""
    who = contender(method)
    trees = method == "trees" or "booster" in method
    settings = {"iterations": 10} if trees else {} if method in REFERENCES else QUICK
    settings = {**settings, **more}
    place = Place(tmp_path)

    def predict(ds):
        for file in tmp_path.iterdir():
            file.unlink()
        offer(ds)
        split = make_split(Run("tiny", "temporal", method, 1.0, 0, 0))
        return who.run(split, 0, settings, place).prediction.transpose("time", "fine").values

    plain = predict(rich)
    moved = {
        source
        for source, name in NAMES.items()
        if not np.array_equal(plain, predict(rich.assign({name: warmer(rich[name])})))
    }
    assert moved == who.sources(settings)


def test_ablations_change_the_sources():
    msgl = contender("msgl")
    assert msgl.sources({}) == {"coarse", "fine"}
    assert msgl.sources({"tasks": ["interpolation", "fine"], "pretrain": 0}) == {"fine"}
    assert contender("fine-only").sources({"kernel": "exponential"}) == {"fine"}


def test_settings_for_all_networks_are_not_for_trees():
    plan = make_plan("simulated", methods=["trees:iterations=5", "remap"], settings={"epochs": 3}, seeds=1)
    assert [(run.method, run.settings) for run in plan] == [
        ("trees", {"iterations": 5}),
        ("remap", {"epochs": 3}),
    ]


def test_learning_rates_that_do_not_fit_the_stages_are_refused_before_anything_runs():
    plan = {"methods": ["async-msgl", "msgl"], "settings": {"learning_rate": [0.01, 0.003, 0.003]}}
    with pytest.raises(InvalidArgumentError, match="learning_rate has 3 values for 2 stages"):
        make_plan("simulated", **plan)
    make_plan("simulated", **plan | {"methods": ["async-msgl"]})


def test_a_recipe_sets_the_sources_unless_the_run_sets_them(monkeypatch):
    few = Recipe("few", "no coarse task", "here", {"epochs": 2}, {"tasks": ("interpolation", "fine")})
    monkeypatch.setitem(RECIPES, "few", few)
    msgl = contender("msgl")
    assert msgl.sources({"recipe": "few"}) == {"fine"}
    assert msgl.sources({"recipe": "few", "tasks": ["coarse", "fine"]}) == {"coarse", "fine"}
    assert msgl.sources({"recipe": "published"}) == msgl.sources({"recipe": None}) == {"coarse", "fine"}
    with pytest.raises(InvalidArgumentError, match="too few"):  # two epochs for three stages
        contender("async-msgl").sources({"recipe": "few", "tasks": ["coarse", "interpolation", "fine"]})
    with pytest.raises(UnknownNameError, match="unknown recipe 'secret'"):
        msgl.sources({"recipe": "secret"})
    with pytest.raises(InvalidArgumentError, match="has no setting hiden; did you mean hidden"):
        msgl.sources({"recipe": "published", "hiden": 3})


def test_without_validation_a_network_learns_from_the_validation_years_too(tiny, tmp_path):
    runs = make_plan(
        "tiny", methods=["remap:epochs=1", "remap:epochs=1,validation=null"], fractions=[1], seeds=1
    )
    for run, used in zip(runs, ({"training", "validation"}, {"training"}), strict=True):
        split, folder = make_split(run), tmp_path / str(len(used))
        folder.mkdir()
        model = contender("remap").run(split, 0, run.settings, Place(folder)).model
        labels = model.spec.training["labels"]
        assert {name.split("_")[0] for name, count in labels.items() if count} == used
        assert sum(labels.values()) == int(split.training["water_temperature_coarse"].count())


def test_a_recipe_is_run_with_the_validation_of_the_protocol(tiny, tmp_path, monkeypatch):
    (run,) = make_plan("tiny", methods=["msgl:recipe=published,epochs=1,window=400"], fractions=[1], seeds=1)
    # As if a recipe set the validation, which none should.
    other = replace(PUBLISHED, settings={**PUBLISHED.settings, "validation": None})
    monkeypatch.setitem(RECIPES, "published", other)
    outcome = contender("msgl").run(make_split(run), 0, run.settings, Place(tmp_path))
    assert len(outcome.model.history["validation"]) == 1
    spec = outcome.model.spec
    assert (spec.training["recipe"], spec.warmup, spec.window) == ("published", 0, 400)
    assert spec.graph["kernel"] == {"name": "reference"}
    assert np.isfinite(outcome.prediction).all()


@pytest.mark.parametrize(
    ("name", "function"), [("climatology", climatology), ("regression", air_temperature_regression)]
)
def test_references_are_the_functions_of_evaluate(tiny, tmp_path, name, function):
    split = make_split(Run("tiny", "temporal", name, 0.5, 0, 1))
    outcome = contender(name).run(split, 0, {"strength": 10.0}, Place(tmp_path))
    np.testing.assert_array_equal(outcome.prediction, function(split.training, strength=10.0))
    assert outcome.model is None


def test_a_registered_reference(tiny, tmp_path):
    @register_reference("drawn", learns_from=["coarse"], random=True)
    def drawn(ds, *, seed, degrees=10.0):
        return ds["water_temperature_fine"] * 0 + degrees + seed

    try:
        who = contender("drawn")
        assert who.random
        assert who.sources({"degrees": 3.0}) == {"coarse"}
        split = make_split(Run("tiny", "temporal", "drawn", None, 0, 0))
        assert float(who.run(split, 2, {"degrees": 3.0}, Place(tmp_path)).prediction.max()) == 5.0
    finally:
        del REFERENCES["drawn"]


def test_unknown_methods_are_refused_with_all_that_are_known():
    with pytest.raises(UnknownNameError, match=r"async-msgl, .*climatology, .*regression"):
        contender("oracle")
