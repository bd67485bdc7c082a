"""The crosswalk from geometry: small rivers worked out by hand, and the Delaware against the USGS table."""

from __future__ import annotations

from functools import partial

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.readers import crosswalk, keep

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")
xvec = pytest.importorskip("xvec")

#: The reaches on the segments alone.
stems = partial(crosswalk, tributaries=False)

METRIC = "EPSG:32618"
EAST, NORTH = 500_000.0, 4_500_000.0  # on the middle of the zone, where a metre is nearly one


def lines(table: dict, crs: str = METRIC):
    moved = [shapely.LineString(np.add(points, (EAST, NORTH))) for points in table.values()]
    return geopandas.GeoDataFrame(index=list(table), geometry=moved, crs=METRIC).to_crs(crs)


# two segments of 2 km that meet at (2000, 0), and one that joins them there from the north
SEGMENTS = {7: [(0, 0), (2000, 0)], 8: [(2000, 0), (4000, 0)], 9: [(2000, 2000), (2000, 0)]}
REACHES = {
    1: [(0, 10), (1500, 10)],
    2: [(1500, 10), (1990, 10)],
    3: [(1800, 20), (3000, 20)],  # 200 m on 7, 1 km on 8
    4: [(2010, 1900), (2010, 300)],
    5: [(1000, 3000), (1000, 100)],  # a tributary: its last 100 m are near 7
    6: [(3000, 500), (4000, 500)],  # half a kilometre off
}


@pytest.mark.parametrize("crs", [METRIC, "EPSG:4326", "EPSG:5070"])
def test_overlap_by_hand(crs):
    found = stems(lines(SEGMENTS, crs), lines(REACHES, crs))
    assert found.to_series().to_dict() == {1: 7, 2: 7, 3: 8, 4: 9}
    assert found.attrs["reaches_without_segment"] == 2
    assert found.attrs["without_segment"] == "5, 6"
    assert found.attrs["crs"] == METRIC
    assert found["overlap"].sel(fine=[1, 4]).values == pytest.approx([1500, 1600], abs=1)


def test_nearest_by_hand():
    found = stems(lines(SEGMENTS), lines(REACHES), method="nearest", buffer=600)
    assert found.to_series().to_dict() == {1: 7, 2: 7, 3: 8, 4: 9, 6: 8}
    assert found["distance"].sel(fine=[1, 6]).values == pytest.approx([10, 500], abs=0.5)


@pytest.mark.parametrize(("method", "fits"), [("overlap", 8), ("nearest", 7)])
def test_ties_are_counted_and_resolved(method, fits):
    """A reach at the confluence: within both buffers; nearer to 8, or equally near to both."""
    shift = 1.0 if method == "overlap" else 0.0
    found = stems(
        lines({7: SEGMENTS[7], 8: SEGMENTS[8]}),
        lines({1: [(1950 + shift, 10), (2050 + shift, 10)], 2: [(100, 0), (300, 0)]}),
        method=method,
    )
    assert found.to_series().to_dict() == {1: fits, 2: 7}
    assert found.attrs["ties"] == 1
    assert found["tied"].values.tolist() == [True, False]


def test_a_smaller_min_share_includes_the_tributary():
    found = stems(lines(SEGMENTS), lines(REACHES), min_share=0.03)
    assert found.to_series()[5] == 7


def dataset(table: dict, scale: str) -> xr.Dataset:
    frame = lines(table, "EPSG:4326")
    text = [geometry.upper() for geometry in shapely.to_wkb(frame.geometry.to_numpy(), hex=True)]
    below = [*list(table)[1:], 0]
    return xr.Dataset(
        {
            f"geometry_{scale}": (scale, np.array(text, object)),
            f"downstream_{scale}": (scale, below, {"units": "1"}),
            f"length_{scale}": (scale, frame.to_crs(METRIC).length.to_numpy(), {"units": "m"}),
        },
        coords={scale: list(table)},
    )


def test_reads_datasets_and_combines():
    coarse, fine = dataset(SEGMENTS, "coarse"), dataset(REACHES, "fine")
    found = stems(coarse, fine)
    frames = stems(lines(SEGMENTS), lines(REACHES))
    assert found.to_series().equals(frames.to_series())
    ds = xmsgl.combine(coarse, keep(fine, found["fine"]), found)
    assert ds["coarse_segment"].to_series().to_dict() == {1: 7, 2: 7, 3: 8, 4: 9}
    assert ds["downstream_fine"].values.tolist() == [2, 3, 4, 0]
    again = stems(ds, ds)
    assert again.to_series().equals(found.to_series())


def test_the_coordinate_system_of_a_dataset_is_checked():
    frame = lines(REACHES)
    ds = xr.Dataset(coords={"fine": frame.index, "geometry_fine": ("fine", frame.geometry.to_numpy())})
    indexed = ds.set_xindex("geometry_fine", xvec.GeometryIndex, crs=METRIC)
    with pytest.raises(InvalidDatasetError, match=f"geometry_fine is in {METRIC} instead of EPSG:4326"):
        stems(lines(SEGMENTS), indexed)
    degrees = xr.Dataset({"geometry_fine": ("fine", frame.to_crs(4326).geometry)}, {"fine": frame.index})
    found = stems(lines(SEGMENTS), degrees)
    assert found.to_series().equals(stems(lines(SEGMENTS), frame).to_series())


@pytest.mark.parametrize(
    ("fine", "options", "words"),
    [
        pytest.param(lines(REACHES), {"method": "guess"}, "'overlap' or 'nearest', not 'guess'", id="method"),
        pytest.param(lines(REACHES), {"buffer": 0}, "buffer must be", id="buffer"),
        pytest.param(lines(REACHES), {"min_share": 1.5}, "min_share", id="share"),
        pytest.param(lines(REACHES), {"crs": "EPSG:4326"}, "in metres", id="degrees"),
        pytest.param(lines(REACHES), {"crs": "EPSG:2263"}, "in metres", id="feet"),
        pytest.param(lines(REACHES), {"crs": "somewhere"}, "not a coordinate system", id="no system"),
        pytest.param(lines(REACHES).set_crs(None, allow_override=True), {}, "set_crs", id="no crs"),
        pytest.param(lines(REACHES).set_axis([1, 1, 2, 3, 4, 5]), {}, "more than once: 1", id="twice"),
        pytest.param(lines(REACHES).centroid, {}, "6 of the 6", id="points"),
        pytest.param(lines(REACHES).translate(9e5), {}, "m apart", id="elsewhere"),
        pytest.param(xr.Dataset(coords={"fine": [1]}), {}, "geometry_fine", id="no geometry"),
        pytest.param([1, 2], {}, "not list", id="no lines"),
    ],
)
def test_refuses(fine, options, words):

    with pytest.raises(InvalidArgumentError, match=words):
        stems(lines(SEGMENTS), fine, **options)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda frame: frame, id="frame"),
        pytest.param(lambda frame: frame.geometry, id="series"),
        pytest.param(lambda frame: xr.concat([dataset(REACHES, "fine")] * 2, "fine"), id="dataset"),
    ],
)
def test_following_the_advice_joins_repeated_lines(source):
    twice = source(geopandas.GeoDataFrame(pd.concat([lines(REACHES)] * 2), crs=METRIC))
    with pytest.raises(InvalidArgumentError, match="more than once: 1") as caught:
        stems(lines(SEGMENTS), twice)
    code = str(caught.value).split("keep one line for each id: ")[1]
    mended = eval(code, {"frame": twice, "ds": twice, "geopandas": geopandas})
    assert (
        stems(lines(SEGMENTS), mended).to_series().equals(stems(lines(SEGMENTS), lines(REACHES)).to_series())
    )


def test_following_the_advice_lowers_min_share():
    """Only a small part of the tributary lies within the buffer."""
    brook = lines({5: REACHES[5]})
    with pytest.raises(InvalidArgumentError, match=r"for 0\.5 of its length.*or a smaller min_share"):
        stems(lines(SEGMENTS), brook)
    assert stems(lines(SEGMENTS), brook, min_share=0.03).to_series().to_dict() == {5: 7}


#: The reaches of SEGMENTS and REACHES as a river; 6, 10 and 12 lie on no segment and drain to one.
BELOW = {1: 2, 2: 3, 3: 0, 4: 3, 5: 1, 6: 3, 10: 5, 12: 10, 13: 14, 14: 0}
FAR = {
    10: [(1000, 6000), (1000, 3000)],
    12: [(1500, 8000), (1000, 6000)],
    13: [(9000, 9000), (9000, 8000)],  # of another river, which has no segment
    14: [(9000, 8000), (9000, 7000)],
}


@pytest.fixture
def river():
    table = {**REACHES, **FAR}
    fine = dataset(table, "fine").drop_vars("length_fine")
    return fine.assign(downstream_fine=("fine", [BELOW[reach] for reach in table], {"units": "1"}))


@pytest.mark.parametrize("order", [1, -1])
def test_tributaries_take_the_segment_they_drain_to(river, order):
    """Against a walk along the links with networkx."""
    found = crosswalk(lines(SEGMENTS), river.isel(fine=slice(None, None, order)))
    on_segments = stems(lines(SEGMENTS), river).to_series()
    graph = nx.DiGraph([(reach, below) for reach, below in BELOW.items() if below])
    expected = {}
    for reach in river["fine"].values.tolist():
        path = nx.dfs_preorder_nodes(graph, reach)  # one link each: the way downstream
        if (segment := next((on_segments[step] for step in path if step in on_segments), None)) is not None:
            expected[reach] = segment
    assert found.to_series().to_dict() == expected
    assert expected == {1: 7, 2: 7, 3: 8, 4: 9, 5: 7, 6: 8, 10: 7, 12: 7}
    drained = found["fine"].values[found["overlap"].isnull().values]
    assert sorted(drained.tolist()) == [5, 6, 10, 12]
    assert not found["tied"].sel(fine=drained).any()


def test_reaches_that_drain_to_no_segment_are_listed(river):
    found = crosswalk(lines(SEGMENTS), river)
    assert found.attrs["reaches_by_drainage"] == 4
    assert found.attrs["reaches_without_segment"] == 2
    assert found.attrs["without_segment"] == "13, 14"
    on_segments = stems(lines(SEGMENTS), river)
    assert on_segments.attrs["reaches_by_drainage"] == 0
    assert on_segments.attrs["reaches_without_segment"] == 6


def test_tributaries_need_links():
    with pytest.raises(InvalidArgumentError, match=r"no 'downstream_fine'.*tributaries=False"):
        crosswalk(lines(SEGMENTS), lines(REACHES))
