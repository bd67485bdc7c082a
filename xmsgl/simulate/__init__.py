"""A small process model of stream temperature and the basin it simulates."""

from __future__ import annotations

from xmsgl.simulate.hydrology import ChannelShape, Runoff, discharge, hydraulic_geometry
from xmsgl.simulate.parameters import StreamParameters
from xmsgl.simulate.process import (
    EquilibriumState,
    canopy_shade,
    equilibrium_temperature,
    stream_temperature,
)

__all__ = [
    "ChannelShape",
    "EquilibriumState",
    "Runoff",
    "StreamParameters",
    "canopy_shade",
    "discharge",
    "equilibrium_temperature",
    "hydraulic_geometry",
    "stream_temperature",
]
