"""Training on inputs that reaches inherit is training on inputs of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.small import QUICK
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.training.train import train

SETTINGS = {**QUICK, "epochs": 3, "pretrain": 0, "validation": 0.3}


@pytest.fixture
def written_out(monkeypatch):
    """Count how often inputs of every reach are written out."""
    calls = []
    expand = InheritedInputs.expand
    monkeypatch.setattr(InheritedInputs, "expand", lambda x: calls.append(x) or expand(x))
    return calls


@pytest.mark.parametrize(
    ("options", "expands"),
    [
        ({}, False),
        ({"batch": 2}, False),
        ({"method": "fine-only"}, False),
        ({"identity": 2}, True),
        ({"backend": "torch"}, True),
    ],
    ids=["one-window", "windows", "fine-only", "identity", "torch"],
)
def test_weights_and_losses_are_the_same(river, monkeypatch, written_out, options, expands):
    ds = river.isel(time=slice(0, 240))
    inherited = train(ds, **{**SETTINGS, **options})
    assert bool(written_out) == expands
    monkeypatch.setattr(ScaleInputs, "sources", lambda *_: None)
    own = train(ds, **{**SETTINGS, **options})
    np.testing.assert_equal(inherited.history, own.history)
    assert all(torch.equal(weights, own.weights[name]) for name, weights in inherited.weights.items())
