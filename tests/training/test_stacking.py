"""Stacks: shares against an optimiser, the file, lazy prediction, what parts learn, the second training."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.small import FEATURES, same
from xmsgl.errors import CheckpointError, ExtrapolationWarning, InvalidArgumentError
from xmsgl.models.file.card import model_card
from xmsgl.models.file.intervals import fit_table
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.stack import stack_models
from xmsgl.prediction.downscale import downscale
from xmsgl.training import stacking
from xmsgl.training.recipes import DEFAULT_PARTS, FINE_PARTS
from xmsgl.training.settings import TrainSettings
from xmsgl.training.stacking import shares_of
from xmsgl.training.train import train

DAYS = slice("2002-06-01", "2002-12-31")
NETWORK = {
    "method": "remap",
    "hidden": 8,
    "warmup": 5,
    "epochs": 12,
    "learning_rate": 0.03,
    "features": FEATURES,
}
TREES = {"method": "trees", "iterations": 20, "learning_rate": 0.1}
SHORT = [{"epochs": 1, "hidden": 4, "warmup": 5}, {"iterations": 4}]  # of the default parts
TOGETHER = {"window": 60, "validation": DAYS, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def stack(river_once):
    return train(river_once, "stack", parts=[NETWORK, TREES], **TOGETHER)


@pytest.mark.parametrize("shrink", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_shares_minimise_the_squared_error(seed, shrink):
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=300)
    predicted = truth + draw.normal(draw.normal(size=(4, 1)), draw.uniform(0.3, 2, (4, 1)), (4, 300))

    def error(shares):
        unequal = np.mean((predicted - truth) ** 2) * np.sum((shares - 0.25) ** 2)
        return float(np.mean((shares @ predicted - truth) ** 2) + shrink * unequal)

    best = minimize(
        error,
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1},
        tol=1e-12,
    )
    shares = shares_of(predicted, truth, shrink)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert error(shares) == pytest.approx(best.fun, rel=1e-6)


def test_a_part_without_error_has_all_the_weight():
    truth = np.arange(60.0)
    np.testing.assert_allclose(shares_of([truth + 1, truth], truth), [0, 1], atol=1e-6)


def test_shares_learned_on_segments_are_drawn_to_equal_ones(river, monkeypatch):
    given = {**TOGETHER, "validation": "segments:0.5"}
    drawn = train(river, "stack", parts=[NETWORK, TREES], **given)
    monkeypatch.setattr(stacking, "_SHRINK", 0.0)
    free = train(river, "stack", parts=[NETWORK, TREES], **given)
    assert abs(drawn.shares[0] - 0.5) < 0.8 * abs(free.shares[0] - 0.5)


def test_prediction_is_the_weighted_mean_of_the_parts(river, stack):
    parts = [downscale(river, part).values.astype("f8") for part in stack.parts]
    expected = np.tensordot(stack.shares, parts, 1)
    assert np.abs(parts[0] - parts[1]).max() > 0.1
    assert min(stack.shares) > 0.05
    np.testing.assert_allclose(downscale(river, stack).values, expected, atol=1e-5)
    lazy = downscale(river.chunk(time=90), stack)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, downscale(river, stack).values)


def test_parts_are_the_models_trained_alone(river):
    """With no fine observation on a day without coarse ones, the training days are those of each part."""
    days = river.water_temperature_coarse.notnull().any("coarse")
    ds = river.assign(water_temperature_fine=river.water_temperature_fine.where(days))
    stack = train(ds, "stack", parts=[NETWORK, TREES], **TOGETHER)
    for part, given in zip(stack.parts, (NETWORK, TREES), strict=True):
        alone = train(ds, **given, **TOGETHER)
        assert same(part, alone)
        assert part.history == alone.history


def test_intervals_are_those_of_the_mean(river, stack):
    days = river.time.sel(time=DAYS)
    observed = river.water_temperature_fine.sel(time=days)
    predicted = downscale(river, stack).sel(time=days)
    seen = observed.notnull().transpose("time", "fine").values
    table = fit_table(predicted.values[seen], observed.transpose("time", "fine").values[seen])
    np.testing.assert_allclose(stack.spec.intervals.residuals, table.residuals, atol=1e-4)
    assert stack.spec.intervals.n == seen.sum()


def test_features_of_a_stack_are_those_of_all_parts(stack):
    for part in stack.parts:
        for scale, scaling in part.spec.scaling.items():
            own = dict(zip([each.label for each in part.spec.features], scaling.mean, strict=True))
            joined = stack.spec.scaling[scale]
            labels = [each.label for each in stack.spec.features]
            assert own.items() <= dict(zip(labels, joined.mean, strict=True)).items()
            assert len(joined.deviation) == len(labels) == len(set(labels))
    assert "training mean" in model_card(stack, "stack")


def test_a_file_holds_all_of_it(river, stack, tmp_path):
    back = load_model(stack.save(tmp_path / "stack.safetensors"))
    assert back.sha256 == stack.sha256
    assert back.shares == stack.shares
    assert [part.sha256 for part in back.parts] == [part.sha256 for part in stack.parts]
    np.testing.assert_array_equal(downscale(river, back).values, downscale(river, stack).values)
    assert "remap" in repr(back)
    assert "trees" in repr(back)
    with pytest.raises(InvalidArgumentError, match=r"parts\[k\]"):
        back.module()


def test_without_a_method_a_network_and_trees_are_weighed(river):
    plain = TrainSettings.of(validation=DAYS, window=60)
    assert plain == TrainSettings.of("stack", validation=DAYS, window=60)
    assert [part.method for part in plain.parts] == ["msgl", "trees"]
    assert plain.parts[0] == TrainSettings.of("msgl", validation=DAYS, window=60)
    assert plain.differing() == {"method": "stack", "validation": "2002-06-01/2002-12-31", "window": 60}
    few = {**TOGETHER, "parts": [{**part, **quick} for part, quick in zip(DEFAULT_PARTS, SHORT, strict=True)]}
    assert same(train(river, **few), train(river, "stack", **few))


def test_the_default_can_do_without_coarse_observations(river_once, monkeypatch):
    ds = river_once.drop_vars("water_temperature_coarse")
    with pytest.raises(InvalidArgumentError, match="neighbour anomalies need labels of segments"):
        train(ds, "stack", parts=DEFAULT_PARTS, **TOGETHER)
    parts = tuple({**part, **quick} for part, quick in zip(FINE_PARTS, SHORT, strict=True))
    monkeypatch.setattr("xmsgl.training.train.FINE_PARTS", parts)
    model = train(ds, **TOGETHER)
    assert [part.method for part in model.parts] == ["msgl", "trees"]
    assert model.parts[1].spec.architecture["labels"] == "fine"
    assert same(model, train(ds, **model.spec.training["settings"], device="cpu", progress=False))


@pytest.mark.parametrize(
    ("given", "method"),
    [({"epochs": 2}, "msgl"), ({"seed": 3, "hidden": 4}, "msgl"), ({"iterations": 5}, "trees")],
)
def test_settings_of_one_model_need_its_method(given, method):
    with pytest.raises(InvalidArgumentError, match=f"name the model, for example method='{method}'"):
        TrainSettings.of(**given)
    assert TrainSettings.of(method=method, **given).method == method


def test_settings_in_the_file_train_it_again(river, stack):
    settings = stack.spec.training["settings"]
    assert (
        TrainSettings.of(**settings).to_dict()
        == TrainSettings.of("stack", parts=[NETWORK, TREES], window=60, validation=DAYS).to_dict()
    )
    assert same(stack, train(river, **settings, device="cpu", progress=False))


def test_without_fine_observations_shares_are_equal(river, caplog):
    ds = river.drop_vars("water_temperature_fine")
    with caplog.at_level(logging.WARNING, "xmsgl"):
        model = train(ds, "stack", parts=[NETWORK, TREES], **TOGETHER)
    assert model.shares == (0.5, 0.5)
    assert "same share" in caplog.text
    assert model.spec.intervals is None


def test_another_basin_is_warned_of_once(river, stack):
    other = river.assign_coords(coarse=river.coarse + 100)
    names = ("coarse_segment", "downstream_coarse")
    other = other.assign({name: river[name].where(river[name] == 0, river[name] + 100) for name in names})
    for ds in (other, other.chunk(time=90)):
        with pytest.warns(ExtrapolationWarning) as caught:
            downscale(ds, stack).compute()
        assert sum("is among the" in str(each.message) for each in caught) == 1


def test_an_ensemble_of_stacks_has_members_in_each_part(river, stack):
    model = train(river, "stack", parts=[NETWORK, TREES], ensemble=2, seed=0, **TOGETHER)
    assert [part.members for part in model.parts] == [2, 2]
    first = [part.member(0) for part in model.parts]
    assert all(same(one, two) for one, two in zip(first, stack.parts, strict=True))


def test_a_part_has_an_ensemble_of_its_own(river, stack):
    parts = [NETWORK, {**TREES, "ensemble": 3}]
    model = train(river, "stack", parts=parts, seed=0, **TOGETHER)
    assert [part.members for part in model.parts] == [1, 3]
    assert same(model.parts[0], stack.parts[0])
    assert same(model.parts[1].member(0), stack.parts[1])
    both = train(river, "stack", parts=[{**NETWORK, "ensemble": 1}, TREES], ensemble=3, seed=0, **TOGETHER)
    assert [part.members for part in both.parts] == [1, 3]
    assert same(both, model)


def test_refit_learns_from_the_validation_days(river):
    again = train(river, "stack", parts=[NETWORK, TREES], refit=True, **TOGETHER)
    last = [{**part, "keep": "last"} for part in (NETWORK, TREES)]
    everything = train(river, "stack", parts=last, **{**TOGETHER, "validation": None})
    assert same(again, everything)
    assert again.shares != everything.shares
    once = train(river, "stack", parts=[NETWORK, TREES], **TOGETHER)
    assert again.shares == once.shares
    assert again.spec.intervals == once.spec.intervals


def test_refit_of_one_model(river):
    given = {**NETWORK, "keep": "last", "window": 60, "device": "cpu", "progress": False}
    again = train(river, **given, validation=DAYS, refit=True)
    assert same(again, train(river, **given, validation=None))
    assert again.spec.intervals == train(river, **given, validation=DAYS).spec.intervals


def test_a_stack_that_learns_from_everything_writes_checkpoints(river, tmp_path):
    path, given = tmp_path / "stack.ckpt", {"parts": [TREES, NETWORK], **TOGETHER, "validation": None}
    whole = train(river, "stack", checkpoint=path, **given)
    assert same(train(river, "stack", resume=path, **given), whole)


def test_trees_that_keep_the_last(river):
    given = {**TREES, "window": 60, "device": "cpu", "progress": False, "validation": DAYS}
    assert len(train(river, **given, keep="last").weights["roots"]) == 21
    assert len(train(river, **given).weights["roots"]) <= 21


def test_a_stack_resumes_where_it_stopped(river, tmp_path):
    path, given = tmp_path / "stack.ckpt", {"parts": [NETWORK, TREES], "refit": True, **TOGETHER}
    calls = []

    def stop(standing):
        calls.append(standing.method)
        if len(calls) == 20:  # within the second training of the network
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(river, "stack", checkpoint=path, observers=[stop], **given)
    whole = train(river, "stack", **given)
    resumed = train(river, "stack", resume=path, **given)
    assert same(resumed, whole)
    assert resumed.shares == whole.shares
    with pytest.raises(CheckpointError, match="another run"):
        train(river, "stack", resume=path, **{**given, "refit": False})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "needs parts"),
        ([NETWORK], "two models or more"),
        (["remap", "trees"], "needs parts"),
        ([NETWORK, {**TREES, "seed": 3}], "part 1 of the stack sets seed"),
        ([NETWORK, {**TREES, "recipe": "quick"}], "part 1 of the stack sets recipe"),
        ([NETWORK, {"method": "stack", "parts": [NETWORK, TREES]}], "part 1 of the stack is a stack"),
        ([NETWORK, {**TREES, "hiden": 3}], "has no setting hiden"),
    ],
)
def test_wrong_parts_are_refused(parts, said):
    with pytest.raises(InvalidArgumentError, match=said):
        TrainSettings.of("stack", parts=parts)


def test_a_stack_uses_few_settings(river, stack):
    with pytest.raises(InvalidArgumentError, match="'stack' does not use epochs"):
        TrainSettings.of("stack", parts=[NETWORK, TREES], epochs=3)
    with pytest.raises(InvalidArgumentError, match="'stack' does not use epochs"):
        TrainSettings.of(parts=[NETWORK, TREES], epochs=3)
    with pytest.raises(InvalidArgumentError, match="is a stack"):
        train(river, start=stack, progress=False)
    with pytest.raises(InvalidArgumentError, match="cannot start"):
        train(river, "stack", parts=[NETWORK, TREES], start=stack.parts[0], **TOGETHER)


def test_models_that_make_no_stack(river, stack):
    one, two = stack.parts
    with pytest.raises(InvalidArgumentError, match="two models or more"):
        stack_models([one], [1.0])
    with pytest.raises(InvalidArgumentError, match="two models or more"):
        stack_models([one, stack], [0.5, 0.5])
    with pytest.raises(InvalidArgumentError, match="whose sum is 1"):
        stack_models([one, two], [0.7, 0.7])
    other = train(river, **{**TREES, "window": 90}, validation=None, progress=False)
    with pytest.raises(InvalidArgumentError, match="90 days"):
        stack_models([one, other], [0.5, 0.5])


def test_spin_up_of_a_stack_is_the_mean_of_its_parts(stack):
    parts = []
    for part, change in zip(stack.parts, (1.0, 3.0), strict=True):
        parts.append(
            Model(part.spec.__class__(**{**vars(part.spec), "spin_up": ((1, change),)}), part.weights)
        )
    assert stack_models(parts, [0.25, 0.75]).spec.spin_up == ((1, 2.5),)
