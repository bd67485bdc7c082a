"""The strategies, trained from a dataset: what each stage learns from, and what that is worth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.small import SMALL, rmse, same
from xmsgl.errors import InvalidArgumentError
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train

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


def test_every_task_weighs_the_same_unless_told_otherwise(tiny):
    settings = {**SMALL, "epochs": 1}
    weights = np.ravel([train(tiny, "msgl", **settings).history[f"weight_{task}"] for task in TASKS])
    np.testing.assert_allclose(weights, 1 / 3)
    other = train(tiny, "msgl", weighting="mgda", **settings).history
    assert np.ptp([other[f"weight_{task}"] for task in TASKS]) > 0.01


@pytest.mark.parametrize("method", ["async-msgl", "progressive"])
def test_what_the_coarse_scale_knows_reaches_reaches_without_observations(river, method):
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


def test_the_rates_must_be_as_many_as_the_stages(tiny):
    settings = {**SMALL, "epochs": 4, "pretrain": 2}
    rates = train(tiny, "async-msgl", **settings, learning_rate=[0.01, 0.02, 0.005]).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.003 * 0.3, 0.006 * 0.3, 0.005, 0.00045], rtol=1e-9)
    told = (
        r"2 values for 3 stages: coarse \(1 epochs\); interpolation \(1 epochs\); coarse, interpolation, fine"
    )
    with pytest.raises(InvalidArgumentError, match=told):
        train(tiny, "async-msgl", **settings, learning_rate=[0.01, 0.02])
    with pytest.raises(InvalidArgumentError, match="learning_rate must be a positive number"):
        train(tiny, "async-msgl", **settings, learning_rate=[0.01, 0.02, -1])
