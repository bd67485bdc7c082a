"""The published multi-scale model and the two single-scale models with the same backbone.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025,
   doi:10.1609/aaai.v39i27.35014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.registry import create_backbone
from xmsgl.models.cell.cell import RecurrentGraphCell, State
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.methods.base import PIECE, TASK_SCALES, Memory, register_model
from xmsgl.models.methods.fused_head import compiled_predict, fold_head, fold_linear_head
from xmsgl.models.methods.heads import FineHead, InterpolationHead, LinearHead
from xmsgl.models.methods.trunk import Trunk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from xmsgl.models.parts.batch import Batch
    from xmsgl.models.parts.operator import GraphOperator
    from xmsgl.util.scales import Scale

__all__ = ["MSGL", "CoarseOnly", "FineOnly"]


@register_model("async-msgl")
@register_model("msgl")
class MSGL(Trunk):
    """Multi-scale graph learning: one backbone on both networks, three tasks.

    Parameters
    ----------
    n_features
        Number of inputs, the same quantities in the same order at both scales.
    hidden
        Hidden channels of the backbone.
    heads
        Attention heads of the interpolation task; divides `hidden`.
    dropout
        Dropout in the head of the fine task.
    recurrent_dropout
        Dropout of the candidate in the recurrent graph cell.
    identity
        Learned numbers a segment appended to the inputs, see :class:`.SegmentIdentity`; 0 for none.
    segments
        Segments of the training basin; needed with `identity`.
    anchored
        Let the fine task start from what the coarse task knows, and learn the difference: a learned
        blend of the segment's temperature and of the coarse head on the reach's own state. False: the
        fine head alone, as published.
    tasks
        Tasks to train, for ablations. Without ``"fine"`` the interpolation task predicts.
    backend
        Implementation of the recurrent graph cell.
    backbone
        What makes hidden states of inputs: the recurrent graph cell, as published, or another of
        :data:`xmsgl.models.backbones.registry.BACKBONES`.

    Raises
    ------
    InvalidArgumentError
        If a task is not known, or none of them predicts the fine scale; if `recurrent_dropout` or
        `backend` is given to a backbone that has none.
    UnknownNameError
        If there is no such backbone.

    Examples
    --------
    >>> model = MSGL(7)
    >>> len(model.shared_parameters()), sum(p.numel() for p in model.shared_parameters())
    (5, 2660)
    """

    def __init__(
        self,
        n_features: int,
        *,
        hidden: int = 20,
        heads: int = 4,
        dropout: float = 0.1,
        recurrent_dropout: float = 0.0,
        identity: int = 0,
        segments: int = 0,
        anchored: bool = True,
        tasks: Sequence[str] = ("coarse", "interpolation", "fine"),
        backend: str = "auto",
        backbone: str = "rgcn",
    ) -> None:
        super().__init__(n_features, identity, segments)
        unknown = [task for task in tasks if task not in TASK_SCALES]
        if unknown or not {"interpolation", "fine"} & set(tasks):
            msg = (
                f"tasks must be of {', '.join(TASK_SCALES)} with interpolation or fine among them, "
                f"got {', '.join(tasks) or 'none'}"
            )
            raise InvalidArgumentError(msg)
        self.tasks = tuple(task for task in TASK_SCALES if task in tasks)
        self.input_scales = ("coarse", "fine") if "fine" in tasks else ("coarse",)
        self.cell = create_backbone(
            backbone, self.width, hidden, recurrent_dropout=recurrent_dropout, backend=backend
        )
        self.coarse_head = LinearHead(hidden) if "coarse" in tasks else None
        self.interpolation_head = InterpolationHead(hidden, heads) if "interpolation" in tasks else None
        self.fine_head = FineHead(hidden, dropout) if "fine" in tasks else None
        self.stepwise = self.fine_head is not None  # the other head attends to the days of a window
        self.anchored = anchored and self.coarse_head is not None
        if self.anchored and self.fine_head is not None:
            self.blend = nn.Parameter(torch.zeros(()))  # both paths count equally at first
            nn.init.zeros_(self.fine_head.out.linear.weight)
            nn.init.zeros_(self.fine_head.out.linear.bias)

    @property
    def fused(self) -> bool:
        """Whether cell and fine head run in one compiled call."""
        return self.fine_head is not None and _compiled(self.cell) is not None

    def coarse(self, batch: Batch) -> Tensor:
        """Run the backbone on the coarse network: H_c, ``(time, coarse, window, hidden)``."""
        return self.hidden_states(batch, "coarse")

    def interpolate(self, hidden: Tensor, operator: GraphOperator) -> Tensor:
        """Carry H_c to fine reaches with M or some of its rows: H_cf, ``(time, row, window, hidden)``."""
        return operator.matmul_days(hidden)

    def fine(
        self,
        context: Tensor,
        own: Tensor,
        coarse: Tensor,
        remap: GraphOperator,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Predict the fine scale.

        Parameters
        ----------
        context, own
            H_cf and H_f of some reaches, ``(time, reach, window, hidden)``.
        coarse
            H_c, ``(time, coarse, window, hidden)``.
        remap
            Rows of R for these reaches.
        wanted
            Days whose temperature is wanted, boolean ``(time, reach, window)``; the others are spared
            the head and come out as zero. None: all.

        Returns
        -------
        Tensor
            ``(time, reach, window)``, standardised.
        """
        head = self.fine_head
        if head is None:
            msg = "the model was made without the fine task"
            raise InvalidArgumentError(msg)
        # Drawn for all, so that what is dropped does not depend on what is wanted.
        mask = None if wanted is None else head.draw(own)
        chosen = ... if wanted is None else wanted.nonzero(as_tuple=True)
        state = own[chosen]
        output: Tensor = head(context[chosen], state, None if mask is None else mask[chosen])
        if self.anchored and self.coarse_head is not None:
            # The segment's temperature is cut from the trunk, like the context.
            segment = remap.matmul_days(self.coarse_head(coarse.detach()))[chosen]
            share = torch.sigmoid(self.blend)
            output = output + share * self.coarse_head(state) + (1 - share) * segment
        if wanted is None:
            return output
        return output.new_zeros(wanted.shape).masked_scatter(wanted, output)

    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict at the labelled nodes, each trunk run once; see :class:`.NetworkModel`."""
        chosen = self._chosen(batch, tasks)
        outputs: dict[str, Tensor] = {}
        if not chosen:
            return outputs
        # Without a task that trains it, the coarse trunk is context only and needs no graph.
        with torch.set_grad_enabled(torch.is_grad_enabled() and chosen != ["fine"]):
            coarse = self.coarse(batch)
        if "coarse" in chosen and self.coarse_head is not None:
            outputs["coarse"] = self.coarse_head(choose_nodes(coarse, batch.nodes("coarse")))
        if batch.labelled("fine") and set(chosen) - {"coarse"}:
            nodes = batch.nodes("fine")
            carried = self.interpolate(coarse, batch.interpolator().rows(nodes))
            if "interpolation" in chosen and self.interpolation_head is not None:
                outputs["interpolation"] = self.interpolation_head(carried, batch.fine_days)
            if "fine" in chosen and self.fine_head is not None:
                own = self.states_at_labels(batch, "fine")
                outputs["fine"] = self.fine(
                    carried, own, coarse, batch.remapper().rows(nodes), batch.fine_days
                )
        return outputs

    @torch.no_grad()
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days; see :class:`.NetworkModel`."""
        before = memory or {}
        x, graph = self.read(batch, "coarse")
        coarse, after = self.cell(x, graph, before.get("coarse"))
        if self.fine_head is not None:
            if (cell := _compiled(self.cell)) is not None:
                prediction, state = self._fused(cell, self.fine_head, batch, coarse, before.get("fine"))
            else:
                own, state = self.cell(*self.read(batch, "fine"), before.get("fine"))
                carried = self.interpolate(coarse, batch.interpolator())
                prediction = self.fine(carried, own, coarse, batch.remapper())
            return prediction, {"coarse": after, "fine": state}
        if self.interpolation_head is None:
            msg = "the model has neither a fine nor an interpolation head"
            raise InvalidArgumentError(msg)
        return self.interpolation_head(self.interpolate(coarse, batch.interpolator())), {"coarse": after}

    def _fused(
        self,
        cell: RecurrentGraphCell,
        head: FineHead,
        batch: Batch,
        coarse: Tensor,
        state: tuple[Tensor, ...] | None,
    ) -> tuple[Tensor, State]:
        base, folded = None, fold_head(head)
        if self.anchored and self.coarse_head is not None:
            share = float(torch.sigmoid(self.blend))
            base = batch.remapper().matmul_days((1 - share) * self.coarse_head(coarse))
            folded = fold_head(head, self.coarse_head, share)
        x, graph = self.sources(batch)
        across = coarse, batch.interpolator()
        return compiled_predict(x, graph, cell.weights(), _pair(state), folded, across=across, base=base)

    @torch.no_grad()
    def embed(self, batch: Batch) -> Tensor:
        """Return ``[H_cf, H_f]`` of every fine reach, or H_cf alone without the fine task."""
        if self.fine_head is not None:
            interpolator = batch.interpolator()
            return torch.cat(
                [
                    torch.cat([self.interpolate(coarse, interpolator), own], dim=-1)
                    for coarse, own in self._states(batch)
                ]
            )
        return self.interpolate(self.coarse(batch), batch.interpolator())

    def _states(self, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        coarse = _pieces(self.cell, *self.read(batch, "coarse"))
        fine = _pieces(self.cell, *self.read(batch, "fine"))
        return zip(coarse, fine, strict=True)


class _SingleScale(Trunk):
    """A backbone and a linear head, for one network at a time; the tasks are named after their scales."""

    scale: ClassVar[str]

    def __init__(
        self,
        n_features: int,
        *,
        hidden: int = 20,
        recurrent_dropout: float = 0.0,
        identity: int = 0,
        segments: int = 0,
        backend: str = "auto",
        backbone: str = "rgcn",
    ) -> None:
        super().__init__(n_features, identity, segments)
        self.cell = create_backbone(
            backbone, self.width, hidden, recurrent_dropout=recurrent_dropout, backend=backend
        )
        self.head = LinearHead(hidden)

    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict at the labelled nodes; see :class:`.NetworkModel`."""
        return {scale: self._at_nodes(batch, scale) for scale in self._chosen(batch, tasks)}

    def _at_nodes(self, batch: Batch, scale: str) -> Tensor:
        output: Tensor = self.head(self.states_at_labels(batch, scale))
        return output

    def _inputs(self, batch: Batch) -> tuple[Tensor, GraphOperator]:
        return self.read(batch, self.scale)

    @torch.no_grad()
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days; see :class:`.NetworkModel`."""
        hidden, state = self.cell(*self._inputs(batch), (memory or {}).get(self.scale))
        return self._carried(batch, self.head(hidden)), {self.scale: state}

    @torch.no_grad()
    def embed(self, batch: Batch) -> Tensor:
        """Return the hidden states of every fine reach; see :class:`.NetworkModel`."""
        return torch.cat([self._carried(batch, days) for days in _pieces(self.cell, *self._inputs(batch))])

    def _carried(self, batch: Batch, values: Tensor) -> Tensor:
        """Bring ``(time, node, window, ...)`` to the fine reaches."""
        return values if self.scale == "fine" else batch.remapper().matmul_days(values)


@register_model("fine-only")
class FineOnly(_SingleScale):
    """The backbone on the fine network alone: no transfer between scales.

    Parameters
    ----------
    n_features, hidden, recurrent_dropout, identity, segments, backend, backbone
        As in :class:`MSGL`.

    Examples
    --------
    >>> sum(parameter.numel() for parameter in FineOnly(7).parameters())
    2681
    """

    scale = "fine"
    tasks: tuple[str, ...] = ("fine",)
    input_scales: tuple[Scale, ...] = ("fine",)

    @property
    def fused(self) -> bool:
        """Whether cell and head run in one compiled call."""
        return _compiled(self.cell) is not None

    @torch.no_grad()
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days; see :class:`.NetworkModel`."""
        cell = _compiled(self.cell)
        if cell is None:
            return super().stream(batch, memory)
        x, graph = self.sources(batch)
        state, head = _pair((memory or {}).get("fine")), fold_linear_head(self.head)
        prediction, after = compiled_predict(x, graph, cell.weights(), state, head)
        return prediction, {"fine": after}


@register_model("remap")
class CoarseOnly(_SingleScale):
    """The backbone on the coarse network alone; a fine reach takes the temperature of its segment.

    The prediction is standardised with the coarse labels.

    Parameters
    ----------
    n_features, hidden, recurrent_dropout, identity, segments, backend, backbone
        As in :class:`MSGL`.

    Examples
    --------
    >>> CoarseOnly(7).prediction_scale
    'coarse'
    """

    scale = "coarse"
    tasks: tuple[str, ...] = ("coarse",)
    input_scales: tuple[Scale, ...] = ("coarse",)
    prediction_scale: ClassVar[Scale] = "coarse"


def _compiled(backbone: nn.Module) -> RecurrentGraphCell | None:
    """Return the recurrent graph cell if prediction with it can be compiled, which is for no other."""
    if not isinstance(backbone, RecurrentGraphCell) or backbone.training:
        return None
    weights = backbone.W_hh
    plain = weights.dtype == torch.float32 and weights.device.type == "cpu"
    return backbone if plain and backbone.backend in {"auto", "numba"} else None


def _pair(state: tuple[Tensor, ...] | None) -> State | None:
    return None if state is None else (state[0], state[1])


def _pieces(backbone: nn.Module, x: Tensor, graph: GraphOperator) -> Iterator[Tensor]:
    state: tuple[Tensor, ...] | None = None
    for days in torch.split(x, PIECE):
        hidden, state = backbone(days, graph, state)
        yield hidden
