"""River networks of the Willamette and the Yakima: flowlines of the NHDPlusV2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.network.topology import accumulate, contract, link, strahler, upstream_of
from xmsgl.readers.geometry import EQUAL_AREA
from xmsgl.readers.nhdplus import read_nhdplus
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["main_tree", "read_links", "read_network", "stored_water"]

_ACRE_FOOT = 1233.48184  # m3


def read_network(files: Mapping[str, Path], basin: str) -> xr.Dataset:
    """Read the reaches that have a line and drain to the mouth of the basin."""
    geopandas = require("geopandas", f"reading the flowlines of the {basin.title()}")
    lines = geopandas.read_file(files[f"{basin}_lines"])
    lines = lines.assign(comid=lines["COMID"].astype(np.int64)).set_index("comid")[["geometry"]]
    links = read_links(files["northwest_links"], basin)
    tree = main_tree(links, links.index.isin(lines.index))
    flow = lines.loc[tree.index].assign(tocomid=tree)
    length = flow.to_crs(EQUAL_AREA).length
    own = link(tree.index, tree)
    flow["lengthkm"], flow["streamorde"] = length / 1000.0, strahler(own)
    about = pd.read_csv(files[f"{basin}_attributes"]).drop_duplicates("COMID").set_index("COMID")
    here = about.reindex(tree.index)
    flow["slope"] = here["CAT_STREAM_SLOPE"]
    flow["totdasqkm"] = here["TOT_BASIN_AREA"].where(here["TOT_BASIN_AREA"] > 0)
    if "CAT_ELEV_MIN" in here:  # of the catchment, and so of the downstream end of its reach
        flow["minelevsmo"] = here["CAT_ELEV_MIN"] * 100.0  # cm
        flow["maxelevsmo"] = flow["minelevsmo"] + here["CAT_STREAM_SLOPE"] * length * 100.0
    fine = read_nhdplus(flow, missing="neighbour")
    full = main_tree(links, np.ones(len(links), dtype=bool))
    fine["downstream_fine"].attrs |= {
        "flowlines_in_links": len(links),
        "flowlines_of_the_tree": len(full),
        "flowlines_without_line": len(full) - len(tree),
    }
    if "CAT_NID_STORAGE2010" in about:
        depth = stored_water(links, about["CAT_NID_STORAGE2010"], about["TOT_BASIN_AREA"])
        about_dams = "storage of all dams upstream, as depth over the drainage area"
        values = depth.reindex(tree.index).to_numpy()
        fine["dam_storage_fine"] = ("fine", values, {"units": "mm", "long_name": about_dams})
    return fine


def read_links(path: Path, basin: str) -> pd.Series[int]:
    """Read the flowline downstream of each flowline of a basin, 0 where it is not in the table."""
    table = pd.read_csv(path, usecols=["comid", "tocomid", "level", "basin"])
    table = table[(table["level"] == "catchment") & (table["basin"] == basin)].set_index("comid")
    known = table["tocomid"].isin(table.index).to_numpy()
    return pd.Series(np.where(known, table["tocomid"], 0), index=table.index, dtype="int64")


def main_tree(links: pd.Series[int], wanted: NDArray[np.bool_]) -> pd.Series[int]:
    """Link wanted flowlines (links,) across the others, and keep the tree with the most of them."""
    downstream = contract(link(links.index, links.to_numpy()), wanted)
    ids = links.index[wanted].to_numpy()
    mouth = int(accumulate(downstream, np.ones(ids.size)).argmax())
    kept = upstream_of(downstream, mouth)
    below = np.where(downstream >= 0, ids[downstream], 0)
    below[mouth] = 0
    return pd.Series(below[kept], index=pd.Index(ids[kept], name="comid"), dtype="int64")


def stored_water(
    links: pd.Series[int], storage: pd.Series[float], area: pd.Series[float]
) -> pd.Series[float]:
    """Sum the storage of dams (acre-feet) over all flowlines upstream, in mm over the drainage area (km2)."""
    here = storage.reindex(links.index).fillna(0.0).to_numpy() * _ACRE_FOOT
    total = pd.Series(accumulate(link(links.index, links.to_numpy()), here), index=links.index)
    return (total / (area.reindex(links.index) * 1000.0)).where(total > 0, 0.0)
