"""The numbers of the process model, each with its unit and where it comes from."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StreamParameters"]


@dataclasses.dataclass(frozen=True)
class StreamParameters:
    """Parameters of :func:`xmsgl.simulate.stream_temperature`; uncalibrated textbook values by default.

    Parameters
    ----------
    albedo
        Share of the solar radiation that the water surface reflects (1).
    emissivity
        Longwave emissivity of water (1).
    wind_speed
        Wind over the water (m s-1), one number because wind is seldom among the drivers.
    wind_constant, wind_quadratic
        Wind function of evaporation, constant (W m-2 hPa-1) and factor of the squared wind
        (W m-2 hPa-1 per m2 s-2): ``9.2 + 0.46 u**2`` W m-2 mmHg-1 of Edinger et al. (1974).
    bowen
        Sensible over latent exchange per degree and hPa (hPa K-1): 0.47 mmHg K-1.
    exchange_factor
        Multiplies the exchange coefficient (1): the knob that calibration turns first.
    relative_humidity
        Used where no humidity is given (%).
    cloud_cover
        Used where no cloud cover is given (1).
    groundwater_fraction
        Share of the lateral inflow that is groundwater, where none is given (1).
    groundwater_memory
        Time constant of the groundwater's temperature (d): it is the air temperature through a
        first-order filter, so the annual wave is damped by ``1 / sqrt(1 + (2 pi m / 365.25)**2)``
        (0.28 for 200 d) and comes later by up to a quarter of a year.
    groundwater_offset
        Groundwater minus the long-term mean of the air (K).
    runoff_memory
        Time constant of the temperature of surface runoff, which follows the equilibrium temperature (d).
    max_shade
        Share of the sky that trees hide over the narrowest stream (1).
    shade_width
        Width over which the shade falls by a factor e (m).
    manning
        Manning's roughness (s m-1/3), for the depth where a slope is known.
    depth_coefficient, depth_exponent
        Hydraulic geometry ``depth = c Q**f`` of Leopold and Maddock (1953), depth in m, Q in m3 s-1,
        for the depth where no slope is known.
    min_velocity
        Slowest flow (m s-1): pools and weirs let no reach dry up into infinite travel times.
    bed_exchange
        Conductance between water and streambed (W m-2 K-1): some 2 W m-1 K-1 through the upper decimetres
        of wet gravel, and what flows through them. 0: no exchange with the bed.
    bed_memory
        Time constant of the bed's temperature, which follows the water's mean over the reach (d).
    specific_discharge
        Mean runoff used where no discharge is given (mm d-1).

    References
    ----------
    Edinger, J. E., Brady, D. K., Geyer, J. C. (1974). Heat exchange and transport in the environment.
    Electric Power Research Institute, Palo Alto.

    Leopold, L. B., Maddock, T. (1953). The hydraulic geometry of stream channels and some physiographic
    implications. US Geological Survey Professional Paper 252.
    """

    albedo: float = 0.06
    emissivity: float = 0.97
    wind_speed: float = 1.5
    wind_constant: float = 6.9
    wind_quadratic: float = 0.345
    bowen: float = 0.63
    exchange_factor: float = 1.0
    relative_humidity: float = 70.0
    cloud_cover: float = 0.5
    groundwater_fraction: float = 0.4
    groundwater_memory: float = 200.0
    groundwater_offset: float = 0.5
    runoff_memory: float = 8.0
    max_shade: float = 0.75
    shade_width: float = 25.0
    manning: float = 0.05
    depth_coefficient: float = 0.3
    depth_exponent: float = 0.4
    min_velocity: float = 0.03
    bed_exchange: float = 0.0
    bed_memory: float = 5.0
    specific_discharge: float = 1.4

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value!r} must lie in {low:g}..{high:g}"
            for name, (low, high) in _RANGES.items()
            if not (math.isfinite(value := getattr(self, name)) and low <= value <= high)
        ]
        if faults:
            raise InvalidArgumentError(f"StreamParameters: {'; '.join(faults)}")

    def to_dict(self) -> dict[str, float]:
        """Return the parameters as a plain dictionary, for attributes and files."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> StreamParameters:
        """Make the parameters from :meth:`to_dict`'s dictionary."""
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InvalidArgumentError(f"StreamParameters has no {', '.join(map(repr, unknown))}")
        return cls(**values)


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
    "specific_discharge": (0, 100),
}
