"""What every form of the cell is given: its weights, and inputs, state and mask in one precision."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from xmsgl.models.parts.inherited import InheritedInputs

__all__ = ["CellWeights", "Given", "in_one_precision"]


Inputs = TypeVar("Inputs", bound=Tensor | InheritedInputs)


class CellWeights(NamedTuple):
    """The five parameters of the cell; gates in the order i, f, o, g.

    Attributes
    ----------
    W_ih
        ``(F, 4H)``.
    W_hh
        ``(H, 4H)``.
    b
        ``(4H,)``.
    W_q
        ``(H, H)``.
    b_q
        ``(H,)``.
    """

    W_ih: Tensor
    W_hh: Tensor
    b: Tensor
    W_q: Tensor
    b_q: Tensor


class Given(NamedTuple, Generic[Inputs]):
    """Inputs, state before the first day, weights and mask, and whether gradients are wanted."""

    x: Inputs
    h: Tensor
    c: Tensor
    weights: CellWeights
    mask: Tensor | None
    differentiable: bool


def in_one_precision(
    x: Inputs, state: tuple[Tensor, Tensor], weights: CellWeights, mask: Tensor | None
) -> Given[Inputs]:
    """Bring all to double precision if the inputs have it, else to single precision, under autocast too."""
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    x = cast("Inputs", x.to(kind))
    h, c, *rest = (tensor.to(kind) for tensor in (*state, *weights))
    wanted = torch.is_grad_enabled() and (
        x.requires_grad or any(part.requires_grad for part in (h, c, *rest))
    )
    return Given(x, h, c, CellWeights(*rest), None if mask is None else mask.to(kind), wanted)
