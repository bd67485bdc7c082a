"""The recurrent graph cell over a window as one compiled function forward and one backward.

Knows NumPy and Numba only; ``scan`` brings tensors here. Rows (a row is one reach
in one window) are handled in blocks that stay in the processor's cache. Within a block arrays have the
lane layout of :mod:`xmsgl.models.cell.compiled.tiles`; what neighbours read of one another is kept row by
row. Arrays are flat and offsets written out. Rows that only fill up a block hold zeros, or finite
numbers that nobody reads.

Numba notices on its own that this file has changed and compiles it again, but not that the files
imported here have: touch this one after a change to those.

The inputs of a product stand together in ``u``, K channels a block: h of the day before, a one for the
bias, then x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from numba import njit

from xmsgl.models.cell.compiled import tiles

if TYPE_CHECKING:
    from xmsgl.models.cell.compiled.parts import Gradients, Graph, Head, Sizes, Team, Values, Weights, Window

Function = TypeVar("Function", bound=Callable[..., Any])


# Nothing here allocates: without Numba's runtime no references are counted, which takes a tenth of the time.
_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, "_nrt": False}


def _compiled(function: Function) -> Function:
    return cast("Function", njit(**_OPTIONS)(function))


#: Looks at the others before a waiting worker lets the system run something else.
_PATIENCE = 2000


@_compiled
def _up(count: int, step: int) -> int:
    """Round up to a multiple."""
    return (count + step - 1) // step * step


@_compiled
def _depth(s: Sizes) -> int:
    """Return the channels of u, in whole quads."""
    return _up(s.hidden + 1 + s.features, 4)


@_compiled
def _span(s: Sizes, block: int) -> tuple[int, int, int, int]:
    """Return the first node of a block, its number of nodes, of rows, and of rows in whole tiles."""
    first = block * s.block
    count = min(s.block, s.nodes - first)
    return first, count, count * s.batch, _up(count * s.batch, s.step)


@_compiled
def _places(s: Sizes, worker: int) -> tuple[int, int, int, int, int, int]:
    """Return where a worker keeps things in the scratch.

    In order: rows gathered; in the lane layout two times the hidden channels, the four gates, the
    inputs; the end.
    """
    gathered = _up(s.block * s.batch * s.pitch, s.lanes)
    plane = _up(s.hidden, 4) * s.rows
    size = gathered + 2 * plane + (4 * s.hidden + _up(s.features, 4)) * s.rows
    begin = worker * size
    first = begin + gathered
    gates = first + 2 * plane
    return begin, first, first + plane, gates, gates + 4 * s.hidden * s.rows, begin + size


@_compiled
def sums_size(s: Sizes) -> int:
    """Return how many gradients of weights a worker adds up.

    First the gates, ``(hidden, K / 4, 4, 4)`` with K channels of u in quads and the four gates last,
    then q, ``(hidden / 4, (hidden + 1) / 4, 4, 4)``, rounded up.
    """
    return s.hidden * _depth(s) * 4 + _up(s.hidden, 4) * _up(s.hidden + 1, 4)


@_compiled
def buffer_sizes(s: Sizes) -> tuple[int, int, int]:
    """Return the sizes of the buffers u, told and scratch."""
    return s.blocks * _depth(s) * s.rows, 2 * s.nodes * s.batch * s.pitch, s.workers * _places(s, 0)[5]


@_compiled
def _steps(count: int, width: int) -> int:
    """Return in how many steps of `width` to cover a range, the last overlapping; 0 if it is too short."""
    return (count + width - 1) // width if count >= width else 0


@_compiled
def _read(
    s: Sizes, source: Values, base: int, pitch: int, count: int, channels: int, out: Values, place: int
) -> None:
    """Bring rows into the lane layout; zeros in what fills up the last tile."""
    vectors, quads = _steps(count, s.lanes), _steps(channels, 4)
    for i in range(vectors):
        r = min(i * s.lanes, count - s.lanes)
        for j in range(quads):
            k = min(4 * j, channels - 4)
            tiles.read_quad(source, base + r * pitch + k, out, place + k * s.rows + r, pitch, s.rows)
    for k in range(channels):
        if vectors == 0 or quads == 0:
            for r in range(count):
                out[place + k * s.rows + r] = source[base + r * pitch + k]
        for r in range(count, _up(count, s.step)):
            out[place + k * s.rows + r] = 0


@_compiled
def _read_added(
    s: Sizes, source: Values, base: int, pitch: int, count: int, channels: int, out: Values, place: int
) -> None:
    """Add rows to what is there in the lane layout."""
    whole, quads = count // s.lanes * s.lanes, channels // 4 * 4
    for r in range(0, whole, s.lanes):
        for k in range(0, quads, 4):
            tiles.read_quad_added(source, base + r * pitch + k, out, place + k * s.rows + r, pitch, s.rows)
    for k in range(channels):
        for r in range(whole if k < quads else 0, count):
            out[place + k * s.rows + r] += source[base + r * pitch + k]


@_compiled
def _write(
    s: Sizes, source: Values, place: int, count: int, channels: int, out: Values, base: int, pitch: int
) -> None:
    """Bring the lane layout into rows."""
    vectors, quads = _steps(count, s.lanes), _steps(channels, 4)
    for i in range(vectors):
        r = min(i * s.lanes, count - s.lanes)
        for j in range(quads):
            k = min(4 * j, channels - 4)
            tiles.write_quad(source, place + k * s.rows + r, out, base + r * pitch + k, pitch, s.rows)
    if vectors == 0 or quads == 0:
        for k in range(channels):
            for r in range(count):
                out[base + r * pitch + k] = source[place + k * s.rows + r]


@_compiled
def enter(s: Sizes, values: Values, channels: int, lanes: Values) -> None:
    """Bring ``(node, batch, hidden)`` into the lane layout, `channels` a block."""
    for block in range(s.blocks):
        first, _, count, _ = _span(s, block)
        row, place = first * s.batch * s.hidden, block * channels * s.rows
        _read(s, values, row, s.hidden, count, s.hidden, lanes, place)


@_compiled
def _leave(s: Sizes, lanes: Values, base: int, channels: int, out: Values, begin: int, end: int) -> None:
    """Write some blocks of ``(node, batch, hidden)`` from the lane layout at `base`, `channels` a block."""
    for block in range(begin, end):
        first, _, count, _ = _span(s, block)
        place = base + block * channels * s.rows
        _write(s, lanes, place, count, s.hidden, out, first * s.batch * s.hidden, s.hidden)


@_compiled
def _gather(
    s: Sizes, graph: Graph, source: Values, base: int, first: int, count: int, out: Values, begin: int
) -> None:
    """Let the nodes of a block read from their neighbours, row by row."""
    order, start, nodes, weights = graph
    wide = s.batch * s.pitch
    units = wide // s.unit
    for n in range(first, first + count):
        node = order[n]
        e = start[node]
        size = start[node + 1] - e
        to = begin + (node - first) * wide
        done = 0
        while units - done >= 4:
            at, put = base + done * s.unit, to + done * s.unit
            tiles.gather_4(source, at, out, put, weights, e, nodes, e, size, wide)
            done += 4
        at, put = base + done * s.unit, to + done * s.unit
        if units - done == 3:
            tiles.gather_3(source, at, out, put, weights, e, nodes, e, size, wide)
        elif units - done == 2:
            tiles.gather_2(source, at, out, put, weights, e, nodes, e, size, wide)
        elif units - done == 1:
            tiles.gather_1(source, at, out, put, weights, e, nodes, e, size, wide)


@_compiled
def _tell(s: Sizes, w: Weights, v: Window, block: int, r: int, out: Values, place: int) -> None:
    """Compute q of one tile of rows from the h in u."""
    u, packed = v.u, w.message
    depth, at = s.hidden + 1, block * _depth(s) * s.rows + r
    for k in range(0, s.hidden, 4):
        put = place + k * s.rows + r
        tiles.quad_tanh(u, at, packed, k * depth, out, put, depth, s.rows)


@_compiled
def _start(s: Sizes, w: Weights, v: Window, block: int, worker: int) -> None:
    """Prepare u, the cell state and what the nodes of a block tell on the first day."""
    u, scratch = v.u, v.scratch
    first, _, count, tall = _span(s, block)
    at, row = block * _depth(s) * s.rows, first * s.batch
    _read(s, v.h0, row * s.hidden, s.hidden, count, s.hidden, u, at)
    _read(s, v.c0, row * s.hidden, s.hidden, count, s.hidden, v.c, block * s.hidden * s.rows)
    for r in range(s.rows):
        u[at + s.hidden * s.rows + r] = 1
    place = _places(s, worker)[1]
    for r in range(0, tall, s.step):
        _tell(s, w, v, block, r, scratch, place)
    _write(s, scratch, place, count, s.hidden, v.told, row * s.pitch, s.pitch)


@_compiled
def _inputs(s: Sizes, v: Window, day: int, block: int, at: int) -> None:
    """Bring the inputs of a block into u."""
    u, x, place, fixed, rows, features = v.u, v.x, v.place, v.fixed, s.rows, s.features
    first, _, count, tall = _span(s, block)
    if place.size == 0:
        given = (day * s.nodes + first) * s.batch * features
        _read(s, x, given, features, count, features, u, at)
        return
    given, row = day * v.sources * features, first * s.batch
    vectors, quads = _steps(count, s.lanes), _steps(features, 4)
    for i in range(vectors):
        r = min(i * s.lanes, count - s.lanes)
        n = row + r
        for j in range(quads):
            k = min(4 * j, features - 4)
            put = at + k * rows + r
            tiles.read_placed(x, given + k, place, n, fixed, n * features + k, u, put, features, rows)
    for k in range(features):
        if vectors == 0 or quads == 0:
            for r in range(count):
                n = row + r
                u[at + k * rows + r] = x[given + place[n] * features + k] + fixed[n * features + k]
        for r in range(count, tall):
            u[at + k * rows + r] = 0


@_compiled
def _forward_block(s: Sizes, graph: Graph, w: Weights, v: Window, day: int, block: int, worker: int) -> None:
    """Run one day of a block."""
    u, scratch, mask, c, packed = v.u, v.scratch, v.mask, v.c, w.gates
    hidden, rows, depth = s.hidden, s.rows, s.hidden + 1 + s.features
    first, nodes, count, tall = _span(s, block)
    row, everywhere, at = first * s.batch, s.nodes * s.batch, block * _depth(s) * rows
    gathered, message, to_h, to_q, _, _ = _places(s, worker)
    _inputs(s, v, day, block, at + (hidden + 1) * rows)
    _gather(s, graph, v.told, day % 2 * everywhere * s.pitch, first, nodes, scratch, gathered)
    _read(s, scratch, gathered, s.pitch, count, hidden, scratch, message)
    own = block * hidden * rows
    before = day % s.slots * s.blocks * hidden * rows + own
    after = (day + 1) % s.slots * s.blocks * hidden * rows + own
    covers = own if mask.size > hidden * rows else 0
    for r in range(0, tall, s.step):
        for k in range(hidden):
            n = k * rows + r
            tiles.forward_gates(
                u, at + r, packed, k * depth * 4, c, before + n, scratch, message + n,
                mask, covers + n, c, after + n, scratch, to_h + n, depth, rows,
            )  # fmt: skip
        tiles.move(scratch, to_h + r, u, at + r, hidden, rows)
        _tell(s, w, v, block, r, scratch, to_q)
    if v.h.size > 0:
        _write(s, scratch, to_h, count, hidden, v.h, (day * everywhere + row) * hidden, hidden)
    tells = ((day + 1) % 2 * everywhere + row) * s.pitch
    _write(s, scratch, to_q, count, hidden, v.told, tells, s.pitch)


@_compiled
def _share(s: Sizes, worker: int) -> tuple[int, int]:
    """Return the first block of a worker and the one behind its last."""
    return worker * s.blocks // s.workers, (worker + 1) * s.blocks // s.workers


@_compiled
def _meet(s: Sizes, team: Team, times: int) -> None:
    """Wait until all workers have come here so many times."""
    if s.workers > 1:
        tiles.arrive(team.arrived, 0)
        looks = 0
        while tiles.look(team.arrived, 0) < s.workers * times:
            looks += 1
            if looks > _PATIENCE:
                tiles.call(team.rest)


@_compiled
def forward(s: Sizes, graph: Graph, w: Weights, v: Window, last: Values, team: Team, worker: int) -> None:
    """Do a worker's share of a window: write h and c of `v`, and the `last` cell state row by row."""
    begin, end = _share(s, worker)
    for block in range(begin, end):
        _start(s, w, v, block, worker)
    for day in range(s.days):
        _meet(s, team, day + 1)
        for block in range(begin, end):
            _forward_block(s, graph, w, v, day, block, worker)
    _leave(s, v.c, s.days % s.slots * s.blocks * s.hidden * s.rows, s.hidden, last, begin, end)


@_compiled
def _head_block(s: Sizes, across: Graph, head: Head, v: Window, day: int, block: int, worker: int) -> None:
    """Predict one day of a block, whose hidden states :func:`_forward_block` has left in the scratch."""
    scratch, inner, direct, prediction = v.scratch, head.inner, head.direct, head.prediction
    hidden, rows, depth = s.hidden, s.rows, 2 * s.hidden
    first, nodes, count, tall = _span(s, block)
    gathered, _, own, scale, _, _ = _places(s, worker)
    z, total = own - hidden * rows, scale + rows  # the context goes right before the own state
    told = day * head.segments * s.batch * s.pitch
    deep = hidden if inner.size > 0 else 0  # a head without inner channels has no context either
    if deep > 0:
        _gather(s, across, head.context, told, first, nodes, scratch, gathered)
        _read(s, scratch, gathered, s.pitch, count, hidden, scratch, z)
    for r in range(0, tall, s.step):
        tiles.moments(scratch, z + r, direct, 0, scratch, scale + r, scratch, total + r, depth, rows)
        for k in range(0, deep, 4):
            weight = k * (depth + 2)
            tiles.quad_gelu(
                scratch, z + r, inner, weight, scratch, scale + r, scratch, total + r, depth, rows
            )
    to = (day * s.nodes + first) * s.batch
    for r in range(count):
        prediction[to + r] += scratch[total + r]


@_compiled
def predict(
    s: Sizes,
    graph: Graph,
    w: Weights,
    v: Window,
    across: Graph,
    head: Head,
    h: Values,
    c: Values,
    team: Team,
    worker: int,
) -> None:
    """Do a worker's share of a prediction: the `head` reads segments `across`; write the last `h` and `c`."""
    begin, end = _share(s, worker)
    for block in range(begin, end):
        _start(s, w, v, block, worker)
    for day in range(s.days):
        _meet(s, team, day + 1)
        for block in range(begin, end):
            _forward_block(s, graph, w, v, day, block, worker)
            _head_block(s, across, head, v, day, block, worker)
    _leave(s, v.u, 0, _depth(s), h, begin, end)
    _leave(s, v.c, s.days % s.slots * s.blocks * s.hidden * s.rows, s.hidden, c, begin, end)


@_compiled
def _message_block(
    s: Sizes, graph: Graph, w: Weights, v: Window, d: Gradients, day: int, block: int, worker: int
) -> None:
    """Take what a day's q has done, in the neighbours, on to h of the day before, which u holds still."""
    u, scratch, dh, sums = v.u, v.scratch, d.dh, d.sums
    packed, packed_back = w.message, w.message_back
    hidden, rows, even = s.hidden, s.rows, _up(s.hidden, 4)
    first, nodes, count, tall = _span(s, block)
    at, to_dh = block * _depth(s) * rows, block * even * rows
    gathered, dq, _, _, _, _ = _places(s, worker)
    _gather(s, graph, v.told, day % 2 * s.nodes * s.batch * s.pitch, first, nodes, scratch, gathered)
    _read(s, scratch, gathered, s.pitch, count, hidden, scratch, dq)
    for n in range(hidden * rows, even * rows):
        scratch[dq + n] = 0
    for r in range(0, tall, s.step):
        for k in range(0, hidden, 4):
            n, weight = dq + k * rows + r, k * (hidden + 1)
            tiles.quad_tanh_backward(u, at + r, packed, weight, scratch, n, hidden + 1, rows)
        for k in range(0, hidden, 4):
            n = to_dh + k * rows + r
            tiles.quad_product_added(
                scratch, dq + r, packed_back, k * hidden, dh, n, hidden, rows
            )  # fmt: skip
    total = worker * sums_size(s) + hidden * _depth(s) * 4
    for k in range(0, hidden, 4):
        for j in range(0, hidden + 1, 4):
            tiles.outer_quads(u, at + j * rows, scratch, dq + k * rows, sums, total, tall, rows)
            total += 16


@_compiled
def _take(s: Sizes, d: Gradients, day: int, block: int, place: int) -> None:
    """Add the gradient that is given for the hidden states of a block on a day."""
    given, dh, hidden = d.given, d.dh, s.hidden
    first, _, count, _ = _span(s, block)
    if given.size == 0:
        return
    if d.bounds.size == 0:
        row = (day * s.nodes + first) * s.batch
        _read_added(s, given, row * hidden, hidden, count, hidden, dh, place)
        return
    for k in range(d.bounds[block], d.bounds[block + 1]):
        base = (day * d.chosen.size + d.order[k]) * s.batch * hidden
        to = place + (d.chosen[k] - first) * s.batch
        for r in range(s.batch):
            for channel in range(hidden):
                dh[to + channel * s.rows + r] += given[base + r * hidden + channel]


@_compiled
def _gates_block(s: Sizes, w: Weights, v: Window, d: Gradients, day: int, block: int, worker: int) -> None:
    """Run the gates of one day of a block backward; leave h of the day before in u."""
    u, scratch, mask, c, dh, dc, sums = v.u, v.scratch, v.mask, v.c, d.dh, d.dc, d.sums
    packed, packed_back, packed_inputs = w.gates, w.gates_back, w.inputs_back
    hidden, rows, features, depth = s.hidden, s.rows, s.features, s.hidden + 1 + s.features
    first, _, count, tall = _span(s, block)
    row, everywhere = first * s.batch, s.nodes * s.batch
    at, to_dh, own = block * _depth(s) * rows, block * _up(hidden, 4) * rows, block * hidden * rows
    if day > 0:
        _read(s, v.h, ((day - 1) * everywhere + row) * hidden, hidden, count, hidden, u, at)
    else:
        _read(s, v.h0, row * hidden, hidden, count, hidden, u, at)
    _inputs(s, v, day, block, at + (hidden + 1) * rows)
    _take(s, d, day, block, to_dh)
    now = (day + 1) * s.blocks * hidden * rows + own
    covers = own if mask.size > hidden * rows else 0
    _, _, _, dz, to_dx, _ = _places(s, worker)
    for r in range(0, tall, s.step):
        for k in range(hidden):
            n = k * rows + r
            tiles.backward_gates(
                u, at + r, packed, k * depth * 4, c, now + n, mask, covers + n,
                dh, to_dh + n, dc, own + n, scratch, dz + 4 * k * rows + r, depth, rows,
            )  # fmt: skip
        back = 4 * hidden
        for k in range(0, hidden, 4):
            n = to_dh + k * rows + r
            tiles.quad_product(scratch, dz + r, packed_back, k * back, dh, n, back, rows)
        for k in range(0, features if d.dx.size > 0 else 0, 4):
            n = to_dx + k * rows + r
            tiles.quad_product(scratch, dz + r, packed_inputs, k * back, scratch, n, back, rows)
    total = worker * sums_size(s)
    for k in range(hidden):
        for j in range(0, _depth(s), 4):
            tiles.outer_quads(u, at + j * rows, scratch, dz + 4 * k * rows, sums, total, tall, rows)
            total += 16
    _write(s, dc, own, count, hidden, v.told, (day % 2 * everywhere + row) * s.pitch, s.pitch)
    if d.dx.size > 0:
        _write(s, scratch, to_dx, count, features, d.dx, (day * everywhere + row) * features, features)


@_compiled
def backward(s: Sizes, graph: Graph, w: Weights, v: Window, d: Gradients, team: Team, worker: int) -> None:
    """Do a worker's share of the way back: `v` is what forward left, `graph` the transposed operator.

    Every turn finishes the day after and begins a day.
    """
    begin, end = _share(s, worker)
    for block in range(begin, end):
        ones = (block * _depth(s) + s.hidden) * s.rows
        for r in range(s.rows):
            v.u[ones + r] = 1
    for turn in range(s.days + 1):
        _meet(s, team, turn + 1)
        day = s.days - 1 - turn
        for block in range(begin, end):
            if turn > 0:
                _message_block(s, graph, w, v, d, day + 1, block, worker)
            if day >= 0:
                _gates_block(s, w, v, d, day, block, worker)
    _leave(s, d.dh, 0, _up(s.hidden, 4), d.dh0, begin, end)
    _leave(s, d.dc, 0, s.hidden, d.dc0, begin, end)
