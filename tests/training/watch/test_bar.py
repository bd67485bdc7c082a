"""The bar of a training: epochs, scores, and nothing on standard output."""

from __future__ import annotations

import pytest

from tests.small import WATCHED
from xmsgl.training.train import train


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 150))


@pytest.mark.parametrize("how", [True, "bar"])
def test_the_bar_counts_epochs_and_says_how_good(tiny, capsys, how):
    model = train(tiny, "remap", progress=how, **WATCHED)
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err.split("\r")[-1]
    assert "train remap: 100%" in last
    assert "3/3" in last
    assert f"validation {model.history['validation'][-1]:.3f} degC" in last
    assert f"best {min(model.history['validation']):.3f}" in last
