"""A dataset as the river of the process model: discharge, travel times, and undisturbed temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xmsgl import schema
from xmsgl.errors import InvalidDatasetError
from xmsgl.network.topology import distance_to_outlet, link
from xmsgl.simulate.hydrology import discharge
from xmsgl.simulate.parameters import StreamParameters
from xmsgl.simulate.process import equilibrium_temperature, stream_temperature
from xmsgl.simulate.response import Transport, downstream_path, heat_response, transport

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["HeatedRiver"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NEEDED = ("air_temperature", "solar_radiation", "precipitation")
# Mean annual runoff and hydraulic geometry of simulated basins, for reaches without a width.
_RUNOFF, _WIDTH = 1.4, 9.0  # mm d-1; m at 1 m3 s-1
_PARAMETERS = StreamParameters()


@dataclass(frozen=True)
class HeatedRiver:
    """The reaches of a dataset with all that the response to heat depends on."""

    ids: NDArray[np.generic]
    days: pd.DatetimeIndex
    downstream: Ints
    to_outlet: Floats  # distance along the river from the downstream end of a reach to the outlet (m)
    length: Floats  # m
    carried: Transport  # (day, reach)
    temperature: Floats  # without any event, degC (day, reach)
    air: Floats  # degC (day, reach)

    @classmethod
    def of(cls, ds: xr.Dataset) -> HeatedRiver:
        """Run the process model on the reaches of a dataset."""
        drivers = schema.drivers(ds)
        wanted = [f"{name}_coarse or {name}_fine" for name in _NEEDED if name not in drivers]
        wanted += [name for name in ("length_fine", "drainage_area_fine") if name not in ds]
        if wanted:
            raise InvalidDatasetError([f"events need the variable {name}" for name in wanted])
        schema.validate(ds, labels=False, values=False)
        air, solar, rain = (_daily(ds, name) for name in _NEEDED)
        down = link(ds["fine"].values, ds["downstream_fine"].values)
        length, area = (
            ds[f"{name}_fine"].to_numpy().astype(np.float64) for name in ("length", "drainage_area")
        )
        width = _WIDTH * (area * _RUNOFF / 86.4) ** 0.5
        slope = ds["slope_fine"].to_numpy().astype(np.float64) if "slope_fine" in ds else np.zeros(area.size)
        slope = np.nan_to_num(slope)
        water = discharge(down, drainage_area=area, precipitation=np.maximum(rain, 0.0), air_temperature=air)
        reach = {"length": length, "width": width, "slope": slope, "discharge": water.discharge}
        temperature = stream_temperature(
            down,
            air_temperature=air,
            solar_radiation=solar,
            groundwater_fraction=water.baseflow_fraction,
            snowmelt_fraction=water.snowmelt_fraction,
            parameters=_PARAMETERS,
            **reach,
        )
        exchange = equilibrium_temperature(air, solar, parameters=_PARAMETERS).coefficient
        carried = transport(down, coefficient=exchange, parameters=_PARAMETERS, **reach)
        return cls(
            ds["fine"].values,
            pd.DatetimeIndex(ds.indexes["time"]),
            down,
            np.asarray(distance_to_outlet(down, length)),
            length,
            carried,
            np.asarray(temperature, np.float64),
            air,
        )

    def path(self, source: int) -> Ints:
        """Return the positions from a reach to its outlet."""
        return downstream_path(self.downstream, source)

    def response(self, first: int, days: int, path: Ints, heat: Floats) -> Floats:
        """Change of temperature along a path for releases (release, day) of W, (release, day, reach)."""
        window = Transport(*(values[first : first + days] for values in self.carried))
        return heat_response(window, path, heat, parameters=_PARAMETERS)

    def distance(self, a: Ints, b: Ints) -> Floats:
        """Return the distance along the river between the downstream ends of reaches (m)."""
        return np.array([self._between(int(i), int(j)) for i, j in zip(a, b, strict=True)])

    def _between(self, i: int, j: int) -> float:
        below = self.path(j)
        place = {int(reach): number for number, reach in enumerate(below)}
        meeting = next((reach for reach in self.path(i).tolist() if reach in place), None)
        if meeting is None:
            return float("inf")
        # Two tributaries meet at the upstream end of the reach below.
        shared = self.to_outlet[meeting] + (0.0 if meeting in (i, j) else self.length[meeting])
        return float(self.to_outlet[i] + self.to_outlet[j] - 2 * shared)


def _daily(ds: xr.Dataset, name: str) -> Floats:
    values = schema.fine_values(ds, name).transpose("time", "fine").to_numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise InvalidDatasetError([f"{name} has missing values; fill them before events are simulated"])
    return np.asarray(values)
