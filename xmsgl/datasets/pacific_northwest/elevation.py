"""Elevation of reaches from the slopes of a river and the altitudes of some gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["elevation_along"]

_SLOPE_ERROR = 0.003  # standard deviation of slopes that are rounded to 0.01
_ALTITUDE_ERROR = 5.0  # m, of altitudes read from maps


def elevation_along(
    downstream: NDArray[np.int64],
    length: Floats,
    slope: Floats,
    reach: NDArray[np.int64],
    altitude: Floats,
) -> Floats:
    """Estimate the elevation half-way along each reach of one river by weighted least squares.

    Between two reaches the elevation falls by slope times length, at the positions `reach` it is `altitude`
    (m). Shapes: first three arguments (reaches,), last two (gauges,), returns (reaches,).
    """
    upper = np.flatnonzero(downstream >= 0)
    lower = downstream[upper]
    fall = (slope[upper] * length[upper] + slope[lower] * length[lower]) / 2.0
    sure = (_SLOPE_ERROR * (length[upper] + length[lower]) / 2.0) ** -2.0
    step = np.arange(upper.size)
    places = (np.concatenate([step, step]), np.concatenate([upper, lower]))
    signs = np.repeat([1.0, -1.0], upper.size)
    differences = sparse.csr_array((signs, places), shape=(upper.size, downstream.size))
    weighted = differences.T @ sparse.diags_array(sure)
    anchors = np.bincount(reach, minlength=downstream.size) / _ALTITUDE_ERROR**2
    sums = np.bincount(reach, weights=altitude, minlength=downstream.size) / _ALTITUDE_ERROR**2
    matrix = sparse.csc_array(weighted @ differences + sparse.diags_array(anchors))
    return np.asarray(spsolve(matrix, weighted @ fall + sums))
