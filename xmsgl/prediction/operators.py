"""The sparse operators of one river network, on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xmsgl import schema
from xmsgl.inputs.scales import Sources
from xmsgl.models.parts.batch import Batch
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator
from xmsgl.network.parts import closure, independent_parts
from xmsgl.prediction.prefetch import to_device
from xmsgl.schema.graphs import build_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import xarray as xr

    from xmsgl.inputs.scales import FloatArray
    from xmsgl.network.parts import Part
    from xmsgl.util.scales import Scale


@dataclass(frozen=True)
class Operators:
    """The four sparse operators of a basin, and the rows of its segments in a model's table of identities."""

    coarse: GraphOperator  # A
    fine: GraphOperator  # A
    interpolation: GraphOperator  # M, distance-weighted, from segments to reaches
    remap: GraphOperator  # R, one-hot, from segments to reaches
    coarse_segments: torch.Tensor  # row of each node's segment, -1 for none
    fine_segments: torch.Tensor

    @classmethod
    def build(
        cls,
        ds: xr.Dataset,
        graph: Mapping[str, Any],
        segments: Sequence[Any],
        device: torch.device,
        *,
        known: npt.NDArray[np.bool_] | None = None,
    ) -> Operators:
        """Build the operators of a dataset; segments that are not `known` (coarse,) have no identity."""
        graphs = build_graph(ds, None, **graph)
        coarse, fine, interpolation, remap = (
            GraphOperator(matrix, device=device)
            for matrix in (graphs.coarse.operator, graphs.fine.operator, graphs.interpolation, graphs.remap)
        )
        row = {segment: number for number, segment in enumerate(segments)}
        rows = torch.tensor([row.get(segment, -1) for segment in ds["coarse"].values.tolist()])
        if known is not None:
            rows[torch.from_numpy(~known)] = -1
        carried = rows[torch.from_numpy(schema.segment_positions(ds))]
        return cls(coarse, fine, interpolation, remap, rows.to(device), carried.to(device))

    def closure(self, nodes: Mapping[Scale, npt.NDArray[np.int64]]) -> Part:
        """Find all nodes that the predictions at some nodes depend on."""
        return closure(
            *self._matrices(), coarse_nodes=nodes.get("coarse", []), fine_nodes=nodes.get("fine", [])
        )

    def parts(self, largest: int) -> list[Part]:
        """Divide the basin into parts that do not depend on one another."""
        return independent_parts(*self._matrices(), largest=largest)

    def restrict(self, part: Part) -> Operators:
        """Return the operators of some nodes."""
        coarse, fine = part
        return Operators(
            coarse=self.coarse.submatrix(coarse, coarse),
            fine=self.fine.submatrix(fine, fine),
            interpolation=self.interpolation.submatrix(fine, coarse),
            remap=self.remap.submatrix(fine, coarse),
            coarse_segments=self.coarse_segments[torch.from_numpy(coarse).to(self.coarse.device)],
            fine_segments=self.fine_segments[torch.from_numpy(fine).to(self.fine.device)],
        )

    def _matrices(self) -> list[Any]:
        return [each.to_scipy() for each in (self.coarse, self.fine, self.interpolation, self.remap)]

    def batch(
        self,
        inputs: Mapping[Scale, FloatArray | Sources],
        nodes: Mapping[Scale, npt.NDArray[np.int64]] | None = None,
    ) -> Batch:
        """Combine inputs (day, node, window, feature) and labelled nodes with the operators."""
        device = self.coarse.device
        tensors: dict[Scale, Any] = {
            scale: InheritedInputs(*(to_device(part, device) for part in values))
            if isinstance(values, Sources)
            else to_device(values, device)
            for scale, values in inputs.items()
        }
        marked = {scale: to_device(values, device) for scale, values in (nodes or {}).items()}
        return Batch(
            x_coarse=tensors.get("coarse"),
            x_fine=tensors.get("fine"),
            coarse_graph=self.coarse,
            fine_graph=self.fine,
            interpolation=self.interpolation,
            remap=self.remap,
            coarse_segments=self.coarse_segments,
            fine_segments=self.fine_segments,
            coarse_nodes=marked.get("coarse"),
            fine_nodes=marked.get("fine"),
        )
