"""Real NHDPlusV2 flowlines, compared with what pyogrio, networkx and shapely read from the same files."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from xmsgl.readers import read, read_nhdplus

pytestmark = pytest.mark.delaware
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
pytest.importorskip("geopandas")


@pytest.fixture(scope="module")
def table(hydroloom):
    """The file as pyogrio reads it, with lower-case columns."""
    frame = pyogrio.read_dataframe(hydroloom)
    return frame.rename(columns=str.lower).set_index("comid", drop=False)


@pytest.fixture(scope="module")
def ds(hydroloom):
    return read("nhdplus", hydroloom)


@pytest.fixture(scope="module")
def expected(table):
    """The link of each reach by loops over the nodes, main paths only."""
    beginning: dict[float, list[int]] = {}
    for row in table.itertuples():
        if row.divergence != 2:
            beginning.setdefault(row.fromnode, []).append(row.comid)
    links = {}
    for row in table.itertuples():
        below = beginning.get(row.tonode, [])
        assert len(below) <= 1
        links[row.comid] = below[0] if below else 0
    return links


def elevslope(table, seed=0):
    """A table as NHDPlusV2's elevslope: cm, falling along the river, some values missing (-9998)."""
    rng = np.random.default_rng(seed)
    low = (table["pathlength"] * 150 + 2000).round().astype(int)
    frame = pd.DataFrame(
        {
            "COMID": table["comid"],
            "MAXELEVSMO": low + rng.integers(0, 400, len(table)),
            "MINELEVSMO": low,
            "SLOPE": rng.uniform(1e-5, 0.05, len(table)),
        }
    ).sample(frac=1.0, random_state=seed)
    frame.iloc[3:7, 1:] = -9998
    return frame


def test_ids_and_units(ds, table):
    assert ds["fine"].values.tolist() == table["comid"].tolist()
    units = {"downstream": "1", "length": "m", "drainage_area": "km2", "stream_order": "1"}
    assert {base: ds[f"{base}_fine"].attrs["units"] for base in units} == units
    assert all(ds[name].attrs["long_name"] for name in ds.data_vars)


@pytest.mark.parametrize("topology", ["hydroseq", "nodes"])
def test_links(hydroloom, expected, topology):
    ds = read_nhdplus(hydroloom, topology=topology)
    assert (
        dict(zip(ds["fine"].values.tolist(), ds["downstream_fine"].values.tolist(), strict=True)) == expected
    )
    assert ds.attrs["topology"] == topology


def test_a_table_of_all_links_follows_the_main_paths(table, expected):
    """As in the non-dendritic toid of hydroloom: one row for each reach below a reach."""
    nodes = pd.DataFrame(table.drop(columns="geometry")).rename_axis(None)
    below = nodes[["fromnode", "comid"]].rename(columns={"fromnode": "tonode", "comid": "toid"})
    rows = nodes[["comid", "lengthkm", "divergence", "tonode"]].merge(below, on="tonode", how="left")
    rows = rows.drop(columns="tonode").rename(columns={"comid": "id", "lengthkm": "length_km"})
    ds = read_nhdplus(rows)
    assert ds.attrs["topology"] == "tocomid"
    assert ds["downstream_fine"].to_series().to_dict() == expected


def test_one_outlet_and_no_cycle(ds, expected):
    graph = nx.DiGraph([(reach, to) for reach, to in expected.items() if to])
    graph.add_nodes_from(expected)
    assert nx.is_directed_acyclic_graph(graph)
    outlets = ds["fine"].values[ds["downstream_fine"].values == 0].tolist()
    assert outlets == [reach for reach in graph if graph.out_degree(reach) == 0]
    assert len(outlets) == 1


def test_values(ds, table):
    np.testing.assert_allclose(ds["length_fine"], table["lengthkm"] * 1000, rtol=1e-12)
    np.testing.assert_array_equal(ds["drainage_area_fine"], table["totdasqkm"])
    np.testing.assert_array_equal(ds["stream_order_fine"], table["streamorde"])


def test_drainage_area_grows_along_the_links(ds):
    """On the tree of main paths, a reach drains at least what the largest above it does."""
    area, down = ds["drainage_area_fine"].to_series(), ds["downstream_fine"].to_series()
    down = down[down > 0]
    assert (area[down.to_numpy()].to_numpy() >= area[down.index].to_numpy() - 1e-9).all()


def test_locations(ds, table):
    line = shapely.from_wkb(ds["geometry_fine"].values)
    assert set(shapely.get_type_id(line)) == {1}
    original = table.geometry.to_crs("EPSG:5070").to_numpy()
    stored = pd.Series(line, index=table.index)
    far = shapely.hausdorff_distance(
        original, type(table.geometry)(stored, crs="EPSG:4326").to_crs("EPSG:5070").to_numpy()
    )
    assert far.max() < 60  # m: simplified to 50 m
    west, south, east, north = table.geometry.to_crs("EPSG:4326").total_bounds
    assert ((ds["lon_fine"] >= west) & (ds["lon_fine"] <= east)).all()
    assert ((ds["lat_fine"] >= south) & (ds["lat_fine"] <= north)).all()
    points = type(table.geometry)(shapely.points(ds["lon_fine"], ds["lat_fine"]), crs="EPSG:4326")
    assert shapely.distance(points.to_crs("EPSG:5070").to_numpy(), original).max() < 0.01


def test_minor_paths_are_those_without_a_stream_calculator(hydroloom, table):
    """The producers' StreamCalc is 0 on minor paths until a stream joins them."""
    kept = read_nhdplus(hydroloom, minor="drop")
    assert kept["fine"].values.tolist() == table["comid"][table["streamcalc"] > 0].tolist()
    assert kept.attrs["minor_paths"] == f"{int((table['streamcalc'] == 0).sum())} reaches left out"
    assert (kept["downstream_fine"] == 0).sum() == 1


def test_parquet_is_the_same(tmp_path, hydroloom, ds):
    pytest.importorskip("pyarrow")
    frame = pyogrio.read_dataframe(hydroloom)
    frame.to_parquet(tmp_path / "flowlines.parquet")
    xr.testing.assert_equal(read_nhdplus(tmp_path / "flowlines.parquet"), ds)
    pd.DataFrame(frame.drop(columns="geometry")).to_parquet(tmp_path / "table.parquet")
    bare = read_nhdplus(tmp_path / "table.parquet")
    xr.testing.assert_equal(bare, ds.drop_vars(["lat_fine", "lon_fine", "geometry_fine"]))


def test_a_frame_as_pynhd_gives_it_is_the_same(table, ds):
    """Lower-case columns, ids as the index, in degrees."""
    frame = table.drop(columns="comid").to_crs("EPSG:4326")
    again = read_nhdplus(frame)
    names = ["downstream_fine", "length_fine", "drainage_area_fine", "stream_order_fine"]
    xr.testing.assert_equal(again[names], ds[names])
    np.testing.assert_allclose(again["lat_fine"], ds["lat_fine"], atol=1e-6)


def test_slope_and_elevation_come_from_a_further_table(tmp_path, hydroloom, table):
    more = elevslope(table)
    more.to_csv(tmp_path / "elevslope.csv", index=False)
    ds = read_nhdplus(hydroloom, tmp_path / "elevslope.csv")
    assert (ds["slope_fine"].attrs["units"], ds["elevation_fine"].attrs["units"]) == ("1", "m")
    gone = more.loc[more["SLOPE"] == -9998, "COMID"]
    for name in ("slope_fine", "elevation_fine"):
        assert set(ds["fine"].values[np.isnan(ds[name].values)]) == set(gone)
    for row in more[more["SLOPE"] != -9998].itertuples():
        one = ds.sel(fine=row.COMID)
        assert one["slope_fine"].item() == row.SLOPE
        assert one["elevation_fine"].item() == pytest.approx(
            (row.MAXELEVSMO + row.MINELEVSMO) / 200, rel=1e-12
        )


def test_gaps_are_filled_along_the_river(hydroloom, table, expected):
    more = elevslope(table)
    holes = set(more.loc[more["SLOPE"] == -9998, "COMID"])
    ds = read_nhdplus(hydroloom, more, missing="neighbour")
    slope = more.set_index("COMID")["SLOPE"]
    assert len(holes) == 4
    for reach in holes:
        below = reach
        while below in holes and expected[below]:
            below = expected[below]
        assert below not in holes
        assert ds["slope_fine"].sel(fine=reach).item() == slope[below]
    assert ds["slope_fine"].attrs["filled_from_neighbours"] == 4


@pytest.fixture(scope="module")
def basin(hydroloom, table, expected):
    """Both scales from the sample: the streams of order 2 and more as segments, all reaches as reaches."""
    fine = read_nhdplus(hydroloom, elevslope(table), missing="neighbour")
    main = table[table["streamorde"] >= 2]
    coarse = read_nhdplus(main.drop(columns="comid"), elevslope(table), scale="coarse", missing="neighbour")
    there = set(main["comid"])
    crosswalk = {}
    for reach in expected:
        owner = reach
        while owner not in there:
            owner = expected[owner]
        crosswalk[reach] = owner
    days = pd.date_range("2001-01-01", periods=4)
    rng = np.random.default_rng(1)
    air = xr.DataArray(
        rng.normal(10, 3, (4, coarse.sizes["coarse"])), dims=("time", "coarse"), attrs={"units": "degC"}
    )
    water = xr.DataArray(
        rng.normal(9, 1, (4, fine.sizes["fine"])), dims=("time", "fine"), attrs={"units": "degC"}
    )
    return xmsgl.combine(
        coarse.assign_coords(time=days).assign(air_temperature_coarse=air),
        fine.assign_coords(time=days).assign(water_temperature_fine=water),
        crosswalk,
    )


def test_two_readings_make_a_valid_dataset(basin):
    report = basin.msgl.validate()
    names = {feature.name: feature.fine for feature in report.features}
    assert {"slope", "elevation", "drainage_area", "stream_order"} <= set(names)
    assert all(names[base] == "own" for base in ("slope", "elevation", "drainage_area", "stream_order"))
    assert names["air_temperature"] == "inherited, corrected for height"


def test_the_graph_has_the_links(basin, expected):
    """Neighbours one hop away are the links, looked up with networkx."""
    links = {(reach, to) for reach, to in expected.items() if to}
    graph = basin.msgl.graph("fine", hops=1)
    ids = graph.ids
    matrix = graph.operator.tocoo()
    pairs = {(ids[i], ids[j]) for i, j in zip(matrix.row, matrix.col, strict=True) if i != j}
    assert {frozenset(map(int, pair)) for pair in pairs} == {frozenset(map(int, pair)) for pair in links}


def test_names_of_rivers(hydroloom, ds, table, tmp_path):
    """Also in files, and beside flowlines without names."""
    names = table["gnis_name"].fillna("").str.strip()[ds["fine"].values]
    assert ds["name_fine"].values.tolist() == names.tolist()
    assert names.nunique() > 2
    ds.drop_vars("geometry_fine").to_zarr(tmp_path / "n.zarr", consolidated=False)
    ds.to_netcdf(tmp_path / "n.nc")
    for again in (xr.open_zarr(tmp_path / "n.zarr", consolidated=False), xr.open_dataset(tmp_path / "n.nc")):
        assert again["name_fine"].values.tolist() == names.tolist()
        again.close()
    longer = ds.isel(fine=[0]).assign_coords(fine=[1]).assign(name_fine=("fine", ["x" * 80]))
    both = xr.concat([ds, longer], "fine", data_vars="minimal")
    assert both["name_fine"].values.tolist() == [*names, "x" * 80]
    two = xmsgl.coarsen(ds)
    assert "name_coarse" not in two


def test_names_may_be_in_a_further_table(hydroloom, table):
    flow = table.drop(columns=["gnis_name", "geometry"]).reset_index(drop=True)
    names = table[["comid", "gnis_name"]].iloc[5:].reset_index(drop=True)
    found = read_nhdplus(pd.DataFrame(flow), pd.DataFrame(names))["name_fine"].values
    assert found[:5].tolist() == [""] * 5
    assert found[5:].tolist() == table["gnis_name"].fillna("").str.strip().iloc[5:].tolist()
