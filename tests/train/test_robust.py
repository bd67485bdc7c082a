"""The loss that faulty thermometers do not rule: against a plain loop, and in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.fit import train
from xmsgl.predict import downscale
from xmsgl.train.losses import masked_rmse
from xmsgl.train.robust import masked_huber

QUICK = {"window": 60, "warmup": 5, "hidden": 4, "device": "cpu", "progress": False}


@pytest.fixture
def pairs():
    rng = np.random.default_rng(5)
    prediction, target = rng.normal(size=(2, 30, 6, 2))
    target[rng.uniform(size=target.shape) < 0.8] = np.nan
    return torch.tensor(prediction, requires_grad=True), torch.tensor(target)


def gradient(loss, prediction):
    return torch.autograd.grad(loss, prediction)[0]


@pytest.mark.parametrize("beyond", [0.05, 0.7, 2.0])
def test_against_a_plain_loop(pairs, beyond):
    prediction, target = pairs
    total, count = 0.0, 0
    for y, label in zip(prediction.detach().ravel().tolist(), target.ravel().tolist(), strict=True):
        if math.isnan(label):
            continue
        count += 1
        error = abs(y - label)
        total += error**2 if error <= beyond else 2 * beyond * error - beyond**2
    assert masked_huber(prediction, target, beyond).item() == pytest.approx(
        math.sqrt(total / count), rel=1e-12
    )


def test_it_is_the_rmse_while_no_error_is_larger_than_the_bound(pairs):
    prediction, target = pairs
    largest = float((prediction - target).detach().abs().nan_to_num().max())
    plain, robust = masked_rmse(prediction, target), masked_huber(prediction, target, largest)
    torch.testing.assert_close(robust, plain, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient(robust, prediction), gradient(plain, prediction), rtol=1e-12, atol=0)
    assert masked_huber(prediction, target, 0.9 * largest) < plain * (1 - 1e-4)


def test_a_far_outlier_pulls_no_harder_than_an_error_of_the_bound(pairs):
    """Beside an error of 0.2 it pulls as hard as one of 0.5, however far it is; in the RMSE without end."""
    prediction, target = (tensor.detach().clone() for tensor in pairs)
    target[:2] = prediction[:2] - 0.2
    pulls = []
    for far in (5.0, 50.0, 5e5):
        target[0, 0, 0] = prediction[0, 0, 0] + far
        prediction.requires_grad_()
        loss = masked_huber(prediction, target, 0.5)
        found = gradient(loss, prediction)
        pulls.append(float((found * loss.detach())[0, 0, 0]))
        assert float(found[0, 0, 0] / found[1, 0, 0]) == pytest.approx(-0.5 / 0.2)
        assert not found[torch.isnan(target)].any()
        prediction = prediction.detach()
    count = int((~torch.isnan(target)).sum())
    np.testing.assert_allclose(pulls, -0.5 / count, rtol=1e-9)


def test_no_label_no_loss_and_no_trap_where_all_is_right():
    assert masked_huber(torch.ones(3), torch.full((3,), torch.nan), 1.0) is None
    prediction = torch.ones(3, requires_grad=True)
    masked_huber(prediction, torch.tensor([1.0, 1.0, torch.nan]), 1.0).backward()
    assert torch.isfinite(prediction.grad).all()
    with pytest.raises(InvalidArgumentError, match="one shape"):
        masked_huber(torch.ones(3), torch.ones(2), 1.0)


# -------------------------------------------------------------- training


@pytest.fixture
def spoilt(river):
    """Labels of half a year, of which every twentieth is off: a logger that lay in the sun."""
    tiny, rng = river.isel(time=slice(0, 180)), np.random.default_rng(1)
    for name in ("water_temperature_coarse", "water_temperature_fine"):
        off = rng.random(tiny[name].shape) < 0.05
        hot = rng.uniform(25.0, 44.0, off.shape).astype("float32")
        tiny[name] = tiny[name].where(~(off & tiny[name].notnull()), hot)
    return tiny


def test_faulty_thermometers_do_not_rule(river, spoilt):
    settings = {**QUICK, "epochs": 25, "pretrain": 0, "batch": 3, "learning_rate": 0.05, "validation": None}
    settings |= {"tasks": ["coarse", "fine"]}
    wrong = {}
    for robust in (None, 1.0):
        predicted = downscale(spoilt, train(spoilt, robust=robust, **settings), device="cpu")
        error = predicted - river["water_temperature_fine"].isel(time=slice(0, 180))
        wrong[robust] = float(np.sqrt((error**2).mean()))
    assert wrong[1.0] < 0.8 * wrong[None], wrong


def test_only_labels_far_off_are_counted_otherwise_in_the_tasks_of_both_scales(spoilt):
    """The loss of the first batch, before any step, by the degrees that are given; the score stays RMSE."""
    settings = {**QUICK, "epochs": 1, "pretrain": 0, "learning_rate": 1e-12, "window": 180}
    settings |= {"validation": slice("2002-03-01", None), "scaling": "own", "anchored": False}
    plain, wide, narrow = (train(spoilt, robust=robust, **settings).history for robust in (None, 1e3, 0.5))
    assert plain["validation"] == wide["validation"] == narrow["validation"]
    for task in ("coarse", "interpolation", "fine"):
        assert wide[f"loss_{task}"] == pytest.approx(plain[f"loss_{task}"], rel=1e-6)
        assert narrow[f"loss_{task}"][0] < 0.9 * plain[f"loss_{task}"][0]


def test_degrees_are_divided_by_each_scales_deviation(spoilt, monkeypatch):
    from xmsgl.train import loop

    given = []

    def spy(prediction, target, beyond):
        given.append(beyond)
        return masked_huber(prediction, target, beyond)

    monkeypatch.setattr(loop, "masked_huber", spy)
    settings = {**QUICK, "epochs": 1, "pretrain": 0, "window": 180, "validation": None, "scaling": "own"}
    model = train(spoilt, robust=2.0, anchored=False, **settings)
    scaling = model.spec.scaling
    expected = [2.0 / scaling[scale].label_deviation for scale in ("coarse", "fine", "fine")]
    assert sorted(given) == pytest.approx(sorted(expected))
    assert expected[0] != pytest.approx(expected[1], rel=1e-4)


def test_a_resumed_run_must_have_the_same_bound(spoilt, tmp_path):
    stand = tmp_path / "stand.safetensors"
    settings = {**QUICK, "pretrain": 0, "tasks": ["fine"], "checkpoint": stand}
    train(spoilt, epochs=1, robust=2.0, **settings)
    with pytest.raises(CheckpointError, match="robust"):
        train(spoilt, epochs=1, resume=stand, **settings)


@pytest.mark.parametrize("robust", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bound_that_is_none(river, robust):
    with pytest.raises(InvalidArgumentError, match="robust must be a positive number"):
        train(river, robust=robust)
