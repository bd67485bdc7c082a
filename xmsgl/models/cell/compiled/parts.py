"""What is handed to the kernels of the compiled cell and attention: tuples of NumPy arrays and integers.

Offsets, the lane layout and quads are those of :mod:`xmsgl.models.cell.compiled.tiles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AttentionSizes", "Gradients", "Graph", "Head", "Sizes", "Team", "Values", "Weights", "Window"]

Values: TypeAlias = "NDArray[Any]"


class Sizes(NamedTuple):
    """Numbers that describe a run; all integers.

    Attributes
    ----------
    days, nodes, batch, features, hidden
        Sizes of the window.
    lanes, unit, step
        Rows in a vector, channels in the half vector that gathering works with, rows in a tile.
    block, blocks
        Nodes in a block and the number of blocks.
    rows
        Rows from channel to channel in the lane layout: an odd number of vectors, as the processor's
        cache has trouble with strides of many twos.
    pitch
        Numbers from row to row in what neighbours read.
    slots
        Days for which the cell state is kept: one more than there are, or 1 if only the last counts.
    workers
        Threads that share the blocks.
    """

    days: int
    nodes: int
    batch: int
    features: int
    hidden: int
    lanes: int
    unit: int
    step: int
    block: int
    blocks: int
    rows: int
    pitch: int
    slots: int
    workers: int


class Graph(NamedTuple):
    """A CSR matrix whose rows are filled up with zeros to multiples of four weights.

    `order` lists the nodes of a block, those with few weights first: the processor foresees the end of
    a loop that is as long as the last one.
    """

    order: NDArray[np.int32]
    start: NDArray[np.int32]
    nodes: NDArray[np.int32]
    weights: Values


class Weights(NamedTuple):
    """The parameters of the cell in quads, flat.

    Attributes
    ----------
    gates
        ``(hidden, hidden + 1 + features, 4)``: the four gates of a channel from h, one and x.
    message
        ``(hidden / 4, hidden + 1, 4)``: four channels of q from h and one.
    gates_back, inputs_back
        ``(hidden / 4, 4 hidden, 4)`` and ``(features / 4, 4 hidden, 4)``: h and x from the gates.
    message_back
        ``(hidden / 4, hidden, 4)``: h from q.
    """

    gates: Values
    message: Values
    gates_back: Values
    inputs_back: Values
    message_back: Values


class Window(NamedTuple):
    """What forward and backward share; flat.

    Attributes
    ----------
    x, h0, c0
        Inputs ``(time, node, batch, feature)`` and the state before, ``(node, batch, hidden)``.
    place, fixed, sources
        Empty and 0; or which of so many rows a day the row of a node and window takes its inputs from,
        `x` being ``(time, source row, feature)``, and what it adds to them, ``(node, batch, feature)``.
    mask
        Dropout mask in the lane layout, of all blocks or one for all.
    h
        Hidden states ``(time, node, batch, hidden)``, or empty if nobody wants them.
    c
        Cell states in the lane layout, ``(slot, block, hidden, rows)``; the first is before day 0.
    u, told, scratch
        Buffers, sized by ``compiled_kernels.buffer_sizes``; `told` is what neighbours read, on even and
        odd days.
    """

    x: Values
    place: NDArray[np.int32]
    fixed: Values
    sources: int
    h0: Values
    c0: Values
    mask: Values
    h: Values
    c: Values
    u: Values
    told: Values
    scratch: Values


class Gradients(NamedTuple):
    """What only backward needs; flat.

    Attributes
    ----------
    given
        Gradient of the hidden states, ``(time, chosen node, batch, hidden)``, or empty if there is none.
    chosen, order, bounds
        The chosen nodes by rising number, the position of each in `given`, and where those of each block
        begin, with the end of the last. All empty: `given` is of all nodes.
    dh, dc
        Zeros, and the gradient of the last cell state, in the lane layout; `dh` in whole quads.
    dx
        Gradient of the inputs to write, or empty if nobody asks.
    dh0, dc0
        Gradients of the state before to write.
    sums
        Gradients of the weights to add to, for each worker, sized by ``compiled_kernels.sums_size``.
    """

    given: Values
    chosen: NDArray[np.int64]
    order: NDArray[np.int64]
    bounds: NDArray[np.int64]
    dh: Values
    dc: Values
    dx: Values
    dh0: Values
    dc0: Values
    sums: Values


class Head(NamedTuple):
    """What the fine head needs besides the state of a block; flat, but for the number of segments.

    Attributes
    ----------
    context
        Hidden states of the segments, ``(time, segment, batch, pitch)``.
    inner
        Empty for a head that is linear in the own state; else ``(hidden / 4, 2 hidden + 2, 4)``: four
        inner channels from context and own state, already cut free of the mean; then their biases and
        their weights in the output.
    direct
        Weights of context and own state in the output, its bias, 1 / (2 hidden), and what the norm adds
        to the variance.
    prediction
        ``(time, node, batch)``; the head adds to what is there.
    segments
        Number of segments.
    """

    context: Values
    inner: Values
    direct: Values
    prediction: Values
    segments: int


class Team(NamedTuple):
    """How workers wait for one another.

    Attributes
    ----------
    arrived
        One number, at first zero: how often a worker has come to the end of a day.
    rest
        Address of a C function without arguments that lets other threads run.
    """

    arrived: NDArray[np.int64]
    rest: int


class AttentionSizes(NamedTuple):
    """Numbers that describe a run of attention; all integers.

    Attributes
    ----------
    sequences, heads, asked, days, channels
        Sizes: days that ask and days that are looked at, and channels of a head.
    rows, lanes
        Queries in whole vectors, and in one.
    workers
        Threads that share the heads of the sequences.
    """

    sequences: int
    heads: int
    asked: int
    days: int
    channels: int
    rows: int
    lanes: int
    workers: int
