"""Attention of short vectors as compiled functions, one forward and one backward.

A unit is one head of one sequence. Its queries stand side by side in vectors, channel after channel; keys and
values are read one at a time. A score stays in its register: no array has the size of queries times keys.
As :mod:`xmsgl.models.cell.compiled.loops`, this file must be touched after changes to those it imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

from xmsgl.models.cell.compiled.tiles import (
    add_product,
    as_tile,
    compiled,
    place_of,
    round_up,
    sum_slots,
    sums_in,
)
from xmsgl.models.cell.compiled.vector import Emitter, Vector

if TYPE_CHECKING:
    from xmsgl.models.cell.compiled.parts import AttentionSizes, Team, Values

    Channels = tuple[int, ...]

#: Keys whose gradients are summed at a time: by lane they fill half of the first-level cache.
KEYS = 32

#: Bound of sums of powers of two, over all scores of a query, below which single precision is not lost.
SAFE = 2.0**60

_INDEX = ir.IntType(64)


def _read(emitter: Emitter, source: Any, channels: int, pitch: Any) -> list[Vector]:
    """Read a vector of each channel."""
    return [emitter.load(source, place_of(emitter, c, pitch)) for c in range(channels)]


def _spread(emitter: Emitter, source: Any, base: Any, numbers: range) -> list[Vector]:
    """Read each number into a whole vector."""
    return [emitter.spread(source, emitter.builder.add(base, _INDEX(k))) for k in numbers]


def _product(start: Vector, left: list[Vector], right: list[Vector]) -> Vector:
    """Add the scalar product of queries with a key to `start`."""
    total = start
    for a, b in zip(left, right, strict=True):
        total = a * b + total
    return total


def _weigh(
    emitter: Emitter, queries: list[Vector], keys: Any, start: Vector, count: Any, slots: list[Any]
) -> None:
    """Sum two to the power of the scores plus `start`, and the values with these weights."""
    builder, one, channels = emitter.builder, emitter.constant(1.0), len(queries)
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        both = _spread(emitter, keys, builder.mul(loop.index, _INDEX(2 * channels)), range(2 * channels))
        weight = emitter.power(_product(start, queries, both[:channels]))
        for number, slot in zip([one, *both[channels:]], slots, strict=True):
            add_product(emitter, weight, number, slot)


def _highest(emitter: Emitter, queries: list[Vector], keys: Any, count: Any) -> Vector:
    """Return the highest score of each query."""
    builder, zero, channels = emitter.builder, emitter.constant(0.0), len(queries)
    (highest,) = sum_slots(emitter, 1)
    builder.store(emitter.constant(float("-inf")).value, highest)
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        key = _spread(emitter, keys, builder.mul(loop.index, _INDEX(2 * channels)), range(channels))
        score = _product(zero, queries, key)
        builder.store(score.larger(Vector(emitter, builder.load(highest))).value, highest)
    return sums_in(emitter, [highest])[0]


def _emit_attend(
    emitter: Emitter,
    query: Any,
    keys: Any,
    out: Any,
    top: Any,
    share: Any,
    count: Any,
    rows: Any,
    channels: int,
) -> None:
    """Attend from a vector of queries to all keys; the backward pass needs `top` and `share`.

    The sums of more queries would not fit in registers. The highest score is subtracted only where the sum
    shows that a score was too large or all were too small.
    """
    builder, zero, one, here = emitter.builder, emitter.constant(0.0), emitter.constant(1.0), _INDEX(0)
    queries = _read(emitter, query, channels, rows)
    slots = sum_slots(emitter, 1 + channels)
    less, factor = sum_slots(emitter, 2)
    _weigh(emitter, queries, keys, zero, count, slots)
    (total,) = sums_in(emitter, slots[:1])
    for vector, slot in zip(total.magnitude(), (less, factor), strict=True):
        builder.store(vector.value, slot)
    with builder.if_then(builder.not_(total.all_between(1 / SAFE, SAFE)), likely=False):
        most = _highest(emitter, queries, keys, count)
        for vector, slot in zip([most, one, *[zero] * len(slots)], [less, factor, *slots], strict=True):
            builder.store(vector.value, slot)
        _weigh(emitter, queries, keys, 0.0 - most, count, slots)
    total, *outs = sums_in(emitter, slots)
    part = one / total
    off, times = sums_in(emitter, [less, factor])
    emitter.store(off, top, here)
    emitter.store(part * times, share, here)
    for c, vector in enumerate(outs):
        emitter.store(vector * part, out, place_of(emitter, c, rows))


def _emit_attend_back(
    emitter: Emitter,
    query: Any,
    given: Any,
    top: Any,
    mean: Any,
    keys: Any,
    out: Any,
    total: Any,
    count: Any,
    rows: Any,
    channels: int,
) -> None:
    """Add to the gradients of a vector of queries, and to those of keys and values by lane.

    `given` is the gradient of the output and `mean` its product with the output, both times the share.
    """
    builder, lanes = emitter.builder, _INDEX(emitter.lanes)
    queries, wanted = (_read(emitter, source, channels, rows) for source in (query, given))
    least, less = (0.0 - emitter.load(source, _INDEX(0)) for source in (top, mean))
    slots = sum_slots(emitter, channels)
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        base = builder.mul(loop.index, _INDEX(2 * channels))
        both = _spread(emitter, keys, base, range(2 * channels))
        weight = emitter.power(_product(least, queries, both[:channels]))
        change = weight * _product(less, wanted, both[channels:])
        for number, slot in zip(both[:channels], slots, strict=True):
            add_product(emitter, change, number, slot)
        added = [vector * change for vector in queries] + [vector * weight for vector in wanted]
        for c, vector in enumerate(added):
            place = builder.mul(builder.add(base, _INDEX(c)), lanes)
            emitter.store(vector + emitter.load(total, place), total, place)
    for c, vector in enumerate(sums_in(emitter, slots)):
        place = place_of(emitter, c, rows)
        emitter.store(vector + emitter.load(out, place), out, place)


def _emit_fold(emitter: Emitter, total: Any, out: Any, count: Any) -> None:
    """Sum the lanes of each of `count` vectors, a multiple of the number of lanes."""
    builder, lanes = emitter.builder, emitter.lanes
    with cgutils.for_range(builder, builder.udiv(count, _INDEX(lanes)), intp=_INDEX) as loop:
        base = builder.mul(loop.index, _INDEX(lanes))
        places = [builder.mul(builder.add(base, _INDEX(k)), _INDEX(lanes)) for k in range(lanes)]
        group = [emitter.load(total, place) for place in places]
        while len(group) > 1:
            group = [a.lane_pairs_with(b) for a, b in zip(group[::2], group[1::2], strict=True)]
        emitter.store(group[0], out, base)


def _emit_carry(
    emitter: Emitter,
    source: Any,
    out: Any,
    count: Any,
    source_row: Any,
    source_channel: Any,
    out_row: Any,
    out_channel: Any,
    channels: int,
) -> None:
    """Copy channels of `count` rows, given the strides of rows and channels."""
    builder = emitter.builder
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        for c in range(channels):
            here, there = (
                builder.add(builder.mul(loop.index, row), builder.mul(_INDEX(c), channel))
                for row, channel in ((source_row, source_channel), (out_row, out_channel))
            )
            emitter.store(emitter.load(source, here, 1), out, there)


def _emit_clear(emitter: Emitter, out: Any, count: Any) -> None:
    """Write zeros to `count` vectors."""
    with cgutils.for_range(emitter.builder, count, intp=_INDEX) as loop:
        emitter.store(emitter.constant(0.0), out, emitter.builder.mul(loop.index, _INDEX(emitter.lanes)))


_attend_tile, _back_tile = as_tile(5, _emit_attend), as_tile(7, _emit_attend_back)
_fold, _carry, _clear = as_tile(2, _emit_fold), as_tile(2, _emit_carry), as_tile(1, _emit_clear)


@compiled
def _places(s: AttentionSizes, worker: int) -> tuple[int, int, int, int, int, int, int, int]:
    """Return offsets in the scratch of a worker.

    In order: queries and two more arrays of channels; two values per query; keys and values; gradients of
    `KEYS` of them by lane, and their sums; the end.
    """
    plane, some = s.channels * s.rows, 2 * s.channels * KEYS
    wide = round_up(2 * s.channels * s.days, s.lanes)
    first = worker * (3 * plane + 2 * s.rows + wide + some * (s.lanes + 1))
    second = first + plane
    top = second + 2 * plane
    keys = top + 2 * s.rows
    lanes = keys + wide
    added = lanes + some * s.lanes
    return first, second, second + plane, top, keys, lanes, added, added + some


@compiled
def scratch_size(s: AttentionSizes) -> int:
    """Return the size of the scratch of all workers."""
    return _places(s, s.workers - 1)[7]


@compiled
def _unit(s: AttentionSizes, unit: int) -> tuple[int, int, int]:
    """Return the offset of a unit in the queries, the keys, and arrays with one value per head."""
    sequence, head = unit // s.heads, unit % s.heads
    hidden = s.heads * s.channels
    first = sequence * s.asked
    place = head * s.channels
    return first * hidden + place, sequence * s.days * 2 * hidden + place, first * s.heads + head


@compiled
def _enter(
    s: AttentionSizes,
    channels: Channels,
    unit: int,
    query: Values,
    both: Values,
    scratch: Values,
    worker: int,
) -> None:
    """Copy the queries of a unit to lanes, and put key and value of each day side by side."""
    to_query, _, _, _, to_keys, _, _, _ = _places(s, worker)
    own, keys, _ = _unit(s, unit)
    hidden, wide = s.heads * s.channels, 2 * s.channels
    _carry(query, own, scratch, to_query, s.asked, hidden, 1, 1, s.rows, channels)
    for half in range(2):
        base, to = keys + half * hidden, to_keys + half * s.channels
        _carry(both, base, scratch, to, s.days, 2 * hidden, 1, wide, 1, channels)


@compiled
def attend(
    s: AttentionSizes,
    channels: Channels,
    query: Values,
    both: Values,
    scratch: Values,
    out: Values,
    top: Values,
    share: Values,
    _team: Team,
    worker: int,
) -> None:
    """Process the units of a worker: write `out`, and `top` and `share` of every query and head."""
    to_query, to_out, _, to_top, to_keys, _, _, _ = _places(s, worker)
    to_share, hidden, units = to_top + s.rows, s.heads * s.channels, s.sequences * s.heads
    for unit in range(worker * units // s.workers, (worker + 1) * units // s.workers):
        _enter(s, channels, unit, query, both, scratch, worker)
        for r in range(0, s.rows, s.lanes):
            _attend_tile(
                scratch, to_query + r, scratch, to_keys, scratch, to_out + r, scratch, to_top + r,
                scratch, to_share + r, s.days, s.rows, channels,
            )  # fmt: skip
        own, _, single = _unit(s, unit)
        _carry(scratch, to_out, out, own, s.asked, 1, s.rows, hidden, 1, channels)
        _carry(scratch, to_top, top, single, s.asked, 1, 1, s.heads, 1, (0,))
        _carry(scratch, to_share, share, single, s.asked, 1, 1, s.heads, 1, (0,))


@compiled
def attend_back(
    s: AttentionSizes,
    channels: Channels,
    query: Values,
    both: Values,
    scratch: Values,
    given: Values,
    top: Values,
    mean: Values,
    d_query: Values,
    d_both: Values,
    _team: Team,
    worker: int,
) -> None:
    """Process the units of a worker backward: write the gradients of queries and of keys and values."""
    to_query, to_given, to_change, to_top, to_keys, to_lanes, to_added, _ = _places(s, worker)
    to_mean, hidden, wide = to_top + s.rows, s.heads * s.channels, 2 * s.channels
    units = s.sequences * s.heads
    for unit in range(worker * units // s.workers, (worker + 1) * units // s.workers):
        own, keys, single = _unit(s, unit)
        _enter(s, channels, unit, query, both, scratch, worker)
        _carry(given, own, scratch, to_given, s.asked, hidden, 1, 1, s.rows, channels)
        _carry(top, single, scratch, to_top, s.asked, s.heads, 1, 1, 1, (0,))
        _carry(mean, single, scratch, to_mean, s.asked, s.heads, 1, 1, 1, (0,))
        _clear(scratch, to_change, s.channels * s.rows // s.lanes)
        for day in range(0, s.days, KEYS):
            count = min(KEYS, s.days - day)
            _clear(scratch, to_lanes, KEYS * wide)
            for r in range(0, s.rows, s.lanes):
                _back_tile(
                    scratch, to_query + r, scratch, to_given + r, scratch, to_top + r, scratch, to_mean + r,
                    scratch, to_keys + day * wide, scratch, to_change + r, scratch, to_lanes,
                    count, s.rows, channels,
                )  # fmt: skip
            _fold(scratch, to_lanes, scratch, to_added, KEYS * wide)
            for half in range(2):
                base, to = to_added + half * s.channels, keys + day * 2 * hidden + half * hidden
                _carry(scratch, base, d_both, to, count, wide, 1, 2 * hidden, 1, channels)
        _carry(scratch, to_change, d_query, own, s.asked, 1, s.rows, hidden, 1, channels)
