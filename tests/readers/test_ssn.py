"""Small .ssn folders, written with geopandas and compared with networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import (
    DataLossWarning,
    DataUnavailableError,
    InvalidArgumentError,
    NetworkError,
    NetworkWarning,
)
from xmsgl.readers import place_sites, read, read_ssn

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")
pytest.importorskip("pyogrio")

WEST, SOUTH = -1_550_000.0, 2_500_000.0  # in Idaho, in EPSG:5070


class Made:
    """A network of two trees drawn at random, and what networkx says of it."""

    def __init__(self, seed=0, n=120, first=1):
        rng = np.random.default_rng(seed)
        self.rid = first + rng.permutation(n)
        self.graph = nx.DiGraph()
        self.graph.add_nodes_from(self.rid.tolist())
        binary, ends, lines, self.net = {}, {}, {}, {}
        for place, rid in enumerate(self.rid.tolist()):
            if place < 2:  # outlets
                binary[rid], self.net[rid], end = "1", place + 1, (WEST, SOUTH + 9e4 * place)
            else:
                # the last but one edge with room for a tributary: a long river, and IDs of many digits
                free = [r for r in binary if self.graph.in_degree(r) < 2]
                below = free[max(-3, -len(free))]
                digit = self.graph.in_degree(below)
                binary[rid], self.net[rid], end = f"{binary[below]}{digit}", self.net[below], ends[below]
                self.graph.add_edge(rid, below)
            ends[rid] = end[0] + rng.uniform(100, 900), end[1] + rng.uniform(-300, 300)
            lines[rid] = shapely.LineString([ends[rid], end])
        self.binary = binary
        length = {rid: line.length for rid, line in lines.items()}
        self.updist = {r: length[r] + sum(length[d] for d in nx.descendants(self.graph, r)) for r in binary}
        self.edges = geopandas.GeoDataFrame(
            {
                "rid": self.rid,
                "netID": [self.net[rid] for rid in self.rid],
                "GNIS_Name": ["Elk Creek" if rid % 2 else None for rid in self.rid],
                "h2oAreaKm2": [1.0 + len(nx.ancestors(self.graph, rid)) for rid in self.rid],
                "afvArea": np.linspace(0, 1, n),
                "upDist": [self.updist[rid] for rid in self.rid],
            },
            geometry=[lines[rid] for rid in self.rid],
            crs="EPSG:5070",
        )

    def write(self, folder, *, edges=None, kind="gpkg", head="rid,binaryID"):
        folder.mkdir()
        (self.edges if edges is None else edges).to_file(folder / f"edges.{kind}")
        for net in (1, 2):
            rows = [f"{rid},{self.binary[rid]}" for rid in sorted(self.binary) if self.net[rid] == net]
            (folder / f"netID{net}.dat").write_text("\n".join([head, *rows]) + "\n")
        return folder


@pytest.fixture(scope="module")
def made():
    return Made()


@pytest.mark.parametrize(("kind", "head"), [("gpkg", "rid,binaryID"), ("shp", '"rid", "binaryID"')])
def test_links_lengths_and_distances(made, tmp_path, kind, head):
    assert max(map(len, made.binary.values())) > 30  # more digits than an integer has
    ds = read("ssn", made.write(tmp_path / "made.ssn", kind=kind, head=head))
    assert ds["fine"].values.tolist() == made.rid.tolist()
    expected = [next(made.graph.successors(rid), 0) for rid in made.rid.tolist()]
    assert ds["downstream_fine"].values.tolist() == expected
    assert expected.count(0) == 2
    links = ds.set_coords("downstream_fine")["length_fine"].to_series()
    graph = nx.DiGraph([(r, d) for r, d in zip(links.index, expected, strict=True) if d])
    for rid in made.rid.tolist():
        path = links[rid] + sum(links[step] for step in nx.descendants(graph, rid))
        assert path == pytest.approx(made.updist[rid], rel=1e-6)
    np.testing.assert_allclose(ds["outlet_distance_fine"], made.edges["upDist"])
    np.testing.assert_allclose(ds["additive_function_fine"], made.edges["afvArea"])
    np.testing.assert_allclose(ds["drainage_area_fine"], made.edges["h2oAreaKm2"])
    assert ds["name_fine"].values.tolist() == made.edges["GNIS_Name"].fillna("").tolist()
    boxes = made.edges.buffer(5.0).to_crs(4326).envelope.to_numpy()
    inside = shapely.contains(boxes, shapely.points(ds["lon_fine"], ds["lat_fine"]))
    assert inside.all()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2242"])
def test_lengths_are_metres(made, tmp_path, crs):
    """In degrees, and in US feet of Idaho, whose distances are in feet, too."""
    feet = 0.3048006096 if crs == "EPSG:2242" else 1.0
    edges = made.edges.to_crs(crs).assign(upDist=made.edges["upDist"] / feet)
    ds = read_ssn(made.write(tmp_path / "made.ssn", edges=edges), scale="coarse")
    np.testing.assert_allclose(ds["length_coarse"], made.edges.length, rtol=5e-3)
    np.testing.assert_allclose(ds["outlet_distance_coarse"], made.edges["upDist"], rtol=5e-3)


def test_rid_0_does_not_become_an_outlet(tmp_path):
    made = Made(seed=1, n=20, first=0)
    ds = read_ssn(made.write(tmp_path / "made.ssn"))
    assert ds["fine"].values.tolist() == made.rid.astype(str).tolist()
    expected = [str(next(made.graph.successors(rid), "")) for rid in made.rid.tolist()]
    assert ds["downstream_fine"].values.tolist() == expected
    assert "0" in expected


def test_edges_cut_off_become_outlets(made, tmp_path):
    cut = made.edges[made.edges["upDist"] > made.edges["upDist"].median()]
    ds = read_ssn(made.write(tmp_path / "made.ssn", edges=cut))
    kept = made.graph.subgraph(cut["rid"].tolist())
    assert ds["downstream_fine"].values.tolist() == [next(kept.successors(r), 0) for r in cut["rid"].tolist()]


def test_a_basin_of_two_scales_can_be_made(made, tmp_path):
    ds = read_ssn(made.write(tmp_path / "made.ssn"))
    two = xmsgl.coarsen(ds, length_m=3_000)
    assert set(two["coarse_segment"].values.tolist()) == set(two["coarse"].values.tolist())
    ds.to_zarr(tmp_path / "made.zarr", consolidated=False)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "made.zarr", consolidated=False).load(), ds)


def test_sites_are_placed_by_their_rid(made, tmp_path):
    """Each site lies at a confluence, where several edges are equally near."""
    ds = read_ssn(made.write(tmp_path / "made.ssn"))
    chosen = made.edges.iloc[10:40]
    tops = [shapely.Point(line.coords[0]) for line in chosen.geometry]
    sites = geopandas.GeoDataFrame(
        {"locID": range(30), "rid": chosen["rid"], "ratio": 1.0}, geometry=tops, crs="EPSG:5070"
    )
    sites.to_file(tmp_path / "made.ssn" / "sites.gpkg")
    daily = pd.DataFrame({"locID": range(30), "date": "2004-07-15", "temperature": np.arange(30) / 2})
    placed = place_sites(tmp_path / "made.ssn" / "sites.gpkg", daily, ds)
    assert placed.report["reach"].tolist() == chosen["rid"].tolist()
    found = placed.labels.isel(time=0).sel(fine=chosen["rid"].to_numpy())
    np.testing.assert_array_equal(found, np.arange(30) / 2)
    sites.assign(rid=chosen["rid"].to_numpy()[::-1]).to_file(tmp_path / "other.gpkg")
    with pytest.warns(DataLossWarning, match="drainage area, name or reach differs"):
        report = place_sites(tmp_path / "other.gpkg", daily, ds).report
    assert (report["outcome"] != "placed").any()


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def remove(folder, pattern):
    for path in folder.glob(pattern):
        path.unlink()


FAULTS = {
    "no folder": (lambda f, m: remove(f, "edges.gpkg"), DataUnavailableError, "not a folder with edges"),
    "no topology": (lambda f, m: remove(f, "netID*"), DataUnavailableError, "no netID1.dat"),
    "no header": (
        lambda f, m: edit(f / "netID1.dat", "binaryID", "other"),
        InvalidArgumentError,
        "netID1.dat has no column for binary",
    ),
    "not binary": (
        lambda f, m: edit(f / "netID1.dat", ",1\n", ",2\n"),
        InvalidArgumentError,
        r"then digits 0 and 1; found '2' in line \d+ of the file",
    ),
    "binaryID twice": (
        lambda f, m: edit(f / "netID1.dat", ",10\n", ",1\n"),
        NetworkError,
        "binaryID more than once: netID1 1;",
    ),
    "rid twice": (
        lambda f, m: edit(f / "netID1.dat", "rid,binaryID\n", f"rid,binaryID\n{m.rid[9]},11111\n"),
        NetworkError,
        "rid more than once",
    ),
    "edge downstream": (
        lambda f, m: edit(f / "netID1.dat", ",10\n", ",1111\n"),
        NetworkError,
        r"without the last digit, is not that of an edge for .*\(netID1 1111\)",
    ),
    "edge without binaryID": (
        lambda f, m: remove(f, "netID2.dat"),
        InvalidArgumentError,
        "no binaryID for the edges",
    ),
    "edge twice": (
        lambda f, m: pd.concat([m.edges, m.edges.iloc[:1]]).to_file(f / "edges.gpkg"),
        NetworkError,
        "rid more than once",
    ),
}


@pytest.mark.parametrize(("spoil", "error", "words"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named(made, tmp_path, spoil, error, words):
    folder = made.write(tmp_path / "made.ssn")
    spoil(folder, made)
    with pytest.raises(error, match=words):
        read_ssn(folder)


def test_distances_that_do_not_fit_the_links_cause_a_warning(made, tmp_path):
    wrong = made.edges.copy()
    wrong.loc[50, "upDist"] += 700.0
    folder = made.write(tmp_path / "made.ssn", edges=wrong)
    with pytest.warns(NetworkWarning, match=rf"upDist of \d edges .*{made.rid[50]}"):
        read_ssn(folder)
