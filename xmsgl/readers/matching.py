"""The segment that each reach lies on or drains to, found from the lines and links of both scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.network.topology import first_selected, link
from xmsgl.readers.frames import check_choice
from xmsgl.readers.geometry import check_lines
from xmsgl.schema.geometry import CRS, read_geometry
from xmsgl.schema.names import CROSSWALK
from xmsgl.schema.tree import as_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import numpy.typing as npt

    from xmsgl.util.scales import Scale

__all__ = ["crosswalk"]

Method = Literal["overlap", "nearest"]

_TIE = 1.0  # m; below the resolution of any river map
_PURPOSE = "a crosswalk from geometry"


@checked
def crosswalk(
    coarse: Any,
    fine: Any,
    *,
    method: Method = "overlap",
    buffer: float = 200.0,
    min_share: float = 0.5,
    tributaries: bool = True,
    crs: Any = None,
) -> xr.DataArray:
    """Find the coarse segment that each fine reach lies on or drains to, from lines and links.

    For basins whose networks come from different maps and have no published crosswalk.

    Parameters
    ----------
    coarse, fine
        Dataset with ``geometry_coarse`` and ``geometry_fine`` (hexadecimal WKB or geometries, EPSG:4326),
        one scale each or both in one; or a GeoDataFrame of lines with a coordinate system, indexed by id.
    method
        ``"overlap"``: the segment with the longest overlap within `buffer`. Overlaps that differ by less than
        1 m are ties; the segment nearest to the middle of the reach is taken. ``"nearest"``: the segment
        nearest to the middle of the reach, within `buffer`. Of equally near ones the first is taken.
    buffer
        Metres. Lines of maps are some tens of metres off the river, and this package simplifies them to 50 m.
    min_share
        Least overlap, as a fraction of the length of the reach; for ``"overlap"`` only. A tributary that only
        ends at a segment does not lie on it.
    tributaries
        True: a reach that lies on no segment takes that of the first reach downstream that lies on one;
        `fine` needs ``downstream_fine``. False: it is left out, and only the main stems remain.
    crs
        Projected coordinate system in metres, such as ``"EPSG:5070"``. Default: the UTM zone of the
        segments, true to scale within 0.1 % over a few hundred kilometres.

    Returns
    -------
    xarray.DataArray
        Ids of segments over ``fine``, for :func:`xmsgl.combine`, with ``overlap`` or ``distance`` (m) and
        ``tied`` as coordinates, NaN and False for tributaries. Reaches without a segment are left out, and
        counted and named in the attributes: :func:`~xmsgl.readers.keep` cuts the fine scale to the others.

    Raises
    ------
    InvalidArgumentError
        An argument is out of range, a geometry is missing or not a line, no reach has a segment, or links
        are missing for the tributaries.
    NetworkError
        The links of the reaches do not form a river network.
    InvalidDatasetError
        Lines of a dataset cannot be read, or are in another coordinate system.
    MissingDependencyError
        geopandas and shapely are not installed: ``pip install "xmsgl[data]"``.

    Notes
    -----
    A reach gets one segment, even where it runs along two. All branches of a divergence within the buffer
    get the same segment. Where lines are matched, the direction of flow is not used.

    Examples
    --------
    >>> import geopandas, shapely
    >>> def lines(ids, *points):
    ...     return geopandas.GeoDataFrame(
    ...         index=ids, geometry=[shapely.LineString(line) for line in points], crs="EPSG:32618")
    >>> segments = lines([7, 8], [(0, 0), (2000, 0)], [(2000, 0), (4000, 0)])
    >>> reaches = lines([1, 2, 3], [(0, 9), (1500, 9)], [(1500, 9), (3900, 9)], [(1500, 5000), (1500, 9)])
    >>> found = crosswalk(segments, reaches, tributaries=False)
    >>> found.to_series().to_dict(), found.attrs["reaches_without_segment"]
    ({1: 7, 2: 8}, 1)
    >>> places, links = ("fine", reaches.to_crs(4326).geometry), ("fine", [2, 0, 2])
    >>> fine = xr.Dataset({"geometry_fine": places, "downstream_fine": links}, coords={"fine": [1, 2, 3]})
    >>> crosswalk(segments, fine).to_series().to_dict()
    {1: 7, 2: 8, 3: 8}
    """
    check_choice("method", method, get_args(Method))
    if not 0 < buffer < np.inf:
        msg = f"buffer must be a number of metres above 0, not {buffer!r}"
        raise InvalidArgumentError(msg)
    if not 0 < min_share <= 1:
        msg = f"min_share must be a fraction of a reach's length, above 0 and at most 1, not {min_share!r}"
        raise InvalidArgumentError(msg)
    shapely = require("shapely", _PURPOSE)
    segments, reaches = _lines(coarse, "coarse"), _lines(fine, "fine")
    downstream = _links(fine) if tributaries else np.full(len(reaches), -1)
    metric = _metric(crs, segments)
    courses, parts = (shapely.line_merge(lines.to_crs(metric).to_numpy()) for lines in (segments, reaches))
    if method == "overlap":
        found = _choose(_overlap(courses, parts, buffer, min_share))
        fit, text = "overlap", "length within the buffer of the segment"
    else:
        found = _choose(_nearest(courses, parts, buffer))
        fit, text = "distance", "distance from the middle of the reach to the segment"
    if found.empty:
        near = shapely.STRtree(courses).query_nearest(parts, return_distance=True)[1].min()
        share = f" for {min_share:g} of its length" if method == "overlap" else ""
        advice = "a larger buffer or a smaller min_share" if method == "overlap" else "a larger buffer"
        msg = (
            f"no reach lies along a segment within {buffer:g} m{share}; the nearest are {near:.0f} m apart. "
            f"Check that both have the right coordinate system, or give {advice}"
        )
        raise InvalidArgumentError(msg)
    matched = len(found)
    found = _with_tributaries(found.set_index("reach"), downstream)
    unmatched = reaches.index.delete(found.index.to_numpy())
    return xr.DataArray(
        segments.index.to_numpy()[found["segment"]],
        dims="fine",
        coords={
            "fine": reaches.index.to_numpy()[found.index],
            fit: ("fine", found["fit"].to_numpy(), {"units": "m", "long_name": text}),
            "tied": ("fine", found["tied"].to_numpy(), {"long_name": "whether another segment fits as well"}),
        },
        name=CROSSWALK,
        attrs={
            "units": "1",
            "long_name": "id of the coarse segment the reach lies on",
            "method": method,
            "buffer": float(buffer),
            "crs": metric.to_string(),
            "reaches": len(reaches),
            "ties": int(found["tied"].sum()),
            "reaches_by_drainage": len(found) - matched,
            "reaches_without_segment": len(unmatched),
            "without_segment": shorten(unmatched.tolist()) or "none",
        },
    )


def _links(fine: Any) -> npt.NDArray[np.int64]:
    """Return the positions of the next reaches, (fine,)."""
    ds = as_dataset(fine) if isinstance(fine, xr.Dataset | xr.DataTree) else xr.Dataset()
    if "downstream_fine" not in ds:
        msg = (
            "tributaries are assigned along the links of the reaches, but fine has no 'downstream_fine'; "
            "give a dataset that has it, as readers return it, or tributaries=False to leave them out"
        )
        raise InvalidArgumentError(msg)
    return link(ds.indexes["fine"], ds["downstream_fine"].to_numpy())


def _with_tributaries(found: pd.DataFrame, downstream: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Give reaches that were not found the segment of the first one downstream that was."""
    below = first_selected(downstream, np.isin(np.arange(downstream.size), found.index))
    drained = np.flatnonzero((below >= 0) & (below != np.arange(downstream.size)))
    segment = found["segment"].reindex(below[drained]).to_numpy()
    added = pd.DataFrame({"segment": segment, "fit": np.nan, "tied": False}, index=drained)
    return pd.concat([found, added]).sort_index() if drained.size else found


def _lines(source: Any, scale: Scale) -> Any:
    """Return the lines of one scale as a GeoSeries with the ids as its index."""
    geopandas = require("geopandas", _PURPOSE)
    if isinstance(source, geopandas.GeoDataFrame | geopandas.GeoSeries):
        lines = source.geometry
        once = "geopandas.GeoDataFrame(geometry=frame.geometry).dissolve(level=0)"
    elif isinstance(source, xr.Dataset | xr.DataTree):
        ds, name = as_dataset(source), f"geometry_{scale}"
        if name not in ds.variables or scale not in ds.indexes:
            has = shorten(ds.variables, 40)
            msg = f"the {scale} dataset needs {name!r} and the ids {scale!r}; it has {has}"
            raise InvalidArgumentError(msg)
        lines = geopandas.GeoSeries(read_geometry(ds, scale), index=ds.indexes[scale], crs=CRS)
        once = f"ds.drop_duplicates('{scale}')"
    else:
        msg = f"{scale} must be a Dataset or a geopandas.GeoDataFrame, not {type(source).__name__}"
        raise InvalidArgumentError(msg)
    if not lines.index.is_unique:
        repeated = shorten(lines.index[lines.index.duplicated()].unique().tolist())
        msg = f"ids of {scale} occur more than once: {repeated}; keep one line for each id: {once}"
        raise InvalidArgumentError(msg)
    check_lines(lines, lines.index, scale)
    return lines


def _metric(crs: Any, segments: Any) -> Any:
    """Return the coordinate system to measure in; refuse one that is not in metres."""
    pyproj = require("pyproj", _PURPOSE)
    if crs is None:
        return segments.estimate_utm_crs()
    try:
        chosen = pyproj.CRS.from_user_input(crs)
    except (pyproj.exceptions.CRSError, TypeError) as error:
        msg = f"crs {crs!r} is not a coordinate system ({error})"
        raise InvalidArgumentError(msg) from error
    if not chosen.is_projected or any(axis.unit_name not in {"metre", "meter"} for axis in chosen.axis_info):
        msg = f"crs must be projected and in metres, which {chosen.to_string()} is not; try 'EPSG:5070'"
        raise InvalidArgumentError(msg)
    return chosen


def _overlap(courses: Any, parts: Any, buffer: float, min_share: float) -> pd.DataFrame:
    shapely = require("shapely", _PURPOSE)
    around = shapely.buffer(courses, buffer)
    reach, segment = shapely.STRtree(around).query(parts, predicate="intersects")
    length = shapely.length(shapely.intersection(parts[reach], around[segment]))
    middle = shapely.line_interpolate_point(parts, 0.5, normalized=True)
    pairs = pd.DataFrame({"reach": reach, "segment": segment, "fit": length})
    best = pairs.groupby("reach")["fit"].transform("max")
    enough = best >= min_share * shapely.length(parts)[reach]
    close: pd.DataFrame = pairs[enough & (pairs["fit"] > best - _TIE)]
    return close.assign(rank=shapely.distance(middle[close["reach"]], courses[close["segment"]]))


def _nearest(courses: Any, parts: Any, buffer: float) -> pd.DataFrame:
    shapely = require("shapely", _PURPOSE)
    middle = shapely.line_interpolate_point(parts, 0.5, normalized=True)
    (reach, segment), distance = shapely.STRtree(courses).query_nearest(
        middle, max_distance=buffer, return_distance=True, all_matches=True
    )
    return pd.DataFrame({"reach": reach, "segment": segment, "fit": distance, "rank": 0.0})


def _choose(pairs: pd.DataFrame) -> pd.DataFrame:
    """Keep for each reach the pair of lowest rank, the first segment if equal; `tied` marks other pairs."""
    pairs = pairs.assign(tied=pairs["reach"].duplicated(keep=False))
    return pairs.sort_values(["reach", "rank", "segment"]).drop_duplicates("reach")
