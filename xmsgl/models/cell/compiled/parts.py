"""Arguments of the compiled loops: tuples of flat NumPy arrays and integers.

The lane layout and quads are those of :mod:`xmsgl.models.cell.compiled.tiles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AttentionSizes", "Gradients", "Graph", "Head", "Sizes", "Team", "Values", "Weights", "Window"]

Values: TypeAlias = "NDArray[Any]"


class Sizes(NamedTuple):
    """Sizes of a window and how it is divided."""

    days: int
    nodes: int
    batch: int
    features: int
    hidden: int
    lanes: int  # rows in a vector
    unit: int  # channels in the half vector with which messages are gathered
    step: int  # rows in a tile
    block: int  # nodes in a block
    blocks: int
    rows: int  # from channel to channel in the lane layout: an odd number of vectors, which suits the cache
    pitch: int  # values from row to row in the messages
    slots: int  # days for which the cell state is kept: one more than there are, or 1 for the last alone
    workers: int  # threads that share the blocks


class Graph(NamedTuple):
    """A CSR matrix whose rows are padded with zeros to multiples of four weights."""

    # Nodes of each block, those with few weights first: CPUs predict loops of similar length better.
    order: NDArray[np.int32]
    start: NDArray[np.int32]
    nodes: NDArray[np.int32]
    weights: Values


class Weights(NamedTuple):
    """The parameters of the cell in quads."""

    gates: Values  # (hidden, hidden + 1 + features, 4): the four gates of a channel from h, 1 and x
    message: Values  # (hidden / 4, hidden + 1, 4): four channels of q from h and 1
    gates_back: Values  # (hidden / 4, 4 hidden, 4): h from the gates
    inputs_back: Values  # (features / 4, 4 hidden, 4): x from the gates
    message_back: Values  # (hidden / 4, hidden, 4): h from q


class Window(NamedTuple):
    """Arrays that forward and backward share."""

    x: Values  # (time, node, batch, feature), or (time, source row, feature) if inputs are inherited
    # Inherited inputs: source row and added values of each row, (node, batch) and (node, batch, feature), and
    # the number of source rows. Otherwise empty and 0.
    place: NDArray[np.int32]
    fixed: Values
    sources: int
    h0: Values  # (node, batch, hidden), as c0
    c0: Values
    mask: Values  # dropout mask in the lane layout, of all blocks or one for all
    h: Values  # hidden states (time, node, batch, hidden), or empty if they are not wanted
    c: Values  # cell states (slot, block, hidden, rows); the first is before day 0
    # Buffers, with sizes from `loops.buffer_sizes`; messages of even and odd days.
    u: Values
    messages: Values
    scratch: Values


class Gradients(NamedTuple):
    """Arrays that only backward needs."""

    given: Values  # gradient of the hidden states, (time, chosen node, batch, hidden), or empty
    # Sorted chosen nodes, the position of each in `given`, and the first of each block. All empty: all nodes.
    chosen: NDArray[np.int64]
    order: NDArray[np.int64]
    bounds: NDArray[np.int64]
    dh: Values  # zeros in the lane layout, in whole quads
    dc: Values  # gradient of the last cell state in the lane layout
    dx: Values  # gradient of the inputs to write, or empty if it is not wanted
    dh0: Values  # gradients of the state before day 0 to write
    dc0: Values
    sums: Values  # gradients of the weights for each worker, with the size from `loops.sums_size`


class Head(NamedTuple):
    """The fine head, and what it reads besides the state of a block."""

    context: Values  # hidden states of the segments, (time, segment, batch, pitch)
    # (hidden / 4, 2 hidden + 2, 4): four inner channels from centred context and own state, then their biases
    # and their weights in the output. Empty for a head that is linear in the own state.
    inner: Values
    # Weights of context and own state in the output, its bias, 1 / (2 hidden), and epsilon of the norm.
    direct: Values
    prediction: Values  # (time, node, batch), to which the head adds
    segments: int


class Team(NamedTuple):
    """How workers wait for each other."""

    arrived: NDArray[np.int64]  # one counter of workers that have reached the end of a day
    yield_address: int  # of a C function without arguments that lets other threads run


class AttentionSizes(NamedTuple):
    """Sizes of an attention and how it is divided."""

    sequences: int
    heads: int
    asked: int  # days with a query
    days: int  # days with a key
    channels: int  # of a head
    rows: int  # queries, padded to whole vectors
    lanes: int  # queries in a vector
    workers: int  # threads that share the heads of the sequences
