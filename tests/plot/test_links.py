"""Pictures of graphs: one arc for each entry of the operator."""

from __future__ import annotations

import numpy as np
import pytest

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.plot.links import graph, graphs
from xmsgl.plot.places import lines


@pytest.fixture(scope="module")
def basin():
    return xmsgl.datasets.simulated(n_coarse=5, years=2)


def middles(ds, scale):
    return lines(ds, scale).middles(ds.sizes[scale])


def arcs(ax):
    """Start, end and weight of every coloured arc."""
    (drawn,) = [c for c in ax.collections if c.get_array() is not None]
    paths = np.array(drawn.get_segments())
    return paths[:, 0], paths[:, -1], np.asarray(drawn.get_array()), paths, drawn


def expected(operator, to, at, apart):
    """The same from the dense operator, entry by entry."""
    dense = operator.toarray()
    return {
        (*np.round(at[source], 9), *np.round(to[target], 9), round(dense[target, source], 9))
        for target in range(dense.shape[0])
        for source in range(dense.shape[1])
        if dense[target, source] > 0 and not (apart and source == target)
    }


def as_set(start, end, weight):
    return {(*a, *b, w) for a, b, w in zip(start.round(9), end.round(9), weight.round(9), strict=True)}


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_every_link_is_an_arc_from_source_to_target(basin, scale):
    river = basin.msgl.graph(scale, hops=2)
    shuffled = basin.isel({scale: np.random.default_rng(0).permutation(basin.sizes[scale])})
    ax = graph(river, shuffled)  # matched by id, whatever the order
    start, end, weight, _, drawn = arcs(ax)
    places = middles(basin, scale)
    assert as_set(start, end, weight) == expected(river.operator, places, places, apart=True)
    assert (np.diff(weight) >= 0).all()  # the strongest on top
    assert drawn.get_clim() == (0, weight.max())
    assert ax.child_axes[0].get_ylabel() == "weight of a neighbour [1]"
    assert f"{weight.size:,} links" in ax.get_title(loc="left")


def test_links_there_and_back_bend_to_different_sides(basin):
    start, end, _, paths, _ = arcs(graph(basin.msgl.graph("coarse", hops=1), basin))
    for k in range(len(start)):
        (back,) = np.flatnonzero((start == end[k]).all(axis=1) & (end == start[k]).all(axis=1))
        middle = (start[k] + end[k]) / 2
        np.testing.assert_allclose(paths[k][4] - middle, middle - paths[back][4], atol=1e-12)
        assert np.abs(paths[k][4] - middle).max() > 0


def test_one_reach_shows_its_row(basin):
    river = basin.msgl.graph("fine")
    reach = int(basin.fine[7])
    row = river.operator.toarray()[7]
    ax = graph(river, basin, reach=reach)
    start, end, weight, _, _ = arcs(ax)
    places = middles(basin, "fine")
    assert {tuple(place) for place in end} == {tuple(places[7])}
    sources = np.flatnonzero((row > 0) & (np.arange(row.size) != 7))
    assert as_set(start, end, weight) == {
        (*np.round(places[s], 9), *np.round(places[7], 9), round(row[s], 9)) for s in sources
    }
    assert ax.get_title(loc="left") == f"reach {reach} and its {sources.size} neighbours"
    # the map is cut to them
    whole = graph(river, basin)
    assert np.ptp(ax.get_xlim()) * np.ptp(ax.get_ylim()) < np.ptp(whole.get_xlim()) * np.ptp(whole.get_ylim())


def test_every_reach_is_tied_to_its_segment(basin):
    ax = graphs(basin.msgl.graph(), basin)
    ties = [np.array(c.get_segments()) for c in ax.collections if c.get_zorder() == 3]
    drawn = {(*a, *b) for a, b in zip(ties[0][:, 0].round(9), ties[0][:, -1].round(9), strict=True)}
    segments, reaches = middles(basin, "coarse").round(9), middles(basin, "fine").round(9)
    place = {segment: k for k, segment in enumerate(basin.coarse.values)}
    assert drawn == {
        (*segments[place[segment]], *reaches[k]) for k, segment in enumerate(basin.coarse_segment.values)
    }


def test_what_a_reach_is_interpolated_from_has_its_weights(basin):
    both = basin.msgl.graph()
    ax = graphs(both, basin, reach=basin.fine.values[3])
    start, end, weight, _, _ = arcs(ax)
    row = both.interpolation.toarray()[3]
    segments, reaches = middles(basin, "coarse"), middles(basin, "fine")
    assert as_set(start, end, weight) == {
        (*segments[s].round(9), *reaches[3].round(9), round(row[s], 9)) for s in np.flatnonzero(row)
    }
    assert weight.sum() == pytest.approx(1)


def test_no_arc_leaves_the_map():
    basin = xmsgl.datasets.simulated(n_coarse=6, years=1)
    reach = basin.fine.values[7]
    for ax in (
        graph(basin.msgl.graph("coarse"), basin),
        graph(basin.msgl.graph("fine"), basin, reach=reach),
        graphs(basin.msgl.graph(), basin, reach=reach),
    ):
        places = arcs(ax)[3].reshape(-1, 2)
        (west, east), (south, north) = ax.get_xlim(), ax.get_ylim()
        assert ((places >= [west, south]) & (places <= [east, north])).all()


@pytest.mark.parametrize("lost", ["coarse", "fine", "both"])
def test_segments_without_coordinates_run_along_their_reaches(basin, lost):
    scales = ["coarse", "fine"] if lost == "both" else [lost]
    ds = basin.drop_vars([f"{name}_{scale}" for name in ("geometry", "lat", "lon") for scale in scales])
    both = ds.msgl.graph()
    for ax in (graphs(both, ds), graphs(both, ds, reach=ds.fine.values[3])):
        under, over = [c for c in ax.collections if c.get_zorder() in (1, 2)][:2]
        as_drawn = [{tuple(np.ravel(path).round(9)) for path in c.get_segments()} for c in (under, over)]
        assert as_drawn[0] == as_drawn[1]
        assert (ax.get_xlabel() == "longitude") == (lost == "coarse")
    ax = graph(ds.msgl.graph(scales[0]), ds)
    assert ax.get_xlabel() == "schematic: no coordinates in the dataset"
    assert len(arcs(ax)[0]) == ds.msgl.graph(scales[0]).operator.nnz - ds.sizes[scales[0]]


def test_faults_are_named(basin):
    river = basin.msgl.graph("fine")
    with pytest.raises(InvalidArgumentError, match="-5 is not among the fine ids"):
        graph(river, basin, reach=-5)
    with pytest.raises(InvalidArgumentError, match="lacks ids of the graph along 'fine'"):
        graph(river, basin.isel(fine=slice(3, None)))
    with pytest.raises(InvalidDatasetError, match="coordinate 'fine' is missing"):
        graph(river, basin.drop_vars("fine"))
    with pytest.raises(InvalidArgumentError, match="no link to draw"):
        graph(basin.msgl.graph("coarse", limit=1.0), basin)
    lost = [name for name in ("geometry_fine", "lat_fine") if name in basin]
    with pytest.raises(InvalidDatasetError, match="where the reaches lie"):
        graph(river, basin.drop_vars(lost))
