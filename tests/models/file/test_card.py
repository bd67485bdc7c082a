"""A model card shows what the file of the model holds, and no score without its n."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.small import QUICK
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.card import model_card, model_facts
from xmsgl.models.file.intervals import fit_table
from xmsgl.models.file.model import Model
from xmsgl.training.train import train

SCORES = [
    {"protocol": "temporal", "RMSE [degC]": 1.3094, "n": 85463},
    {"protocol": "spatial", "RMSE [degC]": float("nan"), "n": 12},
]


def small(river, **settings):
    days = river.isel(time=slice(0, 150))
    shared = {**QUICK, "warmup": 10, "epochs": 2}
    return train(days, "remap", **shared, **settings)


@pytest.fixture(scope="module")
def model(river_once):
    return small(river_once, seed=7, hops=3)


@pytest.fixture(scope="module")
def known(river_once):
    return small(river_once, identity=2)


def table_under(card, heading):
    """The rows of the first table of a section, as lists of cells."""
    section = card.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_facts_are_those_of_the_model(model, river_once):
    facts = model_facts(model)
    labels = river_once["water_temperature_coarse"].isel(time=slice(0, 150))
    counts = [int(text) for text in re.findall(r"(?:training|validation) coarse (\d+)", facts["labels"])]
    assert facts["method"] == "remap"
    assert facts["seed"] == "7"
    assert facts["dataset"] == "the small river of the tests"
    assert facts["identities"] == "none"
    assert len(counts) == 2
    assert sum(counts) == int(labels.count())
    assert facts["size"] == f"{len(model.payload) / 1e6:.2f} MB"
    assert facts["sha256"] == model.sha256[:12]
    assert "hidden=4" in facts["architecture"]
    assert "hops=3" in facts["graph"]
    assert "nearest" not in facts["graph"]
    assert facts["validation"] == f"{min(model.history['validation']):.3f} degC in the best epoch"
    assert all(isinstance(text, str) for text in facts.values())


def test_a_model_without_validation_or_provenance_has_facts_too(model):
    spec = type(model.spec)(**{**vars(model.spec), "training": {}})
    facts = model_facts(Model(spec, model.weights))
    assert (facts["validation"], facts["dataset"]) == ("none", "not named")
    assert "not named" in model_card(Model(spec, model.weights), "m")


def test_the_card_has_its_sections_in_order(model):
    card = model_card(model, "river", about="For tests.", limits=["Small."], credit="Nobody.")
    assert card.startswith("# river\n\nFor tests.\n\n## ")
    assert card.endswith("Nobody.\n")
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == [
        "How to use it",
        "What it is",
        "Features",
        "Scores",
        "Limits",
        "Licence and credit",
    ]
    assert "- Small.\n" in card
    assert 'ds.msgl.downscale("river")' in card
    assert "xmsgl downscale basin.nc -m river -o temperature.nc" in card
    assert model_card(Model.from_bytes(model.payload), "river", about="For tests.", limits=["Small."],
                      credit="Nobody.") == card  # fmt: skip


def test_every_fact_is_in_the_card(model):
    shown = dict(table_under(model_card(model, "river"), "What it is")[2:])
    facts = model_facts(model)
    assert shown == {name: text for name, text in facts.items() if name != "features"}


def test_every_feature_is_in_the_card_with_units_and_range(model):
    heads, _, *rows = table_under(model_card(model, "river"), "Features")
    assert heads == ["feature", "units", "kind", "transform", "training mean ± deviation"]
    assert len(rows) == len(model.spec.features)
    scaling = model.spec.scaling["coarse"]
    for row, feature, mean, deviation in zip(
        rows, model.spec.features, scaling.mean, scaling.deviation, strict=True
    ):
        assert row[0] == f"`{feature.name}`"
        assert row[1] == feature.units
        assert row[3] == feature.transform
        assert [float(word) for word in row[4].split(" ± ")] == pytest.approx([mean, deviation], rel=1e-3)
    assert [row[2] for row in rows if row[0] == "`air_temperature`"] == [
        "daily",
        "mean over 7 days",
        "mean over 30 days",
        "mean over 90 days",
    ]
    assert next(row[2] for row in rows if row[0] == "`slope`") == "static"


def test_scales_that_differ_have_columns_of_their_own(model):
    coarse = next(iter(model.spec.scaling.values()))
    fine = type(coarse)(tuple(value + 1 for value in coarse.mean), coarse.deviation, 1.0, 1.0)
    spec = type(model.spec)(**{**vars(model.spec), "scaling": {"coarse": coarse, "fine": fine}})
    heads, _, first, *_ = table_under(model_card(Model(spec, model.weights), "m"), "Features")
    for scale, scaling in spec.scaling.items():
        cell = first[heads.index(f"training mean ± deviation, {scale}")]
        assert float(cell.split(" ± ")[0]) == pytest.approx(scaling.mean[0], rel=1e-3)


def test_scores_stand_with_their_n(model):
    rows = table_under(model_card(model, "m", scores=SCORES), "Scores")
    assert rows[0] == ["protocol", "RMSE [degC]", "n"]
    assert rows[2:] == [["temporal", "1.309", "85,463"], ["spatial", "-", "12"]]
    assert "has not been scored" in model_card(model, "m")


@pytest.mark.parametrize(
    "scores",
    [[{"RMSE": 1.0}], [SCORES[0], {"n": 3}], [SCORES[0], {**SCORES[0], "more": 1}]],
    ids=["no n", "fewer columns", "more columns"],
)
def test_scores_without_n_or_with_other_columns_are_refused(model, scores):
    with pytest.raises(InvalidArgumentError, match="the same columns, including n"):
        model_card(model, "m", scores=scores)


def test_limits_follow_from_how_the_model_was_made(model, known):
    assert "has no segment identities" in model_card(model, "m")
    assert "learned identities of 5 segments" in model_card(known, "m")
    assert model_facts(known)["identities"] == "5 segments"


def test_the_card_says_what_intervals_rest_on(model):
    def limits(table):
        one = Model(replace(model.spec, intervals=table), model.weights)
        return model_card(one, "m").split("## Limits")[1]

    table = fit_table(np.full(1234, 8.0), np.linspace(7.0, 9.0, 1234))
    assert "calibrated on 1,234 residuals of fine labels" in limits(table)
    assert "from segments to reaches" not in limits(table)
    assert "from segments to reaches" in limits(replace(table, scale="coarse"))
    assert "`quantiles=` is refused" in limits(None)


def test_an_ensemble_says_that_it_is_one(model):
    both = Model.join([Model(replace(model.spec, intervals=None), model.weights)] * 2)
    assert model_facts(both)["members"] == "2"
    assert model_facts(model)["members"] == "1"
    assert "the mean of 2 members" in model_card(both, "m")
    assert "the mean of" not in model_card(model, "m")


@pytest.fixture(scope="module")
def folded(river_once, small_fits):
    trees = {"features": ["air_temperature", "elevation"], "iterations": 20, "min_samples_leaf": 20}
    return train(river_once, "trees", validation="folds:3", seed=2, **trees)


def test_the_facts_of_a_model_in_folds_are_those_of_all_folds(folded):
    best = [np.nanmin(part.history["validation"]) for part in folded.parts]
    labels = [part.spec.training["labels"] for part in folded.parts]
    facts = model_facts(folded)
    wanted = f"{np.mean(best):.3f} degC in the best epoch, mean of 3 folds"
    assert facts["validation"] == f"{wanted} ({min(best):.3f} to {max(best):.3f})"
    assert max(best) - min(best) > 0.01
    for name in labels[0]:
        counts = [each[name] for each in labels]
        assert f"{name.replace('_', ' ')} {min(counts):,} to {max(counts):,}" in facts["labels"]
    assert facts["epochs"] == f"{sum(len(part.history['epoch']) for part in folded.parts)} in 3 folds"
    assert "min_samples_leaf=20" in facts["architecture"]
    card = model_card(folded, "m")
    assert "Mean and deviation refer to transformed values of the first of 3 folds." in card
    assert "residuals of fine labels at the segments that each fold left out" in card


def test_the_settings_of_a_stack_are_those_of_each_method(river_once):
    days = river_once.isel(time=slice(0, 150))
    parts = [
        {"method": "remap", "epochs": 1, "pretrain": 0, "hidden": 4, "warmup": 10},
        {"method": "trees", "iterations": 5, "min_samples_leaf": 20},
    ]
    stack = train(days, "stack", parts=parts, window=60, progress=False)
    remap, trees = model_facts(stack)["architecture"].split("; ")
    assert remap.startswith("remap: ")
    assert "hidden=4" in remap
    assert trees == "trees: iterations=5, min_samples_leaf=20"


def test_what_would_break_a_table_is_escaped(model):
    training = {**model.spec.training, "dataset": "a | b"}
    odd = Model(type(model.spec)(**{**vars(model.spec), "training": training}), model.weights)
    rows = table_under(model_card(odd, "m"), "What it is")
    assert ["dataset", "a \\| b"] in rows


HOSTILE = "<script>alert(1)</script> [x](javascript:1) `c` *b* a | b\\ \n\n# h\x1b[31m"


def test_text_of_the_file_is_no_markup(model):
    training = {**model.spec.training, "dataset": HOSTILE}
    features = tuple(
        replace(each, units=HOSTILE, name=f"{HOSTILE}{k}") for k, each in enumerate(model.spec.features)
    )
    odd = Model(replace(model.spec, training=training, features=features), model.weights)
    card = model_card(odd, "m")
    shown = "".join(re.split(r"(?<!\\)`.*?(?<!\\)`", card))  # without code
    for markup in ("<script>", "](", "\x1b", "\n# h"):
        assert markup not in shown.removeprefix("# m\n")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; [x]\\(javascript:1) \\`c\\` \\*b\\* a \\| b\\\\ " in card
    rows = table_under(card, "Features")
    assert len(rows) == 2 + len(features)
    assert {len(row) for row in rows} == {5}
