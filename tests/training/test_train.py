"""Training from a dataset: the same seed, going on after a stop, and having learned something."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.small import SMALL, rmse, same
from xmsgl.errors import (
    CheckpointError,
    DivergenceError,
    ExtrapolationWarning,
    InvalidArgumentError,
    InvalidDatasetError,
    UnknownNameError,
)
from xmsgl.models.file import storage
from xmsgl.models.file.model import load_model
from xmsgl.models.methods.base import MODELS
from xmsgl.prediction.downscale import downscale
from xmsgl.training import loop, spread
from xmsgl.training import source as supply
from xmsgl.training.train import train

SCALES = ("coarse", "fine")


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 120))


# ----------------------------------------------------------------- learning


def test_msgl_is_better_than_a_constant(river):
    """Real skill on days without any label in training, well below the spread of the season."""
    masked = river.copy(deep=True)
    for scale in SCALES:
        masked[f"water_temperature_{scale}"][560:] = np.nan
    model = train(
        masked,
        "msgl",
        hidden=8,
        window=280,
        warmup=15,
        batch=2,
        epochs=30,
        learning_rate=0.04,
        device="cpu",
        progress=False,
    )
    prediction = downscale(river, model, device="cpu").isel(time=slice(560, None))
    truth = river["water_temperature_fine"].isel(time=slice(560, None))
    assert int(truth.count()) > 150
    constant = rmse(float(masked["water_temperature_fine"].mean()), truth)
    assert rmse(prediction, truth) < 0.5 * constant
    # Taking air for water is the next simplest guess.
    air = river["air_temperature_coarse"].sel(coarse=river["coarse_segment"]).isel(time=slice(560, None))
    assert rmse(prediction, truth) < 0.8 * rmse(air, truth)
    assert model.history["loss_coarse"][-1] < 0.5 * model.history["loss_coarse"][0]


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap"])
def test_every_method_trains_saves_loads_and_predicts(tiny, tmp_path, method):
    model = train(tiny, method, **SMALL)
    back = load_model(model.save(tmp_path / "m.safetensors"))
    prediction = downscale(tiny, back)
    assert back.method == method
    assert prediction.dims == ("time", "fine")
    assert np.isfinite(prediction).all()
    np.testing.assert_array_equal(prediction, downscale(tiny, model))
    if method == "remap":
        for _, reaches in prediction.groupby(tiny["coarse_segment"]):
            np.testing.assert_allclose(
                reaches, reaches.isel(fine=[0]).values.repeat(reaches.sizes["fine"], 1)
            )


@pytest.mark.parametrize(
    "tasks",
    [["fine"], ["interpolation"], ["interpolation", "fine"], ["coarse", "fine"], ["coarse", "interpolation"]],
    ids="+".join,
)
def test_every_ablation_trains_and_predicts(tiny, tasks):
    model = train(tiny, "msgl", tasks=tasks, **{**SMALL, "epochs": 1})
    assert {name for name in model.history if name.startswith("loss")} == {f"loss_{task}" for task in tasks}
    assert np.isfinite(downscale(tiny, model)).all()


def test_labels_of_one_scale_are_enough(tiny):
    only_coarse = tiny.drop_vars("water_temperature_fine")
    assert "loss_fine" not in train(only_coarse, "msgl", **SMALL).history
    only_fine = tiny.drop_vars("water_temperature_coarse")
    assert "loss_coarse" not in train(only_fine, "msgl", **SMALL).history


def test_identity_learns_segments_and_can_be_switched_off(tiny):
    model = train(tiny, "msgl", identity=3, **SMALL)
    assert model.spec.segments == (101, 102, 103, 104, 105)
    assert model.weights["identity.table"].shape == (5, 3)
    assert (model.weights["identity.table"] != 0).any()
    plain = train(tiny, "msgl", identity=0, **SMALL)
    assert plain.spec.segments == ()
    assert "identity.table" not in plain.weights
    settings = {**SMALL, "epochs": 1}
    assert "identity.table" not in train(tiny, "msgl", **settings).weights
    assert "identity.table" not in train(tiny, "fine-only", **settings).weights


def test_a_basin_whose_segments_are_not_known_gets_zeros(tiny):
    model = train(tiny, "msgl", identity=3, **SMALL)
    ids = {101: 901, 102: 902, 103: 903, 104: 904, 105: 905, 0: 0}
    other = tiny.assign_coords(coarse=[ids[i] for i in tiny.coarse.values.tolist()])
    for name in ("downstream_coarse", "coarse_segment"):
        other[name] = other[name].copy(data=[ids[i] for i in tiny[name].values.tolist()])
    forgotten = {**model.weights, "identity.table": torch.zeros(5, 3)}
    expected = downscale(tiny, type(model)(model.spec, forgotten))
    with pytest.warns(ExtrapolationWarning, match="first guess"):
        np.testing.assert_array_equal(downscale(other, model), expected)
    assert not np.array_equal(downscale(tiny, model), expected)


def test_ids_may_be_text(tiny, tmp_path):
    text = tiny.assign_coords(
        coarse=[f"s{i}" for i in tiny.coarse.values], fine=[f"r{i}" for i in tiny.fine.values]
    )
    for name, letter in (("downstream_coarse", "s"), ("downstream_fine", "r"), ("coarse_segment", "s")):
        values = [f"{letter}{i}" if i else "" for i in tiny[name].values.tolist()]
        text[name] = text[name].copy(data=values)
    model = train(text, "msgl", identity=2, **SMALL)
    plain = train(tiny, "msgl", identity=2, **SMALL)
    assert same(model, plain)
    back = load_model(model.save(tmp_path / "m"))
    assert back.spec.segments == ("s101", "s102", "s103", "s104", "s105")
    np.testing.assert_array_equal(downscale(text, back), downscale(tiny, plain))


def test_mixed_precision_on_the_cpu_stays_near_full_precision(tiny):
    full, mixed = train(tiny, "msgl", **SMALL), train(tiny, "msgl", amp=True, **SMALL)
    np.testing.assert_allclose(mixed.history["validation"], full.history["validation"], rtol=0.05)
    assert all(value.dtype == torch.float32 for value in mixed.weights.values())


@pytest.mark.parametrize(
    ("tasks", "judged"),
    [
        (("coarse", "interpolation"), ("coarse", "interpolation")),
        (("coarse", "interpolation", "fine"), ("coarse", "fine")),
        (("interpolation", "fine"), ("fine",)),
    ],
)
def test_the_tasks_that_predict_choose_the_epoch(tiny, tasks, judged):
    history = train(tiny, "msgl", tasks=tasks, validation=0.3, **{**SMALL, "epochs": 2}).history
    expected = np.mean([history[f"validation_{task}"] for task in judged], axis=0)
    np.testing.assert_allclose(history["validation"], expected)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap"])
def test_a_gpu_trains_in_mixed_precision_near_the_cpu(tiny, method):
    settings = {key: value for key, value in SMALL.items() if key != "device"}
    on_gpu = train(tiny, method, device="cuda", **settings)
    on_cpu = train(tiny, method, device="cpu", **settings)
    np.testing.assert_allclose(on_gpu.history["validation"], on_cpu.history["validation"], rtol=0.1)
    ours, theirs = (downscale(tiny, on_gpu, device=device) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(ours, theirs, atol=0.05)


# --------------------------------------------------------------- what counts


def test_only_training_labels_matter(tiny):
    held_out = tiny.copy(deep=True)
    held_out["water_temperature_fine"][50:70] = np.nan
    spoilt = tiny.copy(deep=True)
    spoilt["water_temperature_fine"][50:70] = 40.0
    spoilt["water_temperature_fine"] = spoilt["water_temperature_fine"].where(
        held_out["water_temperature_fine"].notnull()
    )
    assert same(train(held_out, "msgl", **SMALL), train(spoilt, "msgl", **SMALL))
    assert not same(train(held_out, "msgl", **SMALL), train(tiny, "msgl", **SMALL))


def test_validation_labels_never_move_a_weight(tiny):
    """The same weights after every epoch, whatever the validation labels are; only the choice differs."""
    days = slice("2001-12-01", "2001-12-31")
    warm = tiny.copy(deep=True)
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        chosen = (warm.time >= np.datetime64("2001-12-01")) & (warm.time <= np.datetime64("2001-12-31"))
        warm[name] = warm[name].copy(data=(warm[name] + chosen.astype("float32") * 20).data)
    one, two = (train(ds, "msgl", validation=days, **SMALL) for ds in (tiny, warm))
    assert one.spec.scaling == two.spec.scaling
    assert one.history["loss_fine"] == two.history["loss_fine"]
    assert min(two.history["validation"]) > 10 + min(one.history["validation"])


def test_nan_drivers_are_refused_before_anything_is_trained(tiny):
    tiny["solar_radiation_coarse"][17, 2] = np.nan
    with pytest.raises(InvalidDatasetError, match=r"solar_radiation_coarse.*103.*2001-10-18"):
        train(tiny, "msgl", **SMALL)


def test_a_lazy_dataset_trains_the_same_model_and_stays_lazy(tiny):
    lazy = tiny.chunk({"time": 50})
    assert same(train(lazy, "msgl", **SMALL), train(tiny, "msgl", **SMALL))
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)


def test_a_datatree_trains_the_same_model(tiny):
    assert same(train(tiny.msgl.to_datatree(), "msgl", **SMALL), train(tiny, "msgl", **SMALL))


# -------------------------------------------------------------- determinism


def test_the_same_seed_gives_the_same_model_bit_for_bit(tiny):
    torch.manual_seed(1)
    one = train(tiny, "msgl", dropout=0.3, **SMALL)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002 - the global generator is what is meant
    before = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    two = train(tiny, "msgl", dropout=0.3, **SMALL)
    assert same(one, two)
    assert one.history == two.history
    assert one.sha256 == two.sha256
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    other = train(tiny, "msgl", dropout=0.3, seed=1, **SMALL)
    assert not same(one, other)


# -------------------------------------------------- stopping and going on


def stop_after(monkeypatch, epoch):
    """Let Ctrl-C come while an epoch runs, after so many are done."""
    original = supply.DeviceBatches.training

    def training(self, number, stage):
        for count, item in enumerate(original(self, number, stage)):
            if number == epoch + 1 and count == 1:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(supply.DeviceBatches, "training", training)


def test_pre_training_learns_coarse_first_and_survives_files(tiny, tmp_path):
    settings = {**SMALL, "pretrain": 2}
    path = tmp_path / "c"
    model = train(tiny, "msgl", checkpoint=path, **settings)
    np.testing.assert_array_equal(np.isnan(model.history["loss_fine"]), [True, True, False])
    assert np.isfinite(model.history["loss_coarse"]).all()
    assert load_model(model.save(tmp_path / "m")).sha256 == model.sha256
    assert train(tiny, "msgl", resume=path, **settings).sha256 == model.sha256
    np.testing.assert_array_equal(load_model(tmp_path / "m").history["loss_fine"], model.history["loss_fine"])


def test_half_of_the_epochs_are_pre_training_where_it_can_teach(tiny):
    settings = {**SMALL, "epochs": 2, "pretrain": None}
    assert np.isnan(train(tiny, "msgl", **settings).history["loss_fine"]).tolist() == [True, False]
    for ds, options in [
        (tiny.drop_vars("water_temperature_coarse"), {}),
        (tiny, {"method": "fine-only"}),
        (tiny, {"tasks": ["interpolation", "fine"]}),
    ]:
        assert np.isfinite(train(ds, **{"method": "msgl", **settings, **options}).history["loss_fine"]).all()


@pytest.mark.parametrize("done", [0, 2])
def test_ctrl_c_leaves_a_checkpoint_that_goes_on_bit_for_bit(tiny, tmp_path, monkeypatch, done):
    settings = {**SMALL, "epochs": 4, "dropout": 0.3, "recurrent_dropout": 0.1, "identity": 2}
    path = tmp_path / "c.safetensors"
    whole = train(tiny, "msgl", **settings)
    with monkeypatch.context() as patch:
        stop_after(patch, done)
        with pytest.raises(KeyboardInterrupt):
            train(tiny, "msgl", checkpoint=path, **settings)
    assert storage.from_bytes(path.read_bytes(), "c")[1]["epoch"] == done
    resumed = train(tiny, "msgl", resume=path, checkpoint=path, **settings)
    assert resumed.sha256 == whole.sha256
    assert train(tiny, "msgl", resume=path, **settings).sha256 == whole.sha256  # nothing left to do


SCRIPT = """
import os, signal, sys, threading, time
import xarray as xr
from xmsgl.errors import CheckpointError
from xmsgl.training.train import train
from xmsgl.models.file import storage

ds, path = xr.open_dataset(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts deaf to it

def watch():
    while True:
        time.sleep(0.01)
        try:
            reached = storage.from_bytes(storage.read(path), path)[1]["epoch"]
        except CheckpointError:
            continue
        if reached >= 2:
            os.kill(os.getpid(), signal.SIGINT)
            return

threading.Thread(target=watch, daemon=True).start()
train(ds, checkpoint=path, **eval(sys.argv[3]))
"""


def test_a_real_ctrl_c_in_a_process_of_its_own(tiny, tmp_path):
    settings = {**SMALL, "method": "remap", "epochs": 100}
    tiny.to_netcdf(tmp_path / "river.nc")
    path = tmp_path / "c.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "river.nc"), str(path), repr(settings)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        # Bit for bit holds for one number of threads: sums are split among them.
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    epoch = storage.from_bytes(path.read_bytes(), "c")[1]["epoch"]
    assert 2 <= epoch < 100
    assert [file.name for file in tmp_path.glob("*c.safetensors*")] == ["c.safetensors"]
    assert same(train(tiny, resume=path, **settings), train(tiny, **settings))


def test_a_checkpoint_of_another_run_is_refused_by_name(tiny, tmp_path):
    path = tmp_path / "c"
    settings = {**SMALL, "epochs": 1}
    train(tiny, "msgl", checkpoint=path, **settings)
    for change, named in [
        ({"learning_rate": 0.01}, "loop.learning_rate: 0.005 in the file, now 0.01"),
        ({"seed": 3}, "loop.seed: 0 in the file, now 3"),
        ({"hops": 2}, "graph.hops"),
        ({"window": 50}, "window: 60 in the file, now 50"),
        ({"epochs": 2}, "loop.epochs: 1 in the file, now 2"),
        ({"average": 0.5}, "loop.average: 0.0 in the file, now 0.5"),
    ]:
        with pytest.raises(CheckpointError) as error:
            train(tiny, "msgl", resume=path, **{**settings, **change})
        assert named in str(error.value)
    other = tiny.copy(deep=True)
    other["water_temperature_fine"][10:40] = np.nan
    with pytest.raises(CheckpointError, match=r"training\.fingerprint"):
        train(other, "msgl", resume=path, **settings)


def test_a_model_is_not_a_checkpoint(tiny, tmp_path):
    path = train(tiny, "msgl", **{**SMALL, "epochs": 1}).save(tmp_path / "m")
    with pytest.raises(CheckpointError, match="is not a training checkpoint"):
        train(tiny, "msgl", resume=path, **{**SMALL, "epochs": 1})


def test_a_checkpoint_is_not_a_model(tiny, tmp_path):
    train(tiny, "msgl", checkpoint=tmp_path / "c", **{**SMALL, "epochs": 1})
    with pytest.raises(CheckpointError, match=r"resume it with ds\.msgl\.train"):
        load_model(tmp_path / "c")


def test_a_running_mean_comes_from_the_seed(tiny):
    one, same, without = (train(tiny, "msgl", **SMALL, average=average) for average in (0.9, 0.9, 0.0))
    assert all(torch.equal(value, same.weights[name]) for name, value in one.weights.items())
    assert any(not torch.equal(value, without.weights[name]) for name, value in one.weights.items())


# ------------------------------------------------------ the loop, used rightly


@pytest.fixture
def scripted(monkeypatch):
    """Let the validation score go through 5, 4, 3, 6, 7, ...; hand out the state after each epoch."""
    scores = iter([5.0, 4.0, 3.0, 6.0, 7.0, 8.0])
    monkeypatch.setattr(loop, "validate", lambda *_, **__: {"validation": next(scores)})
    kept, original = [], spread.run

    def spy(*args, observers, **options):
        return original(*args, observers=[kept.append, *observers], **options)

    monkeypatch.setattr(spread, "run", spy)
    return kept


def test_the_weights_are_those_of_the_best_epoch(tiny, scripted):
    model = train(tiny, "msgl", **{**SMALL, "epochs": 5})
    assert model.history["validation"] == [5, 4, 3, 6, 7]
    assert set(model.weights) == set(scripted[3].module)
    assert all(torch.equal(value, scripted[3].module[name]) for name, value in model.weights.items())
    assert any(not torch.equal(value, scripted[5].module[name]) for name, value in model.weights.items())


def test_patience_ends_training_early(tiny, scripted):
    model = train(tiny, "msgl", patience=2, **{**SMALL, "epochs": 6})
    assert model.history["validation"] == [5, 4, 3, 6, 7]
    assert all(torch.equal(value, scripted[3].module[name]) for name, value in model.weights.items())


@pytest.mark.parametrize(
    "validation",
    [None, 0.3, slice("2001-12-15", None), [slice("2001-10-20", "2001-10-31"), slice("2002-01-10", None)]],
    ids=["none", "share", "slice", "slices"],
)
def test_ways_to_give_validation(tiny, validation):
    model = train(tiny, "msgl", validation=validation, **{**SMALL, "epochs": 1})
    assert ("validation" in model.history) == (validation is not None)
    counts = model.spec.training["labels"]
    assert (counts["validation_fine"] > 0) == (validation is not None)
    for scale in SCALES:
        total = int(tiny[f"water_temperature_{scale}"].count())
        assert counts[f"training_{scale}"] + counts[f"validation_{scale}"] == total


def test_a_loss_that_is_not_finite_names_the_window(tiny, monkeypatch):
    original = supply.DeviceBatches._put

    def spoil(self, host, operators):
        item = original(self, host, operators)
        if "2001-11-30" in item.name:
            item.batch.x_coarse[:, 0] = torch.nan
        return item

    monkeypatch.setattr(supply.DeviceBatches, "_put", spoil)
    with pytest.raises(DivergenceError, match=r"starting on 2001-11-30; check the drivers"):
        train(tiny, "msgl", validation=None, **SMALL)


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"method": "lstm"}, UnknownNameError, "'lstm'; known: .*fine-only, msgl, progressive, remap"),
        ({"weighting": "best"}, UnknownNameError, "'best'; known: mgda, uniform"),
        ({"kernel": "flat"}, UnknownNameError, "'flat'"),
        ({"epochs": 0}, InvalidArgumentError, "epochs must be a whole number of at least 1"),
        ({"window": 0}, InvalidArgumentError, "window must be a whole number of at least 1"),
        ({"warmup": -1}, InvalidArgumentError, "warmup must be a whole number of at least 0, got -1"),
        ({"patience": 0}, InvalidArgumentError, "patience must be a whole number of at least 1"),
        ({"pretrain": -1}, InvalidArgumentError, "pretrain must be at least 0"),
        ({"epochs": "x"}, InvalidArgumentError, "epochs must be a whole number or None, not 'x'"),
        ({"pretrain": 2.7}, InvalidArgumentError, "pretrain must be a whole number or a list"),
        ({"pretrain": 3}, InvalidArgumentError, "pretrain=3 leaves no epoch"),
        ({"seed": -1}, InvalidArgumentError, "seed must be a whole number of at least 0"),
        ({"learning_rate": 0.0}, InvalidArgumentError, "learning_rate must be a positive number"),
        ({"learning_rate": float("nan")}, InvalidArgumentError, "learning_rate must be a positive number"),
        ({"clip": 0}, InvalidArgumentError, "clip must be a positive number"),
        ({"batch": 0}, InvalidArgumentError, "batch must be a whole number of at least 1"),
        ({"average": 1.0}, InvalidArgumentError, r"average must be in \[0, 1\), got 1.0"),
        ({"hidden": 7}, InvalidArgumentError, "heads=4 and hidden=7"),
        ({"hiden": 7}, InvalidArgumentError, "no setting hiden; did you mean hidden"),
        ({"device": "quantum"}, InvalidArgumentError, "'quantum'"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_settings_that_do_not_fit_are_refused(tiny, setting, error, message):
    with pytest.raises(error, match=message):
        train(tiny, **{"method": "msgl", **SMALL, **setting})


def test_an_unknown_name_is_refused_before_anything_is_computed(tiny, refuse_to_compute):
    lazy = tiny.chunk(time=50)
    for name in ("weighting", "scaling", "keep"):
        with refuse_to_compute(), pytest.raises(UnknownNameError, match="'moon'; known: "):
            train(lazy, "msgl", **{**SMALL, name: "moon"})


@pytest.mark.parametrize(("steps", "epochs"), [(0, 3), (6, 3), (7, 6), (19, 12)])
def test_few_windows_are_repeated_until_there_are_enough_steps(river, steps, epochs):
    """Two windows, so three epochs are six steps; both stages last longer."""
    ds = river.isel(time=slice(0, 120))
    stages = {"epochs": 3, "pretrain": 1, "steps": steps}
    model = train(ds, "msgl", **{**SMALL, **stages}, validation=None)
    assert model.history["epoch"] == list(range(1, epochs + 1))
    joint = np.isfinite(model.history["loss_fine"])
    assert joint.tolist() == [epoch > epochs // 3 for epoch in range(1, epochs + 1)]


def test_a_gpu_that_is_too_small_trains_as_with_smaller_batches(tiny, monkeypatch, caplog):
    settings = {**SMALL, "method": "remap", "epochs": 3, "window": 40, "validation": None, "steps": 0}
    expected = train(tiny, **settings, batch=1)
    of = MODELS["remap"]
    real = of.task_outputs

    def too_large(module, batch, tasks=None):
        if batch.x_coarse.shape[2] > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(module, batch, tasks)

    monkeypatch.setattr(of, "task_outputs", too_large)
    assert same(train(tiny, **settings, batch=3), expected)
    assert [record.args for record in caplog.records if "out of memory" in record.message] == [(1, 2), (1, 1)]
