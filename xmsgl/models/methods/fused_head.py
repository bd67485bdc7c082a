"""The recurrent graph cell and the fine head in one compiled call, for prediction on the processor.

The hidden states go from the cell to the head while they are in the cache; only the prediction is written
to memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.compiled.parts import Head
from xmsgl.models.cell.compiled.scan import (
    flat,
    graph_arrays,
    pack,
    roomy,
    share_out,
    sizes_of,
    window_arrays,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.models.cell.given import CellWeights
    from xmsgl.models.methods.heads import FineHead, LinearHead
    from xmsgl.models.parts.inherited import InheritedInputs
    from xmsgl.models.parts.operator import GraphOperator

__all__ = ["FoldedHead", "compiled_predict", "fold_head", "fold_linear_head"]


class FoldedHead(NamedTuple):
    """Flat arrays of a fine head; see :class:`xmsgl.models.cell.compiled.parts.Head`."""

    inner: NDArray[np.float32]
    direct: NDArray[np.float32]


def fold_head(head: FineHead, own: LinearHead | None = None, share: float = 0.0) -> FoldedHead:
    """Fold a fine head: the norm goes into the inner weights, and linear steps become one product."""

    def exact(tensor: Tensor) -> NDArray[Any]:
        array: NDArray[Any] = tensor.detach().cpu().double().numpy()
        return array

    inner, residual, norm = head.inner, head.residual, head.norm
    out, shift = exact(head.out.linear.weight)[0], exact(head.out.linear.bias)[0]
    hidden, channels = len(out), 2 * len(out)
    weights = exact(inner.weight) * exact(norm.weight)
    weights -= weights.mean(1, keepdims=True)  # equivalent to subtracting the mean of the states
    bias = exact(inner.weight) @ exact(norm.bias) + exact(inner.bias)
    rows = np.concatenate([weights.T, bias[None], out[None]])
    even = np.pad(rows, ((0, 0), (0, -hidden % 4)))
    quads = even.reshape(len(even), -1, 4).transpose(1, 0, 2)
    direct = out @ exact(residual.weight)
    constant = out @ exact(residual.bias) + shift
    if own is not None:
        direct[hidden:] += share * exact(own.linear.weight)[0]
        constant += share * exact(own.linear.bias)[0]
    behind = [constant, 1 / channels, norm.eps]
    return FoldedHead(
        np.ascontiguousarray(quads, np.float32).reshape(-1),
        np.concatenate([direct, behind]).astype(np.float32),
    )


def fold_linear_head(head: LinearHead) -> FoldedHead:
    """Fold a head that is linear in the reach's own state, without context."""
    weight = head.linear.weight.detach()[0].cpu().numpy()
    behind = [head.linear.bias.item(), 1 / (2 * len(weight)), 1.0]
    direct = np.concatenate([np.zeros_like(weight), weight, behind])
    return FoldedHead(np.empty(0, np.float32), direct.astype(np.float32))


def compiled_predict(
    x: Tensor | InheritedInputs,
    operator: GraphOperator,
    weights: CellWeights,
    state: tuple[Tensor, ...] | None,
    head: FoldedHead,
    *,
    across: tuple[Tensor, GraphOperator] | None = None,
    base: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run the cell and a head over some days, on the CPU, in single precision and without gradients.

    Uses up to as many threads as torch; the result does not depend on their number.

    Shapes: `x` (time, fine, batch, feature), `state` (fine, batch, hidden), `across` (time, coarse, batch,
    hidden), `base` (time, fine, batch), returns (time, fine, batch).
    """
    from xmsgl.models.cell.compiled import loops

    x = x.to(torch.float32)
    shape, hidden = x.shape, len(weights.W_q)
    prediction = roomy(*shape[:3], like=weights.W_q) if base is None else base.float().contiguous()
    if base is None:
        prediction.zero_()
    if state is None:
        zero = weights.W_q.new_zeros(*shape[1:3], hidden)
        state = zero, zero
    context, interpolation = across or (weights.W_q.new_zeros(shape[0], 1, shape[2], hidden), operator)
    _check(tuple(shape), operator, weights, state, head, across, prediction)
    sizes = sizes_of(x, weights, keep=False)
    h, c = (roomy(*part.shape, like=part) for part in state)
    cell = roomy(sizes.slots * sizes.blocks * sizes.hidden * sizes.rows, like=prediction)
    window = window_arrays(sizes, x, state[0], state[1], None, roomy(0, like=prediction), cell)
    rows = roomy(*context.shape[:3], sizes.pitch, like=prediction)
    rows[..., :hidden], rows[..., hidden:] = context, 0
    parts = Head(
        context=flat(rows),
        inner=head.inner,
        direct=head.direct,
        prediction=flat(prediction),
        segments=context.shape[1],
    )
    graphs = [
        graph_arrays(matrix, sizes, prediction, transposed=False) for matrix in (operator, interpolation)
    ]
    given = graphs[0], pack(weights), window, graphs[1], parts, flat(h), flat(c)
    share_out(sizes.workers, loops.forward, sizes, *given)
    return prediction, (h, c)


def _check(
    shape: tuple[int, ...],
    operator: GraphOperator,
    weights: CellWeights,
    state: tuple[Tensor, ...],
    head: FoldedHead,
    across: tuple[Tensor, GraphOperator] | None,
    base: Tensor,
) -> None:
    """Refuse shapes that do not fit: the compiled loops do not check bounds."""
    days, fine, batch, features = shape
    hidden = len(weights.W_q)
    wanted: dict[str, tuple[Any, tuple[int, ...]]] = {
        "the graph operator": (operator.shape, (fine, fine)),
        "the input weights": (weights.W_ih.shape, (features, 4 * hidden)),
        "the hidden state": (state[0].shape, (fine, batch, hidden)),
        "the cell state": (state[1].shape, (fine, batch, hidden)),
        "the head": (head.direct.shape, (2 * hidden + 3,)),
        "the base": (base.shape, (days, fine, batch)),
    }
    if across is not None:
        context, interpolation = across
        coarse = interpolation.shape[1]
        wanted["the interpolation"] = interpolation.shape, (fine, coarse)
        wanted["the context"] = context.shape, (days, coarse, batch, hidden)
    for name, (given, expected) in wanted.items():
        if tuple(given) != expected:
            msg = f"{name} must be {expected} for inputs {shape}, got {tuple(given)}"
            raise InvalidArgumentError(msg)
    if across is None and head.inner.size:
        msg = "a fine head needs a context; give across=(hidden states of the segments, M)"
        raise InvalidArgumentError(msg)
