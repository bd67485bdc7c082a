"""The heads against plain formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.methods.heads import FineHead, InterpolationHead, LinearHead, TemporalAttention


def normalise(x, norm):
    mean = x.mean(-1, keepdim=True)
    deviation = ((x - mean).square().mean(-1, keepdim=True) + norm.eps).sqrt()
    return (x - mean) / deviation * norm.weight + norm.bias


def attention_by_hand(block, x):
    """One sequence (time, hidden), one head and one day at a time."""
    days, hidden = x.shape
    size = hidden // block.heads
    query, key, value = (x @ block.project.weight.T + block.project.bias).split(hidden, dim=1)
    attended = torch.zeros_like(x)
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        for day in range(days):
            scores = torch.exp(key[:, part] @ query[day, part] / math.sqrt(size))
            attended[day, part] = (scores / scores.sum()) @ value[:, part]
    return normalise(x + attended @ block.mix.weight.T + block.mix.bias, block.norm)


def test_linear_head_adds_21_parameters_at_20_channels():
    head = LinearHead(20)
    assert sum(parameter.numel() for parameter in head.parameters()) == 21
    h = torch.randn(3, 4, 2, 20)
    torch.testing.assert_close(head(h), (h * head.linear.weight[0]).sum(-1) + head.linear.bias)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_equals_a_plain_loop(heads):
    torch.manual_seed(0)
    block = TemporalAttention(8, heads).double()
    x = torch.randn(3, 9, 8, dtype=torch.float64)
    expected = torch.stack([attention_by_hand(block, sequence) for sequence in x])
    torch.testing.assert_close(block(x), expected)


def test_interpolation_head_is_two_blocks_summed():
    torch.manual_seed(0)
    head = InterpolationHead(8, 2).double()
    h = torch.randn(6, 3, 2, 8, dtype=torch.float64)
    got = head(h)
    for node in range(3):
        for window in range(2):
            once = attention_by_hand(head.first, h[:, node, window])
            total = once + attention_by_hand(head.second, once)
            torch.testing.assert_close(got[:, node, window], head.out(total))


@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_chunks_change_neither_values_nor_gradients(chunk):
    torch.manual_seed(0)
    whole = InterpolationHead(8, 4, chunk=100).double()
    parts = InterpolationHead(8, 4, chunk=chunk).double()
    parts.load_state_dict(whole.state_dict())
    h = torch.randn(7, 5, 2, 8, dtype=torch.float64)
    results = []
    for head in (whole, parts):
        leaf = h.clone().requires_grad_()
        output = head(leaf)
        results.append([output, *torch.autograd.grad(output.square().sum(), [leaf, *head.parameters()])])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_wanted_days_equal_those_computed_with_all_days(share):
    torch.manual_seed(1)
    head = InterpolationHead(8, 4, chunk=5).double()
    h = torch.randn(11, 7, 3, 8, dtype=torch.float64)
    wanted = torch.rand(11, 7, 3) < share
    wanted[:, 2, 1] = share > 0.1  # one sequence wants every day, and its neighbours do not
    results = []
    for mask in (None, wanted):
        leaf = h.clone().requires_grad_()
        output = torch.where(wanted, head(leaf, mask), 0.0)
        results.append(
            [
                output,
                *torch.autograd.grad(
                    (output.square() + leaf.sum() * 0).sum(), [leaf, *head.parameters()], allow_unused=True
                ),
            ]
        )
    assert not head(h, wanted)[~wanted].any()
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(torch.zeros_like(expected) if got is None else got, expected)


def test_fine_head_equals_its_formula():
    torch.manual_seed(0)
    head = FineHead(4).double().eval()
    context, own = torch.randn(2, 5, 3, 1, 4, dtype=torch.float64)
    z = torch.cat([context, own], -1)
    a = normalise(z, head.norm) @ head.inner.weight.T + head.inner.bias
    gelu = a * 0.5 * (1 + torch.erf(a / math.sqrt(2)))
    inner = gelu + z @ head.residual.weight.T + head.residual.bias
    torch.testing.assert_close(head(context, own), head.out(inner))


def test_fine_head_sends_no_gradient_into_the_context():
    context, own = (torch.randn(5, 3, 1, 4, requires_grad=True) for _ in range(2))
    FineHead(4)(context, own).sum().backward()
    assert context.grad is None
    assert own.grad.abs().sum() > 0


def test_fine_head_drops_only_while_training():
    head = FineHead(16, dropout=0.5)
    context, own = torch.randn(2, 5, 3, 1, 16)
    assert not torch.equal(head(context, own), head(context, own))
    head.eval()
    assert torch.equal(head(context, own), head(context, own))


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_must_divide_hidden(heads):
    with pytest.raises(InvalidArgumentError, match=f"heads={heads} and hidden=20"):
        InterpolationHead(20, heads)


def test_dropout_of_everything_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"1\.5"):
        FineHead(4, dropout=1.5)


def test_heads_are_modules_whose_weights_all_matter():
    torch.manual_seed(0)
    h = torch.randn(6, 3, 2, 8)
    for head, inputs in [(InterpolationHead(8, 2), (h,)), (FineHead(8), (h, h))]:
        assert isinstance(head, nn.Module)
        head(*inputs).square().sum().backward()
        assert all(parameter.grad is not None for parameter in head.parameters())
