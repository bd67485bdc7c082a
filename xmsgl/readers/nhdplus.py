"""Flowlines of the NHDPlus (version 2, High Resolution), as files or as frames of pynhd and hydroloom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, NetworkError, NetworkWarning, shorten, warn
from xmsgl.network.topology import link
from xmsgl.readers.frames import Source, find_fields, measures, name_of, open_frame, whole_numbers
from xmsgl.readers.geometry import GEOMETRY_ATTRS, encode_lines, midpoints
from xmsgl.readers.nhdplus_links import (
    MINOR,
    SPELLED,
    TOPOLOGIES,
    choose_topology,
    fill_along,
    main_links,
    minor_paths,
    rows_by_value,
)
from xmsgl.readers.outlets import doubtful_outlets
from xmsgl.readers.registry import register
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.util.scales import Scale

__all__ = ["FIELDS", "read_nhdplus"]

FIELDS: dict[str, tuple[str, ...]] = {
    "id": ("comid", "nhdplusid", "nhdplus_comid", "featureid", "id"),
    "to": ("tocomid", "tonhdplusid", "toid"),
    "hydroseq": ("hydroseq", "topo_sort"),
    "dnhydroseq": ("dnhydroseq", "dn_topo_sort"),
    "fromnode": ("fromnode",),
    "tonode": ("tonode",),
    "divergence": ("divergence",),
    "ftype": ("ftype", "feature_type"),
    "fcode": ("fcode", "feature_type_code"),
    "length": ("lengthkm", "length_km"),
    "drainage_area": ("totdasqkm", "total_da_sqkm"),
    "stream_order": ("streamorde", "streamorder", "stream_order"),
    "slope": ("slope",),
    "highest": ("maxelevsmo",),
    "lowest": ("minelevsmo",),
}
"""Our names of the fields to their lower-case spellings: NHDPlusV2, HR and pynhd first, hydroloom last."""

_WHOLE = ("id", "to", "hydroseq", "dnhydroseq", "fromnode", "tonode", "divergence")
_COASTLINE = 566  # the feature type; feature codes begin with it


@register("nhdplus")
def read_nhdplus(
    source: Source,
    *tables: Source,
    scale: Scale = "fine",
    layer: str | None = None,
    topology: str | None = None,
    minor: str = "headwater",
    missing: str = "keep",
) -> xr.Dataset:
    """Read flowlines of the NHDPlus: links, lengths, slopes, elevations, drainage areas, places.

    Fields are found in any case and under the names of NHDPlusV2, NHDPlus High Resolution, pynhd
    (HyRiver) and hydroloom. Links out of the table become outlets.

    ================  ==========================================================  ====================
    variable          fields, first found                                         their units
    ================  ==========================================================  ====================
    ids, required     comid, nhdplusid, nhdplus_comid, featureid, id, or index    whole numbers
    `downstream`,     tocomid, tonhdplusid or toid; else hydroseq with            ids; 0 or missing:
    required          dnhydroseq (topo_sort with dn_topo_sort); else fromnode     outlet
                      with tonode
    `length`,         lengthkm, length_km                                         km, becomes m
    required
    `slope`           slope                                                       1 (rise over length)
    `elevation`       half-way between maxelevsmo and minelevsmo                  cm, becomes m
    `drainage_area`   totdasqkm, total_da_sqkm                                    km2
    `stream_order`    streamorde, streamorder, stream_order                       1; 0 or less: missing
    `lat`, `lon`,     the geometry, if there is one: the point half-way along     any coordinate system
    `geometry`        the line, and the line simplified to about 50 m
    ================  ==========================================================  ====================

    Divergences
        A reach has one link here. Below a divergence it follows the main path, which dnhydroseq points to,
        and which divergence (0 none, 1 main, 2 minor) tells among several ids or nodes. A link to a minor
        path alone, in a table of one tocomid a reach, is followed as it stands. Several rows of one reach
        may differ in tocomid only; other repeated ids are a fault. Minor paths begin as
        headwaters, or are left out with ``minor="drop"``. totdasqkm gives a minor path the area of all
        water that reaches its divergence.
    Outlets
        A reach that names none downstream, while another field of the table leads on, is a fault; where only
        its line ends at the beginning of another, there is a warning.
    Coastlines
        Flowlines of type Coastline (ftype, or fcode 56600) carry no river and are left out; what flows to
        them is an outlet.
    Missing values
        -9998 and -9999 become NaN, as do reaches that a further table lacks. ``ds.msgl.validate()`` names
        NaN in slopes, elevations and areas as faults; ``missing="neighbour"`` fills them.

    Parameters
    ----------
    source
        Flowlines: a path (GeoPackage, Parquet, Shapefile, geodatabase, dBASE, CSV), a GeoDataFrame as pynhd
        returns it, or a DataFrame without geometry.
    *tables
        Further tables with the same ids, for fields that `source` lacks, in this order: PlusFlowlineVAA and
        elevslope of NHDPlusV2, ``pynhd.nhdplus_vaa()``. The names above hold for their columns too.
    scale
        ``"fine"``, or ``"coarse"`` where finer reaches are to be downscaled to.
    layer
        Layer of `source`, if it has several.
    topology
        ``"tocomid"``, ``"hydroseq"`` or ``"nodes"``. Default None: the first of them that is there.
    minor
        ``"headwater"`` keeps minor paths; ``"drop"`` leaves out every reach whose water comes out of minor
        paths alone, and needs divergence.
    missing
        ``"keep"`` leaves NaN; ``"neighbour"`` takes slope, elevation, drainage area and stream order of the
        nearest reach downstream that has them, else upstream, and counts them in the variable's attributes.

    Returns
    -------
    xarray.Dataset
        Dimension `scale` with the ids (int64), in the order of `source`; nothing is lazy.

    Raises
    ------
    DataUnavailableError
        There is no such file.
    InvalidArgumentError
        An option is unknown, or a field is missing or holds something else than numbers.
    NetworkError
        Ids are repeated, several main paths begin below a reach, a reach is outside of the network, or an
        outlet by one field flows on by another.
    CycleError
        Water would flow in a circle.
    MissingDependencyError
        geopandas or pyogrio is not installed and the source has geometry.

    Warns
    -----
    NetworkWarning
        Reaches have no link, and another reach begins where their line ends.

    Examples
    --------
    >>> import pandas as pd
    >>> vaa = pd.DataFrame({"COMID": [11, 12, 13, 14], "LENGTHKM": [1.2, 0.8, 0.3, 2.0],
    ...     "FromNode": [1, 2, 2, 3], "ToNode": [2, 3, 3, 4], "Divergence": [0, 1, 2, 0]})
    >>> elevslope = pd.DataFrame({"ComID": [11, 12, 13, 14], "SLOPE": [0.01, 0.004, -9998, 0.001],
    ...     "MAXELEVSMO": [9000, 7800, 7800, 7480], "MINELEVSMO": [7800, 7480, 7480, 7280]})
    >>> ds = read_nhdplus(vaa, elevslope)
    >>> ds["downstream_fine"].values
    array([12, 14, 14,  0])
    >>> ds["elevation_fine"].values
    array([84. , 76.4, 76.4, 73.8])

    References
    ----------
    McKay, L. et al. (2012), NHDPlus Version 2: User Guide, U.S. Environmental Protection Agency.
    Moore, R. B. et al. (2019), User's guide for the National Hydrography Dataset Plus (NHDPlus) High
    Resolution, USGS Open-File Report 2019-1096, doi:10.3133/ofr20191096.
    """
    _refuse_options(scale, minor, missing)
    what = name_of(source)
    flow, frame = _fields(open_frame(source, layer=layer, layered=True), what)
    for table in tables:
        flow = _join(flow, _fields(open_frame(table), name_of(table))[0], name_of(table))
    way = choose_topology(flow.columns, topology, what)
    if "length" not in flow:
        msg = f"{what} has no {' or '.join(FIELDS['length'])} (km); join the table that has the lengths"
        raise InvalidArgumentError(msg)
    coast = _coastlines(flow)
    flow, frame = flow[~coast], frame[~coast]
    links = main_links(flow, way)
    below = TOPOLOGIES[way][-1]
    blank = links.index.difference(pd.Index(flow.loc[flow[below] > 0, "id"]))
    first = ~flow["id"].duplicated().to_numpy()
    flow, frame = flow[first], frame[first]
    lesser = _minor(flow, links, minor, what)
    if minor == "drop":
        flow, frame, links = flow[~lesser], frame[~lesser], links[~lesser]
    if flow.empty:
        msg = f"{what} has no flowlines left: {len(coast)} rows, {int(coast.sum())} of them coastlines"
        raise InvalidArgumentError(msg)
    ds = xr.Dataset(
        {
            f"{base}_{scale}": (scale, *variable)
            for base, variable in _variables(flow, links, missing).items()
        },
        coords={scale: (scale, links.index.to_numpy(), {"units": "1", "long_name": "NHDPlus flowline"})},
        attrs={
            "source": ", ".join(map(name_of, (source, *tables))),
            "topology": way,
            "minor_paths": f"{int(lesser.sum())} reaches {'left out' if minor == 'drop' else 'kept'}"
            if "divergence" in flow
            else "unknown, for there is no field divergence",
            "coastlines": f"{int(coast.sum())} left out",
        },
    )
    lines = _lines(frame, flow["id"], what)
    if lines is not None:
        if doubt := _doubt(lines, flow, links, blank, SPELLED.get(below, below)):
            warn(doubt, NetworkWarning)
        ds = ds.assign(_places(lines, scale))
    return stamp(ds, f"read {len(links)} flowlines of {ds.attrs['source']} as NHDPlus, linked by {way}")


def _refuse_options(scale: str, minor: str, missing: str) -> None:
    for name, value, known in (
        ("scale", scale, SCALES),
        ("minor", minor, ("headwater", "drop")),
        ("missing", missing, ("keep", "neighbour")),
    ):
        if value not in known:
            msg = f"{name} must be {' or '.join(map(repr, known))}, not {value!r}"
            raise InvalidArgumentError(msg)


def _fields(frame: pd.DataFrame, what: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the fields under our names, and the frame with its index in line."""
    index = str(frame.index.name).lower()
    if index in FIELDS["id"] and index not in [str(column).lower() for column in frame.columns]:
        frame = frame.reset_index()
    frame = frame.reset_index(drop=True)
    names = find_fields(frame, FIELDS, what)
    if "id" not in names:
        msg = f"{what} has no ids: none of {', '.join(FIELDS['id'])} among {shorten(frame.columns, 40)}"
        raise InvalidArgumentError(msg)
    flow = pd.DataFrame(index=frame.index)
    for ours, theirs in names.items():
        column, told = frame[theirs], f"{theirs} of {what}"
        if ours in _WHOLE:
            flow[ours] = whole_numbers(column, told, optional=ours != "id")
        else:
            flow[ours] = column if ours in ("ftype", "fcode") else measures(column, told)
    return flow, frame


def _join(flow: pd.DataFrame, table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Add the fields of a further table that the flowlines lack."""
    repeated = table.loc[table["id"].duplicated(), "id"].unique()
    if len(repeated):
        rows = rows_by_value(table, "id", repeated.tolist())
        msg = f"{what} has ids more than once: {rows}; keep one row a reach"
        raise NetworkError(msg)
    if not flow["id"].isin(table["id"]).any():
        msg = (
            f"none of the ids of {what} ({shorten(table['id'], 3)}) is among the flowlines "
            f"({shorten(flow['id'], 3)}); give the table of this region"
        )
        raise InvalidArgumentError(msg)
    given = table.set_index("id")
    for name in given.columns.difference(flow.columns, sort=False):
        # NaN would lead whole numbers through floats, which tell them apart up to 2**53 only
        gap = 0 if name in _WHOLE else np.nan
        flow = flow.assign(**{name: given[name].reindex(flow["id"], fill_value=gap).to_numpy()})
    return flow


def _coastlines(flow: pd.DataFrame) -> NDArray[np.bool_]:
    coast = np.zeros(len(flow), dtype=bool)
    for name in ("ftype", "fcode"):
        if name in flow:
            text = flow[name].astype("string").str.strip().str.lower().fillna("")
            coast |= ((text == "coastline") | text.str.startswith(str(_COASTLINE))).to_numpy(dtype=bool)
    return coast


def _minor(flow: pd.DataFrame, links: pd.Series[int], minor: str, what: str) -> NDArray[np.bool_]:
    if "divergence" in flow:
        return minor_paths(links, flow["divergence"].to_numpy())
    if minor == "drop":
        msg = (
            f'{what} has no field divergence, without which minor="drop" cannot tell minor paths; '
            "join the table that has it (PlusFlowlineVAA), or leave minor out"
        )
        raise InvalidArgumentError(msg)
    return np.zeros(len(flow), dtype=bool)


def _variables(
    flow: pd.DataFrame, links: pd.Series[int], missing: str
) -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Values and attributes by base name, in the convention's units."""
    found = {
        "downstream": (
            links.to_numpy(),
            {"units": "1", "long_name": "id of the next reach downstream, 0 at outlets"},
        ),
        "length": (flow["length"].to_numpy() * 1000.0, {"units": "m", "long_name": "length along the river"}),
    }
    statics: dict[str, tuple[NDArray[np.float64], str, str]] = {}
    if "slope" in flow:
        statics["slope"] = flow["slope"].to_numpy(), "1", "slope of the smoothed elevations"
    if {"highest", "lowest"} <= set(flow.columns):
        middle = (flow["highest"] + flow["lowest"]).to_numpy() / 2.0 / 100.0
        statics["elevation"] = middle, "m", "elevation half-way between the smoothed ends"
    if "drainage_area" in flow:
        statics["drainage_area"] = flow["drainage_area"].to_numpy(), "km2", "total upstream drainage area"
    if "stream_order" in flow:
        statics["stream_order"] = (
            flow["stream_order"].where(flow["stream_order"] > 0).to_numpy(),
            "1",
            "stream order",
        )
    for base, (values, units, meaning) in statics.items():
        attrs: dict[str, Any] = {"units": units, "long_name": meaning}
        gaps = np.isnan(values)
        if missing == "neighbour" and gaps.any():
            values = fill_along(values, link(links.index, links.to_numpy()))
            attrs["filled_from_neighbours"] = int((gaps & ~np.isnan(values)).sum())
        found[base] = values, attrs
    return found


def _lines(frame: pd.DataFrame, ids: pd.Series[int], what: str) -> Any:
    """Return the line of each reach, None where the frame has no geometry."""
    if getattr(frame, "active_geometry_name", None) is None:
        return None
    lines: Any = frame.geometry
    if lines.crs is None:
        msg = (
            f"the geometry of {what} has no coordinate system; say which it is in and give the frame: "
            'frame.set_crs("EPSG:4269"), say, for longitudes and latitudes of NAD83'
        )
        raise InvalidArgumentError(msg)
    wrong = (
        lines.isna() | lines.is_empty | ~lines.geom_type.isin(["LineString", "MultiLineString"])
    ).to_numpy()
    if wrong.any():
        msg = f"{int(wrong.sum())} flowlines of {what} have no line: {shorten(ids[wrong])}; drop these rows"
        raise InvalidArgumentError(msg)
    return lines.line_merge()


def _doubt(lines: Any, flow: pd.DataFrame, links: pd.Series[int], blank: pd.Index[int], field: str) -> str:
    """Name the reaches without a link that end where another reach begins."""
    minor = (flow["divergence"] == MINOR).to_numpy() if "divergence" in flow else None
    area = flow["drainage_area"].to_numpy() if "drainage_area" in flow else None
    outlets = links.index.isin(blank)
    return doubtful_outlets(lines.set_axis(links.index), outlets, field, area=area, minor=minor)


def _places(merged: Any, scale: str) -> dict[str, Any]:
    """Midpoints and lines."""
    lat, lon = midpoints(merged)
    return {
        f"lat_{scale}": (
            scale,
            lat,
            {"units": "degrees_north", "long_name": "latitude half-way along the line"},
        ),
        f"lon_{scale}": (
            scale,
            lon,
            {"units": "degrees_east", "long_name": "longitude half-way along the line"},
        ),
        f"geometry_{scale}": (scale, encode_lines(merged), {**GEOMETRY_ATTRS, "long_name": "river line"}),
    }
