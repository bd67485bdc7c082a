"""The innermost steps of the compiled loops, a few vectors of rows at a time, callable from Numba.

A row is one reach in one window. Arrays are flat, contiguous and of one floating type; each is followed by an
offset in elements. In the *lane layout* channel k of row r of a block of R rows lies at ``k * R + r``.
Weights come in *quads*, ``(tile, depth, 4)``: those of a tile of four channels, side by side. Gates come in
the order i, f, o, g.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from xmsgl.models.cell.compiled.vector import TANH, VECTOR_BYTES, Emitter, Vector

Function = TypeVar("Function", bound=Callable[..., Any])

#: Vectors of rows in a tile: its sums fill half of the registers, 32 with AVX-512, else 16.
WIDE = 4 if VECTOR_BYTES == 64 else 2

_INDEX = ir.IntType(64)


def compiled(function: Function) -> Function:
    """Compile a function that allocates nothing: counting references would take a tenth of the time."""
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, "_nrt": False}
    return cast("Function", njit(**options)(function))


@compiled
def round_up(count: int, step: int) -> int:
    """Round up to a multiple."""
    return (count + step - 1) // step * step


def _for_numba(function: Callable[..., Any]) -> Any:
    return intrinsic(function)


def sum_slots(emitter: Emitter, count: int, lanes: int | None = None) -> list[Any]:
    """Allocate vectors of zeros, which LLVM keeps in registers."""
    zero = emitter.constant(0.0, lanes).value
    slots = []
    for _ in range(count):
        slots.append(cgutils.alloca_once(emitter.builder, zero.type))  # type: ignore[no-untyped-call]
        emitter.builder.store(zero, slots[-1])
    return slots


def add_product(emitter: Emitter, a: Vector, b: Vector, slot: Any) -> None:
    """Add a product to a sum."""
    emitter.builder.store((a * b + Vector(emitter, emitter.builder.load(slot))).value, slot)


def sums_in(emitter: Emitter, slots: list[Any]) -> list[Vector]:
    """Return the present values of sums."""
    return [Vector(emitter, emitter.builder.load(slot)) for slot in slots]


def as_tile(arrays: int, emit: Callable[..., None], **fixed: Any) -> Any:
    """Make `emit` callable from Numba: `arrays` pairs of array and offset, then integers.

    `emit` receives an :class:`Emitter`, a pointer for each pair, the integers and `fixed`. A tuple of equal
    numbers stands for its length, an integer known at compile time.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emitter = Emitter(builder, double=kinds[0].dtype == types.float64)
        pointers = []
        for position in range(0, 2 * arrays, 2):
            array = context.make_array(kinds[position])(context, builder, values[position])
            pointers.append(builder.gep(array.data, [values[position + 1]]))
        integers = [
            kind.count if isinstance(kind, types.UniTuple) else value
            for kind, value in zip(kinds[2 * arrays :], values[2 * arrays :], strict=True)
        ]
        emit(emitter, *pointers, *integers, **fixed)
        return context.get_dummy_value()

    def tile(_context: Any, *given: Any) -> Any:
        kept = types.Array, types.UniTuple
        return types.none(*(k if isinstance(k, kept) else types.int64 for k in given)), generate

    # With named arguments, because Numba would count references to every array in a tuple of arguments.
    integers = len(inspect.signature(emit).parameters) - 1 - arrays - len(fixed)
    names = ("context", *(f"given_{k}" for k in range(2 * arrays + integers)))
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    tile.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    tile.__doc__ = emit.__doc__
    return _for_numba(tile)


def place_of(emitter: Emitter, row: Any, pitch: Any, vector: int = 0) -> Any:
    """Return the offset ``row * pitch + vector * lanes``."""
    builder = emitter.builder
    row = _INDEX(row) if isinstance(row, int) else row
    return builder.add(builder.mul(row, pitch), _INDEX(vector * emitter.lanes))


def _product(emitter: Emitter, u: Any, w: Any, depth: Any, rows: Any) -> list[list[Vector]]:
    """Multiply ``u`` with a quad of weights; returns ``[channel][vector]``."""
    builder = emitter.builder
    slots = sum_slots(emitter, 4 * WIDE)
    with cgutils.for_range(builder, depth, intp=_INDEX) as loop:
        given = [emitter.load(u, place_of(emitter, loop.index, rows, v)) for v in range(WIDE)]
        for channel in range(4):
            weight = emitter.spread(w, builder.add(builder.mul(loop.index, _INDEX(4)), _INDEX(channel)))
            for v in range(WIDE):
                add_product(emitter, given[v], weight, slots[channel * WIDE + v])
    totals = sums_in(emitter, slots)
    return [totals[first : first + WIDE] for first in range(0, len(totals), WIDE)]


def _emit_forward_gates(
    emitter: Emitter,
    u: Any,
    w: Any,
    before: Any,
    message: Any,
    mask: Any,
    c_out: Any,
    h_out: Any,
    depth: Any,
    rows: Any,
) -> None:
    """Compute c and h of one channel from its c before, its message and its mask."""
    sums = _product(emitter, u, w, depth, rows)
    for v in range(WIDE):
        here = _INDEX(v * emitter.lanes)
        i, f, o, g = emitter.squash([sums[gate][v] for gate in range(3)], [sums[3][v]])
        g = g * emitter.load(mask, here)
        c = f * (emitter.load(before, here) + emitter.load(message, here)) + i * g
        emitter.store(c, c_out, here)
        emitter.store(o * emitter.squash(tanh=[c * TANH])[0], h_out, here)


def _emit_backward_gates(
    emitter: Emitter, u: Any, w: Any, c: Any, mask: Any, dh: Any, dc: Any, dz: Any, depth: Any, rows: Any
) -> None:
    """Compute the gates of one channel again and the gradients of their arguments, four rows of `dz`.

    `dc` becomes the gradient of the cell state of the day before, which equals that of the message.
    """
    sums = _product(emitter, u, w, depth, rows)
    for v in range(WIDE):
        here = _INDEX(v * emitter.lanes)
        i, f, o, g = emitter.squash([sums[gate][v] for gate in range(3)], [sums[3][v]])
        keep = emitter.load(mask, here)
        now, out = emitter.load(c, here), emitter.load(dh, here)
        t = emitter.squash(tanh=[now * TANH])[0]
        total = emitter.load(dc, here) + out * o * (1.0 - t * t)
        written = i * g * keep
        gradients = (
            total * written * (1.0 - i),
            total * (now - written) * (1.0 - f),  # c - i g = f (c' + A q)
            out * t * o * (1.0 - o),
            total * i * keep * (1.0 - g * g),
        )
        for gate, gradient in enumerate(gradients):
            emitter.store(gradient, dz, place_of(emitter, gate, rows, v))
        emitter.store(total * f, dc, here)


def _emit_quad(emitter: Emitter, u: Any, w: Any, out: Any, depth: Any, rows: Any, finish: str) -> None:
    """Multiply with a quad of weights; then set, add, take tanh, or multiply with the derivative of tanh."""
    sums = _product(emitter, u, w, depth, rows)
    for v in range(WIDE):
        results = [channel[v] for channel in sums]
        if finish in {"tanh", "tanh backward"}:
            results = emitter.squash(tanh=results)
        for channel, result in enumerate(results):
            place = place_of(emitter, channel, rows, v)
            if finish == "add":
                result = result + emitter.load(out, place)
            elif finish == "tanh backward":
                result = emitter.load(out, place) * (1.0 - result * result)
            emitter.store(result, out, place)


def _emit_outer(emitter: Emitter, u: Any, z: Any, total: Any, height: Any, rows: Any) -> None:
    """Sum the 16 products of four channels of `u` with four of `z` over the first `height` rows."""
    builder, lanes = emitter.builder, emitter.lanes
    slots = sum_slots(emitter, 16)
    with cgutils.for_range(builder, builder.udiv(height, _INDEX(lanes)), intp=_INDEX) as loop:
        step = builder.mul(loop.index, _INDEX(lanes))
        left, right = (
            [emitter.load(p, builder.add(place_of(emitter, k, rows), step)) for k in range(4)] for p in (u, z)
        )
        for position, slot in enumerate(slots):
            add_product(emitter, left[position // 4], right[position % 4], slot)
    sums = sums_in(emitter, slots)
    for first in range(0, 16, lanes):
        group = sums[first : first + lanes]
        while len(group) > 1:
            group = [a.lane_pairs_with(b) for a, b in zip(group[::2], group[1::2], strict=True)]
        place = _INDEX(first)
        emitter.store(group[0] + emitter.load(total, place), total, place)


def _turn(vectors: list[Vector]) -> list[Vector]:
    """Transpose four vectors within every group of four lanes; its own inverse."""
    lanes = vectors[0].value.type.count

    def pick(a: Vector, b: Vector, order: tuple[int, ...]) -> Vector:
        places = [(k // 4 * lanes) + k % 4 for k in order]
        return a.pick(b, [group + place for group in range(0, lanes, 4) for place in places])

    low, high = (0, 4, 1, 5), (2, 6, 3, 7)
    a, b, c, d = vectors
    ab, cd, ab_high, cd_high = pick(a, b, low), pick(c, d, low), pick(a, b, high), pick(c, d, high)
    first, second = (0, 1, 4, 5), (2, 3, 6, 7)
    return [
        pick(ab, cd, first),
        pick(ab, cd, second),
        pick(ab_high, cd_high, first),
        pick(ab_high, cd_high, second),
    ]


def _by_channel(emitter: Emitter, load: Callable[[int], Vector]) -> list[Vector]:
    """Turn four channels of each row, as `load` returns them, into a vector for each channel."""
    vectors = []
    for member in range(4):
        parts = [load(group + member) for group in range(0, emitter.lanes, 4)]
        while len(parts) > 1:
            width = 2 * parts[0].value.type.count
            parts = [a.pick(b, range(width)) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        vectors.append(parts[0])
    return _turn(vectors)


def _emit_read(emitter: Emitter, source: Any, out: Any, pitch: Any, rows: Any, *, add: bool) -> None:
    """Copy four adjacent channels of a vector of rows, `pitch` apart, to the lane layout."""
    channels = _by_channel(emitter, lambda row: emitter.load(source, place_of(emitter, row, pitch), 4))
    for channel, vector in enumerate(channels):
        place = place_of(emitter, channel, rows)
        emitter.store(vector + emitter.load(out, place) if add else vector, out, place)


def _emit_read_placed(
    emitter: Emitter, source: Any, place: Any, fixed: Any, out: Any, pitch: Any, rows: Any
) -> None:
    """Copy four channels of a vector of rows, each from its place plus `fixed`, to the lane layout."""
    builder = emitter.builder

    def load(row: int) -> Vector:
        where = builder.sext(builder.load(builder.gep(place, [_INDEX(row)])), _INDEX)
        own = emitter.load(fixed, place_of(emitter, row, pitch), 4)
        return emitter.load(source, builder.mul(where, pitch), 4) + own

    for channel, vector in enumerate(_by_channel(emitter, load)):
        emitter.store(vector, out, place_of(emitter, channel, rows))


def _emit_write(emitter: Emitter, source: Any, out: Any, pitch: Any, rows: Any) -> None:
    """Write four channels in the lane layout to a vector of rows, `pitch` apart."""
    vectors = [emitter.load(source, place_of(emitter, channel, rows)) for channel in range(4)]
    for member, vector in enumerate(_turn(vectors)):
        for group in range(0, emitter.lanes, 4):
            part = vector.pick(vector, range(group, group + 4))
            emitter.store(part, out, place_of(emitter, group + member, pitch))


def _emit_gather(
    emitter: Emitter, source: Any, out: Any, weights: Any, nodes: Any, count: Any, pitch: Any, units: int
) -> None:
    """Sum what a node reads from `count` nodes, a multiple of 4, for `units` half vectors of channels."""
    builder, width = emitter.builder, max(4, emitter.lanes // 2)
    slots = sum_slots(emitter, units, width)
    with cgutils.for_range(builder, builder.udiv(count, _INDEX(4)), intp=_INDEX) as loop:
        for member in range(4):
            place = builder.add(builder.mul(loop.index, _INDEX(4)), _INDEX(member))
            start = builder.mul(builder.sext(builder.load(builder.gep(nodes, [place])), _INDEX), pitch)
            weight = emitter.spread(weights, place, width)
            for unit, slot in enumerate(slots):
                value = emitter.load(source, builder.add(start, _INDEX(unit * width)), width)
                add_product(emitter, value, weight, slot)
    for unit, total in enumerate(sums_in(emitter, slots)):
        emitter.store(total, out, _INDEX(unit * width))


def _emit_move(emitter: Emitter, source: Any, out: Any, channels: Any, rows: Any) -> None:
    """Copy the first channels of a tile of rows."""
    with cgutils.for_range(emitter.builder, channels, intp=_INDEX) as loop:
        for v in range(WIDE):
            place = place_of(emitter, loop.index, rows, v)
            emitter.store(emitter.load(source, place), out, place)


def _emit_moments(
    emitter: Emitter, z: Any, direct: Any, scale: Any, total: Any, depth: Any, rows: Any
) -> None:
    """Begin the fine head of a tile: the scale that normalises `z`, and the linear part of the output."""
    builder = emitter.builder

    def spread(place: int) -> Vector:
        """Return a value after the weights."""
        return emitter.spread(direct, builder.add(depth, _INDEX(place)))

    slots = sum_slots(emitter, 2 * WIDE)
    with cgutils.for_range(builder, depth, intp=_INDEX) as loop:
        weight = emitter.spread(direct, loop.index)
        for v in range(WIDE):
            value = emitter.load(z, place_of(emitter, loop.index, rows, v))
            add_product(emitter, value, emitter.constant(1.0), slots[v])
            add_product(emitter, value, weight, slots[WIDE + v])
    sums, share = sums_in(emitter, slots), spread(1)
    means = [total * share for total in sums[:WIDE]]
    slots = sum_slots(emitter, WIDE)
    with cgutils.for_range(builder, depth, intp=_INDEX) as loop:
        for v in range(WIDE):
            off = emitter.load(z, place_of(emitter, loop.index, rows, v)) - means[v]
            add_product(emitter, off, off, slots[v])
    for v, square in enumerate(sums_in(emitter, slots)):
        here = _INDEX(v * emitter.lanes)
        emitter.store(emitter.constant(1.0) / (square * share + spread(2)).root(), scale, here)
        emitter.store(sums[WIDE + v] + spread(0), total, here)


def _emit_quad_gelu(emitter: Emitter, z: Any, w: Any, scale: Any, total: Any, depth: Any, rows: Any) -> None:
    """Add the output of four inner channels of the fine head; bias and output weight follow those of `z`."""
    builder = emitter.builder
    sums, behind = _product(emitter, z, w, depth, rows), builder.mul(depth, _INDEX(4))
    bias, weight = (
        [emitter.spread(w, builder.add(behind, _INDEX(4 * row + channel))) for channel in range(4)]
        for row in range(2)
    )
    for v in range(WIDE):
        here = _INDEX(v * emitter.lanes)
        factor, result = emitter.load(scale, here), emitter.load(total, here)
        inner = emitter.gelu([sums[channel][v] * factor + bias[channel] for channel in range(4)])
        for channel in range(4):
            result = inner[channel] * weight[channel] + result
        emitter.store(result, total, here)


def _emit_arrive(emitter: Emitter, counter: Any) -> None:
    """Add one to a counter shared by threads."""
    emitter.builder.atomic_rmw("add", counter, _INDEX(1), "seq_cst")


@_for_numba
def look(_context: Any, counter: Any, _place: Any) -> Any:
    """Return the present value of a counter shared by threads."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.load_atomic(builder.gep(array.data, [values[1]]), "seq_cst", 8)

    return types.int64(counter, types.int64), generate


@_for_numba
def call(_context: Any, _address: Any) -> Any:
    """Call a C function without arguments."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        function = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(values[0], function.as_pointer()), [])
        return context.get_dummy_value()

    return types.none(types.int64), generate


forward_gates, backward_gates = as_tile(7, _emit_forward_gates), as_tile(7, _emit_backward_gates)
move, arrive = as_tile(2, _emit_move), as_tile(1, _emit_arrive)
quad_product, quad_product_added, quad_tanh, quad_tanh_backward = (
    as_tile(3, _emit_quad, finish=finish) for finish in ("set", "add", "tanh", "tanh backward")
)
outer_quads = as_tile(3, _emit_outer)
read_quad, read_quad_added = as_tile(2, _emit_read, add=False), as_tile(2, _emit_read, add=True)
read_placed, write_quad = as_tile(4, _emit_read_placed), as_tile(2, _emit_write)
moments, quad_gelu = as_tile(4, _emit_moments), as_tile(4, _emit_quad_gelu)
gather_1, gather_2, gather_3, gather_4 = (as_tile(4, _emit_gather, units=units) for units in (1, 2, 3, 4))
