"""Ensembles: several modules in one model, from training to the file and to the prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from tests.small import SMALL, same
from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.evaluate import crps
from xmsgl.inputs.features import feature_variables
from xmsgl.inputs.windows import Window
from xmsgl.models.file import storage
from xmsgl.models.file.model import Model, load_model
from xmsgl.prediction.downscale import downscale
from xmsgl.prediction.predictor import Engine
from xmsgl.training import source as supply
from xmsgl.training import spread
from xmsgl.training.train import train

# As much dropout as shows whether members draw the same.
SETTINGS = {**SMALL, "epochs": 2, "dropout": 0.3, "validation": slice("2001-12-20", None)}


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 120))


@pytest.fixture(scope="module")
def singles(river_once):
    ds = river_once.isel(time=slice(0, 120))
    return [train(ds, "msgl", seed=seed, **SETTINGS) for seed in (3, 4, 5)]


@pytest.fixture(scope="module")
def several(river_once):
    return train(river_once.isel(time=slice(0, 120)), "msgl", seed=3, ensemble=3, **SETTINGS)


def without_settings(spec):
    """Of members and of models joined by hand: no one training makes them as they are."""
    return replace(spec, training={k: v for k, v in spec.training.items() if k != "settings"})


def mean_of(models, ds, **options):
    """The mean of what each model predicts alone; every temperature of the fixture is above 0."""
    return sum(downscale(ds, model, **options).astype("float64") for model in models) / len(models)


# -------------------------------------------------------------- the model


def test_members_are_the_models_of_their_seeds(singles, several):
    assert several.members == 3
    for k, alone in enumerate(singles):
        member = several.member(k)
        assert same(member.weights, alone.weights)
        assert member.history == alone.history
        assert member.spec == replace(without_settings(alone.spec), intervals=None)
    assert several.spec.training["settings"]["ensemble"] == 3
    assert len({model.member(0).sha256 for model in singles}) == 3


def test_the_history_is_a_table_of_all_epochs(several, singles):
    assert several.history["member"] == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert several.history["epoch"] == [1.0, 2.0] * 3
    expected = [value for alone in singles for value in alone.history["validation"]]
    assert several.history["validation"] == expected


def test_an_ensemble_survives_its_file(several, tmp_path):
    back = load_model(several.save(tmp_path / "m.safetensors"))
    assert back.sha256 == several.sha256
    assert back.spec == several.spec
    assert back.history == several.history
    assert same(back.weights, several.weights)
    assert "3, whose mean is the prediction" in repr(back)


def test_the_file_of_one_member_is_as_it_was(singles):
    (header,) = [storage.from_bytes(singles[0].payload, "")[1]]
    assert "members" not in header["spec"]
    assert not any(name.startswith("member") for name in singles[0].weights)
    assert "whose mean" not in repr(singles[0])


def test_one_module_or_all(several, singles):
    with pytest.raises(InvalidArgumentError, match=r"3 members; use modules\(\) for all"):
        several.module()
    for module, alone in zip(several.modules(), singles, strict=True):
        assert not module.training
        assert same(module.state_dict(), alone.weights)
    assert len(singles[0].modules()) == 1
    assert singles[0].member(0) is singles[0]
    for k in (-1, 3):
        with pytest.raises(InvalidArgumentError, match=f"no member {k}; the model has 3"):
            several.member(k)


def test_models_can_be_joined_if_they_differ_in_weights_only(several, singles):
    joined = Model.join(singles)
    assert same(joined.weights, several.weights)
    assert joined.history == several.history
    assert joined.spec == replace(without_settings(several.spec), intervals=None)
    other = Model(replace(singles[1].spec, window=59), singles[1].weights, singles[1].history)
    for models in ([singles[0]], [singles[0], other], [several, several]):
        with pytest.raises(
            InvalidArgumentError, match="two models or more that differ only in their weights"
        ):
            Model.join(models)


# --------------------------------------------------------------- training


@pytest.mark.parametrize("ensemble", [0, -1])
def test_there_is_a_member_at_least(tiny, ensemble):
    with pytest.raises(InvalidArgumentError, match="ensemble must be a whole number of at least 1"):
        train(tiny, "msgl", ensemble=ensemble, **SETTINGS)


def test_a_share_of_windows_is_drawn_once_for_all_members(river):
    ds = river.isel(time=slice(0, 400))
    settings = {**SETTINGS, "epochs": 1, "validation": 0.3}
    model = train(ds, "msgl", ensemble=2, seed=1, **settings)
    alone = train(ds, "msgl", seed=1, **settings)
    assert same(model.member(0).weights, alone.weights)
    assert model.spec.training["labels"] == alone.spec.training["labels"]
    assert not same(model.member(1).weights, alone.weights)


def stop_in(monkeypatch, member, epoch):
    """Let Ctrl-C come in an epoch of a member, both counted from 1."""
    original, firsts = supply.DeviceBatches.training, []

    def training(self, number, stage):
        if number == 1:
            firsts.append(number)
        for count, item in enumerate(original(self, number, stage)):
            if (len(firsts), number, count) == (member, epoch, 1):
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(supply.DeviceBatches, "training", training)


@pytest.mark.parametrize("epoch", [1, 2])
def test_killed_in_the_second_member_it_goes_on_bit_for_bit(tiny, tmp_path, monkeypatch, several, epoch):
    path = tmp_path / "c"
    settings = {**SETTINGS, "seed": 3, "ensemble": 3}
    with monkeypatch.context() as patch:
        stop_in(patch, 2, epoch)
        with pytest.raises(KeyboardInterrupt):
            train(tiny, "msgl", checkpoint=path, **settings)
    seen, original = [], spread.run

    def spy(module, source, of, **options):
        seen.append(of.seed)
        return original(module, source, of, **options)

    monkeypatch.setattr(spread, "run", spy)
    resumed = train(tiny, "msgl", checkpoint=path, resume=path, **settings)
    assert seen == [4, 5]  # the first member is not trained again
    assert resumed.sha256 == several.sha256
    assert train(tiny, "msgl", resume=path, **settings).sha256 == several.sha256  # nothing left to do


def test_a_checkpoint_of_another_number_of_members_is_refused(tiny, tmp_path):
    settings = {**SETTINGS, "epochs": 1}
    train(tiny, "msgl", checkpoint=tmp_path / "one", **settings)
    with pytest.raises(CheckpointError, match=r"settings\.ensemble: 1 in the file, now 2"):
        train(tiny, "msgl", resume=tmp_path / "one", ensemble=2, **settings)


def test_each_member_has_its_bar(tiny, capsys):
    train(tiny, "msgl", ensemble=2, **{**SETTINGS, "progress": True})
    shown = capsys.readouterr().err
    assert "train msgl 1/2: 100%" in shown
    assert "train msgl 2/2: 100%" in shown
    assert "3/2" not in shown


# ------------------------------------------------------------- prediction


@pytest.mark.parametrize("carry", [False, True])
def test_the_prediction_is_the_mean_of_the_members(tiny, several, singles, carry):
    prediction = downscale(tiny, several, carry=carry)
    np.testing.assert_allclose(prediction, mean_of(singles, tiny, carry=carry), atol=2e-5)
    assert float(abs(prediction - downscale(tiny, singles[0], carry=carry)).max()) > 0.01


@pytest.mark.parametrize("method", ["fine-only", "remap"])
def test_other_methods_can_be_ensembles(tiny, method):
    settings = {key: value for key, value in SETTINGS.items() if key != "dropout"}
    model = train(tiny, method, ensemble=2, **settings)
    expected = mean_of([model.member(0), model.member(1)], tiny)
    np.testing.assert_allclose(downscale(tiny, model), expected, atol=2e-5)


def test_clipping_comes_after_the_mean(tiny, singles):
    """Members 12 degC too cold and too warm: the days on which one is below 0 do not pull the mean up."""
    spec = singles[0].spec
    name = "fine_head.out.linear.bias"
    off = 12.0 / spec.scaling["fine"].label_deviation
    moved = [
        Model(spec, {**singles[0].weights, name: singles[0].weights[name] + shift}) for shift in (-off, off)
    ]
    plain = downscale(tiny, singles[0])
    assert float(downscale(tiny, moved[0]).min()) == 0
    np.testing.assert_allclose(downscale(tiny, Model.join(moved)), plain, atol=1e-4)


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("days", [17, 120])
def test_a_lazy_ensemble_is_lazy_and_equal(tiny, several, refuse_to_compute, days, carry):
    with refuse_to_compute():
        lazy = downscale(tiny.chunk(time=days), several, carry=carry)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.compute(), downscale(tiny, several, carry=carry))


def test_every_member_keeps_a_memory_of_its_own(tiny, several, singles):
    """Two windows, the second going on from the first, in parts of rivers and pieces of days."""
    fixed = tiny[[name for name in tiny.variables if "time" not in tiny[name].dims]]
    drivers = tiny[feature_variables(tiny, several.spec.features, dynamic=True)]
    first, second = Window(0, 50, 5), Window(50, 120, 0)

    def both(model):
        engine = Engine(model, fixed, "cpu", piece=1)
        values, memory = engine.resume(drivers.isel(time=slice(0, 50)), first, None)
        later, _ = engine.resume(drivers.isel(time=slice(50, 120)), second, memory)
        return np.concatenate([values, later]).astype(np.float64)

    np.testing.assert_allclose(both(several), sum(map(both, singles)) / 3, atol=2e-5)


def test_members_can_be_scored_as_an_ensemble(tiny, several):
    members = xr.concat([downscale(tiny, several.member(k)) for k in range(3)], "member")
    result = crps(members, tiny["water_temperature_fine"])
    mae = abs(members - tiny["water_temperature_fine"]).mean(["time", "fine"])
    assert 0 < float(result.crps) < float(mae.max())


def test_training_starts_with_one_member_only(tiny, several):
    settings = {**SETTINGS, "epochs": 1}
    del settings["features"]
    with pytest.raises(InvalidArgumentError, match=r"3 members; start with one of them, model.member\(k\)"):
        train(tiny, start=several, **settings)
    assert train(tiny, start=several.member(2), **settings).members == 1
