"""Compiled attention against the formula, torch's own and finite differences."""

from __future__ import annotations

import math
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn import functional

from xmsgl.models.cell.compiled import attention as module
from xmsgl.models.cell.compiled.attention import compiled_attention, suits
from xmsgl.models.methods.heads import InterpolationHead

#: sequences, days that ask, days, heads, channels a head
SIZES = {
    "one": (1, 1, 1, 1, 1),
    "odd": (3, 17, 5, 4, 5),
    "vectors": (2, 64, 33, 2, 5),
    "year": (5, 365, 365, 4, 5),
    "few-ask": (4, 3, 100, 4, 1),
}


def draw(rng, sizes, dtype, scale=1.0):
    sequences, asked, days, heads, channels = sizes
    shapes = (sequences, asked, heads * channels), (sequences, days, 2 * heads * channels)
    query, both = (torch.tensor(scale * rng.normal(size=shape), dtype=dtype) for shape in shapes)
    weight = torch.tensor(rng.normal(size=shapes[0]), dtype=dtype)
    return query.requires_grad_(), both.requires_grad_(), weight


def formula(query, both, heads):
    """Softmax of the scaled products times the values, head by head, written out."""
    width = query.shape[-1] // heads
    outputs = []
    for head in range(heads):
        q, k, v = (
            part[..., first : first + width]
            for part, first in (
                (query, head * width),
                (both, head * width),
                (both, query.shape[-1] + head * width),
            )
        )
        scores = torch.einsum("sac,sdc->sad", q, k) / math.sqrt(width)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        outputs.append(torch.einsum("sad,sdc->sac", weights, v))
    return torch.cat(outputs, dim=-1)


def run(attend, query, both, weight, heads):
    output = attend(query, both, heads)
    return [output.detach(), *torch.autograd.grad((output * weight).sum(), (query, both))]


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_values_and_gradients_follow_the_formula_in_double(rng_state, sizes):
    given = *draw(rng_state, sizes, torch.float64), sizes[3]
    for got, expected in zip(run(compiled_attention, *given), run(formula, *given), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_single_precision_is_as_close_to_the_truth_as_the_formula(rng_state, sizes):
    query, both, weight = draw(rng_state, sizes, torch.float64)
    exact = run(formula, query, both, weight, sizes[3])
    single = [part.detach().float().requires_grad_() for part in (query, both, weight)]
    got, plain = (run(attend, *single, sizes[3]) for attend in (compiled_attention, formula))
    for a, b, truth in zip(got, plain, exact, strict=True):
        allowed = 1e-8 + 2e-6 * float(truth.abs().max()) + 3 * float((b - truth).abs().max())
        assert float((a - truth).abs().max()) <= allowed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_scores_of_any_size(rng_state, dtype):
    # Scores of thousands: all weight on one day, without overflow.
    query, both, weight = draw(rng_state, (2, 9, 40, 2, 3), dtype, scale=60.0)
    got = run(compiled_attention, query, both, weight, 2)
    apart = [part.view(*part.shape[:2], 2, -1).transpose(1, 2) for part in (query, *both.chunk(2, dim=-1))]
    expected = functional.scaled_dot_product_attention(*apart).transpose(1, 2).reshape(query.shape)
    torch.testing.assert_close(got[0], expected.detach(), rtol=1e-4, atol=1e-3)
    assert all(part.isfinite().all() for part in got)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_scores_all_low_or_all_high_beside_plain_ones(rng_state, dtype):
    """Where their powers are added up as they are, and where the highest must be taken off first."""
    query, both, weight = draw(rng_state, (2, 40, 25, 2, 5), torch.float64)
    with torch.no_grad():
        both.view(2, 25, 4, 5)[:, :, :2, 0] = 1.0  # so that a query's first channel shifts all of its scores
        shifts = torch.linspace(-300.0, 300.0, 20, dtype=torch.float64).repeat_interleave(2)
        shifts[::2] = 0.0
        query.view(2, 40, 2, 5)[..., 0] = math.sqrt(5) * shifts[:, None]
    expected = run(formula, query, both, weight, 2)
    given = [part.detach().to(dtype).requires_grad_() for part in (query, both, weight)]
    got = run(compiled_attention, *given, 2)
    for a, b in zip(got, expected, strict=True):
        # a score of 300 is kept to 2e-5 in single precision, and its gradient is some hundred times as large
        allowed = 1e-11 if dtype == torch.float64 else 2e-4
        assert float((a - b).abs().max()) <= allowed * float(b.abs().max())


@pytest.mark.parametrize("level", [0.0, -80.0, 80.0, -1e4, 1e4])
def test_equal_scores_of_any_level_give_the_mean(rng_state, level):
    _, both, _ = draw(rng_state, (2, 40, 25, 2, 5), torch.float32)
    both = both.detach()
    both[..., :10] = 1.0  # the keys
    query = torch.full((2, 40, 10), level / math.sqrt(5))
    mean = both[..., 10:].mean(1, keepdim=True).expand_as(query)
    torch.testing.assert_close(compiled_attention(query, both, 2), mean, rtol=1e-5, atol=1e-6)


def test_passes_gradcheck(rng_state):
    query, both, _ = draw(rng_state, (2, 3, 4, 2, 3), torch.float64)
    assert torch.autograd.gradcheck(lambda q, b: compiled_attention(q, b, 2), (query, both), atol=1e-7)


def test_nan_spreads_to_its_readers_only(rng_state):
    query, both, _ = (part.detach() for part in draw(rng_state, (2, 3, 20, 2, 2), torch.float32))
    query[0, 1, 0] = torch.nan
    both[1, 7, 4:6] = torch.nan  # values of the first head
    missing = compiled_attention(query, both, 2).isnan()
    expected = torch.zeros(2, 3, 4, dtype=torch.bool)
    expected[0, 1, :2] = True
    expected[1, :, :2] = True
    assert torch.equal(missing, expected)


def test_strided_inputs_and_gradients(rng_state):
    query, both, weight = draw(rng_state, (6, 10, 8, 2, 4), torch.float32)
    turned = [part.detach().transpose(0, 1).contiguous().transpose(0, 1) for part in (query, both, weight)]
    turned = [part.requires_grad_() for part in turned]
    assert not turned[0].is_contiguous()
    got, expected = run(compiled_attention, *turned, 2), run(compiled_attention, query, both, weight, 2)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_threads_do_not_change_a_bit(rng_state, monkeypatch):
    monkeypatch.setattr(module, "_PAIRS", 1.0)
    given = *draw(rng_state, (3, 20, 30, 3, 2), torch.float32), 3
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = run(compiled_attention, *given)
        torch.set_num_threads(4)
        assert module._sizes(*given[:2], 3).workers == 4
        together = run(compiled_attention, *given)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_no_array_of_the_size_of_the_scores_is_kept(rng_state):
    query, both, _ = draw(rng_state, (2, 200, 200, 4, 5), torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        compiled_attention(query, both, 4)
    assert sum(kept) <= 2 * (20 + 40 + 20 + 2 * 4) * 200


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((10, 250, 20), {}, True),
        ((10, 250, 20), {"dtype": torch.float64}, True),
        ((10, 249, 20), {}, False),
        ((10, 250, 36), {}, False),
        ((10, 250, 20), {"dtype": torch.bfloat16}, False),
        ((10, 250, 20), {"device": "meta"}, False),
    ],
    ids=["single", "double", "little", "long", "half", "elsewhere"],
)
def test_when_it_suits(shape, kind, expected):
    query, both = torch.zeros(shape, **kind), torch.zeros(10, 100, 2 * shape[2], **kind)
    assert suits(query, both, 4) == expected


def test_the_interpolation_head_uses_it_and_gives_what_torch_does(rng_state):
    torch.manual_seed(0)
    head = InterpolationHead(20)
    x = torch.tensor(rng_state.normal(size=(200, 4, 2, 20)), dtype=torch.float32, requires_grad=True)
    wanted = torch.tensor(rng_state.uniform(size=(200, 4, 2)) < 0.3)
    results = []
    for choose in (suits, lambda *_: False):
        with mock.patch("xmsgl.models.methods.heads.suits", choose):
            output = head(x, wanted)
        results.append([output.detach(), *torch.autograd.grad(output.sum(), [x, *head.parameters()])])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not np.array_equal(results[0][0].numpy(), results[1][0].numpy())  # or both were the same code


def test_numba_is_imported_at_first_use_only():
    code = "import sys, xmsgl.models.methods.heads; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
