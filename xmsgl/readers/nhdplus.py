"""Flowlines of NHDPlus version 2 and High Resolution, from files or frames of pynhd and hydroloom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, NetworkError, NetworkWarning, shorten, warn
from xmsgl.network.topology import link
from xmsgl.readers.frames import (
    LINE,
    Source,
    check_choice,
    find_fields,
    measures,
    name_of,
    open_frame,
    texts,
    whole_numbers,
)
from xmsgl.readers.geometry import check_lines, doubtful_outlets, place_variables
from xmsgl.readers.nhdplus_links import (
    LINK_FIELDS,
    MINOR,
    TOPOLOGIES,
    choose_topology,
    fill_along,
    main_links,
    minor_paths,
    rows_by_value,
)
from xmsgl.readers.registry import register
from xmsgl.util.arguments import checked
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
    "name": ("gnis_name",),
}
"""Fields and their lower-case spellings: those of NHDPlusV2, HR and pynhd first, of hydroloom last."""

_WHOLE = ("id", "to", "hydroseq", "dnhydroseq", "fromnode", "tonode", "divergence")
_COASTLINE = "566"  # the feature type; feature codes begin with it
_STATICS = {
    "slope": ("1", "slope of the flowline"),
    "elevation": ("m", "elevation half-way between the smoothed ends"),
    "drainage_area": ("km2", "total upstream drainage area"),
    "stream_order": ("1", "stream order"),
}


@register("nhdplus")
@checked
def read_nhdplus(
    source: Source,
    *tables: Source,
    scale: Scale = "fine",
    layer: str | None = None,
    topology: str | None = None,
    minor: str = "headwater",
    missing: str = "keep",
) -> xr.Dataset:
    """Read flowlines of the NHDPlus: links, lengths, slopes, elevations, drainage areas, locations.

    Fields may have the names of NHDPlusV2, NHDPlus High Resolution, pynhd or hydroloom, in any case. Reaches
    whose link leaves the table become outlets.

    ================  ==========================================================  ====================
    variable          fields; the first one found is used                         their units
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
    `name`            gnis_name                                                   text; missing: empty
    `lat`, `lon`,     the geometry, if any: the point half-way along the line,    any coordinate system
    `geometry`        and the line simplified to about 50 m
    ================  ==========================================================  ====================

    Divergences
        Each reach has one link. Below a divergence it is the main path: dnhydroseq points to it, and among
        several ids or nodes the field divergence (0 none, 1 main, 2 minor) identifies it. If the only link
        of a reach leads to a minor path, it is kept. Rows of the same reach may differ in tocomid
        only. In totdasqkm a minor path has the drainage area of its divergence.
    Outlets
        A reach without a link is an error if another field of the table gives its next reach, and a warning
        if only its line ends where another begins.
    Coastlines
        Flowlines of type Coastline (ftype, or fcode 56600) are left out; reaches that flow to them are
        outlets.
    Missing values
        -9998 and -9999 become NaN, as do reaches that a further table lacks.

    Parameters
    ----------
    source
        Path (GeoPackage, Parquet, Shapefile, geodatabase, dBASE, CSV), GeoDataFrame, or DataFrame without
        geometry.
    *tables
        Further tables with the same ids, such as PlusFlowlineVAA and elevslope of NHDPlusV2 or
        ``pynhd.nhdplus_vaa()``. The first table with a field is used.
    scale
        ``"fine"``, or ``"coarse"`` if there is a finer network to downscale to.
    layer
        Layer of `source`, if it has several.
    topology
        ``"tocomid"``, ``"hydroseq"`` or ``"nodes"``. Default None: the first of them in the tables.
    minor
        ``"headwater"`` keeps minor paths, which begin as headwaters; ``"drop"`` leaves out every reach with
        water from minor paths alone, and needs divergence.
    missing
        ``"keep"`` leaves NaN, which validation reports; ``"neighbour"`` takes slope, elevation, drainage
        area and stream order of the nearest reach downstream that has them, else upstream. The variable's
        attributes count these reaches.

    Returns
    -------
    xarray.Dataset
        Dimension `scale` with the ids (int64), in the order of `source`; nothing is lazy.

    Raises
    ------
    DataUnavailableError
        A file does not exist.
    InvalidArgumentError
        An option is unknown, or a field is missing or not numeric.
    NetworkError
        Ids are repeated, several main paths begin below a reach, a reach is outside the network, or two
        fields disagree on whether a reach is an outlet.
    CycleError
        The links form a cycle.
    MissingDependencyError
        geopandas or pyogrio is not installed and the source has geometry.

    Warns
    -----
    NetworkWarning
        A reach has no link, but another begins where its line ends.

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
    check_choice("scale", scale, SCALES)
    check_choice("minor", minor, ("headwater", "drop"))
    check_choice("missing", missing, ("keep", "neighbour"))
    what = name_of(source)
    flow, frame = _fields(open_frame(source, layer=layer, layered=True), what)
    for table in tables:
        flow = _join(flow, _fields(open_frame(table), name_of(table))[0], name_of(table))
    way = choose_topology(flow.columns, topology, what)
    if "length" not in flow:
        msg = f"{what} has no {' or '.join(FIELDS['length'])} (km); add the table that has the lengths"
        raise InvalidArgumentError(msg)
    coast = _coastlines(flow)
    flow, frame = flow[~coast], frame[~coast]
    links = main_links(flow, way)
    linked = pd.Index(flow.loc[flow[TOPOLOGIES[way][-1]] > 0, "id"])
    first = ~flow["id"].duplicated().to_numpy()
    flow, frame = flow[first], frame[first]
    lesser = _minor(flow, links, minor, what)
    if minor == "drop":
        flow, frame, links = flow[~lesser], frame[~lesser], links[~lesser]
    if flow.empty:
        msg = f"{what} has no flowlines left: {len(coast)} rows, {int(coast.sum())} of them coastlines"
        raise InvalidArgumentError(msg)
    ds = xr.Dataset(
        {f"{base}_{scale}": (scale, *found) for base, found in _variables(flow, links, missing).items()},
        coords={scale: (scale, links.index.to_numpy(), {"units": "1", "long_name": "NHDPlus flowline"})},
        attrs={
            "source": ", ".join(map(name_of, (source, *tables))),
            "topology": way,
            "minor_paths": f"{int(lesser.sum())} reaches {'left out' if minor == 'drop' else 'kept'}"
            if "divergence" in flow
            else "unknown, because there is no field divergence",
            "coastlines": f"{int(coast.sum())} left out",
        },
    )
    if getattr(frame, "active_geometry_name", None) is not None:
        check_lines(frame.geometry, flow["id"], what)
        lines = frame.geometry.line_merge().set_axis(links.index)
        on_minor = (flow["divergence"] == MINOR).to_numpy() if "divergence" in flow else None
        area = flow["drainage_area"].to_numpy() if "drainage_area" in flow else None
        outlets = ~links.index.isin(linked)
        if doubt := doubtful_outlets(lines, outlets, LINK_FIELDS[way], area=area, minor=on_minor):
            warn(doubt, NetworkWarning)
        ds = ds.assign(place_variables(lines, scale))
    return stamp(ds, f"read {len(links)} flowlines of {ds.attrs['source']} as NHDPlus, linked by {way}")


def _fields(frame: pd.DataFrame, what: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the fields under our names, and the frame with the same index."""
    index = str(frame.index.name).lower()
    if index in FIELDS["id"] and index not in [str(column).lower() for column in frame.columns]:
        frame = frame.reset_index()
    if frame.index.name != LINE:
        frame = frame.reset_index(drop=True)
    names = find_fields(frame, FIELDS, what)
    if "id" not in names:
        msg = f"{what} has no ids: none of {', '.join(FIELDS['id'])} among {shorten(frame.columns, 40)}"
        raise InvalidArgumentError(msg)
    flow = pd.DataFrame(index=frame.index)
    for ours, theirs in names.items():
        column, label = frame[theirs], f"{theirs} of {what}"
        if ours in _WHOLE:
            flow[ours] = whole_numbers(column, label, optional=ours != "id")
        elif ours == "name":
            flow[ours] = texts(column).to_numpy()
        else:
            flow[ours] = column if ours in ("ftype", "fcode") else measures(column, label)
    return flow, frame


def _join(flow: pd.DataFrame, table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Add the fields of a further table that the flowlines lack."""
    if repeated := table.loc[table["id"].duplicated(), "id"].unique().tolist():
        rows = rows_by_value(table, "id", repeated)
        msg = f"{what} has ids more than once: {rows}; keep one row per reach"
        raise NetworkError(msg)
    if not flow["id"].isin(table["id"]).any():
        msg = (
            f"{what} has none of the ids of the flowlines ({shorten(flow['id'], 3)}) but "
            f"{shorten(table['id'], 3)}; give the table of the same region"
        )
        raise InvalidArgumentError(msg)
    given = table.set_index("id")
    for name in given.columns.difference(flow.columns, sort=False):
        # NaN would turn whole numbers into floats, which are exact up to 2**53 only
        gap = 0 if name in _WHOLE else "" if name == "name" else np.nan
        flow = flow.assign(**{name: given[name].reindex(flow["id"], fill_value=gap).to_numpy()})
    return flow


def _coastlines(flow: pd.DataFrame) -> NDArray[np.bool_]:
    coast = np.zeros(len(flow), dtype=bool)
    for name in ("ftype", "fcode"):
        if name in flow:
            text = flow[name].astype("string").str.strip().str.lower().fillna("")
            coast |= ((text == "coastline") | text.str.startswith(_COASTLINE)).to_numpy(dtype=bool)
    return coast


def _minor(flow: pd.DataFrame, links: pd.Series[int], minor: str, what: str) -> NDArray[np.bool_]:
    if "divergence" in flow:
        return minor_paths(links, flow["divergence"].to_numpy())
    if minor == "drop":
        msg = (
            f'{what} has no field divergence, which minor="drop" needs to identify minor paths; '
            "add the table that has it (PlusFlowlineVAA), or leave minor out"
        )
        raise InvalidArgumentError(msg)
    return np.zeros(len(flow), dtype=bool)


def _variables(
    flow: pd.DataFrame, links: pd.Series[int], missing: str
) -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Values and attributes by base name, in the convention's units."""
    below = {"units": "1", "long_name": "id of the next reach downstream, 0 at outlets"}
    length = {"units": "m", "long_name": "length along the river"}
    found = {"downstream": (links.to_numpy(), below), "length": (flow["length"].to_numpy() * 1000.0, length)}
    if {"highest", "lowest"} <= set(flow.columns):
        flow = flow.assign(elevation=(flow["highest"] + flow["lowest"]) / 2.0 / 100.0)
    if "stream_order" in flow:
        flow = flow.assign(stream_order=flow["stream_order"].where(flow["stream_order"] > 0))
    for base, (units, long_name) in _STATICS.items():
        if base not in flow:
            continue
        values = flow[base].to_numpy()
        attrs: dict[str, Any] = {"units": units, "long_name": long_name}
        gaps = np.isnan(values)
        if missing == "neighbour" and gaps.any():
            values = fill_along(values, link(links.index, links.to_numpy()))
            attrs["filled_from_neighbours"] = int((gaps & ~np.isnan(values)).sum())
        found[base] = values, attrs
    if "name" in flow:
        # objects, because strings of one width have no Zarr format 3
        found["name"] = flow["name"].to_numpy(object), {"units": "1", "long_name": "name of the river"}
    return found
