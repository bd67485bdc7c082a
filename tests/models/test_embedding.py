"""What attributes say of a river together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.embedding import AttributeEmbedding
from xmsgl.models.inherited import InheritedInputs
from xmsgl.models.registry import create_model


def by_hand(embedding, attributes):
    """Two layers of tanh, as NumPy says it."""
    first, _, second, _ = embedding.layers
    inner = np.tanh(attributes @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    return np.tanh(inner @ second.weight.detach().numpy().T + second.bias.detach().numpy())


def test_every_node_gets_the_numbers_of_its_attributes():
    torch.manual_seed(0)
    embedding = AttributeEmbedding([1, 4], 3)
    x = torch.randn(6, 5, 2, 7)
    x[:, ..., [1, 4]] = x[0, ..., [1, 4]]
    out = embedding(x)
    assert torch.equal(out[..., :7], x)
    for node in range(5):
        for window in range(2):
            expected = by_hand(embedding, x[0, node, window, [1, 4]].numpy())
            for day in range(6):
                np.testing.assert_allclose(out[day, node, window, 7:].detach(), expected, atol=1e-6)


@pytest.mark.parametrize("windows", [1, 2])
@pytest.mark.parametrize("blurred", [False, True], ids=["plain", "blurred"])
def test_inherited_inputs_are_widened_alike(windows, blurred):
    torch.manual_seed(0)
    embedding = AttributeEmbedding([0, 2], 3)
    rows = torch.randn(4, 2, windows, 3)
    rows[:, ..., [0, 2]] = rows[0, ..., [0, 2]]
    fixed = torch.randn(*((5, windows, 3) if blurred else (5, 3)))
    x = InheritedInputs(rows, torch.tensor([0, 1, 1, 0, 1]), fixed)
    with torch.no_grad():
        widened = x.widen(embedding.of(x))
        torch.testing.assert_close(widened.expand(), embedding(x.expand()))
    assert widened.shape == (4, 5, windows, 6)


@pytest.mark.parametrize(
    ("attributes", "channels"), [([], 2), ([1], 0), ([1, 1], 2), ([-1], 2)], ids=["none", "0", "twice", "-1"]
)
def test_what_can_not_be_embedded_is_refused(attributes, channels):
    with pytest.raises(InvalidArgumentError, match="each once"):
        AttributeEmbedding(attributes, channels)


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap", "direct"])
def test_a_model_without_is_that_of_before(method):
    plain = create_model(method, n_features=7, seed=0)
    told = create_model(method, n_features=7, seed=0, embedding=0, attributes=[3])
    assert plain.state_dict().keys() == told.state_dict().keys()
    wide = create_model(method, n_features=7, seed=0, embedding=4, attributes=[3, 5])
    added = {name for name in wide.state_dict() if name not in plain.state_dict()}
    assert added == {f"embedding.layers.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")}
    assert wide.cell.W_ih.shape[0] == 11
