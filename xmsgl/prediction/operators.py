"""The sparse operators of one river network, on a device."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from xmsgl import schema
from xmsgl.inputs.scales import Sources
from xmsgl.models.parts.batch import Batch
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator
from xmsgl.network.parts import Group, Part, closure, independent_parts, pieces
from xmsgl.prediction.prefetch import to_device
from xmsgl.schema.graphs import build_graph
from xmsgl.schema.rivers import topology
from xmsgl.util.options import get_option
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.inputs.scales import FloatArray
    from xmsgl.util.scales import Scale

logger = logging.getLogger(__name__)

_BASINS = 16  # that are predicted one by one
# Steps from a piece of a basin to the nodes that it reads: what lies further away changes it by 1e-5 degC.
_HALO = 6


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

    def restrict(self, part: Part, *, lossy: bool = False) -> Operators:
        """Return the operators of some nodes; refuse to leave out what they read, unless `lossy`."""
        coarse, fine = part
        return Operators(
            coarse=self.coarse.submatrix(coarse, coarse, lossy=lossy),
            fine=self.fine.submatrix(fine, fine, lossy=lossy),
            interpolation=self.interpolation.submatrix(fine, coarse, lossy=lossy),
            remap=self.remap.submatrix(fine, coarse, lossy=lossy),
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


def whole_network(ds: xr.Dataset) -> list[Group]:
    """Return all nodes as one group."""
    part = Part(*(np.arange(ds.sizes[scale], dtype=np.int64) for scale in SCALES))
    return [Group(part, part)]


def river_basins(ds: xr.Dataset, *, largest: int = 1) -> list[Part]:
    """Return the basins of a dataset, with `largest` together as long as they have fewer reaches."""
    down, owner = topology(ds, "coarse")[1], schema.segment_positions(ds)
    links = (
        _columns(down, down.size),
        _columns(topology(ds, "fine")[1], owner.size),
        *[_columns(owner, down.size)] * 2,
    )
    return independent_parts(*links, largest=largest)


def basin_groups(ds: xr.Dataset, graph: Mapping[str, Any]) -> list[Group]:
    """Group the basins of a dataset so that no group depends on another; one group if the topology is lazy.

    Up to 16 basins are groups of their own, more are grouped into at most 16, or more where a group would
    have more reaches than the option ``largest_basin``. A basin with more is cut into pieces that read the
    nodes around them, too.
    """
    largest: int = get_option("largest_basin")
    names = [f"{what}_{scale}" for what in ("downstream", "length") for scale in SCALES]
    if any(name in ds.variables and ds[name].chunks is not None for name in [*names, schema.CROSSWALK]):
        return whole_network(ds)
    basins = river_basins(ds)
    down, owner = topology(ds, "coarse")[1], schema.segment_positions(ds)
    if len(basins) > _BASINS:
        # Two consecutive groups have more reaches than `largest`, so that there are at most 16.
        basins = river_basins(ds, largest=min(largest, -(-2 * owner.size // _BASINS)))
    if all(basin.fine.size <= largest for basin in basins):
        return [Group(basin, basin) for basin in basins]
    graphs = build_graph(ds, None, **graph)
    read = (graphs.coarse.operator, graphs.fine.operator, graphs.interpolation, graphs.remap)
    groups = []
    for basin in basins:
        cut = [basin] if basin.fine.size <= largest else pieces(down, owner, basin, largest=largest)
        for kept in cut:
            near = {"coarse_nodes": kept.coarse, "fine_nodes": kept.fine}
            groups.append(Group(kept, basin if kept is basin else closure(*read, **near, steps=_HALO)))
        if len(cut) > 1:
            logger.info("a basin of %d reaches is predicted in %d pieces", basin.fine.size, len(cut))
    return groups


def _columns(column: npt.NDArray[np.int64], n: int) -> sp.csr_array:
    """Return the matrix with a 1 in one column of each row, or in none where it is -1."""
    rows = np.flatnonzero(column >= 0)
    return sp.csr_array((np.ones(rows.size), (rows, column[rows])), (column.size, n))
