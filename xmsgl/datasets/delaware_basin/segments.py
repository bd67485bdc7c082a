"""The coarse scale of the Delaware: segments of the National Hydrologic Model (NHM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import NetworkError
from xmsgl.network.topology import link
from xmsgl.readers.geometry import encode_lines, merged_lines, midpoints
from xmsgl.readers.prms import open_parameters, segment_table
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Segments", "read_segments", "read_subsegments"]

_ATTRIBUTES = ["slope", "elevation", "width", "drainage_area"]


@dataclass(frozen=True)
class Segments:
    """The segments, by ascending id."""

    # index seg_id_nat; to_segment (0 at an outlet), length, width, elevation (m), slope (1),
    # drainage_area (km2), lat, lon (degrees), geometry (hexadecimal WKB)
    table: pd.DataFrame
    downstream: NDArray[np.int64]  # position of the segment downstream, -1 at outlets
    segment_of: Mapping[str, int]  # id by name of the sub-segment ("3_1")


def read_subsegments(path: Path) -> Any:
    """Read the shapefile of sub-segments.

    Three segments are cut into halves; the upper halves have no segment id in the file and receive that of
    the lower half.
    """
    geopandas = require("geopandas", "reading the Delaware segments")
    frame = geopandas.read_file(path).set_index("subsegid")
    below = frame["tosubseg"].fillna("")
    segment = frame["segidnat"]
    segment = segment.fillna(pd.Series(segment.reindex(below).to_numpy(), index=frame.index))
    if segment.isna().any():
        msg = f"sub-segments without an id: {', '.join(segment.index[segment.isna()])}"
        raise NetworkError(msg)
    return frame.assign(
        to_subsegment=below, segment=segment.astype(np.int64), length=frame["subseglen"].astype(np.float64)
    )[["to_subsegment", "segment", "length", "geometry"]]


def read_segments(files: Mapping[str, Path]) -> Segments:
    """Read the segments with their topology and attributes."""
    parts = read_subsegments(files["segments"])
    ids = np.unique(parts["segment"].to_numpy())
    table = pd.DataFrame(index=pd.Index(ids, name="seg_id_nat"))
    table["to_segment"] = _downstream_ids(parts).reindex(ids)
    downstream = link(ids, table["to_segment"].to_numpy(), what="segment")
    table["length"] = parts.groupby("segment")["length"].sum()
    parameters = segment_table(open_parameters(files["segment_parameters"])).reindex(ids)[_ATTRIBUTES]
    if parameters.isna().any(axis=None):
        missing = parameters.index[parameters.isna().any(axis=1)]
        msg = f"segments without parameters: {', '.join(map(str, missing))}"
        raise NetworkError(msg)
    table = table.join(parameters)
    lines = merged_lines(parts, "segment", ids)
    table["lat"], table["lon"] = midpoints(lines)
    table["geometry"] = encode_lines(lines)
    return Segments(table, downstream, dict(parts["segment"].items()))


def _downstream_ids(parts: Any) -> pd.Series[int]:
    """Id of the segment downstream of each segment, to which its lowest part flows."""
    to_segment = parts["segment"].reindex(parts["to_subsegment"]).fillna(0).astype(np.int64).to_numpy()
    inner = to_segment == parts["segment"].to_numpy()  # an upper half flows to its own lower half
    return pd.Series(to_segment[~inner], index=parts["segment"].to_numpy()[~inner])
