"""Names of the dataset convention, and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.network.ids import id_values
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = [
    "CROSSWALK",
    "LABEL",
    "PLACE",
    "PROCESS_COARSE",
    "TOPOLOGY",
    "id_values",
    "positions",
    "scale_of",
]

LABEL = "water_temperature"
#: Temperature of the segments from a process model.
PROCESS_COARSE = "simulated_temperature_coarse"
CROSSWALK = "coarse_segment"

TOPOLOGY = {"downstream", "length"}
PLACE = {"lat", "lon", "latitude", "longitude", "x", "y", "geometry"}


def scale_of(name: Hashable) -> tuple[str, Scale | None]:
    """Split a variable's name into base name and scale."""
    text = str(name)
    for scale in SCALES:
        if text.endswith(f"_{scale}") and len(text) > len(scale) + 1:
            return text[: -len(scale) - 1], scale
    return text, None


def positions(ids: npt.ArrayLike, wanted: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Find the position of each wanted id, -1 where it is not among the ids, (n,), (m,) -> (m,)."""
    known, sought = id_values(ids), id_values(wanted)
    if known.dtype.kind != sought.dtype.kind:
        return np.full(sought.shape, -1, dtype=np.int64)
    return np.asarray(pd.Index(known).get_indexer(pd.Index(sought)), dtype=np.int64)
