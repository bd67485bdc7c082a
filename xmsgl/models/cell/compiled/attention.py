"""Attention of short vectors over many days, compiled for the CPU.

Libraries make attention fast for heads of 64 channels or more. The interpolation task has five, so that most
of their time is overhead; here a score never leaves its register.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmsgl.models.cell.compiled.parts import AttentionSizes
from xmsgl.models.cell.compiled.scan import flat, room, roomy, share_out

__all__ = ["compiled_attention", "suits"]

#: Most channels per head whose sums fit in registers.
_CHANNELS = 8

#: Pairs of days, over all heads, that make a thread worth starting: half a millisecond of work.
_PAIRS = 1e6


def suits(query: Tensor, both: Tensor, heads: int) -> bool:
    """Whether :func:`compiled_attention` can be used and pays for its compilation."""
    exact = query.dtype == both.dtype and query.dtype in (torch.float32, torch.float64)
    on_cpu = query.device.type == both.device.type == "cpu"
    short = query.shape[-1] <= _CHANNELS * heads
    return exact and on_cpu and short and query[..., 0].numel() * both.shape[1] * heads >= _PAIRS


def compiled_attention(query: Tensor, both: Tensor, heads: int) -> Tensor:
    """Attend from some days of each sequence to all its days: ``softmax(Q K^T / sqrt(d)) V`` in each head.

    Keeps two values per query and head; the backward pass computes the scores again. The result does not
    depend on the number of threads.

    Shapes: `query` (sequence, some days, hidden), `both` (sequence, days, 2 hidden).

    References
    ----------
    Dao et al., FlashAttention, NeurIPS 2022, arXiv:2205.14135.
    """
    output: Tensor = _Attention.apply(query, both, heads)  # type: ignore[no-untyped-call]
    return output


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, both: Tensor, heads: int) -> Tensor:
        from xmsgl.models.cell.compiled import attention_loops as loops

        s = _sizes(query, both, heads)
        exponents = query * (1 / math.sqrt(s.channels) / math.log(2))  # of two
        out = roomy(*query.shape, like=query)
        top, share = (roomy(s.sequences, s.asked, heads, like=query) for _ in range(2))
        scratch = room((loops.scratch_size(s),), flat(out).dtype, zero=True)
        given = flat(exponents), flat(both), scratch, flat(out), flat(top), flat(share)
        share_out(s.workers, loops.attend, s, (0,) * s.channels, *given)
        ctx.save_for_backward(exponents, both, out, top, share)
        ctx.heads = heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        from xmsgl.models.cell.compiled import attention_loops as loops

        exponents, both, out, top, share = ctx.saved_tensors
        s = _sizes(exponents, both, ctx.heads)
        apart = s.sequences, s.asked, s.heads, s.channels
        given = grad.reshape(apart) * share[..., None]
        mean = (given * out.view(apart)).sum(-1)
        d_query, d_both = (roomy(*part.shape, like=part) for part in (exponents, both))
        scratch = room((loops.scratch_size(s),), flat(out).dtype, zero=True)
        arrays = flat(exponents), flat(both), scratch, flat(given), flat(top), flat(mean)
        gradients = flat(d_query), flat(d_both)
        share_out(s.workers, loops.attend_back, s, (0,) * s.channels, *arrays, *gradients)
        d_both[..., : d_query.shape[-1]] *= math.log(2)  # keys, multiplied with exponents of two
        return d_query.mul_(1 / math.sqrt(s.channels)), d_both, None


def _sizes(query: Tensor, both: Tensor, heads: int) -> AttentionSizes:
    from xmsgl.models.cell.compiled.vector import lane_count

    sequences, asked, hidden = query.shape
    days, channels, lanes = both.shape[1], hidden // heads, lane_count(query.element_size())
    units = sequences * heads
    threads = min(torch.get_num_threads(), units, int(units * asked * days / _PAIRS))
    return AttentionSizes(
        sequences=sequences,
        heads=heads,
        asked=asked,
        days=days,
        channels=channels,
        rows=-(-asked // lanes) * lanes,
        lanes=lanes,
        workers=max(1, threads),
    )
