"""Hidden states as points: against scikit-learn's components, with the colours of the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate.alike import yearly_states
from xmsgl.plot import embedding
from xmsgl.plot.states import _LAYOUTS

DAYS = pd.date_range("2001-01-01", "2001-12-31", unit="ns")


@pytest.fixture
def ds(explored):
    return explored.assign(
        drainage_area_fine=("fine", [900.0, 200, 10, 300, 40], {"units": "km2", "long_name": "drainage area"})
    )


@pytest.fixture(scope="module")
def states():
    """Reaches in another order than the dataset's."""
    rng = np.random.default_rng(7)
    angle = 2 * np.pi * np.arange(365)[:, None, None] / 365.25
    mean, cosine, sine = rng.normal(size=(3, 5, 3))
    values = mean + cosine * np.cos(angle) + sine * np.sin(angle) + 0.1 * rng.normal(size=(365, 5, 3))
    return xr.DataArray(
        values, dims=("time", "fine", "latent"), coords={"time": DAYS, "fine": [1, 2, 3, 4, 5]}
    )


def points(ax):
    (found,) = (each for each in ax.collections if isinstance(each, PathCollection))
    return found


def rivers(ax):
    (found,) = (each for each in ax.figure.axes[1].collections if isinstance(each, LineCollection))
    return found


def by_reach(ax, ds, ids):
    """The colour of each reach on the map, and that of its point."""
    ax.figure.canvas.draw()
    lines, dots = rivers(ax), points(ax)
    order = np.argsort(ds["stream_order_fine"].values, kind="stable")
    on_map = dict(zip(ds.fine.values[order].tolist(), lines.get_colors(), strict=True))
    return on_map, dict(zip(ids, dots.get_facecolors(), strict=True))


def test_points_are_the_principal_components(ds, states):
    ax = ds.msgl.plot.embedding(states)
    rows, model = yearly_states(states).values, PCA(2)
    expected = model.fit_transform(rows)
    found = np.asarray(points(ax).get_offsets())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    for axis in (0, 1):
        assert abs(np.corrcoef(found[:, axis], expected[:, axis])[0, 1]) == pytest.approx(1)
        assert found[np.abs(found[:, axis]).argmax(), axis] > 0
    shares = [f"{100 * share:.0f} % of the variance" for share in model.explained_variance_ratio_]
    assert ax.get_xlabel() == f"principal component 1 ({shares[0]})"
    assert ax.get_ylabel() == f"principal component 2 ({shares[1]})"


def test_umap_keeps_neighbours_together(states):
    """Thirty reaches in three groups: in the plane each has its own group around it."""
    rng = np.random.default_rng(3)
    group = np.repeat([0, 2, 4], 10)
    apart = states.isel(fine=group).assign_coords(fine=np.arange(30)) + rng.normal(size=(1, 30, 3)) / 50
    rows = yearly_states(apart).values
    places, names = _LAYOUTS["umap"](rows)
    assert names == ["UMAP 1", "UMAP 2"]
    near = NearestNeighbors(n_neighbors=6).fit(places).kneighbors(places, return_distance=False)
    assert (group[near] == group[:, None]).all()
    assert trustworthiness(rows, places, n_neighbors=5) > 0.9
    np.testing.assert_array_equal(places, _LAYOUTS["umap"](rows)[0])


def test_umap_is_drawn(ds, states):
    ax = ds.msgl.plot.embedding(states, layout="umap", mark=4)
    assert ax.get_xlabel() == "UMAP 1"
    assert len(points(ax).get_offsets()) == 5
    with pytest.raises(
        InvalidArgumentError, match="needs 4 reaches, and the states have 3; use layout='pca'"
    ):
        ds.msgl.plot.embedding(states.isel(fine=slice(3)), layout="umap")
    with pytest.raises(UnknownNameError, match="'umap'"):
        ds.msgl.plot.embedding(states, layout="umpa")


def test_a_reach_has_one_colour_in_both_pictures(ds, states):
    for by in (None, "coarse_segment", ds["drainage_area_fine"] * -1.0):
        on_map, dots = by_reach(embedding(states, ds, by=by), ds, [1, 2, 3, 4, 5])
        for reach in range(1, 6):
            np.testing.assert_allclose(on_map[reach], dots[reach])
        assert len({tuple(colour) for colour in dots.values()}) == (2 if isinstance(by, str) else 5)


def test_areas_are_coloured_by_their_logarithm_and_named_as_they_are(ds, states):
    ax = embedding(states, ds)
    np.testing.assert_allclose(points(ax).get_array(), np.log10([10.0, 40, 200, 300, 900]))
    ax.figure.canvas.draw()
    bar = ax.figure.axes[1].child_axes[0]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["20", "50", "100", "200", "500"]
    assert bar.get_ylabel() == "drainage area [km2]"


def test_groups_have_their_names_on_the_bar(ds, states):
    regime = xr.DataArray([3, 1, 1, 2, 3], {"fine": [5, 4, 3, 2, 1]}, attrs={"long_name": "thermal regime"})
    ax = embedding(states, ds, by=regime)
    ax.figure.canvas.draw()
    bar = ax.figure.axes[1].child_axes[0]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["1", "2", "3"]
    assert bar.get_ylabel() == "thermal regime"
    assert points(ax).get_array().tolist() == [3, 2, 1, 1, 3]


def test_points_alone_have_a_colour_bar_of_their_own(ds, states):
    given = Figure().subplots()
    ax = embedding(states, ds, given, mark=4)
    assert ax is given
    assert ax.figure.axes == [ax]
    assert ax.child_axes[0].get_ylabel() == "drainage area [km2]"
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.child_axes[0].get_yticklabels()] == [
        "20",
        "50",
        "100",
        "200",
        "500",
    ]
    np.testing.assert_allclose(points(ax).get_offsets(), points(embedding(states, ds)).get_offsets())


def test_marked_reaches_are_ringed_in_both_pictures(ds, states):
    ax = embedding(states, ds, mark=[4, 2])
    places = np.asarray(points(ax).get_offsets())
    rings = np.array([np.ravel(line.get_xydata()) for line in ax.lines])
    np.testing.assert_allclose(rings, places[[3, 1]])
    assert len(ax.figure.axes[1].lines) == 2
    assert len(embedding(states, ds, mark=4).lines) == 1


def test_a_reach_without_a_value_is_grey_and_one_without_states_is_on_the_map_alone(ds, states):
    area = ds["drainage_area_fine"].where(ds.fine != 2)
    ax = embedding(states.isel(fine=slice(1, None)), ds, by=area, cmap="viridis")
    on_map, dots = by_reach(ax, ds, [2, 3, 4, 5])
    assert set(on_map) == {1, 2, 3, 4, 5}
    np.testing.assert_allclose(dots[2], on_map[2])
    assert dots[2][0] == dots[2][1] == dots[2][2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "geometry_fine"}, "it must be numbers along 'fine'"),
        ({"by": "water_temperature_fine"}, r"by has dims \('time', 'fine'\)"),
        ({"mark": 99}, "99 cannot be marked"),
    ],
    ids=["text", "days", "mark"],
)
def test_what_does_not_fit_is_refused(ds, states, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        embedding(states, ds, **options)


def test_states_that_do_not_fit_are_refused(ds, states):
    with pytest.raises(InvalidArgumentError, match="no reach in common"):
        embedding(states.assign_coords(fine=[91, 92, 93, 94, 95]), ds)
    with pytest.raises(InvalidArgumentError, match="fewer than 330 days"):
        embedding(states.isel(time=slice(100)), ds)
    with pytest.raises(InvalidArgumentError, match="no drainage_area_fine to colour the reaches by"):
        embedding(states, ds.drop_vars("drainage_area_fine"))
    with pytest.raises(InvalidArgumentError, match="missing at all reaches"):
        embedding(states, ds, by=ds["drainage_area_fine"] * np.nan)
    with pytest.raises(UnknownNameError, match="drainage_area_fine"):
        embedding(states, ds, by="drainage_area")


def test_lines_of_one_dimension(ds, states):
    """Two reaches are on a line."""
    ax = embedding(states.isel(fine=[0, 1]), ds)
    assert np.abs(np.asarray(points(ax).get_offsets())[:, 1]).max() < 1e-9
    assert ax.get_xlabel().endswith("(100 % of the variance)")
