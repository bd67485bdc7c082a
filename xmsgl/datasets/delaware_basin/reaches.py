"""The fine scale of the Delaware: NHDPlusV2 flowlines, their topology and the crosswalk to segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import NetworkError
from xmsgl.network.topology import contract
from xmsgl.readers.geometry import EQUAL_AREA, encode_lines, midpoints
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Crosswalk",
    "Flowlines",
    "Reaches",
    "dominant_unit",
    "fill_drainage_area",
    "nested_intervals",
    "read_crosswalk",
    "read_flowlines",
    "segment_orders",
    "select_reaches",
]


def nested_intervals(first: ArrayLike, last: ArrayLike) -> NDArray[np.int64]:
    """Derive a river's topology from nested intervals of traversal numbers, each (reaches,).

    Numbering reaches upstream from the outlet gives each reach the interval from its own number to the
    highest number upstream of it. The reach downstream has the smallest interval that encloses its own.

    References
    ----------
    Moore, R. B. et al. (2019), User's guide for the National Hydrography Dataset Plus (NHDPlus) High
    Resolution, USGS Open-File Report 2019-1096, on hydrologic sequence; the nested set model of trees.
    """
    low, high = np.asarray(first, dtype=np.int64), np.asarray(last, dtype=np.int64)
    downstream = np.full(len(low), -1, dtype=np.int64)
    enclosing: list[int] = []
    previous = None
    for position in np.lexsort((-high, low)):
        start, stop = low[position], high[position]
        while enclosing and high[enclosing[-1]] < start:
            enclosing.pop()
        overlaps = bool(enclosing) and high[enclosing[-1]] < stop
        if stop < start or previous == (start, stop) or overlaps:
            msg = f"the interval {start}..{stop} at position {position} is not nested in the others"
            raise NetworkError(msg)
        if enclosing:
            downstream[position] = enclosing[-1]
        enclosing.append(int(position))
        previous = (start, stop)
    return downstream


@dataclass(frozen=True)
class Flowlines:
    """All flowlines of the basin, by ascending COMID."""

    # GeoDataFrame, index COMID; length (m), drainage_area (km2), stream_order, huc8, huc12,
    # geometry (EPSG:5070)
    table: Any
    downstream: NDArray[np.int64]  # position of the flowline downstream, -1 where there is none
    # how the link was found: "interval", "endpoint", "outlet" (no interval encloses its own) or "unresolved"
    # (minor divergences and shorelines without an interval)
    how: NDArray[np.str_]


def read_flowlines(path: Path) -> Flowlines:
    """Read the flowlines of the Delaware basin and derive their topology.

    The file has no COMID downstream but the interval of each flowline (``nord``, ``nordstop``). A flowline
    without a complete interval flows to the only flowline that begins where it ends.
    """
    geopandas = require("geopandas", "reading the Delaware flowlines")
    require("pyarrow", "reading the Delaware flowlines")
    frame = geopandas.read_parquet(path)
    frame = frame[frame["in_drb"].fillna(False).astype(bool)].sort_index()
    frame = frame.set_geometry(frame.geometry.line_merge()).to_crs(EQUAL_AREA)
    downstream, how = _flowline_links(frame)
    table = geopandas.GeoDataFrame(
        {
            "length": frame.geometry.length,
            "drainage_area": frame["watershed_hectares"] / 100.0,
            "stream_order": frame["streamorder"].astype(np.float64),
            "huc8": frame["huc08"].astype(str),
            "huc12": frame["huc12"].astype(str),
        },
        index=frame.index,
        geometry=frame.geometry,
    )
    return Flowlines(table, downstream, how)


def _flowline_links(frame: Any) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    low, high = frame["nord"], frame["nordstop"]
    numbered = low.notna().to_numpy()
    whole = np.flatnonzero(numbered & high.notna().to_numpy())
    first, last = (column.iloc[whole].astype(np.int64).to_numpy() for column in (low, high))
    inner = nested_intervals(first, last)
    downstream = np.full(len(frame), -1, dtype=np.int64)
    downstream[whole] = np.where(inner >= 0, whole[inner], -1)
    how = np.full(len(frame), "unresolved", dtype="<U10")
    how[whole] = np.where(inner >= 0, "interval", "outlet")
    ends = _links_by_end_points(frame.geometry, np.flatnonzero(how == "unresolved"), numbered)
    found = ends >= 0
    downstream[found] = ends[found]
    how[found] = "endpoint"
    return downstream, how


def _links_by_end_points(
    lines: Any, open_ends: NDArray[np.int64], numbered: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Position of the only flowline that begins where another ends, otherwise -1.

    Two flowlines without a number are not linked, because they follow the shore.
    """
    shapely = require("shapely", "river geometry")
    line = lines.to_numpy()
    begin = shapely.get_coordinates(shapely.get_point(line, 0)).round(1)
    end = shapely.get_coordinates(shapely.get_point(line, -1)).round(1)
    beginning: dict[tuple[float, float], list[int]] = {}
    for position, (x, y) in enumerate(begin):
        beginning.setdefault((x, y), []).append(position)
    links = np.full(len(line), -1, dtype=np.int64)
    for position in open_ends:
        x, y = end[position]
        below = [other for other in beginning.get((x, y), ()) if numbered[position] or numbered[other]]
        if len(below) == 1:
            links[position] = below[0]
    return links


@dataclass(frozen=True)
class Crosswalk:
    """The published crosswalk, with columns ``comid``, ``subsegment`` and ``segment``."""

    main_stem: pd.DataFrame  # flowlines on the main stem of a segment
    catchment: pd.DataFrame  # all flowlines in the catchment of a segment


def read_crosswalk(path: Path) -> Crosswalk:
    """Read the crosswalk of NHM sub-segments and COMIDs."""
    frame = pd.read_csv(path, dtype={"comid_seg": str, "comid_cat": str})

    def explode(column: str) -> pd.DataFrame:
        long = frame.assign(comid=frame[column].str.split(";")).explode("comid", ignore_index=True)
        long = long.rename(columns={"PRMS_segid": "subsegment", "segidnat": "segment"})
        return long[["comid", "subsegment", "segment"]].astype({"comid": np.int64, "segment": np.int64})

    return Crosswalk(explode("comid_seg"), explode("comid_cat"))


@dataclass(frozen=True)
class Reaches:
    """The fine scale of a dataset, by ascending COMID."""

    # index COMID; to_reach (0 at an outlet), segment, subsegment (name), length (m), drainage_area (km2),
    # stream_order, lat, lon, huc8, huc12, geometry (hexadecimal WKB)
    table: pd.DataFrame
    counts: Mapping[str, int]  # of what was left out or not found, for attributes of the dataset


def select_reaches(flowlines: Flowlines, crosswalk: Crosswalk, which: str) -> Reaches:
    """Choose the reaches of the fine scale and link them to each other and to the segments."""
    claims = crosswalk.main_stem
    if which == "all":
        claims = pd.concat([claims, crosswalk.catchment]).drop_duplicates("comid")
    owner = claims.set_index("comid")
    comid = flowlines.table.index
    selected = comid.isin(owner.index)
    downstream = contract(flowlines.downstream, selected)
    table = flowlines.table[selected]
    lat, lon = midpoints(table.geometry)
    ids = table.index.to_numpy()
    columns = {
        "to_reach": np.where(downstream >= 0, ids[downstream], 0),
        "segment": owner["segment"].reindex(ids).to_numpy(),
        "subsegment": owner["subsegment"].reindex(ids).to_numpy(dtype=object),
        **{name: table[name].to_numpy() for name in ("length", "drainage_area", "stream_order")},
        "lat": lat,
        "lon": lon,
        **{name: table[name].to_numpy(dtype=object) for name in ("huc8", "huc12")},
        "geometry": encode_lines(table.geometry),
    }
    counts = {
        "flowlines_in_basin": len(comid),
        "flowlines_without_segment": int((~comid.isin(crosswalk.catchment["comid"])).sum()),
        "reaches_named_by_the_crosswalk": len(owner),
        "reaches_missing_among_the_flowlines": int((~owner.index.isin(comid)).sum()),
        "reaches_with_unresolved_link": int((flowlines.how[selected] == "unresolved").sum()),
        "outlets_of_the_fine_network": int((downstream < 0).sum()),
    }
    return Reaches(pd.DataFrame(columns, index=pd.Index(ids, name="comid")), counts)


def dominant_unit(reaches: pd.DataFrame, column: str, segments: pd.Index[int]) -> NDArray[np.object_]:
    """Find the hydrologic unit that contains most of the length of each segment's reaches."""
    share = reaches.groupby(["segment", column])["length"].sum().reset_index()
    longest = share.sort_values(["length", column]).drop_duplicates("segment", keep="last")
    return longest.set_index("segment")[column].reindex(segments).fillna("").to_numpy(dtype=object)


def fill_drainage_area(segments: pd.DataFrame, reaches: pd.DataFrame) -> tuple[pd.Series[float], list[int]]:
    """Fill missing areas of segments with the largest of their reaches; return areas and filled ids."""
    area = segments["drainage_area"].copy()
    empty = area.index[area <= 0]
    largest = reaches.groupby("segment")["drainage_area"].max()
    area.loc[empty] = largest.reindex(empty).to_numpy()
    return area, [int(segment) for segment in empty]


def segment_orders(segments: pd.DataFrame, reaches: pd.DataFrame) -> pd.Series[float]:
    """Return the stream order of each segment's largest reach.

    The order in the coarse network would be lower by about two, because it lacks the brooks.
    """
    order = reaches.groupby("segment")["stream_order"].max().reindex(segments.index)
    above = order.groupby(segments["to_segment"]).max()
    return order.fillna(above.reindex(segments.index)).fillna(1.0)
