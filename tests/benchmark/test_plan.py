"""Plans: every run once, with an id that depends only on its content."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from xmsgl.benchmark.plan import make_plan
from xmsgl.benchmark.runs import Run
from xmsgl.errors import InvalidArgumentError, UnknownNameError

RUN = Run("delaware", "temporal", "msgl", 0.01, 0, 0, {"hops": 5, "kernel": "reference"}, {"forcing": "era5"})


def test_the_id_is_the_same_in_every_process_and_version():
    assert RUN.id == "delaware-temporal-msgl-0.01-s0d0-03f269618b"


def test_the_id_does_not_depend_on_the_order_of_settings():
    assert replace(RUN, settings={"kernel": "reference", "hops": 5}).id == RUN.id


def test_everything_in_a_run_changes_its_id():
    other = Run("simulated", "spatial", "remap", None, 1, 1, {"hops": 6}, {}, {"noise": 1.0})
    ids = {replace(RUN, **{field.name: getattr(other, field.name)}).id for field in fields(Run)}
    assert len(ids | {RUN.id}) == len(fields(Run)) + 1


def test_a_run_survives_json():
    assert Run(**json.loads(json.dumps(RUN.to_dict()))) == RUN


def plan(methods, **options):
    return make_plan("delaware", methods=methods, **options)


def test_every_combination_is_there_once():
    runs = plan(["msgl", "fine-only", "msgl"], fractions=[0.01, 1], seeds=[0, 4])
    assert len(runs) == len({run.id for run in runs}) == 2 * 2 * 2
    assert {(run.method, run.fraction, run.seed) for run in runs} == {
        (method, fraction, seed)
        for method in ("msgl", "fine-only")
        for fraction in (0.01, 1.0)
        for seed in (0, 4)
    }


def test_one_seed_is_done_before_the_next():
    seeds = [run.seed for run in plan(["msgl", "remap"], fractions=[0.1, 1], seeds=3)]
    assert seeds == sorted(seeds)


def test_published_fractions_are_the_default():
    assert [run.fraction for run in plan(["msgl"], seeds=1)] == [0.001, 0.01, 0.1, 1.0]
    assert [run.fraction for run in plan(["msgl"], seeds=1, protocol="spatial")] == [1.0]


def test_the_default_of_training_is_among_the_default_methods():
    assert "stack" in {run.method for run in make_plan("simulated", seeds=1)}
    quick = make_plan("simulated", seeds=1, settings={"hidden": 4})
    assert {run.method for run in quick} >= {"climatology", "msgl"}
    assert "stack" not in {run.method for run in quick}


def test_a_method_without_fine_labels_has_no_fraction():
    (run,) = plan(["remap"], fractions=[0.001, 0.01, 1], seeds=1)
    assert run.fraction is None


def test_a_method_without_random_numbers_is_run_once():
    runs = plan(["climatology"], fractions=[0.01, 1], seeds=3)
    assert [(run.fraction, run.seed, run.draw) for run in runs] == [
        (0.01, 0, 0),
        (1.0, 0, 0),
        (0.01, 0, 1),
        (0.01, 0, 2),
    ]
    assert len(make_plan("simulated", methods=["climatology"], fractions=[1], seeds=3)) == 3
    assert len(plan(["climatology"], seeds=3, protocol="spatial")) == 3


def test_a_draw_leaves_only_the_seeds_of_the_methods():
    runs = plan(["msgl", "climatology"], fractions=[0.01], seeds=3, draw=7)
    assert [(run.method, run.seed, run.draw) for run in runs] == [
        ("msgl", 0, 7),
        ("climatology", 0, 7),
        ("msgl", 1, 7),
        ("msgl", 2, 7),
    ]


def test_several_draws_are_each_run_with_all_seeds():
    runs = plan(["remap"], protocol="kfold", seeds=2, draw=[3, 8])
    assert [(run.seed, run.draw) for run in runs] == [(0, 3), (0, 8), (1, 3), (1, 8)]


def test_settings_of_all_networks_are_not_those_of_references():
    msgl, climatology = plan(
        ["msgl:epochs=9", "climatology"], fractions=[1], seeds=1, settings={"epochs": 4, "hidden": 8}
    )
    assert msgl.settings == {"epochs": 9, "hidden": 8}
    assert climatology.settings == {}


def test_degraded_coarse_labels_affect_only_methods_that_use_them():
    runs = plan(["msgl", "fine-only"], fractions=[1], seeds=1, degrade=[{}, {"noise": 1.0}, {"noise": 2.0}])
    assert [(run.method, run.degrade) for run in runs] == [
        ("msgl", {}),
        ("fine-only", {}),
        ("msgl", {"noise": 1.0}),
        ("msgl", {"noise": 2.0}),
    ]


def test_a_degraded_process_model_affects_direct_only():
    runs = plan(["msgl", "direct"], fractions=[1], seeds=1, degrade=[{"process_bias": 1.0}])
    assert [(run.method, run.degrade) for run in runs] == [("msgl", {}), ("direct", {"process_bias": 1.0})]


@pytest.mark.parametrize(
    ("methods", "options", "error", "words"),
    [
        (["mgsl"], {}, UnknownNameError, "unknown method 'mgsl'"),
        (["msgl:hiden=3"], {}, InvalidArgumentError, "has no setting hiden; did you mean hidden"),
        (["msgl:seed=3"], {}, InvalidArgumentError, "sets seed itself"),
        (["msgl:validation=0.2"], {}, InvalidArgumentError, "sets validation itself"),
        (["msgl:start=delaware-gauged"], {}, InvalidArgumentError, "may have seen labels"),
        (["booster-fine:labels=coarse"], {}, InvalidArgumentError, "no setting labels"),
        (["climatology:epochs=3"], {}, InvalidArgumentError, "no setting epochs"),
        (["async-msgl:epochs=2"], {}, InvalidArgumentError, "too few"),
        (["msgl"], {"fractions": [1.5]}, InvalidArgumentError, "fraction is 1.5"),
        (["msgl"], {"fractions": [0.0]}, InvalidArgumentError, r"fraction is 0\.0"),
        (["msgl"], {"seeds": 0}, InvalidArgumentError, "seeds are none; give 1"),
        (["msgl"], {"seeds": [-1]}, InvalidArgumentError, "below 0"),
        (["msgl"], {"protocol": "both"}, UnknownNameError, "unknown protocol"),
        (["msgl"], {"degrade": [{"nose": 1}]}, UnknownNameError, "unknown degradation"),
        (["msgl"], {"degrade": [{"noise": "much"}]}, InvalidArgumentError, "degrade must be a list"),
        (["msgl"], {"data": {"regoin": 1}}, InvalidArgumentError, "no argument regoin"),
    ],
)
def test_an_invalid_plan_is_refused_before_anything_runs(methods, options, error, words):
    with pytest.raises(error, match=words):
        plan(methods, **options)


def test_the_seed_of_a_simulated_basin_cannot_be_set():
    with pytest.raises(InvalidArgumentError, match="no argument label_fraction, seed"):
        make_plan("simulated", data={"seed": 3, "label_fraction": 0.5})
