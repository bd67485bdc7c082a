"""Spatial stream networks: .ssn folders, as SSN2, SSNbler and openSTARS write them in R."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import (
    DataUnavailableError,
    InvalidArgumentError,
    NetworkError,
    NetworkWarning,
    shorten,
    warn,
)
from xmsgl.network.topology import link
from xmsgl.readers.frames import check_choice, columns, measures, open_frame, rows_of, texts, whole_numbers
from xmsgl.readers.geometry import check_lines, place_variables
from xmsgl.readers.registry import register
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.util.scales import Scale

__all__ = ["read_ssn"]

_FIELDS = {
    "rid": ("rid",),
    "name": ("gnis_name",),
    "drainage_area": ("h2oareakm2", "h2oarea"),
    "additive_function": ("afvarea",),
    "outlet_distance": ("updist",),
}
_TOPOLOGY = {"rid": ("rid",), "binary": ("binaryid",)}
_ATTRS = {
    "drainage_area": ("km2", "drainage area at the downstream end"),
    "additive_function": ("1", "additive function value, from drainage area"),
    "outlet_distance": ("m", "distance along the river from the outlet to the upstream end"),
}


@register("ssn")
@checked
def read_ssn(source: str | Path, *, scale: Scale = "fine") -> xr.Dataset:
    """Read a spatial stream network: links, lengths, drainage areas, distances to the outlet, locations.

    =====================  ==============================================================  ==============
    variable               read from                                                       units
    =====================  ==============================================================  ==============
    ids                    rid of edges.gpkg or edges.shp                                  whole numbers
    `downstream`           binaryID in netID1.dat, netID2.dat ...: the ID of the edge
                           downstream is the same without its last digit
    `length`               the lines                                                       m
    `outlet_distance`      upDist, if present                                              m
    `additive_function`    afvArea, if present                                             1
    `drainage_area`        h2oAreaKm2 (H2OArea of openSTARS), if present                   km2
    `name`                 GNIS_Name, if present                                           text
    `lat`, `lon`,          the lines: the point half-way along each, and the line
    `geometry`             simplified to about 50 m
    =====================  ==============================================================  ==============

    Files of sites and predictions in the folder can be given to :func:`~xmsgl.readers.place_sites`.

    Parameters
    ----------
    source
        Path of the folder, such as ``"MiddleFork04.ssn"``.
    scale
        ``"fine"``, or ``"coarse"`` if there is a finer network to downscale to.

    Returns
    -------
    xarray.Dataset
        Dimension `scale` with the ids, in the order of the edges; nothing is lazy. An edge whose next edge is
        not among the edges is an outlet. If one rid is 0, which would mark an outlet, all ids are text.

    Raises
    ------
    DataUnavailableError
        The folder, its edges or its netID files do not exist.
    InvalidArgumentError
        A column is missing, a value is not valid, or an edge has no binaryID.
    NetworkError
        A rid or binaryID is repeated, or the edge downstream has no binaryID.
    MissingDependencyError
        geopandas or pyogrio is not installed.

    Warns
    -----
    NetworkWarning
        upDist differs from the lengths along the links.

    Examples
    --------
    >>> import geopandas, shapely, tempfile
    >>> points = [(0, 0), (0, 900), (400, 1200), (-300, 1300)]  # flow is from north to south
    >>> lines = [shapely.LineString([points[k], points[0 if k == 1 else 1]]) for k in (1, 2, 3)]
    >>> edges = geopandas.GeoDataFrame({"rid": [1, 2, 3]}, geometry=lines, crs="EPSG:5070")
    >>> table = pd.DataFrame({"rid": [1, 2, 3], "binaryID": ["1", "10", "11"]})
    >>> with tempfile.TemporaryDirectory(suffix=".ssn") as folder:
    ...     edges.to_file(f"{folder}/edges.gpkg")
    ...     table.to_csv(f"{folder}/netID1.dat", index=False)
    ...     ds = read_ssn(folder)
    >>> ds["downstream_fine"].values, ds["length_fine"].values
    (array([0, 1, 1]), array([900., 500., 500.]))

    References
    ----------
    Peterson, E. E. and Ver Hoef, J. M. (2014), STARS: An ArcGIS toolset used to calculate the spatial
    information needed to fit spatial statistical models to stream network data, Journal of Statistical
    Software 56(2), doi:10.18637/jss.v056.i02.
    """
    check_choice("scale", scale, SCALES)
    folder = Path(source)
    path = next((path for path in (folder / "edges.gpkg", folder / "edges.shp") if path.is_file()), None)
    if path is None:
        msg = f"{folder} is not a folder with edges.gpkg or edges.shp; give the path of a .ssn folder"
        raise DataUnavailableError(msg)
    frame: Any = open_frame(path)
    what = f"{path.name} of {folder.name}"
    found = columns(frame, _FIELDS, ("rid",), what)
    rid = whole_numbers(frame[found["rid"]], f"{found['rid']} of {what}")
    check_lines(frame.geometry, rid, what)
    after = _links(folder, rid)
    ids: NDArray[Any] = rid if rid.all() else rid.astype(str)
    below = np.where(after < 0, np.zeros((), ids.dtype), after.astype(ids.dtype))
    metric = frame.crs if frame.crs.is_projected else frame.estimate_utm_crs()
    metres = metric.axis_info[0].unit_conversion_factor
    length = frame.to_crs(metric).length.to_numpy() * metres
    attrs = {"units": "1", "long_name": "rid of the next edge downstream, 0 or empty at outlets"}
    variables: dict[str, Any] = {
        f"downstream_{scale}": (scale, below, attrs),
        f"length_{scale}": (scale, length, {"units": "m", "long_name": "length of the line"}),
    }
    for base, (units, long_name) in _ATTRS.items():
        if base in found:
            factor = metres if base == "outlet_distance" else 1.0
            values = factor * measures(frame[found[base]], f"{found[base]} of {what}")
            variables[f"{base}_{scale}"] = scale, values, {"units": units, "long_name": long_name}
    if "outlet_distance" in found:
        _check_steps(variables[f"outlet_distance_{scale}"][1], length, ids, below)
    if "name" in found:
        names = texts(frame[found["name"]]).to_numpy(object)
        variables[f"name_{scale}"] = scale, names, {"units": "1", "long_name": "name of the river"}
    variables |= place_variables(frame.geometry.line_merge(), scale)
    coords = {scale: (scale, ids, {"units": "1", "long_name": "rid of the edge"})}
    ds = xr.Dataset(variables, coords=coords, attrs={"source": folder.name})
    return stamp(ds, f"read {len(ids)} edges of the spatial stream network {folder.name}")


def _links(folder: Path, rid: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rid of the next edge of each edge (edges,), -1 at outlets."""
    if not (paths := sorted(folder.glob("netID*.dat"))):
        msg = f"{folder} has no netID1.dat, the file with the binaryID of each edge; write the object again"
        raise DataUnavailableError(msg)
    table = pd.concat([_binary_ids(path) for path in paths], ignore_index=True)
    for field, values in (("rid", table["rid"]), ("binaryID", table["key"]), ("rid", pd.Series(rid))):
        if repeated := values[values.duplicated()].unique().tolist():
            msg = f"{folder.name} has {field} more than once: {shorten(repeated)}; each edge needs its own"
            raise NetworkError(msg)
    by_key = table.set_index("key")["rid"]
    after = by_key.reindex(table["key"].str[:-1]).fillna(-1).to_numpy(np.int64)
    if (lost := (after < 0) & ~table["key"].str.endswith(" 1")).any():
        named = shorten(f"{row.rid} ({row.key})" for row in table[lost].itertuples())
        msg = f"the binaryID of {folder.name}, without the last digit, is not that of an edge for {named}"
        raise NetworkError(f"{msg}; correct it, or add the edge downstream")
    next_edge = pd.Series(after, index=table["rid"])
    if (bare := ~np.isin(rid, next_edge.index)).any():
        msg = f"{folder.name} has no binaryID for the edges {shorten(rid[bare].tolist())}; drop or add them"
        raise InvalidArgumentError(msg)
    below: NDArray[np.int64] = next_edge.loc[rid.tolist()].to_numpy()
    return np.where(np.isin(below, rid), below, -1)


def _binary_ids(path: Path) -> pd.DataFrame:
    """Return the rid of each edge of one network, and its key: the network and the binaryID."""
    frame = open_frame(path, text=["binaryid"])
    found = columns(frame, _TOPOLOGY, _TOPOLOGY, path.name)
    binary = texts(frame[found["binary"]])
    if (wrong := ~binary.str.fullmatch("1[01]*").to_numpy(bool)).any():
        bad = f"found {shorten(map(repr, binary[wrong]))} in {rows_of(wrong, frame.index)}"
        msg = f"binaryID of {path.name} must be 1, then digits 0 and 1; {bad}; correct them"
        raise InvalidArgumentError(msg)
    rid = whole_numbers(frame[found["rid"]], f"rid of {path.name}")
    return pd.DataFrame({"rid": rid, "key": [f"{path.stem} {text}" for text in binary]})


def _check_steps(upper: NDArray[Any], length: NDArray[Any], ids: NDArray[Any], below: NDArray[Any]) -> None:
    """Warn of edges whose distance to the outlet is not that of the next edge and their own length."""
    downstream = link(ids, below, what="edge")
    off = (downstream >= 0) & (np.abs(upper - upper[downstream] - length) > 1.0 + 0.01 * length)
    if off.any():
        msg = f"upDist of {off.sum()} edges does not grow by their length: {shorten(ids[off].tolist())}"
        warn(f"{msg}; check their binaryID and lines", NetworkWarning)
