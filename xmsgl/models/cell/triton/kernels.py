"""Triton kernels for one day of the recurrent graph cell, without its matrix products.

A program processes ``BLOCK`` values of a plane. A plane holds H channels of every row, and a row is one reach
in one window, ``node * B + window``. All arrays are contiguous. ``z`` holds the arguments of i, f, o, g and
of the message, ``(slots, rows, 5 H)``, which the backward pass replaces by their gradients.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["backward_gates", "backward_messages", "forward_day"]


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    e = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - e) / (1.0 + e)
    far = tl.where(x < 0.0, -far, far)
    if x.dtype == tl.float64:
        return far
    s = x * x  # 1 - e loses digits near zero: series up to x^9
    series = 1.0 + s * (-0.33333333 + s * (0.13333333 + s * (-0.053968254 + s * 0.021869488)))
    return tl.where(s < 0.09, x * series, far)


@triton.jit
def _place(count, H: tl.constexpr, BLOCK: tl.constexpr):
    """Return the positions of this program in a plane, which of them exist, and their positions in z."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return at, at < count, at // H * (5 * H) + at % H


@triton.jit
def _entries(start, at, inside, H: tl.constexpr, B: tl.constexpr):
    """Return the begin and end of the entries of each CSR row, and the largest number of entries."""
    reach = at // (H * B)
    first = tl.load(start + reach, mask=inside, other=0)
    last = tl.load(start + reach + 1, mask=inside, other=0)
    return first, last, tl.max(last - first, axis=0)


@triton.jit(do_not_specialize=["slot", "day", "read", "write", "count"])
def forward_day(
    z,
    states,
    cells,
    drop,
    start,
    node,
    weight,
    slot,
    day,
    read,
    write,
    count,
    H: tl.constexpr,
    B: tl.constexpr,
    BLOCK: tl.constexpr,
    DROPS: tl.constexpr,
):
    """Compute the cell and the hidden state of a day."""
    at, inside, place = _place(count, H, BLOCK)
    plane = count.to(tl.int64)
    z += slot * (5 * plane)
    c = tl.load(cells + read * plane + at, mask=inside, other=0.0)
    first, last, most = _entries(start, at, inside, H, B)
    window = at % (H * B) // H
    message = z + 4 * H + at % H
    for k in range(most):
        has = first + k < last
        row = tl.load(node + first + k, mask=has, other=0).to(tl.int64) * B + window
        share = tl.load(weight + first + k, mask=has, other=0.0)
        # Each reader takes the tanh of a message again, which is cheaper than storing it.
        c += share * _tanh(tl.load(message + row * (5 * H), mask=has, other=0.0))
    c *= _sigmoid(tl.load(z + place + H, mask=inside, other=0.0))
    g = _tanh(tl.load(z + place + 3 * H, mask=inside, other=0.0))
    if DROPS:
        g *= tl.load(drop + at, mask=inside, other=0.0)
    c += g * _sigmoid(tl.load(z + place, mask=inside, other=0.0))
    o = _sigmoid(tl.load(z + place + 2 * H, mask=inside, other=0.0))
    tl.store(cells + write * plane + at, c, mask=inside)
    tl.store(states + day * plane + at, o * _tanh(c), mask=inside)


@triton.jit(do_not_specialize=["slot", "day", "count"])
def backward_gates(
    z,
    cells,
    drop,
    given,
    dh,
    dc,
    slot,
    day,
    count,
    H: tl.constexpr,
    BLOCK: tl.constexpr,
    DROPS: tl.constexpr,
    GIVEN: tl.constexpr,
):
    """Replace the gates of a day by their gradients, and dc by that of the cell state before."""
    at, inside, place = _place(count, H, BLOCK)
    plane = count.to(tl.int64)
    z += slot * (5 * plane) + place
    i = _sigmoid(tl.load(z, mask=inside, other=0.0))
    f = _sigmoid(tl.load(z + H, mask=inside, other=0.0))
    o = _sigmoid(tl.load(z + 2 * H, mask=inside, other=0.0))
    g = _tanh(tl.load(z + 3 * H, mask=inside, other=0.0))
    c = tl.load(cells + (day + 1) * plane + at, mask=inside, other=0.0)
    u = _tanh(c)
    from_h = tl.load(dh + at, mask=inside, other=0.0)
    if GIVEN:
        from_h += tl.load(given + day * plane + at, mask=inside, other=0.0)
    d = tl.load(dc + at, mask=inside, other=0.0) + from_h * o * (1.0 - u * u)
    slope = d * (1.0 - g * g)
    if DROPS:
        mask = tl.load(drop + at, mask=inside, other=0.0)
        slope *= mask
        g *= mask
    tl.store(z, d * g * i * (1.0 - i), mask=inside)
    tl.store(z + H, d * (c - i * g) * (1.0 - f), mask=inside)  # c - i g = f (c' + A q)
    tl.store(z + 2 * H, from_h * u * o * (1.0 - o), mask=inside)
    tl.store(z + 3 * H, slope * i, mask=inside)
    tl.store(dc + at, d * f, mask=inside)


@triton.jit(do_not_specialize=["slot", "count"])
def backward_messages(
    z, dc, start, node, weight, slot, count, H: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr
):
    """Replace the messages of a day by the gradients of their arguments."""
    at, inside, place = _place(count, H, BLOCK)
    z += slot * (5 * count.to(tl.int64)) + place + 4 * H
    q = _tanh(tl.load(z, mask=inside, other=0.0))
    first, last, most = _entries(start, at, inside, H, B)
    within = at % (H * B)
    total = tl.zeros_like(q)
    for k in range(most):
        has = first + k < last
        reader = tl.load(node + first + k, mask=has, other=0).to(tl.int64)
        share = tl.load(weight + first + k, mask=has, other=0.0)
        total += share * tl.load(dc + reader * (H * B) + within, mask=has, other=0.0)
    tl.store(z, total * (1.0 - q * q), mask=inside)
