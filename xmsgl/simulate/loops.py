"""The compiled loops of the process model; :mod:`process` and :mod:`hydrology` check their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Constants", "path_response", "route_day_block", "runoff_block"]

STEFAN_BOLTZMANN = 5.670374e-8  # W m-2 K-4
KELVIN = 273.15
HEAT_CAPACITY = 4.186e6  # of water, J m-3 K-1
DAY = 86400.0

Function = TypeVar("Function", bound=Callable[..., Any])
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def compiled(function: Function) -> Function:
    """Compile a loop with Numba, cached on disk; the type stays that of the function."""
    return cast("Function", njit(cache=True)(function))


class Constants(NamedTuple):
    """The parameters of :func:`route_day_block`."""

    albedo: float
    emissivity: float
    wind_function: float
    bowen: float
    exchange_factor: float
    groundwater_rate: float
    runoff_rate: float
    manning: float
    depth_coefficient: float
    depth_exponent: float
    min_velocity: float
    bed_exchange: float
    bed_rate: float


@compiled
def _exchange(
    air: float, solar: float, humidity: float, cloud: float, shade: float, c: Constants
) -> tuple[float, float]:
    """Equilibrium temperature (degC) and exchange coefficient (W m-2 K-1) of one reach and day."""
    kelvin = air + KELVIN
    saturation = 6.112 * np.exp(17.62 * air / (243.12 + air))
    slope = saturation * 17.62 * 243.12 / (243.12 + air) ** 2
    vapour = 0.01 * humidity * saturation
    sky = min(1.24 * (vapour / kelvin) ** (1.0 / 7.0) * (1.0 + 0.17 * cloud * cloud), 1.0)
    black = c.emissivity * STEFAN_BOLTZMANN * kelvin**3
    at_air = (
        (1.0 - c.albedo) * (1.0 - shade) * solar
        - (1.0 - shade) * (1.0 - sky) * black * kelvin
        - c.wind_function * (saturation - vapour)
    )
    coefficient = 4.0 * black + c.wind_function * (slope + c.bowen)
    return air + at_air / coefficient, coefficient * c.exchange_factor


@compiled
def route_day_block(
    order: Ints,
    downstream: Ints,
    length: Floats,
    width: Floats,
    slope: Floats,
    shade: Floats,
    offset: Floats,
    air: Floats,
    solar: Floats,
    humidity: Floats,
    cloud: Floats,
    discharge: Floats,
    groundwater_share: Floats,
    melt_share: Floats,
    heat: Floats,
    c: Constants,
    groundwater: Floats,
    brooks: Floats,
    bed: Floats,
    history: Floats,
    first_day: int,
    out: Floats,
) -> None:
    """Run a block of days; ``groundwater``, ``brooks``, ``bed`` and ``history`` hold the state."""
    days, n = out.shape
    depth_of_history = history.shape[0]
    flow_in = np.empty(n)
    heat_in = np.empty(n)
    for day in range(days):
        flow_in[:] = 0.0
        heat_in[:] = 0.0
        slot = (first_day + day) % depth_of_history
        for k in range(n):
            i = order[k]
            ta = air[day, i]
            groundwater[i] += c.groundwater_rate * (ta - groundwater[i])
            equilibrium, coefficient = _exchange(
                ta, solar[day, i], humidity[day, i], cloud[day, i], shade[i], c
            )
            brooks[i] += c.runoff_rate * (equilibrium - brooks[i])
            # lateral inflow: groundwater, brooks, and meltwater at 0 degC
            share = groundwater_share[day, i]
            rain = (1.0 - share) * (1.0 - melt_share[day, i])
            lateral_temperature = share * max(groundwater[i] + offset[i], 0.0) + rain * max(brooks[i], 0.0)
            flow = max(discharge[day, i], 1e-6)
            lateral = max(flow - flow_in[i], 0.0)
            water = flow_in[i] + lateral
            mixed = (heat_in[i] + lateral * lateral_temperature) / water
            if heat[day, i] != 0.0:  # a release at the upstream end; it cannot cool water below 0 degC
                mixed = max(mixed + heat[day, i] / (HEAT_CAPACITY * water), 0.0)
            if first_day + day == 0:
                history[:, i] = mixed
                bed[i] = mixed
            history[slot, i] = mixed
            # water that leaves today entered one travel time ago
            if slope[i] > 0.0:
                depth = (c.manning * flow / (width[i] * np.sqrt(slope[i]))) ** 0.6
            else:
                depth = c.depth_coefficient * flow**c.depth_exponent
            velocity = max(flow / (width[i] * depth), c.min_velocity)
            lag = length[i] / (velocity * DAY)
            whole = int(lag)
            part = lag - whole
            newer = history[(slot - whole) % depth_of_history, i]
            older = history[(slot - whole - 1) % depth_of_history, i]
            parcel = (1.0 - part) * newer + part * older
            # surface and bed together: one relaxation towards their weighted mean
            both = coefficient + c.bed_exchange
            target = equilibrium
            if c.bed_exchange > 0.0:
                target = (coefficient * equilibrium + c.bed_exchange * bed[i]) / both
            exponent = both * length[i] * width[i] / (HEAT_CAPACITY * flow)
            decay = np.exp(-exponent)
            temperature = max(target + (parcel - target) * decay, 0.0)
            if c.bed_exchange > 0.0:  # the bed follows the mean over the reach, which conserves heat
                mean = target + (parcel - target) * (1.0 - decay) / exponent
                bed[i] += c.bed_rate * (max(mean, 0.0) - bed[i])
            out[day, i] = temperature
            j = downstream[i]
            if j >= 0:
                flow_in[j] += flow
                heat_in[j] += flow * temperature


@compiled
def path_response(
    water: Floats,
    flow: Floats,
    lag: Floats,
    exponent: Floats,
    bed_share: Floats,
    heat: Floats,
    bed_rate: float,
    out: Floats,
) -> None:
    """Follow each release (release, day) along a path; the other arrays are (day, reach)."""
    releases, days, n = out.shape
    entered = np.empty(days)
    for release in range(releases):
        for i in range(n):
            for day in range(days):
                if i == 0:
                    entered[day] = heat[release, day] / (HEAT_CAPACITY * water[day, 0])
                else:
                    entered[day] = out[release, day, i - 1] * flow[day, i - 1] / water[day, i]
            bed = 0.0
            for day in range(days):
                whole = int(lag[day, i])
                part = lag[day, i] - whole
                newer = entered[day - whole] if day >= whole else 0.0
                older = entered[day - whole - 1] if day > whole else 0.0
                parcel = (1.0 - part) * newer + part * older
                target = bed_share[day, i] * bed
                decay = np.exp(-exponent[day, i])
                out[release, day, i] = target + (parcel - target) * decay
                mean = target + (parcel - target) * (1.0 - decay) / exponent[day, i]
                bed += bed_rate * (mean - bed)


@compiled
def runoff_block(
    order: Ints,
    downstream: Ints,
    local_area: Floats,
    precipitation: Floats,
    air: Floats,
    coefficient: float,
    baseflow_index: Floats,
    fast_rate: float,
    slow_rate: float,
    melt_factor: float,
    snow: Floats,
    fast: Floats,
    fast_melt: Floats,
    slow: Floats,
    discharge: Floats,
    baseflow_share: Floats,
    melt_share: Floats,
) -> None:
    """Snow store and two linear reservoirs of each reach, summed downstream (mm d-1, km2 -> m3 s-1)."""
    days, n = discharge.shape
    for day in range(days):
        discharge[day, :] = 0.0
        for k in range(n):
            i = order[k]
            water, melt = precipitation[day, i], 0.0
            if air[day, i] <= 0.0:
                snow[i] += water
                water = 0.0
            else:
                melt = min(snow[i], melt_factor * air[day, i])
                snow[i] -= melt
            quick = coefficient * (1.0 - baseflow_index[i])
            slow[i] += coefficient * baseflow_index[i] * (water + melt)
            fast[i] += quick * water
            fast_melt[i] += quick * melt
            from_slow = slow_rate * slow[i]
            from_rain = fast_rate * fast[i]
            from_melt = fast_rate * fast_melt[i]
            slow[i] -= from_slow
            fast[i] -= from_rain
            fast_melt[i] -= from_melt
            surface = from_rain + from_melt
            total = from_slow + surface
            baseflow_share[day, i] = from_slow / total if total > 0.0 else 1.0
            melt_share[day, i] = from_melt / surface if surface > 0.0 else 0.0
            discharge[day, i] += total * local_area[i] / 86.4
            j = downstream[i]
            if j >= 0:
                discharge[day, j] += discharge[day, i]
