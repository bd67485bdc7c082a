"""The recurrent graph cell over a window as compiled functions: forward, with a head, and backward.

A row is one reach in one window. Rows are processed in blocks that stay in the cache: within a block in the
lane layout of :mod:`xmsgl.models.cell.compiled.tiles`, messages row by row. Arrays are flat. Rows that pad a
block hold zeros, or finite values that are not used. The factors of a product stand together in ``u``, K
channels a block: h of the day before, a one for the bias, then x.

Numba recompiles after changes to this file, but not to the files imported here: touch this one too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.models.cell.compiled import tiles
from xmsgl.models.cell.compiled.tiles import compiled, round_up

if TYPE_CHECKING:
    from xmsgl.models.cell.compiled.parts import Gradients, Graph, Head, Sizes, Team, Values, Weights, Window

#: Checks of the counter before a waiting worker lets the system run other threads.
_PATIENCE = 2000


@compiled
def _depth(s: Sizes) -> int:
    """Return the number of channels of u, in whole quads."""
    return round_up(s.hidden + 1 + s.features, 4)


@compiled
def _span(s: Sizes, block: int) -> tuple[int, int, int, int]:
    """Return the first node of a block and its numbers of nodes, of rows, and of rows in whole tiles."""
    first = block * s.block
    count = min(s.block, s.nodes - first)
    return first, count, count * s.batch, round_up(count * s.batch, s.step)


@compiled
def _places(s: Sizes, worker: int) -> tuple[int, int, int, int, int, int]:
    """Return offsets in the scratch of a worker.

    In order: rows gathered; in the lane layout two times the hidden channels, the four gates, the inputs; the
    end.
    """
    gathered = round_up(s.block * s.batch * s.pitch, s.lanes)
    plane = round_up(s.hidden, 4) * s.rows
    size = gathered + 2 * plane + (4 * s.hidden + round_up(s.features, 4)) * s.rows
    begin = worker * size
    first = begin + gathered
    gates = first + 2 * plane
    return begin, first, first + plane, gates, gates + 4 * s.hidden * s.rows, begin + size


@compiled
def sums_size(s: Sizes) -> int:
    """Return the number of gradients of weights of a worker.

    First the gates, ``(hidden, K / 4, 4, 4)`` with the four gates last, then q,
    ``(hidden / 4, (hidden + 1) / 4, 4, 4)``, rounded up.
    """
    return s.hidden * _depth(s) * 4 + round_up(s.hidden, 4) * round_up(s.hidden + 1, 4)


@compiled
def buffer_sizes(s: Sizes) -> tuple[int, int, int]:
    """Return the sizes of the buffers u, messages and scratch."""
    return s.blocks * _depth(s) * s.rows, 2 * s.nodes * s.batch * s.pitch, s.workers * _places(s, 0)[5]


@compiled
def _steps(count: int, width: int) -> int:
    """Return the number of steps of `width` that cover a range, the last overlapping; 0 if too short."""
    return (count + width - 1) // width if count >= width else 0


@compiled
def _read(
    s: Sizes, source: Values, base: int, pitch: int, count: int, channels: int, out: Values, place: int
) -> None:
    """Copy rows to the lane layout, and zeros to the padding of the last tile."""
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
        for r in range(count, round_up(count, s.step)):
            out[place + k * s.rows + r] = 0


@compiled
def _read_added(
    s: Sizes, source: Values, base: int, pitch: int, count: int, channels: int, out: Values, place: int
) -> None:
    """Add rows to values in the lane layout."""
    whole, quads = count // s.lanes * s.lanes, channels // 4 * 4
    for r in range(0, whole, s.lanes):
        for k in range(0, quads, 4):
            tiles.read_quad_added(source, base + r * pitch + k, out, place + k * s.rows + r, pitch, s.rows)
    for k in range(channels):
        for r in range(whole if k < quads else 0, count):
            out[place + k * s.rows + r] += source[base + r * pitch + k]


@compiled
def _write(
    s: Sizes, source: Values, place: int, count: int, channels: int, out: Values, base: int, pitch: int
) -> None:
    """Copy the lane layout to rows."""
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


@compiled
def enter(s: Sizes, values: Values, channels: int, lanes: Values) -> None:
    """Copy ``(node, batch, hidden)`` to the lane layout, `channels` a block."""
    for block in range(s.blocks):
        first, _, count, _ = _span(s, block)
        row, place = first * s.batch * s.hidden, block * channels * s.rows
        _read(s, values, row, s.hidden, count, s.hidden, lanes, place)


@compiled
def _leave(s: Sizes, lanes: Values, base: int, channels: int, out: Values, begin: int, end: int) -> None:
    """Copy blocks in the lane layout at `base`, `channels` each, to ``(node, batch, hidden)``."""
    for block in range(begin, end):
        first, _, count, _ = _span(s, block)
        place = base + block * channels * s.rows
        _write(s, lanes, place, count, s.hidden, out, first * s.batch * s.hidden, s.hidden)


@compiled
def _gather(
    s: Sizes, graph: Graph, source: Values, base: int, first: int, count: int, out: Values, begin: int
) -> None:
    """Sum the weighted rows of the neighbours of each node of a block."""
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


@compiled
def _message(s: Sizes, w: Weights, v: Window, block: int, r: int, out: Values, place: int) -> None:
    """Compute q of one tile of rows from the h in u."""
    u, packed = v.u, w.message
    depth, at = s.hidden + 1, block * _depth(s) * s.rows + r
    for k in range(0, s.hidden, 4):
        put = place + k * s.rows + r
        tiles.quad_tanh(u, at, packed, k * depth, out, put, depth, s.rows)


@compiled
def _start(s: Sizes, w: Weights, v: Window, block: int, worker: int) -> None:
    """Prepare u, the cell state and the messages of a block for the first day."""
    u, scratch = v.u, v.scratch
    first, _, count, tall = _span(s, block)
    at, row = block * _depth(s) * s.rows, first * s.batch
    _read(s, v.h0, row * s.hidden, s.hidden, count, s.hidden, u, at)
    _read(s, v.c0, row * s.hidden, s.hidden, count, s.hidden, v.c, block * s.hidden * s.rows)
    for r in range(s.rows):
        u[at + s.hidden * s.rows + r] = 1
    place = _places(s, worker)[1]
    for r in range(0, tall, s.step):
        _message(s, w, v, block, r, scratch, place)
    _write(s, scratch, place, count, s.hidden, v.messages, row * s.pitch, s.pitch)


@compiled
def _inputs(s: Sizes, v: Window, day: int, block: int, at: int) -> None:
    """Copy the inputs of a block to u."""
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


@compiled
def _forward_block(s: Sizes, graph: Graph, w: Weights, v: Window, day: int, block: int, worker: int) -> None:
    """Run one day of a block."""
    u, scratch, mask, c, packed = v.u, v.scratch, v.mask, v.c, w.gates
    hidden, rows, depth = s.hidden, s.rows, s.hidden + 1 + s.features
    first, nodes, count, tall = _span(s, block)
    row, everywhere, at = first * s.batch, s.nodes * s.batch, block * _depth(s) * rows
    gathered, message, to_h, to_q, _, _ = _places(s, worker)
    _inputs(s, v, day, block, at + (hidden + 1) * rows)
    _gather(s, graph, v.messages, day % 2 * everywhere * s.pitch, first, nodes, scratch, gathered)
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
        _message(s, w, v, block, r, scratch, to_q)
    if v.h.size > 0:
        _write(s, scratch, to_h, count, hidden, v.h, (day * everywhere + row) * hidden, hidden)
    to = ((day + 1) % 2 * everywhere + row) * s.pitch
    _write(s, scratch, to_q, count, hidden, v.messages, to, s.pitch)


@compiled
def _share(s: Sizes, worker: int) -> tuple[int, int]:
    """Return the first block of a worker and the block after its last."""
    return worker * s.blocks // s.workers, (worker + 1) * s.blocks // s.workers


@compiled
def _meet(s: Sizes, team: Team, times: int) -> None:
    """Wait until all workers have arrived `times` times."""
    if s.workers > 1:
        tiles.arrive(team.arrived, 0)
        looks = 0
        while tiles.look(team.arrived, 0) < s.workers * times:
            looks += 1
            if looks > _PATIENCE:
                tiles.call(team.yield_address)


@compiled
def _head_block(s: Sizes, across: Graph, head: Head, v: Window, day: int, block: int, worker: int) -> None:
    """Predict one day of a block from the hidden states that :func:`_forward_block` left in the scratch."""
    scratch, inner, direct, prediction = v.scratch, head.inner, head.direct, head.prediction
    hidden, rows, depth = s.hidden, s.rows, 2 * s.hidden
    first, nodes, count, tall = _span(s, block)
    gathered, _, own, scale, _, _ = _places(s, worker)
    z, total = own - hidden * rows, scale + rows  # the context directly before the own state
    today = day * head.segments * s.batch * s.pitch
    deep = hidden if inner.size > 0 else 0  # a head without inner channels has no context
    if deep > 0:
        _gather(s, across, head.context, today, first, nodes, scratch, gathered)
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


@compiled
def forward(
    s: Sizes,
    graph: Graph,
    w: Weights,
    v: Window,
    across: Graph | None,
    head: Head | None,
    h: Values | None,
    c: Values,
    team: Team,
    worker: int,
) -> None:
    """Process the blocks of a worker: write h and c of `v`, and the last `c` row by row.

    A head, which reads segments `across`, writes its prediction, and the last `h` is written too.
    """
    begin, end = _share(s, worker)
    for block in range(begin, end):
        _start(s, w, v, block, worker)
    for day in range(s.days):
        _meet(s, team, day + 1)
        for block in range(begin, end):
            _forward_block(s, graph, w, v, day, block, worker)
            if head is not None and across is not None:
                _head_block(s, across, head, v, day, block, worker)
    if h is not None:
        _leave(s, v.u, 0, _depth(s), h, begin, end)
    _leave(s, v.c, s.days % s.slots * s.blocks * s.hidden * s.rows, s.hidden, c, begin, end)


@compiled
def _message_block(
    s: Sizes, graph: Graph, w: Weights, v: Window, d: Gradients, day: int, block: int, worker: int
) -> None:
    """Add the gradient through the messages of a day to that of h of the day before, which is still in u."""
    u, scratch, dh, sums = v.u, v.scratch, d.dh, d.sums
    packed, packed_back = w.message, w.message_back
    hidden, rows, even = s.hidden, s.rows, round_up(s.hidden, 4)
    first, nodes, count, tall = _span(s, block)
    at, to_dh = block * _depth(s) * rows, block * even * rows
    gathered, dq, _, _, _, _ = _places(s, worker)
    _gather(s, graph, v.messages, day % 2 * s.nodes * s.batch * s.pitch, first, nodes, scratch, gathered)
    _read(s, scratch, gathered, s.pitch, count, hidden, scratch, dq)
    for n in range(hidden * rows, even * rows):
        scratch[dq + n] = 0
    for r in range(0, tall, s.step):
        for k in range(0, hidden, 4):
            n, weight = dq + k * rows + r, k * (hidden + 1)
            tiles.quad_tanh_backward(u, at + r, packed, weight, scratch, n, hidden + 1, rows)
        for k in range(0, hidden, 4):
            n = to_dh + k * rows + r
            tiles.quad_product_added(scratch, dq + r, packed_back, k * hidden, dh, n, hidden, rows)
    total = worker * sums_size(s) + hidden * _depth(s) * 4
    for k in range(0, hidden, 4):
        for j in range(0, hidden + 1, 4):
            tiles.outer_quads(u, at + j * rows, scratch, dq + k * rows, sums, total, tall, rows)
            total += 16


@compiled
def _add_given(s: Sizes, d: Gradients, day: int, block: int, place: int) -> None:
    """Add the given gradient of the hidden states of a block on a day."""
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


@compiled
def _gates_block(s: Sizes, w: Weights, v: Window, d: Gradients, day: int, block: int, worker: int) -> None:
    """Run the gates of one day of a block backward; leave h of the day before in u."""
    u, scratch, mask, c, dh, dc, sums = v.u, v.scratch, v.mask, v.c, d.dh, d.dc, d.sums
    packed, packed_back, packed_inputs = w.gates, w.gates_back, w.inputs_back
    hidden, rows, features, depth = s.hidden, s.rows, s.features, s.hidden + 1 + s.features
    first, _, count, tall = _span(s, block)
    row, everywhere = first * s.batch, s.nodes * s.batch
    at, to_dh, own = block * _depth(s) * rows, block * round_up(hidden, 4) * rows, block * hidden * rows
    if day > 0:
        _read(s, v.h, ((day - 1) * everywhere + row) * hidden, hidden, count, hidden, u, at)
    else:
        _read(s, v.h0, row * hidden, hidden, count, hidden, u, at)
    _inputs(s, v, day, block, at + (hidden + 1) * rows)
    _add_given(s, d, day, block, to_dh)
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
    _write(s, dc, own, count, hidden, v.messages, (day % 2 * everywhere + row) * s.pitch, s.pitch)
    if d.dx.size > 0:
        _write(s, scratch, to_dx, count, features, d.dx, (day * everywhere + row) * features, features)


@compiled
def backward(s: Sizes, graph: Graph, w: Weights, v: Window, d: Gradients, team: Team, worker: int) -> None:
    """Process the blocks of a worker backward, with the transposed operator as `graph`.

    Each turn finishes the day after and begins a day.
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
    _leave(s, d.dh, 0, round_up(s.hidden, 4), d.dh0, begin, end)
    _leave(s, d.dc, 0, s.hidden, d.dc0, begin, end)
