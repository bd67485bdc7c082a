"""Small networks drawn by hand: divergences, coastlines, gaps, spellings and faults."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.errors import (
    CycleError,
    DataUnavailableError,
    InvalidArgumentError,
    NetworkError,
    NetworkWarning,
    XMSGLError,
)
from xmsgl.readers import read_nhdplus
from xmsgl.readers.nhdplus import FIELDS
from xmsgl.readers.nhdplus_links import fill_along, main_links

#   1 --2--3-- 4 --5          2 divides: 3 (main) and 6 (minor), 7 goes on from 6 and comes back at 4
#        \-6--7-/             8 joins 7 from aside where `tributary` is there; 9 is the coast
NETWORK = pd.DataFrame(
    {
        "COMID": [1, 2, 3, 4, 5, 6, 7],
        "LENGTHKM": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        "Hydroseq": [70.0, 60.0, 50.0, 20.0, 10.0, 40.0, 30.0],
        "DnHydroseq": [60.0, 50.0, 20.0, 10.0, 0.0, 30.0, 20.0],
        "FromNode": [1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 6.0],
        "ToNode": [2.0, 3.0, 4.0, 5.0, 7.0, 6.0, 4.0],
        "Divergence": [0, 0, 1, 0, 0, 2, 0],
    }
)
LINKS = [2, 3, 4, 5, 0, 7, 4]
TRIBUTARY = {
    "COMID": 8,
    "LENGTHKM": 1.0,
    "Hydroseq": 35.0,
    "DnHydroseq": 30.0,
    "FromNode": 8.0,
    "ToNode": 6.0,
    "Divergence": 0,
}
COAST = {
    "COMID": 9,
    "LENGTHKM": 1.0,
    "Hydroseq": 5.0,
    "DnHydroseq": 0.0,
    "FromNode": 7.0,
    "ToNode": 9.0,
    "Divergence": 0,
}


def with_row(row, **more):
    frame = pd.concat([NETWORK, pd.DataFrame([row])], ignore_index=True)
    return frame.assign(**more)


def links(ds):
    return dict(zip(ds["fine"].values.tolist(), ds["downstream_fine"].values.tolist(), strict=True))


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


STATICS = pd.DataFrame(
    {
        "comid": [7, 6, 5, 4, 3, 2, 1],
        "slope": [-9998.0, 0.06, 0.05, 0.04, 0.03, np.nan, 0.01],
        "maxelevsmo": [700, 600, 500, 400, -9998, 200, 100],
        "minelevsmo": [600, 500, 400, -9998, 200, 100, 0],
        "totdasqkm": [7.0, 6.0, -9999.0, 4.0, 3.0, 2.0, 1.0],
        "streamorde": [1, 1, 2, 2, -9, 2, 0],
        "lengthkm": 99.0,
    }
)


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


def changed(**columns):
    return NETWORK.assign(**columns)


@pytest.mark.parametrize(
    ("frame", "error", "fault"),
    [
        pytest.param(
            NETWORK.drop(columns="COMID"), InvalidArgumentError, "no ids: none of comid", id="no id"
        ),
        pytest.param(
            NETWORK[["COMID", "LENGTHKM"]], InvalidArgumentError, "no links: it needs tocomid", id="no links"
        ),
        pytest.param(
            NETWORK.drop(columns="LENGTHKM"), InvalidArgumentError, "no lengthkm or", id="no length"
        ),
        pytest.param(changed(LENGTHKM="long"), InvalidArgumentError, "LENGTHKM .* found 'long'", id="text"),
        pytest.param(
            changed(comid=1),
            InvalidArgumentError,
            "columns COMID, comid, which differ in case only",
            id="twice",
        ),
        pytest.param(
            changed(COMID=[1, 2, 3, 4, 5, 6, np.nan]),
            InvalidArgumentError,
            "missing in 1 rows: row 7 below the header",
            id="no value",
        ),
        pytest.param(
            changed(COMID=[1, 2, 3, 4, 5, 6, 6]),
            NetworkError,
            r"id is repeated: 6 \(rows 6, 7 below the header\); keep one row per reach",
            id="repeated",
        ),
        pytest.param(
            changed(Hydroseq=[70, 60, 50, 20, 10, 40, 40]),
            NetworkError,
            r"hydroseq is repeated: 40 \(rows 6, 7 below the header\); each reach needs its own number",
            id="hydroseq",
        ),
        pytest.param(
            changed(Hydroseq=[70, 60, 50, 20, 10, 40, -9998]),
            NetworkError,
            "1 reaches have no hydroseq: 7;",
            id="outside of the network",
        ),
        pytest.param(
            changed(DnHydroseq=[60, 50, 20, 10, 70, 30, 20]), CycleError, "circle through ids", id="circle"
        ),
        pytest.param(
            changed(DnHydroseq=[70, 50, 20, 10, 0, 30, 20]), NetworkError, "into themselves: 1", id="itself"
        ),
    ],
)
def test_faults_are_named(frame, error, fault):
    with pytest.raises(error, match=fault) as caught:
        read_nhdplus(frame)
    assert isinstance(caught.value, XMSGLError)


def test_two_main_paths_are_refused():
    with pytest.raises(NetworkError, match=r"2 -> 3, 6.*divergence marks none of them as minor"):
        read_nhdplus(changed(Divergence=0), topology="nodes")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        pytest.param({"scale": "medium"}, "scale must be 'coarse' or 'fine', not 'medium'", id="scale"),
        pytest.param({"minor": "keep"}, "minor must be 'headwater' or 'drop'", id="minor"),
        pytest.param({"missing": "fill"}, "missing must be 'keep' or 'neighbour'", id="missing"),
        pytest.param(
            {"topology": "magic"},
            "topology must be 'tocomid' or 'hydroseq' or 'nodes', not 'magic'",
            id="topology",
        ),
        pytest.param({"topology": "tocomid"}, r"it needs tocomid \(or toid\)", id="fields of the topology"),
    ],
)
def test_options_are_checked(options, fault):
    with pytest.raises(InvalidArgumentError, match=fault):
        read_nhdplus(NETWORK, **options)


def test_tables_of_other_regions_are_refused():
    with pytest.raises(
        InvalidArgumentError,
        match=r"DataFrame has none of the ids of the flowlines .* 107, 106, 105 and 4 more;",
    ):
        read_nhdplus(NETWORK, STATICS.assign(comid=STATICS["comid"] + 100))
    with pytest.raises(NetworkError, match=r"more than once: 7 \(rows 1, 8 below the header\)"):
        read_nhdplus(NETWORK, pd.concat([STATICS, STATICS.iloc[:1]]))


def test_missing_or_broken_files_are_refused(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"there is no file .*none\.gpkg"):
        read_nhdplus(tmp_path / "none.gpkg")
    pytest.importorskip("pyogrio")
    (tmp_path / "bad.gpkg").write_text("no database")
    with pytest.raises(InvalidArgumentError, match=r"bad\.gpkg cannot be read as \.gpkg"):
        read_nhdplus(tmp_path / "bad.gpkg")
    with pytest.raises(InvalidArgumentError, match="a path or a data frame, not int"):
        read_nhdplus(3)


def test_coastlines_alone_are_refused():
    with pytest.raises(InvalidArgumentError, match="no flowlines left: 7 rows, 7 of them coastlines"):
        read_nhdplus(changed(ftype="Coastline"))


def test_the_callers_frame_is_not_changed():
    before = NETWORK.copy(deep=True)
    read_nhdplus(NETWORK, STATICS, missing="neighbour", minor="drop")
    pd.testing.assert_frame_equal(NETWORK, before)


TABLE = pd.DataFrame(
    {
        "comid": [1, 2, 3, 4],
        "tocomid": [2, 3, 4, 0],
        "lengthkm": 1.0,
        "divergence": 0,
        "totdasqkm": [1, 2, 3, 4],
    }
)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({}, id="the same"),
        pytest.param({"lengthkm": 2.0}, id="another length"),
        pytest.param({"tocomid": 4, "totdasqkm": 9}, id="another link and area"),
        pytest.param({"tocomid": 4}, id="another link"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["divergence", "no divergence"])
def test_a_repeated_id_is_not_a_divergence(row, known):
    table = pd.concat([TABLE, TABLE.iloc[[1]].assign(**row)], ignore_index=True)
    table = table if known else table.drop(columns="divergence")
    with pytest.raises(NetworkError) as caught:
        read_nhdplus(table)
    text = str(caught.value)
    assert text.startswith("id is repeated: 2 (rows 2, 5 below the header)")
    assert "keep one row per reach" in text
    assert ("add the field divergence" in text) == (row == {"tocomid": 4} and not known)
    assert links(read_nhdplus(table.drop_duplicates("comid"))) == {1: 2, 2: 3, 3: 4, 4: 0}


def test_following_the_advice_resolves_a_divergence():
    table = pd.concat([TABLE, TABLE.iloc[[1]].assign(tocomid=4)], ignore_index=True).drop(
        columns="divergence"
    )
    with pytest.raises(NetworkError, match="where the river divides: add the field divergence"):
        read_nhdplus(table)
    marked = table.assign(divergence=[0, 0, 2, 0, 0])  # 3 is the minor path
    assert links(read_nhdplus(marked)) == {1: 2, 2: 4, 3: 4, 4: 0}


def test_row_numbers_include_coastlines():
    coast = pd.concat([pd.DataFrame([COAST]), NETWORK, NETWORK.iloc[[3]]], ignore_index=True)
    coast["FTYPE"] = ["Coastline"] + ["StreamRiver"] * 8
    with pytest.raises(NetworkError, match=r"id is repeated: 4 \(rows 5, 9 below the header\)"):
        read_nhdplus(coast)


BOTH = NETWORK.assign(tocomid=LINKS)


@pytest.mark.parametrize(
    ("table", "own", "other"),
    [
        pytest.param(BOTH.drop(columns=["FromNode", "ToNode"]), "tocomid", "hydroseq", id="hydroseq"),
        pytest.param(BOTH.drop(columns=["Hydroseq", "DnHydroseq"]), "tocomid", "nodes", id="nodes"),
        pytest.param(NETWORK, "hydroseq", "nodes", id="hydroseq against nodes"),
    ],
)
@pytest.mark.parametrize("blank", [0, np.nan, -9998], ids=["0", "empty", "fill"])
def test_a_missing_link_in_mid_river_is_not_an_outlet(table, own, other, blank):
    field = {"tocomid": "tocomid", "hydroseq": "DnHydroseq"}[own]
    assert links(read_nhdplus(table)) == dict(zip(range(1, 8), LINKS, strict=True))
    spoilt = table.assign(**{field: table[field].astype(float).where(table["COMID"] != 3, blank)})
    with pytest.raises(
        NetworkError, match=rf"1 reaches are outlets by {field.lower()} .*: 3 -> 4;"
    ) as caught:
        read_nhdplus(spoilt)
    assert f'topology="{other}"' in str(caught.value)
    assert links(read_nhdplus(spoilt, topology=other)) == dict(zip(range(1, 8), LINKS, strict=True))


def test_a_link_to_an_unknown_id_in_mid_river_is_not_an_outlet():
    with pytest.raises(NetworkError, match="outlets by tocomid but flow on by dnhydroseq: 3 -> 4"):
        read_nhdplus(BOTH.assign(tocomid=[2, 3, 999, 5, 0, 7, 4]))


def test_nodes_without_divergence_prove_nothing():
    """The main path below 2 is not in the table; the nodes lead on to the minor path."""
    cut = NETWORK[NETWORK["COMID"] != 3].drop(columns="Divergence")
    assert links(read_nhdplus(cut, topology="hydroseq"))[2] == 0


@pytest.fixture
def drawn():
    """The network as lines; reach 3 has no link."""
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    place = {1: (0, 0), 2: (1, 0), 3: (2, 0), 4: (3, 0), 5: (4, 0), 7: (5, 0), 6: (2.5, 1)}
    nodes = NETWORK[["FromNode", "ToNode"]].astype(int)
    lines = [shapely.LineString([place[a], place[b]]) for a, b in nodes.itertuples(index=False)]
    table = BOTH[["COMID", "LENGTHKM", "tocomid", "Divergence"]].assign(totdasqkm=[1, 2, 2, 3, 4, 2, 2])
    table.loc[2, "tocomid"] = 0
    return geopandas.GeoDataFrame(table, geometry=lines, crs="EPSG:4326")


def test_an_outlet_where_another_line_begins_gets_a_warning(drawn):
    words = r"^1 reaches have no tocomid and are outlets, although .*: 3 -> 4; give their tocomid"
    with pytest.warns(NetworkWarning, match=words) as caught:
        ds = read_nhdplus(drawn)
    assert caught[0].filename == __file__
    assert links(ds)[3] == 0
    read_nhdplus(drawn.assign(tocomid=LINKS))  # as advised: no warning, which would be an error here


def test_a_smaller_river_or_a_minor_path_downstream_gets_no_warning(drawn):
    read_nhdplus(drawn.assign(totdasqkm=[1, 2, 9, 3, 4, 2, 2]))
    cut = drawn.assign(tocomid=[2, 0, 4, 5, 0, 7, 4])
    read_nhdplus(cut[cut["COMID"] != 3])  # below 2 only the minor path 6 is left


@pytest.mark.parametrize(
    ("before", "advice", "after"),
    [
        pytest.param(
            lambda: read_nhdplus(NETWORK.drop(columns="LENGTHKM")),
            "add the table that has the lengths",
            lambda: read_nhdplus(NETWORK.drop(columns="LENGTHKM"), NETWORK[["COMID", "LENGTHKM"]]),
            id="length",
        ),
        pytest.param(
            lambda: read_nhdplus(NETWORK[["COMID", "LENGTHKM"]]),
            r"add the table that has them \(PlusFlowlineVAA\)",
            lambda: read_nhdplus(NETWORK[["COMID", "LENGTHKM"]], NETWORK.drop(columns="LENGTHKM")),
            id="links",
        ),
        pytest.param(
            lambda: read_nhdplus(NETWORK.drop(columns="Divergence"), minor="drop"),
            "add the table that has it .*, or leave minor out",
            lambda: (
                read_nhdplus(NETWORK.drop(columns="Divergence")),
                read_nhdplus(
                    NETWORK.drop(columns="Divergence"), NETWORK[["COMID", "Divergence"]], minor="drop"
                ),
            ),
            id="divergence",
        ),
        pytest.param(
            lambda: read_nhdplus(NETWORK.assign(comid=1)),
            "drop or rename one",
            lambda: read_nhdplus(NETWORK.assign(comid=1).drop(columns="comid")),
            id="one name",
        ),
        pytest.param(
            lambda: read_nhdplus(NETWORK.assign(Hydroseq=NETWORK["Hydroseq"].replace(30.0, -9998.0))),
            "drop them, or give the numbers",
            lambda: read_nhdplus(NETWORK[NETWORK["Hydroseq"] != 30.0]),
            id="outside of the network",
        ),
    ],
)
def test_following_the_advice_fixes_the_error(before, advice, after):
    with pytest.raises((InvalidArgumentError, NetworkError), match=advice):
        before()
    assert after()


def test_following_the_advice_sets_the_coordinate_system(drawn):
    bare = drawn.assign(tocomid=LINKS).set_crs(None, allow_override=True)
    with pytest.raises(InvalidArgumentError) as caught:
        read_nhdplus(bare)
    fixed = eval(str(caught.value).split("with ")[1], {"frame": bare})
    assert "geometry_fine" in read_nhdplus(fixed)


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
