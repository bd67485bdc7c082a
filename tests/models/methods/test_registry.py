"""Making models by name."""

from __future__ import annotations

import pytest
import torch

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.methods.base import register_model
from xmsgl.models.methods.msgl import FineOnly
from xmsgl.models.methods.registry import MODELS, create_model


def test_unknown_name_lists_the_known():
    with pytest.raises(UnknownNameError, match="fine-only, msgl, progressive, remap"):
        create_model("lstm-of-dreams", n_features=3)


def test_unknown_argument_lists_the_known():
    with pytest.raises(InvalidArgumentError, match="no argument layers; it has backbone, backend"):
        create_model("remap", n_features=3, layers=2)


def test_a_new_model_plugs_in():
    @register_model("mine")
    class Mine(FineOnly):
        pass

    try:
        assert "mine" in MODELS
        assert isinstance(create_model("mine", n_features=2, hidden=4), Mine)
        with pytest.raises(InvalidArgumentError, match=r"already a network model 'msgl' \(MSGL\)"):
            register_model("msgl")(Mine)
        with pytest.raises(InvalidArgumentError, match="must be a class derived from NetworkModel"):
            register_model("other")(dict)
    finally:
        del MODELS["mine"]


def test_a_seed_fixes_the_weights_and_spares_the_global_generator():
    torch.manual_seed(0)
    first = create_model("msgl", n_features=3, seed=4)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
    second, third = (create_model("msgl", n_features=3, seed=seed) for seed in (4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.cell.W_ih, third.cell.W_ih)


def test_without_a_seed_torch_draws():
    torch.manual_seed(3)
    first = create_model("remap", n_features=3)
    second = create_model("remap", n_features=3)
    assert not torch.equal(first.cell.W_ih, second.cell.W_ih)
