"""River graphs as PyTorch Geometric data. The only module of the room that imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    import scipy.sparse as sp
    import torch
    from torch_geometric.data import HeteroData

__all__ = ["Between", "Nodes", "hetero_data"]


class Nodes(NamedTuple):
    """The graph of one scale: name, ids (n,), lengths (n,) in m, operator, distance of each edge in m."""

    scale: str
    ids: npt.NDArray[Any]
    length: npt.NDArray[np.float64]
    operator: sp.csr_array
    distance: npt.NDArray[np.float64]


class Between(NamedTuple):
    """Links between the scales: the segment of each reach (n_fine,) and the operator (n_fine, n_coarse)."""

    segment: npt.NDArray[np.int64]
    interpolation: sp.csr_array


def hetero_data(scales: Iterable[Nodes], between: Between | None = None) -> HeteroData:
    """Make heterogeneous graph data."""
    import torch
    from torch_geometric.data import HeteroData

    data = HeteroData()
    for given in scales:
        nodes = data[given.scale]
        nodes.num_nodes = len(given.length)
        nodes.length = _floats(given.length)
        if given.ids.dtype.kind in "iu":
            nodes.id = torch.from_numpy(given.ids.astype(np.int64))
        edges = data[given.scale, "flows", given.scale]
        edges.edge_index = _edge_index(given.operator)
        edges.edge_weight = _floats(given.operator.data)
        edges.edge_distance = _floats(given.distance)
    if between is not None:
        data["fine"].segment = torch.from_numpy(between.segment)
        edges = data["coarse", "informs", "fine"]
        edges.edge_index = _edge_index(between.interpolation)
        edges.edge_weight = _floats(between.interpolation.data)
    return data


def _edge_index(operator: sp.csr_array) -> torch.Tensor:
    """Return source and target positions of a CSR operator (row: target, column: source), (2, edges)."""
    import torch

    target = np.repeat(np.arange(operator.shape[0]), np.diff(operator.indptr))
    return torch.from_numpy(np.stack([operator.indices.astype(np.int64), target.astype(np.int64)]))


def _floats(values: Any) -> torch.Tensor:
    """Copy values as float32."""
    import torch

    return torch.from_numpy(np.array(values, dtype=np.float32))
