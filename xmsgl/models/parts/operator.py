"""A constant sparse matrix over the nodes of a network, stored with its transpose.

Torch's own autograd transposes a CSR tensor in every backward pass and makes its gradient dense.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmsgl.errors import InvalidArgumentError

__all__ = ["GraphOperator"]


class GraphOperator:
    """A sparse ``(n_out, n_in)`` matrix: the graph operator A, and M and R between the scales.

    Row ``i`` of the SciPy matrix given holds the weights of the nodes that node ``i`` reads.
    """

    def __init__(
        self, matrix: Any, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> None:
        if dtype not in (torch.float32, torch.float64):
            msg = (
                f"a graph operator must be float32 or float64, not {dtype}: "
                "sparse products exist for these types only"
            )
            raise InvalidArgumentError(msg)
        csr = sparse.csr_array(matrix)
        csr.sum_duplicates()
        bad = np.flatnonzero(~np.isfinite(csr.data))
        if bad.size:
            row = int(np.searchsorted(csr.indptr, bad[0], side="right")) - 1
            msg = f"{bad.size} weights of the operator are not finite, first in row {row}; rebuild the graph"
            raise InvalidArgumentError(msg)
        self._matrix = csr
        self.dtype = dtype
        self.device = torch.device(device)
        self._forward = _to_torch(csr, dtype, self.device)
        self._backward = _to_torch(csr.T.tocsr(), dtype, self.device)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns, ``(n_out, n_in)``."""
        rows, columns = self._matrix.shape
        return int(rows), int(columns)

    @property
    def nnz(self) -> int:
        """Number of stored weights."""
        return int(self._matrix.nnz)

    def to(
        self, device: torch.device | str | None = None, *, dtype: torch.dtype | None = None
    ) -> GraphOperator:
        """Return this operator on another device or in another type; itself if nothing changes."""
        target = self.device if device is None else torch.device(device)
        kind = self.dtype if dtype is None else dtype
        if target == self.device and kind == self.dtype:
            return self
        return GraphOperator(self._matrix, dtype=kind, device=target)

    def rows(self, nodes: Tensor) -> GraphOperator:
        """Return the operator with only the rows of some nodes."""
        return GraphOperator(self._matrix[nodes.detach().cpu().numpy()], dtype=self.dtype, device=self.device)

    def submatrix(self, rows: Any, columns: Any, *, lossy: bool = False) -> GraphOperator:
        """Return the operator between some nodes; InvalidArgumentError if that loses a weight."""
        written, read = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
        chosen = self._matrix[written]
        lost = np.flatnonzero(~np.isin(chosen.indices, read) & (chosen.data != 0))
        if lost.size and not lossy:
            reader = int(written[np.searchsorted(chosen.indptr, lost[0], side="right") - 1])
            msg = (
                f"{lost.size} weights would be lost: node {reader} reads node {chosen.indices[lost[0]]}, "
                "which is left out; include the nodes that they depend on, see xmsgl.network.parts.closure"
            )
            raise InvalidArgumentError(msg)
        return GraphOperator(chosen[:, read], dtype=self.dtype, device=self.device)

    def to_scipy(self) -> Any:
        """Return the weights as a SciPy CSR array; not a copy, so do not change it."""
        return self._matrix

    def csr_tensors(self, *, transposed: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return row starts, columns and weights of this or its transpose, on its device; not copies."""
        matrix = self._backward if transposed else self._forward
        return matrix.crow_indices(), matrix.col_indices(), matrix.values()

    def matmul(self, x: Tensor) -> Tensor:
        """Multiply ``(n_in, ...)`` to ``(n_out, ...)``, with gradients for `x`."""
        return self.matmul_days(x.unsqueeze(0)).squeeze(0)

    def matmul_days(self, x: Tensor) -> Tensor:
        """Multiply each day of ``(time, n_in, ...)`` to ``(time, n_out, ...)``, with gradients for `x`."""
        if x.shape[1] != self.shape[1]:
            msg = f"the graph operator reads {self.shape[1]} nodes, but the values have {x.shape[1]}"
            raise InvalidArgumentError(msg)
        flat = x.reshape(x.shape[0], x.shape[1], -1)
        if flat.dtype in (torch.bfloat16, torch.float16):  # made by autocast
            flat = flat.to(self.dtype)
        product: Tensor = _Product.apply(flat, self._forward, self._backward)  # type: ignore[no-untyped-call]
        return product.reshape(x.shape[0], self.shape[0], *x.shape[2:])

    def add_matmul(self, base: Tensor, x: Tensor, out: Tensor) -> None:
        """Write ``base + A x`` to `out`, all ``(nodes, columns)``, without gradients."""
        torch.addmm(base, self._forward, x, out=out)

    def rmatmul_into(self, x: Tensor, out: Tensor) -> None:
        """Write ``A^T x`` to `out`, both ``(nodes, columns)``, without gradients."""
        torch.addmm(out, self._backward, x, beta=0, out=out)

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"GraphOperator({rows} x {columns}, {self.nnz} weights, {self.dtype}, {self.device})"


def _to_torch(csr: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.as_tensor(csr.indptr.astype(np.int32)),  # the type that the vendors' libraries take
            torch.as_tensor(csr.indices.astype(np.int32)),
            torch.as_tensor(csr.data).to(dtype),
            size=csr.shape,
            device=device,
            check_invariants=True,
        )


class _Product(torch.autograd.Function):
    """``A x_t`` for every t; `x` is ``(time, nodes, columns)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return _multiply(matrix, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _multiply(ctx.transposed, grad), None, None


def _multiply(matrix: Tensor, x: Tensor) -> Tensor:
    x = x.contiguous()
    out = x.new_empty(x.shape[0], matrix.shape[0], x.shape[2])
    for day in range(x.shape[0]):
        torch.addmm(out[day], matrix, x[day], beta=0, out=out[day])
    return out
