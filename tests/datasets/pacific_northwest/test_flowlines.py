"""River networks of both basins: by hand, and the real files against plain readings of them."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from xmsgl.datasets.pacific_northwest.flowlines import main_tree, read_links, stored_water

# 1 and 2 flow to 3, 3 to 4, 4 to 5; 8 flows to 9, which is another river
LINKS = pd.Series([3, 3, 4, 5, 0, 9, 0], index=pd.Index([1, 2, 3, 4, 5, 8, 9], name="comid"))


def test_links_lead_across_flowlines_without_a_line():
    wanted = LINKS.index.isin([1, 2, 4, 5, 8, 9])
    assert main_tree(LINKS, wanted).to_dict() == {1: 4, 2: 4, 4: 5, 5: 0}
    # the mouth itself has no line: the next flowline upstream becomes it
    assert main_tree(LINKS, LINKS.index.isin([1, 2, 3, 8])).to_dict() == {1: 3, 2: 3, 3: 0}


def test_stored_water_is_a_depth_over_the_drainage_area():
    storage = pd.Series({1: 1000.0, 3: 500.0, 9: 200.0})  # acre-feet
    area = pd.Series({1: 10.0, 2: 5.0, 3: 20.0, 4: 25.0, 5: 30.0, 8: 0.0, 9: 4.0})  # km2
    depth = stored_water(LINKS, storage, area)
    m3 = 43_560 * 0.3048**3  # an acre is 43,560 square feet
    for reach, (acre_feet, km2) in {1: (1000, 10), 3: (1500, 20), 5: (1500, 30), 9: (200, 4)}.items():
        assert depth[reach] == pytest.approx(acre_feet * m3 / (km2 * 1e6) * 1000, rel=1e-6)
    assert depth[2] == depth[8] == 0.0


@pytest.mark.delaware
@pytest.mark.parametrize(
    ("basin", "rows", "with_line", "links", "agree", "tree", "kept"),
    [
        ("willamette", 9_756, 9_680, 9_618, 9_603, 9_505, 9_432),
        ("yakima", 6_538, 6_385, 6_251, 6_242, 6_212, 6_062),
    ],
    ids=["willamette", "yakima"],
)
def test_figures_of_the_files(files, request, basin, rows, with_line, links, agree, tree, kept):
    """Links and line ends are two sources: a line ends where the line downstream of it begins."""
    geopandas = pytest.importorskip("geopandas")
    lines = geopandas.read_file(files[f"{basin}_lines"]).set_index("COMID").geometry
    found = read_links(files["northwest_links"], basin)
    here = found.index.isin(lines.index)
    assert (len(found), here.sum()) == (rows, with_line)
    inner = found[(found > 0) & here & found.isin(lines.index)]

    def end(line, which):
        return (line if line.geom_type == "LineString" else line.geoms[which]).coords[which]

    same = [end(lines[one], -1) == end(lines[other], 0) for one, other in inner.items()]
    assert (len(inner), sum(same)) == (links, agree)
    graph = nx.DiGraph([(a, b) for a, b in found.items() if b])
    graph.add_nodes_from(found.index)
    largest = max(nx.weakly_connected_components(graph), key=len)
    ds = request.getfixturevalue(basin)
    assert (len(largest), ds.sizes["fine"]) == (tree, kept)
    assert set(ds["fine"].values) == largest & set(lines.index)
    assert ds["downstream_fine"].attrs["flowlines_without_line"] == tree - kept
    # a link leads to the first flowline downstream with a line
    below = ds["downstream_fine"].to_series()
    for reach in below.index[::50]:
        step = found[reach]
        while step and step not in below.index:
            step = found[step]
        assert below[reach] == step


@pytest.mark.delaware
def test_attributes_against_the_tables(files, willamette, yakima):
    about = pd.read_csv(files["willamette_attributes"]).set_index("COMID").loc[willamette["fine"].values]
    np.testing.assert_array_equal(willamette["slope_fine"], about["CAT_STREAM_SLOPE"])
    rise = willamette["slope_fine"] * willamette["length_fine"]
    np.testing.assert_allclose(willamette["elevation_fine"], about["CAT_ELEV_MIN"] + rise / 2, atol=1e-6)
    about = pd.read_csv(files["yakima_attributes"]).drop_duplicates("COMID").set_index("COMID")
    about = about.reindex(yakima["fine"].values)
    known = about["TOT_BASIN_AREA"].gt(0).values
    np.testing.assert_array_equal(yakima["drainage_area_fine"].values[known], about["TOT_BASIN_AREA"][known])
    stored = about["StreamOrde"].values
    same = yakima["stream_order_fine"].values[~np.isnan(stored)] == stored[~np.isnan(stored)]
    assert same.mean() > 0.99
    kilometres = yakima["length_fine"].values / about["CAT_STREAM_LENGTH"].values / 1000.0
    assert np.nanmedian(kilometres) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.delaware
def test_dams_of_the_corps_of_engineers(willamette):
    """Capacity in acre-feet of some reservoirs, from the published figures of their owners."""
    depth = willamette["dam_storage_fine"] * willamette["drainage_area_fine"] * 1e3 / 1233.48184
    at = willamette["gauge_fine"].str.startswith
    below_cougar = depth[at("14159500").values].item()
    assert below_cougar == pytest.approx(219_000, rel=0.05)
    below_detroit = depth[at("14181500").values].item()
    assert below_detroit == pytest.approx(455_000 + 5_930, rel=0.05)  # and Big Cliff
    assert depth[at("14159200").values].item() == 0.0  # above Cougar Lake
