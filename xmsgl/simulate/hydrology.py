"""Discharge from rain and snow, the water of the process model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmsgl.errors import InvalidArgumentError
from xmsgl.network.topology import topological_order

__all__ = ["Runoff", "discharge"]

Floats = NDArray[np.float64]

_RUNOFF_COEFFICIENT = 0.45  # fraction of rain and meltwater that runs off
_SLOW_DAYS = 60.0  # residence time of the groundwater
_MELT_FACTOR = 3.0  # mm d-1 K-1


class Runoff(NamedTuple):
    """Water in the channels, each (time, reach)."""

    discharge: Floats  # at the downstream end (m3 s-1)
    baseflow_fraction: Floats  # of groundwater in the reach's own lateral inflow (1)
    snowmelt_fraction: Floats  # of meltwater in the rest of the lateral inflow (1)


def discharge(
    downstream: ArrayLike,
    *,
    drainage_area: ArrayLike,
    precipitation: ArrayLike,
    air_temperature: ArrayLike,
    baseflow_index: ArrayLike = 0.5,
    fast_days: float = 3.0,
) -> Runoff:
    """Daily discharge from precipitation: a snow store and two linear reservoirs, summed downstream.

    Each reach drains its own area, that is its drainage area minus those of the reaches upstream. A constant
    fraction of rain and meltwater runs off, partly fast, partly as groundwater. Travel times of the water
    are neglected: they matter for its heat, not for these daily sums.

    Shapes: `downstream` (reach,), `drainage_area` (reach,), `precipitation` (time, reach), `air_temperature`
    (time, reach), `baseflow_index` (reach,).
    """
    from xmsgl.simulate.loops import runoff_block

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
    if fast_days < 1.0:
        raise InvalidArgumentError(f"fast_days must be at least 1, not {fast_days}")
    share = np.array(np.broadcast_to(np.asarray(baseflow_index, dtype=np.float64), (n,)))
    area = np.asarray(drainage_area, dtype=np.float64)
    if area.shape != (n,) or not (area > 0.0).all() or not ((share >= 0.0) & (share <= 1.0)).all():
        raise InvalidArgumentError(f"drainage_area must be ({n},) and above 0 km2, baseflow_index in 0..1")
    local = area.copy()
    linked = position >= 0
    np.subtract.at(local, position[linked], area[linked])
    local = np.maximum(local, 0.0)
    result = Runoff(*(np.zeros(rain.shape) for _ in range(3)))
    # the groundwater store starts at the steady state of the mean rain
    slow = _RUNOFF_COEFFICIENT * share * rain.mean(axis=0) * _SLOW_DAYS
    snow, fast, fast_melt = np.zeros(n), np.zeros(n), np.zeros(n)
    runoff_block(
        topological_order(position), position, local, rain, air, _RUNOFF_COEFFICIENT, share,
        1.0 / fast_days, 1.0 / _SLOW_DAYS, _MELT_FACTOR, snow, fast, fast_melt, slow,
        result.discharge, result.baseflow_fraction, result.snowmelt_fraction,
    )  # fmt: skip
    return result
