"""Rivers as graphs: one weighted sparse operator for each scale, and the operators between the scales."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from xmsgl.errors import InvalidArgumentError, NetworkError
from xmsgl.network.checks import check_downstream, check_length, check_segment
from xmsgl.network.crosswalk import interpolation_operator, remap_operator
from xmsgl.network.describe import (
    CrosswalkDescription,
    GraphDescription,
    GraphsDescription,
    Spread,
    neighbour_rule,
)
from xmsgl.network.kernels import Kernel, get_kernel, kernel_weights
from xmsgl.network.pairs import Direction, PairRows, pair_rows
from xmsgl.network.topology import hops_to_outlet, topological_order
from xmsgl.util.arguments import checked
from xmsgl.util.html import as_xarray_shows
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray
    from torch_geometric.data import HeteroData

    from xmsgl.network.pyg import Nodes

__all__ = ["DEFAULT_HOPS", "RiverGraph", "RiverGraphs"]

DEFAULT_HOPS = 5
"""Greatest number of steps to a neighbour, unless the choice of neighbours is given."""


@dataclass(frozen=True, eq=False, repr=False)
class RiverGraph:
    """The reaches of one scale and the operator that averages over neighbours.

    Made by :meth:`build`. A row of the operator has the weights of a reach itself and of its neighbours.

    Parameters
    ----------
    ids, downstream, length, scale, kernel, hops, limit, nearest, direction
        As for :meth:`build`; ``downstream`` is int64, ``length`` float64 (m), both of shape (n,).
    operator
        float64 CSR, shape (n, n), with self-loops; rows sum to 1. Row: target, column: source.

    Raises
    ------
    NetworkError
        If the shapes do not fit together.
    InvalidArgumentError
        If the scale is not known.
    """

    ids: NDArray[Any]
    downstream: NDArray[np.int64]
    length: NDArray[np.float64]
    operator: sp.csr_array
    scale: Scale
    kernel: Kernel
    hops: int | None = None
    limit: float | None = None
    nearest: int | None = None
    direction: Direction = "both"

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            msg = f"scale must be one of {', '.join(SCALES)}, not {self.scale!r}"
            raise InvalidArgumentError(msg)
        n = self.downstream.size
        if self.ids.shape != (n,) or self.length.shape != (n,) or self.operator.shape != (n, n):
            msg = (
                f"the {self.scale} graph has {n} reaches but ids of shape {self.ids.shape}, lengths of shape "
                f"{self.length.shape} and an operator of shape {self.operator.shape}; give one row per reach"
            )
            raise NetworkError(msg)

    @classmethod
    @checked
    def build(
        cls,
        ids: ArrayLike,
        downstream: ArrayLike,
        length: ArrayLike,
        *,
        scale: Scale = "fine",
        kernel: str | Kernel | Mapping[str, Any] | None = None,
        hops: int | None = None,
        limit: float | None = None,
        nearest: int | None = None,
        direction: Direction = "both",
    ) -> RiverGraph:
        """Build the graph: find neighbours, weight them, add self-loops, normalise rows to a sum of 1.

        Parameters
        ----------
        ids
            Integer or string id of each reach, shape (n,).
        downstream
            Position each reach flows to, shape (n,); -1 at an outlet (:func:`xmsgl.network.topology.link`).
        length
            Length of each reach (m), above 0, shape (n,).
        scale
            ``"coarse"`` or ``"fine"``; used as a name only.
        kernel
            Weights as a function of distance: a name, a mapping or a kernel. Default: exponential, 10 km.
        hops, limit, nearest, direction
            Which reaches are neighbours, see :func:`xmsgl.network.pairs.neighbours`; of equally distant
            ones, those with the smallest ids. Without any of the first three: 5 hops, or all reaches
            upstream and downstream for the reference kernel. With ``limit=inf`` it is all of them for any
            kernel.

        Returns
        -------
        RiverGraph
            The graph; the same arguments give bit-identical graphs.

        Raises
        ------
        InvalidArgumentError
            If the choice of neighbours or the kernel is not valid.
        UnknownNameError
            If no kernel has this name.
        NetworkError
            If the network is not valid or has a cycle, or a length is not finite and above 0.

        Examples
        --------
        >>> graph = RiverGraph.build([7, 8], [1, -1], [1_000.0, 1_000.0], kernel="inverse")
        >>> graph.operator.toarray().round(3)
        array([[0.524, 0.476],
               [0.476, 0.524]])
        """
        from xmsgl.network import _loops

        names, down = np.asarray(ids), check_downstream(downstream)
        if names.shape != down.shape:
            msg = f"ids have shape {names.shape}; give one id for each of the {down.size} reaches"
            raise NetworkError(msg)
        topological_order(down, ids=names)
        chosen = get_kernel(kernel)
        if hops is None and limit is None and nearest is None and not chosen.whole:
            hops = DEFAULT_HOPS
        rows = pair_rows(
            down, length, hops=hops, limit=limit, nearest=nearest, direction=direction, loops=True, ids=names
        )
        weight = kernel_weights(chosen, rows.distance, rows.signed_hops > 0)
        _loops.normalise_rows(rows.offset, weight)
        offset = rows.offset.astype(rows.source.dtype)
        operator = sp.csr_array((weight, rows.source, offset), shape=(down.size, down.size))
        return cls(
            ids=names,
            downstream=down,
            length=check_length(length, down.size),
            operator=operator,
            scale=scale,
            kernel=chosen,
            hops=None if hops is None else int(hops),
            limit=_storable(limit),
            nearest=None if nearest is None else int(nearest),
            direction=direction,
        )

    @property
    def n(self) -> int:
        """Number of reaches."""
        return int(self.downstream.size)

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments of :meth:`build` that give the same graph, ready for JSON.

        Returns
        -------
        dict

        Examples
        --------
        >>> RiverGraph.build([7, 8], [1, -1], [1e3, 1e3]).settings()["kernel"]
        {'name': 'exponential', 'scale_m': 10000.0}
        """
        return {"scale": self.scale, "kernel": self.kernel.to_dict(), **self._choices()}

    def _choices(self) -> dict[str, Any]:
        """Return how neighbours were chosen."""
        return {name: getattr(self, name) for name in ("hops", "limit", "nearest", "direction")}

    def rows(self) -> PairRows:
        """Find distance (m) and signed hops of every entry of the operator, in the order of its ``data``.

        Returns
        -------
        PairRows
        """
        return pair_rows(self.downstream, self.length, **self._choices(), loops=True, ids=self.ids)

    def describe(self) -> GraphDescription:
        """Count nodes, edges, basins and orphans, and give the spread of distance, weight and degree.

        Returns
        -------
        GraphDescription
            ``print`` it for a table. No number includes the self-loops.

        Examples
        --------
        >>> print(RiverGraph.build([7, 8], [1, -1], [1e3, 1e3]).describe())
        river graph, fine scale
          nodes                 2 fine reaches
          edges                 2 besides the self-loops
          basins                1, up to 1 hop deep
          neighbours            up to 5 hops, upstream and downstream
          kernel                Exponential(scale_m=10000.0)
          orphans               none
                                       min      mean       max
          edge distance (m)          1,000     1,000     1,000
          edge weight                0.475     0.475     0.475
          neighbours of a node           1         1         1
        """
        rows = self.rows()
        apart = rows.signed_hops != 0
        degree = np.diff(rows.offset) - 1
        return GraphDescription(
            scale=self.scale,
            rule=neighbour_rule(**self._choices()),
            kernel=str(self.kernel),
            nodes=self.n,
            edges=int(apart.sum()),
            basins=int((self.downstream < 0).sum()),
            depth=int(hops_to_outlet(self.downstream).max(initial=0)),
            orphans=tuple(self.ids[degree == 0].tolist()),
            distance=Spread.of(rows.distance[apart]),
            weight=Spread.of(self.operator.data[apart]),
            degree=Spread.of(degree),
        )

    def to_pyg(self) -> HeteroData:
        """Convert to PyTorch Geometric.

        Returns
        -------
        torch_geometric.data.HeteroData
            One node type named by the scale, with ``length`` (m) and, where ids are integers, ``id``;
            edges ``(scale, "flows", scale)`` from source to target, self-loops included, with
            ``edge_weight`` (the operator) and ``edge_distance`` (m).

        Examples
        --------
        >>> data = RiverGraph.build([7, 8], [1, -1], [1e3, 1e3]).to_pyg()
        >>> data["fine", "flows", "fine"].edge_index.shape
        torch.Size([2, 4])
        """
        from xmsgl.network.pyg import hetero_data

        return hetero_data([self._nodes()])

    def _nodes(self) -> Nodes:
        """Return the arrays for PyTorch Geometric."""
        from xmsgl.network.pyg import Nodes

        return Nodes(self.scale, self.ids, self.length, self.operator, self.rows().distance)

    def __repr__(self) -> str:
        edges = self.operator.nnz - self.n
        rule = neighbour_rule(**self._choices())
        return f"<RiverGraph {self.scale}: {self.n:,} nodes, {edges:,} edges, {rule}, {self.kernel}>"

    @as_xarray_shows
    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()


def _storable(limit: float | None) -> float | None:
    """Make a limit finite, because JSON has no infinity."""
    return None if limit is None else min(float(limit), sys.float_info.max)


@dataclass(frozen=True, eq=False, repr=False)
class RiverGraphs:
    """Both scales and the operators that interpolate a field from coarse to fine.

    Made by :meth:`build`.

    Parameters
    ----------
    coarse, fine, kernel, limit
        As for :meth:`build`.
    remap
        R, float64 CSR, shape (n_fine, n_coarse): 1 at the segment that a reach lies on.
    interpolation
        M, float64 CSR, shape (n_fine, n_coarse): rows sum to 1.

    Raises
    ------
    NetworkError
        If the shapes do not fit together.
    """

    coarse: RiverGraph
    fine: RiverGraph
    remap: sp.csr_array
    interpolation: sp.csr_array
    kernel: Kernel | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.kernel is None:
            object.__setattr__(self, "kernel", self.fine.kernel)
        shape = (self.fine.n, self.coarse.n)
        for name, operator in (("remap", self.remap), ("interpolation", self.interpolation)):
            if operator.shape != shape:
                msg = f"the {name} operator has shape {operator.shape}; it must be {shape}, fine x coarse"
                raise NetworkError(msg)

    @classmethod
    @checked
    def build(
        cls,
        coarse: RiverGraph,
        fine: RiverGraph,
        segment: ArrayLike,
        *,
        kernel: str | Kernel | Mapping[str, Any] | None = None,
        limit: float | None = None,
    ) -> RiverGraphs:
        """Link two graphs by the crosswalk.

        Parameters
        ----------
        coarse, fine
            The graph of each scale.
        segment
            Position of each fine reach's coarse segment, shape (n_fine,).
        kernel, limit
            Kernel and greatest distance (m) of M, see :func:`xmsgl.network.crosswalk.interpolation_operator`.
            Default: the kernel of the fine graph, and the range of the kernel.

        Returns
        -------
        RiverGraphs

        Raises
        ------
        InvalidArgumentError, UnknownNameError, NetworkError
            As for :func:`xmsgl.network.crosswalk.interpolation_operator`.

        Examples
        --------
        >>> coarse = RiverGraph.build([1], [-1], [2e3], scale="coarse")
        >>> fine = RiverGraph.build([7, 8], [1, -1], [1e3, 1e3])
        >>> RiverGraphs.build(coarse, fine, [0, 0]).interpolation.toarray()
        array([[1.],
               [1.]])
        """
        chosen = fine.kernel if kernel is None else get_kernel(kernel)
        place = check_segment(segment, coarse.n, fine.n)
        return cls(
            coarse=coarse,
            fine=fine,
            remap=remap_operator(place, coarse.n),
            interpolation=interpolation_operator(
                fine.downstream, fine.length, place, coarse.n, kernel=chosen, limit=limit
            ),
            kernel=chosen,
            limit=_storable(limit),
        )

    @property
    def segment(self) -> NDArray[np.int64]:
        """Position of each fine reach's coarse segment, int64, shape (n_fine,)."""
        return self.remap.indices.astype(np.int64)

    def settings(self) -> dict[str, Any]:
        """Return how the graphs were built, ready for JSON.

        Returns
        -------
        dict
            ``"coarse"`` and ``"fine"`` as from :meth:`RiverGraph.settings`, and the kernel and limit of M
            under ``"interpolation"``.

        Examples
        --------
        >>> coarse = RiverGraph.build([1], [-1], [2e3], scale="coarse")
        >>> fine = RiverGraph.build([7, 8], [1, -1], [1e3, 1e3])
        >>> sorted(RiverGraphs.build(coarse, fine, [0, 0]).settings())
        ['coarse', 'fine', 'interpolation']
        """
        return {
            "coarse": self.coarse.settings(),
            "fine": self.fine.settings(),
            "interpolation": {"kernel": get_kernel(self.kernel).to_dict(), "limit": self.limit},
        }

    def describe(self) -> GraphsDescription:
        """Describe both graphs and how they are linked.

        Returns
        -------
        GraphsDescription
            ``print`` it for three tables.
        """
        held = np.bincount(self.segment, minlength=self.coarse.n)
        target = np.repeat(np.arange(self.fine.n), np.diff(self.interpolation.indptr))
        own = self.interpolation.data[self.interpolation.indices == self.segment[target]]
        return GraphsDescription(
            coarse=self.coarse.describe(),
            fine=self.fine.describe(),
            crosswalk=CrosswalkDescription(
                kernel=str(self.kernel),
                entries=int(self.interpolation.nnz),
                empty=int((held == 0).sum()),
                reaches=Spread.of(held),
                sources=Spread.of(np.diff(self.interpolation.indptr)),
                own=Spread.of(own),
            ),
        )

    def to_pyg(self) -> HeteroData:
        """Convert to PyTorch Geometric.

        Returns
        -------
        torch_geometric.data.HeteroData
            Both scales as from :meth:`RiverGraph.to_pyg`; the fine nodes have ``segment`` too, the position
            of their coarse node. Edges ``("coarse", "informs", "fine")`` have M as ``edge_weight``.
        """
        from xmsgl.network.pyg import Between, hetero_data

        nodes = [self.coarse._nodes(), self.fine._nodes()]
        return hetero_data(nodes, Between(self.segment, self.interpolation))

    def __repr__(self) -> str:
        return (
            f"<RiverGraphs: {self.coarse.n:,} coarse and {self.fine.n:,} fine nodes, "
            f"{self.interpolation.nnz:,} entries between them, {self.kernel}>"
        )

    @as_xarray_shows
    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()
