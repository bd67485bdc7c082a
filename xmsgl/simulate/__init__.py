"""A process model of stream temperature, and the random basins it is run on."""

from __future__ import annotations

from xmsgl.simulate.basin import Basin, River, random_basin
from xmsgl.simulate.hydrology import Runoff, discharge
from xmsgl.simulate.parameters import StreamParameters
from xmsgl.simulate.process import (
    EquilibriumState,
    canopy_shade,
    equilibrium_temperature,
    stream_temperature,
)
from xmsgl.simulate.sensors import sensor_days
from xmsgl.simulate.weather import Weather, random_weather

__all__ = [
    "Basin",
    "EquilibriumState",
    "River",
    "Runoff",
    "StreamParameters",
    "Weather",
    "canopy_shade",
    "discharge",
    "equilibrium_temperature",
    "random_basin",
    "random_weather",
    "sensor_days",
    "stream_temperature",
]
