"""NHDPlus flowlines of a network drawn by hand, against links and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.readers.flowlines import COAST, LINKS, NETWORK, STATICS, links
from xmsgl.errors import InvalidArgumentError, NetworkError
from xmsgl.readers import read_nhdplus
from xmsgl.readers.nhdplus import FIELDS
from xmsgl.readers.nhdplus_links import fill_along, main_links

TRIBUTARY = {
    "COMID": 8,
    "LENGTHKM": 1.0,
    "Hydroseq": 35.0,
    "DnHydroseq": 30.0,
    "FromNode": 8.0,
    "ToNode": 6.0,
    "Divergence": 0,
}


def with_row(row, **more):
    frame = pd.concat([NETWORK, pd.DataFrame([row])], ignore_index=True)
    return frame.assign(**more)


@pytest.mark.parametrize("topology", [None, "hydroseq", "nodes"])
def test_main_paths(topology):
    ds = read_nhdplus(NETWORK, topology=topology)
    assert ds["downstream_fine"].values.tolist() == LINKS
    assert ds["length_fine"].values.tolist() == [1000.0 * n for n in range(1, 8)]
    assert ds.attrs["minor_paths"] == "2 reaches kept"


def test_all_links_by_id():
    rows = [(1, 2), (2, 6), (2, 3), (3, 4), (6, 7), (7, 4), (4, 5), (5, None)]
    table = pd.DataFrame(rows, columns=["comid", "tocomid"]).assign(lengthkm=1.0)
    table["divergence"] = table["comid"].map(NETWORK.set_index("COMID")["Divergence"])
    assert links(read_nhdplus(table)) == dict(zip(range(1, 8), LINKS, strict=True))
    fault = r"id is repeated: 2 \(rows 2, 3 below the header\) .*2 -> 6, 3.* add the field divergence"
    with pytest.raises(NetworkError, match=fault):
        read_nhdplus(table.drop(columns="divergence"))


@pytest.mark.parametrize("topology", ["hydroseq", "nodes"])
def test_a_main_path_that_leaves_the_table_is_an_outlet(topology):
    """The minor path in the table does not replace it."""
    cut = NETWORK[NETWORK["COMID"] != 3]
    assert links(read_nhdplus(cut, topology=topology)) == {1: 2, 2: 0, 4: 5, 5: 0, 6: 7, 7: 4}


def test_a_main_path_that_leaves_a_table_of_ids_is_an_outlet():
    table = pd.DataFrame({"id": [2, 2, 6], "toid": [3, 6, 0], "length_km": 1.0, "divergence": [0, 0, 2]})
    assert links(read_nhdplus(table)) == {2: 0, 6: 0}


def test_a_single_link_to_a_minor_path_is_followed():
    table = pd.DataFrame({"id": [2, 6], "toid": [6, 0], "length_km": 1.0, "divergence": [0, 2]})
    assert links(read_nhdplus(table)) == {2: 6, 6: 0}
    assert read_nhdplus(table, minor="drop")["fine"].values.tolist() == [2, 6]


def test_minor_paths_are_dropped():
    ds = read_nhdplus(NETWORK, minor="drop")
    assert links(ds) == {1: 2, 2: 3, 3: 4, 4: 5, 5: 0}
    assert ds.attrs["minor_paths"] == "2 reaches left out"


def test_a_minor_path_is_kept_from_where_a_stream_joins_it():
    ds = read_nhdplus(with_row(TRIBUTARY), minor="drop")
    assert links(ds) == {1: 2, 2: 3, 3: 4, 4: 5, 5: 0, 7: 4, 8: 7}


def test_dropping_minor_paths_needs_divergence():
    bare = NETWORK.drop(columns="Divergence")
    assert read_nhdplus(bare).attrs["minor_paths"] == "unknown, because there is no field divergence"
    with pytest.raises(InvalidArgumentError, match="no field divergence"):
        read_nhdplus(bare, minor="drop")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"FTYPE": ["StreamRiver"] * 7 + ["Coastline"]}, id="name"),
        pytest.param({"ftype": [460.0] * 7 + [566.0]}, id="type of HR"),
        pytest.param({"FCODE": [46006] * 7 + [56600]}, id="code"),
        pytest.param({"feature_type": [None] * 7 + ["COASTLINE"]}, id="hydroloom"),
    ],
)
@pytest.mark.parametrize("topology", ["hydroseq", "nodes"])
def test_coastlines_are_left_out(kind, topology):
    coast = with_row(COAST, **kind)
    coast.loc[4, "DnHydroseq"] = 5.0  # reach 5 flows to the coast
    ds = read_nhdplus(coast, topology=topology)
    assert links(ds) == dict(zip(range(1, 8), LINKS, strict=True))
    assert ds.attrs["coastlines"] == "1 left out"


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_case_does_not_matter(case):
    assert read_nhdplus(NETWORK.rename(columns=case)).equals(read_nhdplus(NETWORK))


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param({"COMID": "nhdplusid"}, id="HR"),
        pytest.param({"COMID": "nhdplus_comid"}, id="NLDI"),
        pytest.param(
            {
                "COMID": "id",
                "LENGTHKM": "length_km",
                "Hydroseq": "topo_sort",
                "DnHydroseq": "dn_topo_sort",
            },
            id="hydroloom",
        ),
    ],
)
def test_spellings(spelling):
    assert read_nhdplus(NETWORK.rename(columns=spelling)).equals(read_nhdplus(NETWORK))


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param(lambda n: n.astype(float), id="floats"),
        pytest.param(lambda n: n.astype(str), id="text"),
        pytest.param(lambda n: n.astype("Int64"), id="nullable"),
        pytest.param(lambda n: n.astype(object), id="objects"),
    ],
)
def test_ids_of_any_type(ids):
    assert read_nhdplus(NETWORK.assign(COMID=ids(NETWORK["COMID"]))).equals(read_nhdplus(NETWORK))


def test_ids_of_high_resolution_stay_exact():
    long = NETWORK["COMID"] + 55_000_100_000_000
    ds = read_nhdplus(NETWORK.assign(COMID=long.astype(float)).rename(columns={"COMID": "NHDPlusID"}))
    assert ds["fine"].values.tolist() == long.tolist()
    text = NETWORK.assign(COMID=(NETWORK["COMID"] + 2**53).astype(str))
    assert read_nhdplus(text)["fine"].values[0] == 2**53 + 1
    with pytest.raises(InvalidArgumentError, match="COMID of DataFrame must be whole numbers"):
        read_nhdplus(NETWORK.assign(COMID=NETWORK["COMID"] + 2.0**54))


def test_the_coarse_scale():
    ds = read_nhdplus(NETWORK, scale="coarse")
    assert set(ds.variables) == {"coarse", "downstream_coarse", "length_coarse"}
    assert ds.attrs["history"].endswith("read 7 flowlines of DataFrame as NHDPlus, linked by hydroseq")


def test_a_further_table_adds_and_does_not_replace():
    ds = read_nhdplus(NETWORK, STATICS)
    nan = np.nan
    np.testing.assert_array_equal(ds["slope_fine"], [0.01, nan, 0.03, 0.04, 0.05, 0.06, nan])
    np.testing.assert_array_equal(ds["elevation_fine"], [0.5, 1.5, nan, nan, 4.5, 5.5, 6.5])
    np.testing.assert_array_equal(ds["drainage_area_fine"], [1.0, 2.0, 3.0, 4.0, nan, 6.0, 7.0])
    np.testing.assert_array_equal(ds["stream_order_fine"], [nan, 2, nan, 2, 2, 1, 1])
    assert ds["length_fine"].values[0] == 1000.0


def test_gaps_take_the_value_downstream_then_upstream():
    ds = read_nhdplus(NETWORK, STATICS, missing="neighbour")
    assert ds["slope_fine"].values.tolist() == [0.01, 0.03, 0.03, 0.04, 0.05, 0.06, 0.04]
    assert ds["elevation_fine"].values.tolist() == [0.5, 1.5, 4.5, 4.5, 4.5, 5.5, 6.5]
    assert ds["drainage_area_fine"].values.tolist() == [1, 2, 3, 4, 4, 6, 7]  # the outlet, from upstream
    assert [ds[f"{name}_fine"].attrs["filled_from_neighbours"] for name in ("slope", "elevation")] == [2, 2]


def test_a_basin_without_any_value_stays_empty():
    values = np.array([np.nan, np.nan, 2.0])
    assert np.isnan(fill_along(values, np.array([1, -1, -1]))).tolist() == [True, True, False]


def test_reaches_a_further_table_lacks_have_no_value():
    ds = read_nhdplus(NETWORK, STATICS[STATICS["comid"] != 3])
    assert np.isnan(ds["slope_fine"].sel(fine=3).item())
    assert ds["slope_fine"].sel(fine=4).item() == 0.04


def test_links_may_come_from_a_further_table():
    lines, vaa = NETWORK[["COMID", "LENGTHKM"]], NETWORK.drop(columns="LENGTHKM")
    assert read_nhdplus(lines, vaa.iloc[::-1]).equals(read_nhdplus(NETWORK))
    with pytest.raises(NetworkError, match="1 reaches have no hydroseq: 3;"):
        read_nhdplus(lines, vaa[vaa["COMID"] != 3])


def test_links_of_a_further_table_with_gaps_stay_exact():
    far = 2**53  # from here on floats tell every second whole number apart
    ids = far + np.array([1, 2, 3])
    lines = pd.DataFrame({"COMID": ids, "LENGTHKM": [1.0, 2.0, 3.0]})
    vaa = pd.DataFrame({"comid": ids[:2], "tocomid": ids[1:]})  # the outlet is not in it
    ds = read_nhdplus(lines, vaa)
    assert ds["downstream_fine"].dtype == np.int64
    assert ds["downstream_fine"].values.tolist() == [far + 2, far + 3, 0]


def test_lines_give_locations():
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    lines = [shapely.MultiLineString([[(-77 + n, 40), (-77 + n, 41)]]) for n in range(7)]
    frame = geopandas.GeoDataFrame(NETWORK, geometry=lines, crs="EPSG:4326")
    ds = read_nhdplus(frame)
    np.testing.assert_allclose(ds["lat_fine"], 40.5, atol=0.01)
    np.testing.assert_allclose(ds["lon_fine"], -77.0 + np.arange(7), atol=0.02)
    assert ds["geometry_fine"].attrs["crs"] == "EPSG:4326"
    bare = frame.set_crs(None, allow_override=True)
    with pytest.raises(InvalidArgumentError, match="no coordinate system"):
        read_nhdplus(bare)
    frame.loc[2, "geometry"] = None
    with pytest.raises(
        InvalidArgumentError, match="1 of the 7 geometries of GeoDataFrame are missing or are not lines: 3"
    ):
        read_nhdplus(frame)


@pytest.mark.parametrize("name", ["flow.csv", "flow.CSV", "flow.csv.gz", "flow.txt"])
def test_text_files(tmp_path, name):
    NETWORK.to_csv(tmp_path / name, index=False)
    assert read_nhdplus(str(tmp_path / name)).equals(read_nhdplus(NETWORK))


def test_layers_must_be_chosen(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    pytest.importorskip("pyogrio")
    lines = [shapely.LineString([(n, 40), (n, 41)]) for n in range(7)]
    frame = geopandas.GeoDataFrame(NETWORK, geometry=lines, crs="EPSG:4326")
    path = tmp_path / "flowlines.gpkg"
    frame.to_file(path, layer="one")
    expected = read_nhdplus(path)
    frame.iloc[:2].to_file(path, layer="two")
    with pytest.raises(InvalidArgumentError, match=r"2 layers \(one, two\); choose one with layer="):
        read_nhdplus(path)
    with pytest.raises(InvalidArgumentError, match="no layer 'three'"):
        read_nhdplus(path, layer="three")
    assert read_nhdplus(path, layer="one").equals(expected)


def test_the_callers_frame_is_not_changed():
    before = NETWORK.copy(deep=True)
    read_nhdplus(NETWORK, STATICS, missing="neighbour", minor="drop")
    pd.testing.assert_frame_equal(NETWORK, before)


def test_links_on_random_trees_match_a_loop():
    """All three topologies give the links of the tree."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        n = int(rng.integers(2, 40))
        down = [0] + [int(rng.integers(0, i)) + 1 if rng.random() < 0.9 else 0 for i in range(1, n)]
        ids = rng.permutation(n) + 1
        of = dict(zip(range(1, n + 1), ids.tolist(), strict=True)) | {0: 0}
        flow = pd.DataFrame(
            {
                "id": ids,
                "to": [of[d] for d in down],
                "hydroseq": np.arange(1, n + 1),
                "dnhydroseq": down,
                "fromnode": np.arange(1, n + 1),
                "tonode": [d or n + i + 1 for i, d in enumerate(down)],
            }
        )
        for topology in ("tocomid", "hydroseq", "nodes"):
            assert main_links(flow, topology).to_dict() == dict(zip(flow["id"], flow["to"], strict=True))


def test_no_spelling_is_used_twice():
    spellings = [spelling for each in FIELDS.values() for spelling in each]
    assert len(spellings) == len(set(spellings))
    assert all(spelling == spelling.lower() for spelling in spellings)
