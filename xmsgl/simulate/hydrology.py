"""Water for the process model: runoff from rain and snow, and the shape of channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.topology import topological_order

__all__ = ["ChannelShape", "Runoff", "discharge", "hydraulic_geometry"]

Floats = NDArray[np.float64]


class ChannelShape(NamedTuple):
    """Width (m), depth (m) and velocity (m s-1); their product is the discharge."""

    width: Floats
    depth: Floats
    velocity: Floats


class Runoff(NamedTuple):
    """Water in the channels.

    Parameters
    ----------
    discharge
        At the downstream end of each reach (m3 s-1), (time, reach).
    baseflow_fraction
        Groundwater in the reach's own lateral inflow (1), (time, reach).
    snowmelt_fraction
        Melt water in the rest of the lateral inflow (1), (time, reach).
    """

    discharge: Floats
    baseflow_fraction: Floats
    snowmelt_fraction: Floats


def hydraulic_geometry(
    discharge: ArrayLike,
    *,
    width_coefficient: float = 5.0,
    width_exponent: float = 0.5,
    depth_coefficient: float = 0.3,
    depth_exponent: float = 0.4,
) -> ChannelShape:
    """Width, depth and velocity of channels from their mean discharge, going downstream.

    References
    ----------
    Leopold, L. B., Maddock, T. (1953). The hydraulic geometry of stream channels and some physiographic
    implications. US Geological Survey Professional Paper 252.
    """
    flow = np.asarray(discharge, dtype=np.float64)
    if not (np.isfinite(flow) & (flow >= 0.0)).all():
        raise InvalidArgumentError("discharge must be finite and not below 0 m3 s-1")
    width = np.asarray(width_coefficient * flow**width_exponent)
    depth = np.asarray(depth_coefficient * flow**depth_exponent)
    area = width * depth
    velocity = np.divide(flow, area, out=np.zeros_like(area), where=area > 0.0)
    return ChannelShape(width, depth, velocity)


def discharge(
    downstream: ArrayLike,
    *,
    drainage_area: ArrayLike,
    precipitation: ArrayLike,
    air_temperature: ArrayLike,
    runoff_coefficient: float = 0.45,
    baseflow_index: ArrayLike = 0.5,
    fast_days: float = 3.0,
    slow_days: float = 60.0,
    melt_factor: float = 3.0,
) -> Runoff:
    """Daily discharge from precipitation: snow store and two linear reservoirs, added up downstream.

    Each reach drains its own area, the drainage area less that of the reaches upstream. Precipitation
    falls as snow at or below 0 degC and melts by degree-days; a constant share runs off, part quickly
    and part through the ground. Water arrives the same day everywhere; travel times matter for the heat,
    not for these daily sums.

    Shapes: `downstream` (reach,), `drainage_area` (reach,), `precipitation` (time, reach), `air_temperature`
    (time, reach), `baseflow_index` (reach,).
    """
    from xmsgl.simulate.kernels import runoff_block

    position = np.asarray(downstream, dtype=np.int64)
    n = position.size
    rain = np.array(precipitation, dtype=np.float64, order="C", ndmin=2)
    air = np.array(air_temperature, dtype=np.float64, order="C", ndmin=2)
    if rain.shape != air.shape or rain.shape[1] != n:
        raise InvalidArgumentError(
            f"precipitation {rain.shape} and air_temperature {air.shape} must both be (time, {n})"
        )
    if not (np.isfinite(air).all() and np.isfinite(rain).all() and (rain >= 0.0).all()):
        raise InvalidArgumentError("precipitation and air_temperature must be finite, precipitation >= 0")
    if not (0.0 <= runoff_coefficient <= 1.0 and fast_days >= 1.0 and slow_days >= 1.0 and melt_factor >= 0):
        raise InvalidArgumentError(
            "runoff_coefficient must lie in 0..1, fast_days and slow_days be >= 1, melt_factor >= 0; not "
            f"{runoff_coefficient}, {fast_days}, {slow_days}, {melt_factor}"
        )
    share = np.array(np.broadcast_to(np.asarray(baseflow_index, dtype=np.float64), (n,)))
    area = np.asarray(drainage_area, dtype=np.float64)
    if area.shape != (n,) or not (area > 0.0).all() or not ((share >= 0.0) & (share <= 1.0)).all():
        raise InvalidArgumentError(f"drainage_area must be ({n},) and above 0 km2, baseflow_index in 0..1")
    local = area.copy()
    linked = position >= 0
    np.subtract.at(local, position[linked], area[linked])
    local = np.maximum(local, 0.0)
    result = Runoff(*(np.zeros(rain.shape) for _ in range(3)))
    # the slow store starts where a long past of the same rain would have left it
    slow = runoff_coefficient * share * rain.mean(axis=0) * slow_days
    snow, fast, fast_melt = np.zeros(n), np.zeros(n), np.zeros(n)
    runoff_block(
        topological_order(position), position, local, rain, air, runoff_coefficient, share,
        1.0 / fast_days, 1.0 / slow_days, melt_factor, snow, fast, fast_melt, slow,
        result.discharge, result.baseflow_fraction, result.snowmelt_fraction,
    )  # fmt: skip
    return result
