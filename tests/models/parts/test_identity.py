"""What a segment is beyond its attributes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.parts.identity import SegmentIdentity

ROWS = torch.tensor([0, 0, 1, -1, 2])


def filled(hide=0.0, channels=4):
    identity = SegmentIdentity(3, channels, hide)
    with torch.no_grad():
        identity.table.copy_(torch.arange(1.0, 1 + 3 * channels).reshape(3, channels))
    return identity


def test_every_node_gets_the_values_of_its_segment():
    identity = filled().eval()
    x = torch.randn(6, 5, 2, 7)
    out = identity(x, ROWS)
    assert torch.equal(out[..., :7], x)
    for node, row in enumerate(ROWS.tolist()):
        expected = torch.zeros(4) if row < 0 else identity.table[row]
        for day in range(6):
            for window in range(2):
                assert torch.equal(out[day, node, window, 7:], expected)


def test_an_untrained_identity_is_zero():
    out = SegmentIdentity(3, 4)(torch.randn(2, 5, 1, 3), ROWS)
    assert (out[..., 3:] == 0).all()


def test_training_hides_segments_a_window_at_a_time():
    torch.manual_seed(0)
    identity = filled(hide=0.25).train()
    out = identity(torch.zeros(3, 5, 4000, 1), ROWS)[..., 1:]
    assert torch.equal(out[0], out[2])  # the same on every day of a window
    shown = (out[0] != 0).all(-1)
    assert not shown[3].any()
    assert torch.equal(shown[0], shown[1])  # reaches of one segment share its fate
    assert not torch.equal(shown[0], shown[2])
    for node in (0, 2, 4):
        np.testing.assert_allclose(shown[node].float().mean(), 0.75, atol=0.03)
    kept = out[0][shown]
    assert set(kept[:, 0].tolist()) == {1.0, 5.0, 9.0}  # not rescaled: known is known


def test_nothing_is_hidden_while_predicting():
    identity = filled(hide=0.9).eval()
    out = identity(torch.zeros(1, 5, 50, 1), ROWS)[..., 1:]
    assert (out[0, [0, 1, 2, 4]] != 0).all()


def test_only_seen_segments_learn():
    identity = filled()
    identity(torch.zeros(2, 3, 1, 1), torch.tensor([0, -1, 2])).sum().backward()
    assert (identity.table.grad[[0, 2]] != 0).all()
    assert (identity.table.grad[1] == 0).all()
    assert (identity.table.grad[0] == 2).all()  # -1 reads row 0, but must not teach it


def test_without_channels_inputs_pass():
    x = torch.randn(2, 5, 1, 3)
    assert torch.equal(SegmentIdentity(3, 0)(x, ROWS), x)


@pytest.mark.parametrize(
    "arguments",
    [(-1, 4), (3, -1), (3, 4, 1.0), (3, 4, -0.1)],
    ids=["segments", "channels", "all", "negative"],
)
def test_impossible_sizes_are_refused(arguments):
    with pytest.raises(InvalidArgumentError, match="got"):
        SegmentIdentity(*arguments)
