"""The two scales: coarse segments (about 10 km) and fine reaches (about 1 km)."""

from __future__ import annotations

from typing import Literal

__all__ = ["SCALES", "Scale"]

Scale = Literal["coarse", "fine"]
SCALES: tuple[Scale, Scale] = ("coarse", "fine")
