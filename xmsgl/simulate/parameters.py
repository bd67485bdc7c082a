"""The parameters of the process model."""

from __future__ import annotations

import dataclasses
import math

from xmsgl.errors import InvalidArgumentError

__all__ = ["StreamParameters"]


@dataclasses.dataclass(frozen=True)
class StreamParameters:
    """Parameters of :func:`xmsgl.simulate.stream_temperature`; the defaults are uncalibrated textbook values.

    References
    ----------
    Edinger, J. E., Brady, D. K., Geyer, J. C. (1974). Heat exchange and transport in the environment.
    Electric Power Research Institute, Palo Alto.

    Leopold, L. B., Maddock, T. (1953). The hydraulic geometry of stream channels and some physiographic
    implications. US Geological Survey Professional Paper 252.
    """

    albedo: float = 0.06  # of the water surface (1)
    emissivity: float = 0.97  # of water, longwave (1)
    wind_speed: float = 1.5  # m s-1; a constant, because wind is seldom among the drivers
    # wind function of evaporation, W m-2 hPa-1: 9.2 + 0.46 u**2 W m-2 mmHg-1 of Edinger et al. (1974)
    wind_constant: float = 6.9
    wind_quadratic: float = 0.345
    bowen: float = 0.63  # ratio of sensible to latent exchange per degree and hPa (hPa K-1): 0.47 mmHg K-1
    exchange_factor: float = 1.0  # multiplies the exchange coefficient; the first parameter to calibrate
    relative_humidity: float = 70.0  # per cent, where none is given
    cloud_cover: float = 0.5  # 0 to 1, where none is given
    groundwater_fraction: float = 0.4  # of the lateral inflow, where none is given (1)
    # Time constant of groundwater temperature, d: air temperature after a first-order filter, which damps the
    # annual wave by 1 / sqrt(1 + (2 pi m / 365.25)**2), 0.28 for 200 d, and delays it by up to 91 d
    groundwater_memory: float = 200.0
    groundwater_offset: float = 0.5  # groundwater minus the long-term mean air temperature (K)
    runoff_memory: float = 8.0  # time constant of surface runoff, which follows equilibrium temperature (d)
    max_shade: float = 0.75  # fraction of the sky hidden by trees over the narrowest stream (1)
    shade_width: float = 25.0  # width over which shade falls by a factor of e (m)
    manning: float = 0.05  # Manning's roughness, for the depth where the slope is known (s m-1/3)
    # depth = c Q**f of Leopold and Maddock (1953), m and m3 s-1, where the slope is not known
    depth_coefficient: float = 0.3
    depth_exponent: float = 0.4
    min_velocity: float = 0.03  # m s-1; keeps travel times finite where the water hardly flows
    # Conductance between water and streambed, W m-2 K-1: about 2 W m-1 K-1 through the upper decimetres of
    # wet gravel, and the water flowing through them; 0 for no exchange
    bed_exchange: float = 0.0
    bed_memory: float = 5.0  # time constant of the bed, which follows the mean water temperature (d)

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value!r} must lie in {low:g}..{high:g}"
            for name, (low, high) in _RANGES.items()
            if not (math.isfinite(value := getattr(self, name)) and low <= value <= high)
        ]
        if faults:
            raise InvalidArgumentError(f"StreamParameters: {'; '.join(faults)}")


_RANGES: dict[str, tuple[float, float]] = {
    "albedo": (0, 1),
    "emissivity": (0, 1),
    "wind_speed": (0, 50),
    "wind_constant": (0, 100),
    "wind_quadratic": (0, 10),
    "bowen": (0, 10),
    "exchange_factor": (0, 100),
    "relative_humidity": (0, 100),
    "cloud_cover": (0, 1),
    "groundwater_fraction": (0, 1),
    "groundwater_memory": (1, 1e5),
    "groundwater_offset": (-20, 20),
    "runoff_memory": (1, 1e4),
    "max_shade": (0, 1),
    "shade_width": (1e-3, 1e6),
    "manning": (1e-3, 1),
    "depth_coefficient": (1e-3, 10),
    "depth_exponent": (0, 1),
    "min_velocity": (1e-4, 10),
    "bed_exchange": (0, 1000),
    "bed_memory": (1, 1e4),
}
