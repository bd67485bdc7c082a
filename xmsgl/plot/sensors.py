"""Which reaches have a sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.network.topology import hops_to_outlet, link

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

__all__ = ["segment_places", "sensor_reaches"]


def segment_places(ds: xr.Dataset) -> npt.NDArray[np.int64]:
    """Find the position of the segment of each reach, -1 where unknown."""
    if not {"coarse", "coarse_segment"} <= set(ds.variables):
        return np.full(ds.sizes["fine"], -1, dtype=np.int64)
    return np.asarray(ds.indexes["coarse"].get_indexer(pd.Index(ds["coarse_segment"].values)), dtype=np.int64)


def sensor_reaches(
    ds: xr.Dataset,
    own: npt.NDArray[np.bool_],  # whether each reach is observed
    of_segment: npt.NDArray[np.bool_],  # whether the segment of each reach is
) -> npt.NDArray[np.int64]:
    """Return the observed reaches, and the most downstream one of observed segments without any, if known."""
    if "downstream_fine" not in ds.variables:
        return np.flatnonzero(own)
    segment = segment_places(ds)
    alone = np.flatnonzero(of_segment & (segment >= 0) & ~np.isin(segment, segment[own]))
    hops = hops_to_outlet(link(ds["fine"].values, ds["downstream_fine"].values))
    nearest = alone[np.argsort(hops[alone], kind="stable")]
    _, first = np.unique(segment[nearest], return_index=True)
    return np.sort(np.append(np.flatnonzero(own), nearest[first]))
