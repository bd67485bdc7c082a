"""Readers of river networks and daily series as other projects store them.

Each reader returns one scale with the names and units of the convention, as :func:`xmsgl.combine` takes it.
``names()`` lists them, ``read(name, ...)`` runs one, ``help(get(name))`` lists the fields it needs, and
``register(name)`` adds your own.
"""

from __future__ import annotations

from xmsgl.readers.matching import crosswalk
from xmsgl.readers.nhdplus import read_nhdplus
from xmsgl.readers.nhm import read_nhm
from xmsgl.readers.registry import get, names, read, register
from xmsgl.readers.reshape import keep, one_scale
from xmsgl.readers.riverdl import read_river_dl
from xmsgl.readers.sites import PlacedSites, place_sites
from xmsgl.readers.ssn import read_ssn
from xmsgl.readers.tables import read_csv, read_csv_basin
from xmsgl.readers.weather import weather_from_grid, weather_from_stations

__all__ = [
    "PlacedSites",
    "crosswalk",
    "get",
    "keep",
    "names",
    "one_scale",
    "place_sites",
    "read",
    "read_csv",
    "read_csv_basin",
    "read_nhdplus",
    "read_nhm",
    "read_river_dl",
    "read_ssn",
    "register",
    "weather_from_grid",
    "weather_from_stations",
]
