"""The masked loss against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.training.losses import masked_rmse


@pytest.fixture
def pairs():
    rng = np.random.default_rng(5)
    prediction, target = rng.normal(size=(2, 30, 6, 2))
    target[rng.uniform(size=target.shape) < 0.9] = np.nan
    return prediction, target


def test_pools_over_observed_pairs(pairs):
    prediction, target = pairs
    seen = np.isfinite(target)
    expected = np.sqrt(np.mean((prediction[seen] - target[seen]) ** 2))
    assert masked_rmse(torch.tensor(prediction), torch.tensor(target)).item() == pytest.approx(expected)


def test_gradient_is_zero_where_nothing_was_observed(pairs):
    prediction, target = (torch.tensor(values) for values in pairs)
    prediction.requires_grad_()
    loss = masked_rmse(prediction, target)
    (gradient,) = torch.autograd.grad(loss, prediction)
    seen = ~torch.isnan(target)
    expected = (prediction - target) / (seen.sum() * loss)
    torch.testing.assert_close(gradient[seen], expected[seen].detach())
    assert not gradient[~seen].any()


def test_no_label_no_loss():
    assert masked_rmse(torch.ones(4), torch.full((4,), torch.nan)) is None


def test_a_perfect_prediction_has_a_finite_gradient():
    prediction = torch.ones(3, requires_grad=True)
    masked_rmse(prediction, torch.tensor([1.0, 1.0, torch.nan])).backward()
    assert torch.isfinite(prediction.grad).all()


def test_an_infinite_prediction_on_an_unseen_day_does_no_harm():
    prediction = torch.tensor([1.0, torch.inf], requires_grad=True)
    loss = masked_rmse(prediction, torch.tensor([0.0, torch.nan]))
    loss.backward()
    assert loss.item() == 1.0
    assert prediction.grad.tolist() == [1.0, 0.0]


def test_shapes_must_agree():
    with pytest.raises(InvalidArgumentError, match=r"\(3,\), \(2,\)"):
        masked_rmse(torch.zeros(3), torch.zeros(2))
