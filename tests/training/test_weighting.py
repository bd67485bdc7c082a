"""Task weights against a general optimiser, and the backward pass against full autograd."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.training.weighting import min_norm_weights, multi_task_backward, task_weights


def slsqp(gram):
    """Value of the least norm, from several starts; an independent, general method."""
    size = len(gram)
    scaled = gram / max(np.diag(gram).max(), 1e-300)
    best = np.inf
    for start in [*np.eye(size), np.full(size, 1 / size)]:
        found = minimize(
            lambda w: w @ scaled @ w,
            start,
            jac=lambda w: 2 * scaled @ w,
            bounds=[(0, 1)] * size,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
            options={"ftol": 1e-14, "maxiter": 300},
        )
        weights = np.clip(found.x, 0, None)
        weights /= weights.sum()
        best = min(best, weights @ scaled @ weights)
    return best


def degenerate(kind, rng):
    base = rng.normal(size=(3, 8))
    if kind == "parallel":
        base[1] = 2 * base[0]
    elif kind == "opposed":
        base[1] = -0.5 * base[0]
    elif kind == "equal":
        base[1:] = base[0]
    elif kind == "one-zero":
        base[2] = 0
    elif kind == "coplanar":
        base[2] = 0.3 * base[0] + 0.7 * base[1]
    elif kind == "far-apart-in-length":
        base *= np.array([[1e-6], [1.0], [1e6]])
    return base


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_least_norm_agrees_with_slsqp(size):
    rng = np.random.default_rng(size)
    for number in range(25):
        vectors = rng.normal(size=(size, 1 + number % 6)) + rng.normal() * (number % 3)
        gram = vectors @ vectors.T
        weights = min_norm_weights(gram)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        value = weights @ gram @ weights / np.diag(gram).max()
        assert value <= slsqp(gram) + 1e-9


@pytest.mark.parametrize(
    "kind", ["parallel", "opposed", "equal", "one-zero", "coplanar", "far-apart-in-length"]
)
def test_least_norm_of_degenerate_hulls(kind):
    rng = np.random.default_rng(7)
    for _ in range(10):
        vectors = degenerate(kind, rng)
        gram = vectors @ vectors.T
        weights = min_norm_weights(gram)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        assert weights @ gram @ weights / np.diag(gram).max() <= slsqp(gram) + 1e-9


def test_least_norm_direction_descends_for_every_task():
    rng = np.random.default_rng(3)
    for _ in range(50):
        vectors = rng.normal(size=(3, 20))
        direction = min_norm_weights(vectors @ vectors.T) @ vectors
        assert (vectors @ direction >= direction @ direction - 1e-9).all()


def test_two_tasks_have_the_closed_form_of_the_literature():
    rng = np.random.default_rng(4)
    for a, b in rng.normal(size=(50, 2, 4)):
        expected = np.clip((b - a) @ b / ((a - b) @ (a - b)), 0, 1)
        assert min_norm_weights([[a @ a, a @ b], [a @ b, b @ b]])[0] == pytest.approx(expected, abs=1e-7)


def test_all_zero_gradients_share_equally():
    np.testing.assert_allclose(min_norm_weights(np.zeros((3, 3))), 1 / 3)


@pytest.mark.parametrize(
    "gram", [np.zeros((2, 3)), np.zeros((0, 0)), np.array([[np.nan]])], ids=["oblong", "empty", "nan"]
)
def test_invalid_gram_matrices_are_refused(gram):
    with pytest.raises(InvalidArgumentError):
        min_norm_weights(gram)


def test_normalisation_is_loss_times_norm():
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([0.0, 50.0])]
    # Orthogonal unit vectors over the losses 1 and 2: lengths 1 and 1/2, so weights 1/5 and 4/5.
    np.testing.assert_allclose(task_weights(gradients, [1.0, 2.0]), [0.2, 0.8], atol=1e-9)


def test_a_task_with_no_shared_gradient_does_not_stop_the_others():
    gradients = [torch.tensor([1.0, 0.0]), torch.zeros(2), torch.tensor([0.0, 1.0])]
    np.testing.assert_allclose(task_weights(gradients, [1.0, 1.0, 1.0]), [1 / 3] * 3, atol=1e-9)


def test_a_loss_of_zero_gives_finite_weights():
    weights = task_weights([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])], [0.0, 1.0])
    np.testing.assert_allclose(weights, [0.0, 1.0], atol=1e-6)


class Toy(nn.Module):
    """Two trunks with one shared layer, like the model; and a head no task uses."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(4, 6)
        self.heads = nn.ModuleDict({name: nn.Linear(6, 1) for name in ("coarse", "interpolation", "fine")})
        self.idle = nn.Linear(2, 2)

    def losses(self, x, names):
        coarse, fine = torch.tanh(self.shared(x[0])), torch.tanh(self.shared(x[1]))
        trunk = {"coarse": coarse, "interpolation": coarse, "fine": fine}
        return {name: (self.heads[name](trunk[name]) - 1).square().mean() for name in names}


SUBSETS = [
    subset
    for size in (1, 2, 3)
    for subset in itertools.combinations(("coarse", "interpolation", "fine"), size)
]


@pytest.mark.parametrize("weighting", ["mgda", "uniform"])
@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_gradient_is_that_of_the_weighted_sum(names, weighting):
    torch.manual_seed(2)
    toy, x = Toy().double(), torch.randn(2, 30, 4, dtype=torch.float64)
    parameters = list(toy.parameters())
    weights = multi_task_backward(
        toy.losses(x, names), list(toy.shared.parameters()), parameters, weighting=weighting
    )
    got = [parameter.grad for parameter in parameters]
    assert list(weights) == list(names)
    assert sum(weights.values()) == pytest.approx(1)
    toy.zero_grad()
    losses = toy.losses(x, names)
    sum(weights[name] * losses[name] for name in names).backward()
    for gradient, parameter in zip(got, parameters, strict=True):
        if parameter.grad is None:
            assert gradient is None
        else:
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-12)


def test_weights_come_from_the_shared_gradients():
    torch.manual_seed(2)
    toy, x = Toy().double(), torch.randn(2, 30, 4, dtype=torch.float64)
    shared = list(toy.shared.parameters())
    losses = toy.losses(x, SUBSETS[-1])
    unit = []
    for loss in losses.values():
        parts = torch.autograd.grad(loss, shared, retain_graph=True)
        gradient = np.concatenate([part.numpy().ravel() for part in parts])
        unit.append(gradient / (loss.item() * np.linalg.norm(gradient)))
    gram = np.array(unit) @ np.array(unit).T
    got = multi_task_backward(toy.losses(x, SUBSETS[-1]), shared, list(toy.parameters()), weighting="mgda")
    weights = np.array(list(got.values()))
    assert weights @ gram @ weights / np.diag(gram).max() == pytest.approx(slsqp(gram), abs=1e-9)
    np.testing.assert_allclose(weights, min_norm_weights(gram), atol=1e-9)


def test_old_gradients_are_overwritten():
    w = nn.Parameter(torch.tensor([2.0]))
    for _ in range(2):
        multi_task_backward({"only": w.square().sum()}, [w], [w], weighting="mgda")
        assert w.grad.tolist() == [4.0]


@pytest.mark.parametrize(("weighting", "passes"), [("mgda", 2), ("uniform", 1)])
def test_no_more_backward_passes_than_needed(weighting, passes):
    count = 0

    class Trunk(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            nonlocal count
            count += 1
            return grad * 2

    weight = nn.Parameter(torch.ones(3))
    shared = Trunk.apply(weight)
    losses = {"a": shared.sum(), "b": shared.square().mean()}
    multi_task_backward(losses, [weight], [weight], weighting=weighting)
    assert count == passes
