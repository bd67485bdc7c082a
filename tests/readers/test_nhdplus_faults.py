"""Faults of NHDPlus tables: each message names the rows, and what it advises removes the fault."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.readers.flowlines import COAST, LINKS, NETWORK, STATICS, links
from xmsgl.errors import (
    CycleError,
    DataUnavailableError,
    InvalidArgumentError,
    NetworkError,
    NetworkWarning,
    XMSGLError,
)
from xmsgl.readers import read_nhdplus


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
