"""The published multi-scale model and the single-scale models with the same backbone.

References
----------
.. [1] Fan et al., Multi-scale graph learning for anti-sparse downscaling, AAAI 2025,
   doi:10.1609/aaai.v39i27.35014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.backbones.registry import create_backbone
from xmsgl.models.cell.choose import choose_nodes
from xmsgl.models.methods.base import TASK_SCALES, Memory, register_model
from xmsgl.models.methods.fused_head import compiled_predict, fold_head, fold_linear_head
from xmsgl.models.methods.heads import FineHead, InterpolationHead, LinearHead
from xmsgl.models.methods.trunk import Trunk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from xmsgl.models.cell.cell import RecurrentGraphCell
    from xmsgl.models.parts.batch import Batch
    from xmsgl.models.parts.operator import GraphOperator
    from xmsgl.util.scales import Scale

__all__ = ["MSGL", "CoarseOnly", "DynamicMSGL", "FineOnly", "Transfer"]


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
        Dropout of the candidate in the recurrent graph cell. Default: 0.2, or 0 for a backbone without it;
        as published: 0.
    identity
        Number of learned values per segment appended to the inputs, see :class:`.SegmentIdentity`; 0: none.
    segments
        Number of segments in the training basin; needed with `identity`.
    anchored
        Whether the fine head learns the difference from a coarse estimate: a learned blend of the segment's
        temperature and of the coarse head applied to the reach's own state. False: no coarse estimate, as
        published.
    tasks
        Tasks to train, for ablations. Without ``"fine"`` the interpolation task predicts.
    backend
        Implementation of the recurrent graph cell.
    backbone
        Maps inputs to hidden states: the recurrent graph cell, as published, or another of
        :data:`xmsgl.models.backbones.registry.BACKBONES`. A mapping such as
        ``{"name": "dynamic", "depth": 4}`` has options of the backbone too.

    Raises
    ------
    InvalidArgumentError
        A task is not known, or none of them predicts the fine scale; or the backbone does not take
        `recurrent_dropout` or `backend`.
    UnknownNameError
        There is no such backbone.

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
        recurrent_dropout: float | None = None,
        identity: int = 0,
        segments: int = 0,
        anchored: bool = True,
        tasks: Sequence[str] = ("coarse", "interpolation", "fine"),
        backend: str = "auto",
        backbone: str | Mapping[str, Any] = "rgcn",
    ) -> None:
        super().__init__(n_features, identity, segments)
        self.cell = create_backbone(
            backbone, self.width, hidden, recurrent_dropout=recurrent_dropout, backend=backend
        )
        unknown = [task for task in tasks if task not in TASK_SCALES]
        if unknown or not {"interpolation", "fine"} & set(tasks):
            msg = (
                f"tasks must be among {', '.join(TASK_SCALES)}, and include interpolation or fine; "
                f"got {', '.join(tasks) or 'none'}"
            )
            raise InvalidArgumentError(msg)
        self.tasks = tuple(task for task in TASK_SCALES if task in tasks)
        self.input_scales = ("coarse", "fine") if "fine" in tasks else ("coarse",)
        self.coarse_head = LinearHead(hidden) if "coarse" in tasks else None
        self.interpolation_head = InterpolationHead(hidden, heads) if "interpolation" in tasks else None
        self.fine_head = FineHead(hidden, dropout) if "fine" in tasks else None
        self.stepwise = self.fine_head is not None  # the other head attends to the days of a window
        self.anchored = anchored and self.coarse_head is not None
        if self.anchored and self.fine_head is not None:
            self.blend = nn.Parameter(torch.zeros(()))  # both paths count equally at first
            nn.init.zeros_(self.fine_head.out.linear.weight)
            nn.init.zeros_(self.fine_head.out.linear.bias)

    def fine(
        self,
        context: Tensor,
        own: Tensor,
        coarse: Tensor,
        remap: GraphOperator,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Predict the standardised temperature of some reaches; on days that are not wanted it is zero.

        Shapes: `context` H_cf and `own` H_f (time, reach, window, hidden), `coarse` H_c (time, coarse,
        window, hidden), `remap` rows of R, `wanted` (time, reach, window), returns (time, reach, window).
        """
        head = self.fine_head
        if head is None:
            msg = "the model was made without the fine task"
            raise InvalidArgumentError(msg)
        # Drawn for all days, so that dropout does not depend on which days are wanted.
        mask = None if wanted is None else head.draw(own)
        chosen = ... if wanted is None else wanted.nonzero(as_tuple=True)
        state = own[chosen]
        output: Tensor = head(context[chosen], state, None if mask is None else mask[chosen])
        if self.anchored and self.coarse_head is not None:
            # No gradient flows through the segment's temperature to the trunk, nor through the context.
            segment = remap.matmul_days(self.coarse_head(coarse.detach()))[chosen]
            share = torch.sigmoid(self.blend)
            output = output + share * self.coarse_head(state) + (1 - share) * segment
        if wanted is None:
            return output
        return output.new_zeros(wanted.shape).masked_scatter(wanted, output)

    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict at the labelled nodes, with one run per scale; see :class:`.NetworkModel`."""
        chosen = self._chosen(batch, tasks)
        outputs: dict[str, Tensor] = {}
        if not chosen:
            return outputs
        # For the fine task alone the coarse trunk provides context only and needs no gradients.
        with torch.set_grad_enabled(torch.is_grad_enabled() and chosen != ["fine"]):
            coarse = self.hidden_states(batch, "coarse")
        if "coarse" in chosen and self.coarse_head is not None:
            outputs["coarse"] = self.coarse_head(choose_nodes(coarse, batch.nodes("coarse")))
        if batch.labelled("fine") and set(chosen) - {"coarse"}:
            nodes = batch.nodes("fine")
            carried = batch.interpolator().rows(nodes).matmul_days(coarse)
            if "interpolation" in chosen and self.interpolation_head is not None:
                outputs["interpolation"] = self.interpolation_head(carried, batch.fine_days)
            if "fine" in chosen and self.fine_head is not None:
                own = self.states_at_labels(batch, "fine")
                outputs["fine"] = self.fine(
                    carried, own, coarse, batch.remapper().rows(nodes), batch.fine_days
                )
        return outputs

    def memory_shapes(self, nodes: Mapping[str, int]) -> dict[str, list[tuple[int, ...]]]:
        """Return the shapes of the states of both scales; see :class:`.NetworkModel`."""
        scales = ("coarse",) if self.fine_head is None else ("coarse", "fine")
        return {scale: self.state_shapes(nodes[scale]) for scale in scales}

    @torch.no_grad()
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days; see :class:`.NetworkModel`."""
        before = memory or {}
        x, graph = self.read(batch, "coarse")
        coarse, after = self.cell(x, graph, before.get("coarse"))
        if self.fine_head is not None:
            if (cell := self.compiled_cell) is not None:
                prediction, state = self._fused(cell, self.fine_head, batch, coarse, before.get("fine"))
            else:
                own, state = self.cell(*self.read(batch, "fine"), before.get("fine"))
                carried = batch.interpolator().matmul_days(coarse)
                prediction = self.fine(carried, own, coarse, batch.remapper())
            return prediction, {"coarse": after, "fine": state}
        if self.interpolation_head is None:
            msg = "the model has neither a fine nor an interpolation head"
            raise InvalidArgumentError(msg)
        return self.interpolation_head(batch.interpolator().matmul_days(coarse)), {"coarse": after}

    def to_fine(self, batch: Batch) -> GraphOperator:
        """Return M, because the interpolation head reads the weighted states of several segments."""
        return batch.interpolator()

    def _fused(
        self,
        cell: RecurrentGraphCell,
        head: FineHead,
        batch: Batch,
        coarse: Tensor,
        state: tuple[Tensor, ...] | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        base, folded = None, fold_head(head)
        if self.anchored and self.coarse_head is not None:
            share = float(torch.sigmoid(self.blend))
            base = batch.remapper().matmul_days((1 - share) * self.coarse_head(coarse))
            folded = fold_head(head, self.coarse_head, share)
        x, graph = self.sources(batch)
        across = coarse, batch.interpolator()
        return compiled_predict(x, graph, cell.weights(), state, folded, across=across, base=base)


@register_model("dynamic-msgl")
class DynamicMSGL(MSGL):
    """:class:`MSGL` with the backbone :class:`xmsgl.models.backbones.dynamic.DynamicGraph` by default.

    Examples
    --------
    >>> DynamicMSGL.defaults
    {'backbone': 'dynamic'}
    """

    defaults: ClassVar[Mapping[str, Any]] = {"backbone": "dynamic"}


class _SingleScale(Trunk):
    """A backbone and a linear head at one scale at a time; the tasks have the names of their scales."""

    scale: ClassVar[str]

    def __init__(
        self,
        n_features: int,
        *,
        hidden: int = 20,
        recurrent_dropout: float | None = None,
        identity: int = 0,
        segments: int = 0,
        backend: str = "auto",
        backbone: str | Mapping[str, Any] = "rgcn",
    ) -> None:
        super().__init__(n_features, identity, segments)
        self.cell = create_backbone(
            backbone, self.width, hidden, recurrent_dropout=recurrent_dropout, backend=backend
        )
        self.head = LinearHead(hidden)

    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict at the labelled nodes; see :class:`.NetworkModel`."""
        return {scale: self.head(self.states_at_labels(batch, scale)) for scale in self._chosen(batch, tasks)}

    def memory_shapes(self, nodes: Mapping[str, int]) -> dict[str, list[tuple[int, ...]]]:
        """Return the shapes of the states of the scale; see :class:`.NetworkModel`."""
        return {self.scale: self.state_shapes(nodes[self.scale])}

    @torch.no_grad()
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days; see :class:`.NetworkModel`."""
        hidden, state = self.cell(*self.read(batch, self.scale), (memory or {}).get(self.scale))
        values = self.head(hidden)
        fine = values if self.scale == "fine" else batch.remapper().matmul_days(values)
        return fine, {self.scale: state}


@register_model("fine-only")
class FineOnly(_SingleScale):
    """The backbone on the fine network alone, without transfer between scales.

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

    @torch.no_grad()
    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days; see :class:`.NetworkModel`."""
        cell = self.compiled_cell
        if cell is None:
            return super().stream(batch, memory)
        x, graph = self.sources(batch)
        state, head = (memory or {}).get("fine"), fold_linear_head(self.head)
        prediction, after = compiled_predict(x, graph, cell.weights(), state, head)
        return prediction, {"fine": after}


@register_model("direct")
@register_model("progressive")
class Transfer(FineOnly):
    """The model of ``fine-only``, trained on the coarse network too, as in the comparison of [1]_.

    ``direct`` starts with the coarse temperature of a process model, ``progressive`` with coarse
    observations and then with pseudo-labels at every reach. Arguments as in :class:`MSGL`.
    """

    tasks = ("coarse", "fine")


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
    prediction_scale: Scale = "coarse"
