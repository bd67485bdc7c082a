"""Daily stream temperature on a river network: heat exchange, transport, mixing, groundwater.

For each reach and day, inflow from the reaches upstream and lateral inflow (groundwater, surface runoff,
meltwater) are mixed in proportion to their discharge. Along the reach the water relaxes towards the
equilibrium temperature ``Te``, at which there is no net heat exchange with the atmosphere:

    T_out = Te + (T_in - Te) exp(-K L / (rho c d v))

With ``d v = Q / w`` the exponent is ``K L w / (rho c Q)``. ``Te`` and ``K`` follow from the heat balance of
the surface, linearised about the air temperature. Water that leaves a reach today entered it one travel time
ago, so a warm day moves downstream at the speed of the water. Water temperature is at least 0 degC.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.network.topology import topological_order
from xmsgl.simulate.parameters import StreamParameters

__all__ = ["EquilibriumState", "canopy_shade", "equilibrium_temperature", "stream_temperature"]

_FIRST_DAYS = 8  # their mean weather gives the initial temperature of surface runoff
_BLOCK = 512  # days converted to float64 at once, which limits memory

Floats = NDArray[np.float64]


class EquilibriumState(NamedTuple):
    """Heat exchange between atmosphere and water."""

    temperature: Floats  # equilibrium temperature (degC), which may be below 0
    coefficient: Floats  # exchange coefficient K (W m-2 K-1)


def equilibrium_temperature(
    air_temperature: ArrayLike,
    solar_radiation: ArrayLike,
    *,
    relative_humidity: ArrayLike | None = None,
    cloud_cover: ArrayLike | None = None,
    shade: ArrayLike = 0.0,
    parameters: StreamParameters | None = None,
) -> EquilibriumState:
    r"""Equilibrium temperature and exchange coefficient of a water surface.

    The net flux into water of temperature ``T`` (solar + longwave - evaporation - conduction) is
    linearised about the air temperature: ``H(T) = H(Ta) - K (T - Ta)``, hence ``Te = Ta + H(Ta) / K``.
    Shaded sky has no sun and the temperature of the air.

    References
    ----------
    Edinger, J. E., Duttweiler, D. W., Geyer, J. C. (1968). The response of water temperatures to
    meteorological conditions. Water Resources Research 4(5), 1137-1143.

    Brutsaert, W. (1975). On a derivable formula for long-wave radiation from clear skies. Water Resources
    Research 11(5), 742-744.

    Mohseni, O., Stefan, H. G. (1999). Stream temperature/air temperature relationship: a physical
    interpretation. Journal of Hydrology 218, 128-141.
    """
    p = parameters or StreamParameters()
    air = np.asarray(air_temperature, dtype=np.float64)
    humidity = np.asarray(_default(relative_humidity, p.relative_humidity), float)
    cloud = np.asarray(_default(cloud_cover, p.cloud_cover), float)
    open_sky = 1.0 - np.asarray(shade, dtype=np.float64)
    kelvin = air + 273.15
    saturation = 6.112 * np.exp(17.62 * air / (243.12 + air))  # hPa, Magnus
    vapour = saturation * humidity / 100.0
    sky_emissivity = np.minimum(1.24 * (vapour / kelvin) ** (1 / 7) * (1.0 + 0.17 * cloud**2), 1.0)
    longwave = p.emissivity * 5.670374e-8 * kelvin**4
    wind = p.wind_constant + p.wind_quadratic * p.wind_speed**2
    at_air = (
        (1.0 - p.albedo) * open_sky * np.asarray(solar_radiation, dtype=np.float64)
        - open_sky * (1.0 - sky_emissivity) * longwave
        - wind * (saturation - vapour)
    )
    slope_of_saturation = saturation * 17.62 * 243.12 / (243.12 + air) ** 2
    coefficient = 4.0 * longwave / kelvin + wind * (slope_of_saturation + p.bowen)
    temperature = air + at_air / coefficient
    coefficient = np.broadcast_to(coefficient * p.exchange_factor, temperature.shape)
    return EquilibriumState(np.asarray(temperature), np.array(coefficient))


def canopy_shade(width: ArrayLike, *, parameters: StreamParameters | None = None) -> Floats:
    """Fraction of the sky hidden by riparian trees: large over brooks, small over rivers."""
    p = parameters or StreamParameters()
    return np.asarray(p.max_shade * np.exp(-np.asarray(width, dtype=np.float64) / p.shade_width))


def stream_temperature(
    downstream: ArrayLike,
    *,
    length: ArrayLike,
    width: ArrayLike,
    air_temperature: ArrayLike,
    solar_radiation: ArrayLike,
    discharge: ArrayLike,
    slope: ArrayLike | None = None,
    relative_humidity: ArrayLike | None = None,
    cloud_cover: ArrayLike | None = None,
    shade: ArrayLike | None = None,
    groundwater_fraction: ArrayLike | None = None,
    groundwater_offset: ArrayLike | None = None,
    snowmelt_fraction: ArrayLike | None = None,
    heat: ArrayLike = 0.0,
    parameters: StreamParameters | None = None,
) -> NDArray[np.floating]:
    """Daily mean stream temperature at the downstream end of every reach.

    Reaches are visited from the headwaters down, so one pass a day is enough; confluences conserve heat.
    Drivers have the shape (time, reach) or one that broadcasts to it: a number, (reach,), (time, 1).
    ``heat`` (W) is released into the water at the upstream end of a reach; negative, it cools.

    References
    ----------
    Caissie, D. (2006). The thermal regime of rivers: a review. Freshwater Biology 51, 1389-1406.

    Kurylyk, B. L., MacQuarrie, K. T. B., Caissie, D., McKenzie, J. M. (2015). Shallow groundwater thermal
    sensitivity to climate change and land cover disturbances. Hydrology and Earth System Sciences 19,
    2469-2489.

    Yearsley, J. R. (2009). A semi-Lagrangian water temperature model for advection-dominated river
    systems. Water Resources Research 45, W12405.

    van Vliet, M. T. H., et al. (2012). Coupled daily streamflow and water temperature modelling in large
    river basins. Hydrology and Earth System Sciences 16, 4303-4321.
    """
    p = parameters or StreamParameters()
    air = _floating(air_temperature)
    if air.ndim != 2:
        raise InvalidArgumentError(f"air_temperature must be (time, reach), not of shape {air.shape}")
    days, n = air.shape
    reach = _check_reaches(downstream, length, width, slope, shade, groundwater_offset, n, p)
    forcing = [
        _broadcast(name, values, (days, n), low, high)
        for name, values, low, high in (
            ("air_temperature", air, -90.0, 70.0),
            ("solar_radiation", solar_radiation, 0.0, 2000.0),
            ("relative_humidity", _default(relative_humidity, p.relative_humidity), 0.0, 100.0),
            ("cloud_cover", _default(cloud_cover, p.cloud_cover), 0.0, 1.0),
            ("discharge", discharge, 0.0, 1e7),
            ("groundwater_fraction", _default(groundwater_fraction, p.groundwater_fraction), 0.0, 1.0),
            ("snowmelt_fraction", _default(snowmelt_fraction, 0.0), 0.0, 1.0),
            ("heat", heat, -1e15, 1e15),
        )
    ]
    return _run(reach, forcing, air.dtype, p)


class _Reaches(NamedTuple):
    """Checked columns, with one entry for each reach."""

    order: NDArray[np.int64]
    downstream: NDArray[np.int64]
    length: Floats
    width: Floats
    slope: Floats
    shade: Floats
    offset: Floats


def _check_reaches(
    downstream: ArrayLike,
    length: ArrayLike,
    width: ArrayLike,
    slope: ArrayLike | None,
    shade: ArrayLike | None,
    offset: ArrayLike | None,
    n: int,
    p: StreamParameters,
) -> _Reaches:
    position = np.asarray(downstream, dtype=np.int64)
    if position.shape != (n,):
        raise InvalidArgumentError(f"downstream has shape {position.shape}, but the drivers have {n} reaches")
    lengths, widths = _per_reach("length", length, n), _per_reach("width", width, n)
    for name, values in (("length", lengths), ("width", widths)):
        if (bad := np.flatnonzero(~(values > 0.0))).size:
            raise InvalidArgumentError(f"{name} must be above 0 m; it is not at reaches {shorten(bad)}")
    slopes = _per_reach("slope", _default(slope, 0.0), n)
    shades = _per_reach("shade", canopy_shade(widths, parameters=p) if shade is None else shade, n)
    if (bad := np.flatnonzero((shades < 0.0) | (shades > 1.0))).size:
        raise InvalidArgumentError(f"shade must lie in 0..1; it does not at reaches {shorten(bad)}")
    offsets = _per_reach("groundwater_offset", _default(offset, p.groundwater_offset), n)
    return _Reaches(topological_order(position), position, lengths, widths, slopes, shades, offsets)


def _run(
    reach: _Reaches, forcing: list[NDArray[np.floating]], dtype: np.dtype[np.floating], p: StreamParameters
) -> NDArray[np.floating]:
    """Run the model in blocks of days, so that only one block is held in float64."""
    from xmsgl.simulate.loops import Constants, route_day_block

    days, n = forcing[0].shape
    constants = Constants(
        p.albedo,
        p.emissivity,
        p.wind_constant + p.wind_quadratic * p.wind_speed**2,
        p.bowen,
        p.exchange_factor,
        1.0 / p.groundwater_memory,
        1.0 / p.runoff_memory,
        p.manning,
        p.depth_coefficient,
        p.depth_exponent,
        p.min_velocity,
        p.bed_exchange,
        1.0 / p.bed_memory,
    )
    longest = float(reach.length.max(initial=0.0)) / (p.min_velocity * 86400.0)
    history = np.zeros((int(longest) + 2, n))
    groundwater, brooks = _spin_up(reach, forcing, p)
    bed = np.zeros(n)  # set on the first day
    result = np.empty((days, n), dtype=dtype)
    for first in range(0, days, _BLOCK):
        block = [np.array(values[first : first + _BLOCK], dtype=np.float64, order="C") for values in forcing]
        out = np.empty_like(block[0])
        air, solar, humidity, cloud, flow, share, melt, released = block
        route_day_block(
            reach.order, reach.downstream, reach.length, reach.width, reach.slope, reach.shade, reach.offset,
            air, solar, humidity, cloud, flow, share, melt, released,
            constants, groundwater, brooks, bed, history, first, out,
        )  # fmt: skip
        result[first : first + _BLOCK] = out
    return result


def _spin_up(
    reach: _Reaches, forcing: list[NDArray[np.floating]], p: StreamParameters
) -> tuple[Floats, Floats]:
    """Temperatures of groundwater and surface runoff before the first day."""
    year = np.asarray(forcing[0][:365], dtype=np.float64)
    groundwater = year.mean(axis=0)
    if len(year) == 365:
        for day in np.concatenate([year, year]):
            groundwater += (day - groundwater) / p.groundwater_memory
    air, solar, humidity, cloud = (values[:_FIRST_DAYS] for values in forcing[:4])
    state = equilibrium_temperature(
        air, solar, relative_humidity=humidity, cloud_cover=cloud, shade=reach.shade, parameters=p
    )
    return groundwater, state.temperature.mean(axis=0)


def _default(values: ArrayLike | None, fallback: float) -> ArrayLike:
    return fallback if values is None else values


def _floating(values: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _per_reach(name: str, values: ArrayLike, n: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (n,)):
        raise InvalidArgumentError(f"{name} has shape {array.shape}; give one number for each reach, ({n},)")
    array = np.array(np.broadcast_to(array, (n,)))
    if (bad := np.flatnonzero(~np.isfinite(array))).size:
        raise InvalidArgumentError(f"{name} is not finite at reaches {shorten(bad)}; fill it first")
    return array


def _broadcast(
    name: str, values: ArrayLike, shape: tuple[int, int], low: float, high: float
) -> NDArray[np.floating]:
    array = _floating(values)
    try:
        full = np.broadcast_to(array, shape)
    except ValueError as error:
        msg = f"{name} has shape {array.shape}, which does not broadcast to (time, reach) = {shape}"
        raise InvalidArgumentError(msg) from error
    good = (array >= low) & (array <= high)  # False for NaN
    if not good.all():
        where = np.argwhere(~np.broadcast_to(good, shape))
        first = f"day {where[0][0]}, reach {where[0][1]}"
        msg = f"{name} must be finite and in {low:g}..{high:g}; {len(where)} values are not, first {first}"
        raise InvalidArgumentError(msg)
    return full
