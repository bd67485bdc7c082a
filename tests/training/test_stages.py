"""Stages: every epoch is spent once, on what the method says, and what is missing is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import SMALL, rmse, same
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.methods.registry import MODELS
from xmsgl.prediction.downscale import downscale
from xmsgl.training.stages import LABELS, PLANS, Stage, stage_rates, stages_of
from xmsgl.training.train import train

ALL = ("coarse", "interpolation", "fine")
RICH = {"coarse_labels": True, "process": True}


def test_plans_name_known_methods_tasks_and_labels():
    assert set(PLANS) <= set(MODELS)
    for plan in PLANS.values():
        assert {task for task, _, _ in plan.before} <= set(ALL)
        assert {labels for _, labels, _ in plan.before} <= set(LABELS)
        assert sum(share for _, _, share in plan.before) == pytest.approx(1)


@given(st.sampled_from(sorted(PLANS)), st.integers(4, 200), st.none() | st.integers(2, 199))
def test_the_epochs_add_up(method, epochs, pretrain):
    tasks = MODELS[method](3).tasks
    if pretrain is not None and pretrain >= epochs:
        with pytest.raises(InvalidArgumentError, match="leaves no epoch"):
            stages_of(method, tasks, epochs, pretrain, **RICH)
        return
    stages = stages_of(method, tasks, epochs, pretrain, **RICH)
    assert sum(stage.epochs for stage in stages) == epochs
    assert all(stage.epochs >= 1 for stage in stages)
    assert len(stages) == len(PLANS[method].before) + 1
    assert stages[-1].labels == "observed"
    if pretrain is not None:
        assert sum(stage.epochs for stage in stages[:-1]) == pretrain


def test_the_published_strategies():
    assert stages_of("direct", ("coarse", "fine"), 60, 20, **RICH) == (
        Stage(20, ("coarse",), "process"),
        Stage(40, ("fine",)),
    )
    assert stages_of("progressive", ("coarse", "fine"), 60, None, **RICH) == (
        Stage(20, ("coarse",)),
        Stage(20, ("fine",), "carried"),
        Stage(20, ("fine",)),
    )
    assert stages_of("msgl", ALL, 60, None, **RICH) == (Stage(30, ("coarse",)), Stage(30, ALL))
    assert stages_of("fine-only", ("fine",), 60, None, **RICH) == (Stage(60, ("fine",)),)


def test_msgl_does_without_what_is_not_there():
    nothing = {"coarse_labels": False, "process": False}
    assert stages_of("msgl", ALL, 60, None, **nothing) == (Stage(60, ALL),)
    assert stages_of("msgl", ("interpolation", "fine"), 60, None, **RICH) == (
        Stage(60, ("interpolation", "fine")),
    )
    assert stages_of("msgl", ALL, 60, 0, **RICH) == (Stage(60, ALL),)
    assert stages_of("msgl", ALL, 1, None, **RICH) == (Stage(1, ALL),)


@pytest.mark.parametrize(
    ("method", "tasks", "epochs", "pretrain", "has", "named"),
    [
        ("async-msgl", ALL, 60, None, {"coarse_labels": False, "process": True}, "water_temperature_coarse"),
        ("async-msgl", ("coarse", "fine"), 60, None, RICH, "the task 'interpolation'"),
        ("direct", ("coarse", "fine"), 60, None, {"coarse_labels": True, "process": False}, "simulated_temp"),
        ("progressive", ("coarse", "fine"), 2, None, RICH, "epochs=2 is too few for the 3 stages"),
        ("progressive", ("coarse", "fine"), 60, 1, RICH, "pretrain=1 must be at least 2"),
        ("async-msgl", ALL, 60, 0, RICH, "pretrain=0 must be at least 2"),
        ("msgl", ALL, 60, -1, RICH, "pretrain must be at least 0"),
    ],
)
def test_what_is_missing_is_named(method, tasks, epochs, pretrain, has, named):
    with pytest.raises(InvalidArgumentError, match=named):
        stages_of(method, tasks, epochs, pretrain, **has)


def test_each_stage_can_have_its_own_length():
    stages = stages_of("async-msgl", ALL, 17, [12, 2], **RICH)
    assert [(stage.epochs, stage.tasks) for stage in stages] == [
        (12, ("coarse",)),
        (2, ("interpolation",)),
        (3, ALL),
    ]
    assert [stage.labels for stage in stages] == ["observed", "carried", "observed"]
    assert [stage.epochs for stage in stages_of("msgl", ALL, 9, (4,), **RICH)] == [4, 5]


@pytest.mark.parametrize("pretrain", [[12], [12, 2, 1], [0, 2], [12, 5], []])
def test_lengths_that_do_not_fit_the_stages_are_refused(pretrain):
    with pytest.raises(
        InvalidArgumentError, match=r"2 stages before the last \(coarse, observed labels; interp"
    ):
        stages_of("async-msgl", ALL, 17, pretrain, **RICH)


@pytest.mark.parametrize("pretrain", [np.int64(3), np.array([2, 1])], ids=["one", "several"])
def test_counts_of_numpy_are_as_good(pretrain):
    stages = stages_of("async-msgl", ALL, 9, pretrain, **RICH)
    assert stages == stages_of("async-msgl", ALL, 9, [2, 1], **RICH)
    assert all(type(stage.epochs) is int for stage in stages)  # plain in a checkpoint


@pytest.mark.parametrize("pretrain", [2.7, [1.5, 1], "12", "x", [1, None]], ids=str)
def test_epochs_must_be_whole_numbers(pretrain):
    with pytest.raises(InvalidArgumentError, match="pretrain must be a whole number of epochs"):
        stages_of("async-msgl", ALL, 17, pretrain, **RICH)


def test_lengths_of_stages_that_are_not_there_are_refused():
    with pytest.raises(InvalidArgumentError, match=r"pretrain=\[2\], but this training has only one stage"):
        stages_of("remap", ("coarse",), 17, [2], **RICH)


# --------------------------------------------------------------------- learning rates

TWO = (Stage(3, ("coarse",)), Stage(2, ("coarse", "fine")))


def test_one_rate_is_for_all_stages_and_several_are_one_each():
    assert stage_rates(0.5, TWO) == 0.5
    assert type(stage_rates(1, TWO)) is float
    assert stage_rates((0.5, 1), TWO) == (0.5, 1.0)
    assert stage_rates((0.5,), TWO[:1]) == (0.5,)


@pytest.mark.parametrize("rates", [(), (0.5,), (0.5, 0.2, 0.1)], ids=len)
def test_other_numbers_of_rates_than_stages_are_refused_with_the_stages(rates):
    named = (
        rf"learning_rate has {len(rates)} values for 2 stages: coarse \(3 epochs\); coarse, fine \(2 epochs\)"
    )
    with pytest.raises(InvalidArgumentError, match=named):
        stage_rates(rates, TWO)


# -------------------- trained from a dataset

TASKS = ("coarse", "interpolation", "fine")


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 120))


def test_the_strategies_train_their_stages(tiny):
    ds = tiny.assign(simulated_temperature_coarse=tiny["air_temperature_coarse"].assign_attrs(units="degC"))
    settings = {**SMALL, "epochs": 4, "pretrain": 2}
    trained = {
        method: np.isfinite(
            [train(ds, method, **settings).history.get(f"loss_{task}", [np.nan] * 4) for task in TASKS]
        )
        for method in ("async-msgl", "direct", "progressive")
    }
    # Rows: coarse, interpolation, fine; columns: epochs.
    assert trained["async-msgl"].astype(int).tolist() == [[1, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert trained["direct"].astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]
    assert trained["progressive"].astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]]


def test_tasks_have_equal_weights_by_default(tiny):
    settings = {**SMALL, "epochs": 1}
    weights = np.ravel([train(tiny, "msgl", **settings).history[f"weight_{task}"] for task in TASKS])
    np.testing.assert_allclose(weights, 1 / 3)
    other = train(tiny, "msgl", weighting="mgda", **settings).history
    assert np.ptp([other[f"weight_{task}"] for task in TASKS]) > 0.01


@pytest.mark.parametrize("method", ["async-msgl", "progressive"])
def test_coarse_information_is_carried_to_ungauged_reaches(river, method):
    ds = river.copy(deep=True)
    few = (ds["fine"] == ds["fine"][0]) & (ds["time"] < ds["time"][60])
    ds["water_temperature_fine"] = ds["water_temperature_fine"].where(few)
    settings = {
        "hidden": 8,
        "window": 200,
        "warmup": 10,
        "epochs": 40,
        "learning_rate": 0.03,
        "weighting": "uniform",
        "features": ["drivers", "statics"],
        "recurrent_dropout": 0.0,
        "validation": None,
        "device": "cpu",
        "progress": False,
    }
    truth = river["water_temperature_fine"].isel(time=slice(30, None))
    errors = {}
    for name in (method, "fine-only"):
        predicted = downscale(river, train(ds, name, **settings), device="cpu")
        errors[name] = rmse(predicted.isel(time=slice(30, None)), truth)
    assert errors[method] < 0.7 * errors["fine-only"]
    assert errors[method] < 0.5 * float(truth.std())


def test_direct_does_not_see_coarse_observations(tiny):
    process = {"simulated_temperature_coarse": tiny["air_temperature_coarse"].assign_attrs(units="degC")}
    ds = tiny.assign(process)
    other = ds.assign(water_temperature_coarse=ds["water_temperature_coarse"] + 9)
    settings = {**SMALL, "pretrain": 1}
    assert same(train(ds, "direct", **settings), train(other, "direct", **settings))
    changed = ds.assign(simulated_temperature_coarse=ds["simulated_temperature_coarse"] + 9)
    assert not same(train(ds, "direct", **settings), train(changed, "direct", **settings))


def test_there_must_be_one_rate_for_each_stage(tiny):
    settings = {**SMALL, "epochs": 4, "pretrain": 2}
    rates = train(tiny, "async-msgl", **settings, learning_rate=[0.01, 0.02, 0.005]).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.01, 0.02, 0.005, 0.005], rtol=1e-9)
    named = (
        r"2 values for 3 stages: coarse \(1 epochs\); interpolation \(1 epochs\); coarse, interpolation, fine"
    )
    with pytest.raises(InvalidArgumentError, match=named):
        train(tiny, "async-msgl", **settings, learning_rate=[0.01, 0.02])
    with pytest.raises(InvalidArgumentError, match="learning_rate must be a positive number"):
        train(tiny, "async-msgl", **settings, learning_rate=[0.01, 0.02, -1])
