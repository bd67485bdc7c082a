"""The recurrent graph cell compiled for the CPU: the ``numba`` backend.

Like the torch backend it keeps the hidden and the cell state of every day and computes the gates again in the
backward pass. A whole window is one call of :mod:`xmsgl.models.cell.compiled.loops`, compiled at first use.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.compiled.openmp import dismiss_waiting
from xmsgl.models.cell.compiled.parts import Gradients, Graph, Sizes, Team, Weights, Window
from xmsgl.models.cell.given import CellWeights, in_one_precision, scan
from xmsgl.models.cell.rounding import tiny_as_zero
from xmsgl.models.parts.inherited import InheritedInputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from xmsgl.models.cell.given import Given
    from xmsgl.models.parts.operator import GraphOperator

__all__ = [
    "compiled_scan",
    "flat",
    "graph_arrays",
    "pack",
    "room",
    "roomy",
    "share_out",
    "sizes_of",
    "window_arrays",
]

#: Rows in a block: few enough for the second-level cache, many enough for long sums.
_ROWS = 256

#: Bytes of a cache line, and of the longest vectors.
_LINE = 64

#: Multiplications per day that make a thread worth synchronising, some 25 microseconds of work. Three times
#: as many would slow a training step of the Delaware from 440 to 480 milliseconds.
_WORK = 6e5

_graphs: WeakKeyDictionary[GraphOperator, dict[Any, Graph]] = WeakKeyDictionary()


def compiled_scan(
    x: Tensor | InheritedInputs,
    operator: GraphOperator,
    weights: CellWeights,
    state: tuple[Tensor, Tensor],
    mask: Tensor | None,
    nodes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the cell over a window in compiled code on the CPU, in as many threads as torch if that pays.

    The same number of threads gives the same bits.

    Shapes: `x` (time, node, batch, feature), `state` (node, batch, hidden), `mask` (node, batch, hidden),
    returns (time, wanted node, batch, hidden).
    """
    if x.device.type != "cpu":
        msg = f'the numba backend runs on the CPU, but the inputs are on {x.device}; use backend="torch"'
        raise InvalidArgumentError(msg)
    given = in_one_precision(x, state, weights, mask, nodes)
    if torch.is_grad_enabled() and isinstance(given.x, InheritedInputs) and given.x.requires_grad:
        given = given._replace(x=given.x.expand())  # the loops give no gradient to inherited inputs
    return scan(_forward, _backward, given, operator)


def _forward(
    given: Given[Tensor | InheritedInputs], operator: GraphOperator, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return all hidden states, the last cell state, and the cell states in the lane layout."""
    from xmsgl.models.cell.compiled import loops

    x, weights, mask, _, h0, c0 = given
    sizes = sizes_of(x, weights, keep=keep)
    hidden = roomy(*x.shape[:3], sizes.hidden, like=c0)
    last = torch.empty_like(c0, memory_format=torch.contiguous_format)
    c = roomy(sizes.slots * sizes.blocks * sizes.hidden * sizes.rows, like=c0)
    window = window_arrays(sizes, x, h0, c0, mask, hidden, c)
    graph, packed = graph_arrays(operator, sizes, c0, transposed=False), pack(weights)
    share_out(sizes.workers, loops.forward, sizes, graph, packed, window, None, None, None, flat(last))
    return hidden, last, c


def _backward(
    given: Given[Tensor | InheritedInputs],
    operator: GraphOperator,
    hidden: Tensor,
    c: Tensor,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    *,
    wants_x: bool,
) -> tuple[Tensor | None, CellWeights, Tensor, Tensor]:
    from xmsgl.models.cell.compiled import loops

    x, weights, mask, nodes, h0, _ = given
    s = sizes_of(x, weights, keep=True)
    window = window_arrays(s, x, h0, h0, mask, hidden, c)
    dx = roomy(*x.shape, like=h0) if wants_x else None
    dh0, dc0 = (roomy(*h0.shape, like=h0) for _ in "hc")
    dc = room((s.blocks * s.hidden * s.rows,), window.x.dtype, zero=True)
    if grad_c is not None:
        loops.enter(s, flat(grad_c), s.hidden, dc)
    none = np.empty(0, window.x.dtype)
    chosen, order, bounds = _by_block(s, nodes)
    gradients = Gradients(
        given=none if grad_h is None else flat(grad_h),
        chosen=chosen,
        order=order,
        bounds=bounds,
        dh=room((s.blocks * _up(s.hidden, 4) * s.rows,), window.x.dtype, zero=True),
        dc=dc,
        dx=none if dx is None else flat(dx),
        dh0=flat(dh0),
        dc0=flat(dc0),
        sums=np.zeros(s.workers * loops.sums_size(s), window.x.dtype),
    )
    graph, packed = graph_arrays(operator, s, h0, transposed=True), pack(weights)
    share_out(s.workers, loops.backward, s, graph, packed, window, gradients)
    return dx, _unpack(s, gradients.sums), dh0, dc0


def _by_block(
    s: Sizes, nodes: Tensor | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the sorted nodes, the position of each before sorting, and where those of each block begin."""
    if nodes is None:
        none = np.empty(0, np.int64)
        return none, none, none
    order = nodes.numpy().argsort(kind="stable")
    chosen = nodes.numpy()[order]
    return chosen, order, np.searchsorted(chosen, s.block * np.arange(s.blocks + 1))


def share_out(workers: int, function: Callable[..., None], *arguments: Any) -> None:
    """Run a compiled loop in `workers` threads, the first of which is this one.

    Numba's own thread pools abort the process after a fork or when two threads use them. A new thread rounds
    in the same way as the thread that starts it.
    """
    team = Team(np.zeros(1, np.int64), _yield_address())
    others = [
        threading.Thread(target=function, args=(*arguments, team, worker), daemon=True)
        for worker in range(1, workers)
    ]
    if others:
        dismiss_waiting()
    try:
        with tiny_as_zero():
            for thread in others:
                thread.start()
            function(*arguments, team, 0)
    except BaseException:
        team.arrived[0] = 2**62  # so that no thread waits for a missing one
        raise
    finally:
        for thread in others:
            if thread.ident is not None:
                thread.join()


@lru_cache(maxsize=1)
def _yield_address() -> int:
    """Return the address of the system function that lets other threads run."""
    library, name = ("kernel32", "SwitchToThread") if sys.platform == "win32" else (None, "sched_yield")
    address = ctypes.cast(getattr(ctypes.CDLL(library), name), ctypes.c_void_p).value
    return int(address or 0)


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


def room(shape: tuple[int, ...], dtype: Any, *, zero: bool = False) -> NDArray[Any]:
    """Allocate an array that begins at a cache line, empty or with zeros.

    Unaligned vectors would each lie across two lines, which costs a tenth of the time. NumPy allocates in
    large pages; without them the first use of a large array takes as long as computing its values.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = (np.zeros if zero else np.empty)(size + _LINE, np.uint8)
    first = -raw.ctypes.data % _LINE
    found: NDArray[Any] = raw[first : first + size].view(dtype).reshape(shape)
    return found


def roomy(*shape: int, like: Tensor) -> Tensor:
    """Allocate an empty tensor of the same type on the CPU; see :func:`room`."""
    return torch.from_numpy(room(shape, like.detach()[:0].numpy().dtype))


def flat(tensor: Tensor) -> NDArray[Any]:
    """Return the values of a tensor as a flat array, not copied if it is contiguous."""
    array: NDArray[Any] = tensor.detach().contiguous().view(-1).numpy()
    return array


def sizes_of(x: Tensor | InheritedInputs, weights: CellWeights, *, keep: bool) -> Sizes:
    """Choose the blocks of a window and the number of threads."""
    from xmsgl.models.cell.compiled.tiles import WIDE
    from xmsgl.models.cell.compiled.vector import lane_count

    days, nodes, batch, features = x.shape
    hidden = len(weights.W_q)
    lanes = lane_count(weights.W_q.element_size())
    unit, step = max(4, lanes // 2), WIDE * lanes
    block = min(nodes, max(1, _ROWS // batch))
    blocks = -(-nodes // block)
    pitch = _up(hidden, 4)
    if batch * pitch % unit:
        pitch = _up(hidden, unit)
    work = nodes * batch * hidden * (5 * hidden + 4 * features)
    threads = min(torch.get_num_threads(), blocks, int(work / _WORK))
    return Sizes(
        days=days,
        nodes=nodes,
        batch=batch,
        features=features,
        hidden=hidden,
        lanes=lanes,
        unit=unit,
        step=step,
        block=block,
        blocks=blocks,
        rows=_up(block * batch, step) + lanes,
        pitch=pitch,
        slots=days + 1 if keep else 1,
        workers=max(1, threads),
    )


def window_arrays(
    s: Sizes,
    x: Tensor | InheritedInputs,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    hidden: Tensor,
    c: Tensor,
) -> Window:
    """Return the tensors of a window, flat, and buffers."""
    from xmsgl.models.cell.compiled import loops

    if isinstance(x, InheritedInputs):
        sources, windows = x.rows.shape[1] * s.batch, torch.arange(s.batch, dtype=torch.int32)
        inputs, place = flat(x.rows), flat(x.place.to(torch.int32)[:, None] * s.batch + windows)
        fixed = flat(x.fixed[:, None].expand(-1, s.batch, -1))
    else:
        inputs, place, sources = flat(x), np.empty(0, np.int32), 0
        fixed = np.empty(0, inputs.dtype)
    if mask is None:
        lanes = room((s.hidden * s.rows,), inputs.dtype)
        lanes[:] = 1
    else:
        lanes = room((s.blocks * s.hidden * s.rows,), inputs.dtype, zero=True)
        loops.enter(s, flat(mask), s.hidden, lanes)
    u, messages, scratch = (room((size,), inputs.dtype, zero=True) for size in loops.buffer_sizes(s))
    state = flat(h0), flat(c0), lanes, flat(hidden), flat(c)
    return Window(inputs, place, fixed, sources, *state, u, messages, scratch)


def graph_arrays(operator: GraphOperator, s: Sizes, like: Tensor, *, transposed: bool) -> Graph:
    """Return the operator as the loops need it, cached for each type and block size."""
    made = _graphs.setdefault(operator, {})
    key = like.dtype, s.block, transposed
    if key not in made:
        parts = operator.csr_tensors(transposed=transposed)
        start, nodes, weights = (part.cpu().numpy() for part in parts)
        counts: Any = np.diff(start)
        padded = np.concatenate([[0], np.cumsum(_up(counts, 4))])
        place = np.arange(len(nodes)) + np.repeat(padded[:-1] - start[:-1], counts)
        # Padded with zero weights of a node that is read anyway.
        filled = np.repeat(np.append(nodes, 0)[start[:-1]], np.diff(padded))
        filled[place] = nodes
        values = np.zeros(len(filled), like.detach()[:0].numpy().dtype)
        values[place] = weights
        order = np.lexsort((counts, np.arange(len(counts)) // s.block))
        made[key] = Graph(order.astype(np.int32), padded.astype(np.int32), filled.astype(np.int32), values)
    return made[key]


def pack(weights: CellWeights) -> Weights:
    """Arrange the parameters for the tiles; scale arguments of sigmoid and tanh to exponents of two."""
    from xmsgl.models.cell.compiled.vector import SIGMOID, TANH

    W_ih, W_hh, b, W_q, b_q = (weight.detach().numpy() for weight in weights)
    hidden = len(W_q)

    def quads(matrix: NDArray[Any]) -> NDArray[Any]:
        """Arrange (depth, outputs) as (outputs / 4, depth, 4)."""
        even = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % 4)))
        return even.reshape(len(even), -1, 4).transpose(1, 0, 2)

    def back(matrix: NDArray[Any]) -> NDArray[Any]:
        """Arrange (inputs, 4 hidden) as quads of inputs, from (hidden, gate)."""
        return quads(matrix.reshape(-1, 4, hidden).transpose(2, 1, 0).reshape(4 * hidden, -1))

    gates = np.concatenate([W_hh, b[None], W_ih]).reshape(-1, 4, hidden).transpose(2, 0, 1)
    message = np.concatenate([W_q, b_q[None]])
    parts = (
        gates * np.array([SIGMOID, SIGMOID, SIGMOID, TANH]),
        quads(message * TANH),
        back(W_hh),
        back(W_ih),
        quads(W_q.T),
    )
    return Weights(*(np.ascontiguousarray(part, W_q.dtype).reshape(-1) for part in parts))


def _unpack(s: Sizes, sums: NDArray[Any]) -> CellWeights:
    """Return the gradients of the weights, summed over the workers."""
    total = sums.reshape(s.workers, -1).sum(0)
    hidden, depth, even, last = s.hidden, _up(s.hidden + 1 + s.features, 4), _up(s.hidden, 4), s.hidden + 1
    cut = hidden * depth * 4
    gates = total[:cut].reshape(hidden, depth, 4).transpose(1, 2, 0).reshape(depth, 4 * hidden)
    message = total[cut:].reshape(even // 4, -1, 4).transpose(1, 0, 2).reshape(-1, even)[:, :hidden]
    parts = gates[last : last + s.features], gates[:hidden], gates[hidden], message[:hidden], message[hidden]
    return CellWeights(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))
