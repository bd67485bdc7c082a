"""River graphs as PyTorch Geometric data. The only module of the package's core that imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch
    from torch_geometric.data import HeteroData

    from xmsgl.network.graph import RiverGraph, RiverGraphs

__all__ = ["from_graph", "from_graphs"]


def from_graph(graph: RiverGraph) -> HeteroData:
    """Convert one scale; see :meth:`xmsgl.network.graph.RiverGraph.to_pyg`.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    torch_geometric.data.HeteroData
        One node type, one edge type.
    """
    from torch_geometric.data import HeteroData

    data = HeteroData()
    _add_scale(data, graph)
    return data


def from_graphs(graphs: RiverGraphs) -> HeteroData:
    """Convert both scales; see :meth:`xmsgl.network.graph.RiverGraphs.to_pyg`.

    Parameters
    ----------
    graphs
        The graphs.

    Returns
    -------
    torch_geometric.data.HeteroData
        Two node types, three edge types.
    """
    import torch
    from torch_geometric.data import HeteroData

    data = HeteroData()
    _add_scale(data, graphs.coarse)
    _add_scale(data, graphs.fine)
    data["fine"].segment = torch.from_numpy(graphs.segment)
    between = data["coarse", "informs", "fine"]
    between.edge_index = _edge_index(graphs.interpolation)
    between.edge_weight = _floats(graphs.interpolation.data)
    return data


def _add_scale(data: Any, graph: RiverGraph) -> None:
    """Add the nodes and edges of one scale."""
    import torch

    nodes = data[graph.scale]
    nodes.num_nodes = graph.n
    nodes.length = _floats(graph.length)
    if graph.ids.dtype.kind in "iu":
        nodes.id = torch.from_numpy(graph.ids.astype(np.int64))
    edges = data[graph.scale, "flows", graph.scale]
    edges.edge_index = _edge_index(graph.operator)
    edges.edge_weight = _floats(graph.operator.data)
    edges.edge_distance = _floats(graph.rows().distance)


def _edge_index(operator: sp.csr_array) -> torch.Tensor:
    """Write a CSR operator (row: target, column: source) as source and target positions."""
    import torch

    target = np.repeat(np.arange(operator.shape[0]), np.diff(operator.indptr))
    return torch.from_numpy(np.stack([operator.indices.astype(np.int64), target.astype(np.int64)]))


def _floats(values: Any) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.array(values, dtype=np.float32))
