"""A model trained on the small river, and its prediction there."""

from __future__ import annotations

import pytest

from tests.small import PLAIN
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train


@pytest.fixture(scope="module")
def model(river_once):
    return train(
        river_once,
        "msgl",
        features=PLAIN,
        hidden=8,
        identity=2,
        window=150,
        warmup=20,
        epochs=2,
        batch=6,
        learning_rate=0.02,
        device="cpu",
        progress=False,
    )


@pytest.fixture(scope="module")
def whole(river_once, model):
    return downscale(river_once, model)
