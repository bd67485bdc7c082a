from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, MissingDependencyError
from xmsgl.plot import network


@pytest.fixture
def river():
    """Five reaches, 1 and 2 into 3, 3 and 4 into 5; ids not in the order of flow."""
    return xr.Dataset(
        {
            "downstream_fine": ("fine", [0, 5, 3, 5, 3]),
            "lat_fine": ("fine", [40.0, 40.2, 40.4, 40.3, 40.5]),
            "lon_fine": ("fine", [-75.0, -75.1, -75.3, -74.9, -75.0]),
        },
        {"fine": [5, 3, 1, 4, 2]},
    )


@pytest.fixture
def values():
    return xr.DataArray(
        [10.0, 11, 12, 13, 14], {"fine": [1, 2, 3, 4, 5]}, attrs={"units": "degC", "long_name": "water"}
    )


def rivers(ax):
    """Paths, values and widths by the end points of each line."""
    (lines,) = (c for c in ax.collections if type(c).__name__ == "LineCollection")
    return lines.get_segments(), lines.get_array(), lines.get_linewidths(), lines


def test_each_reach_is_a_line_to_its_downstream_reach_in_its_own_colour(river, values):
    ax = network(values, river, limits=(9, 15))
    segments, colours, _, lines = rivers(ax)
    assert len(segments) == 5
    place = {
        i: (lon, lat)
        for i, lon, lat in zip(river.fine.values, river.lon_fine.values, river.lat_fine.values, strict=True)
    }
    down = dict(zip(river.fine.values, river.downstream_fine.values, strict=True))
    for path, value in zip(segments, colours, strict=True):
        reach = int(values.fine[values == value].item())
        np.testing.assert_allclose(path[0], place[reach])
        np.testing.assert_allclose(path[-1], place[down[reach] or reach])
    assert lines.get_clim() == (9, 15)


def test_larger_rivers_are_wider_and_drawn_last(river, values):
    _, colours, widths, _ = rivers(network(values, river))
    width = dict(zip(np.asarray(colours), widths, strict=True))
    assert width[10] == width[11] == width[13] < width[12]  # headwaters, then order 2
    assert list(widths) == sorted(widths)
    stored = river.assign(stream_order_fine=("fine", [4, 2, 1, 1, 1]))
    _, _, widths, _ = rivers(network(values, stored))
    assert len(set(widths)) == 3


def test_geometry_is_drawn_as_it_is_stored(river, values):
    shapely = pytest.importorskip("shapely")
    shapes = [
        shapely.LineString([(-75.0, 40.0), (-75.05, 40.05), (-75.1, 40.2)]),
        shapely.MultiLineString(
            [[(-75.1, 40.2), (-75.2, 40.3)], [(-75.2, 40.3), (-75.2, 40.4), (-75.3, 40.4)]]
        ),
        shapely.LineString([(-75.3, 40.4), (-75.1, 40.2)]),
    ]
    text = [*(shapely.to_wkb(shape, hex=True) for shape in shapes), "", ""]
    ds = river.assign(geometry_fine=("fine", text)).drop_vars(["lat_fine", "lon_fine"])
    segments, colours, _, _ = rivers(network(values, ds))
    drawn = {(float(value), tuple(map(tuple, path))) for path, value in zip(segments, colours, strict=True)}
    expected = set()
    for reach, shape in zip(ds.fine.values, shapes, strict=False):
        for part in getattr(shape, "geoms", [shape]):
            expected.add((float(values.sel(fine=reach)), tuple(part.coords)))
    assert drawn == expected


def test_the_map_is_true_to_scale_and_labelled(river, values):
    ax = network(values, river)
    low, high = ax.get_ylim()
    assert ax.get_aspect() == pytest.approx(1 / np.cos(np.deg2rad((low + high) / 2)), rel=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("longitude", "latitude")
    assert ax.child_axes[0].get_ylabel() == "water [°C]"
    ax.figure.canvas.draw()
    assert "75°W" in [tick.get_text() for tick in ax.get_xticklabels()]


def test_colours_get_evenly_lighter_so_that_all_eyes_can_order_them(river, values):
    cmap = rivers(network(values, river))[3].get_cmap()
    red, green, blue, _ = cmap(np.linspace(0, 1, 64)).T
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert (np.diff(light) > 0).all()
    assert light[-1] < 0.6  # still seen on white


def test_outliers_do_not_take_the_colours(river, values):
    ids = np.arange(1000)
    many = xr.Dataset(
        {"downstream_fine": ("fine", ids), "lat_fine": ("fine", ids / 1e4), "lon_fine": ("fine", ids / 1e4)},
        {"fine": ids + 1},
    )
    da = xr.DataArray(np.linspace(10, 20, 1000), {"fine": ids + 1})
    da[0], da[-1] = -500, 500
    lines = rivers(network(da, many))[3]
    assert lines.get_clim() == pytest.approx((10.1, 19.9), abs=0.05)
    assert lines.colorbar.extend == "both"


def test_missing_values_are_grey_and_other_ids_ignored(river, values):
    _, colours, _, _ = rivers(network(values.sel(fine=[1, 2, 3]), river))
    assert int(np.ma.count_masked(colours)) == 2


def test_a_marked_reach_is_ringed_halfway(river, values):
    ax = network(values, river, mark=1)
    (ring,) = ax.lines
    np.testing.assert_allclose(ring.get_xydata()[0], [(-75.3 - 75.1) / 2, (40.4 + 40.2) / 2])
    assert ring.get_label() == "reach 1"


def test_segments_can_be_drawn_too(river, values):
    coarse = river.rename({name: name.replace("fine", "coarse") for name in ("fine", *river.data_vars)})
    assert len(rivers(network(values.rename(fine="coarse"), coarse))[0]) == 5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(
            lambda v, ds: (v, ds.drop_vars("lat_fine")), InvalidDatasetError, "so is lat_fine", id="no-place"
        ),
        pytest.param(
            lambda v, ds: (v.expand_dims(time=3), ds), InvalidArgumentError, "select a day", id="time"
        ),
        pytest.param(
            lambda v, ds: (v.assign_coords(fine=v.fine + 90), ds),
            InvalidArgumentError,
            "no id in common",
            id="ids",
        ),
        pytest.param(
            lambda v, ds: (v * np.nan, ds), InvalidArgumentError, "all values are missing", id="nan"
        ),
        pytest.param(
            lambda v, ds: (v, ds.assign(lat_fine=ds.lat_fine * np.nan)),
            InvalidDatasetError,
            "no reach along",
            id="lat",
        ),
    ],
)
def test_faults_are_named(river, values, change, error, message):
    with pytest.raises(error, match=message):
        network(*change(values, river))


def test_an_unknown_mark_is_refused(river, values):
    with pytest.raises(InvalidArgumentError, match="77 cannot be marked"):
        network(values, river, mark=77)


def test_a_missing_matplotlib_is_named(river, values, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.collections", None)
    with pytest.raises(MissingDependencyError, match=r"matplotlib.*xmsgl\[plot\]"):
        network(values, river)


def test_a_center_lies_in_the_middle_of_colours_that_darken_to_both_sides(river, values):
    lines = rivers(network(values - 11, river, center=0.0))[3]
    low, high = lines.get_clim()
    assert low == -high
    red, green, blue, _ = lines.get_cmap()(np.linspace(0, 1, 65)).T
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert (np.diff(light[:33]) > 0).all()
    assert (np.diff(light[32:]) < 0).all()
    assert blue[0] > red[0]
    assert red[-1] > blue[-1]


def test_colours_follow_the_units(river, values):
    names = {
        units: rivers(network(values.assign_attrs(units=units), river))[3].get_cmap().name
        for units in ("degC", "mm d-1")
    }
    assert names == {"degC": "temperature", "mm d-1": "strength"}
    cmap = rivers(network(values.assign_attrs(units="m"), river))[3].get_cmap()
    red, green, blue, _ = cmap(np.linspace(0, 1, 64)).T
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert (np.diff(light) < 0).all()  # much is dark


def test_missing_values_stay_grey_in_other_colours(river, values):
    for cmap in ("cividis", None):
        lines = rivers(network(values.sel(fine=[1, 2, 3]), river, cmap=cmap))[3]
        red, green, blue, alpha = lines.get_cmap()(np.ma.masked_invalid([np.nan]))[0]
        assert red == green == blue
        assert alpha == 1


def test_a_label_without_units_has_none(river, values):
    ax = network(
        xr.DataArray(values.values, values.coords, attrs={"long_name": "index; of something"}), river
    )
    assert ax.child_axes[0].get_ylabel() == "index"


def test_a_marked_segment_is_called_one(river, values):
    coarse = river.rename({name: name.replace("fine", "coarse") for name in ("fine", *river.data_vars)})
    assert network(values.rename(fine="coarse"), coarse, mark=1).lines[0].get_label() == "segment 1"


SIX = {"downstream": [3, 3, 5, 5, 6, 0], "lat": [0.005, 0.005, 0.003, 0.003, 0.001, 0.0]}
BASINS = {
    "small": SIX | {"lon": [0, 0.00275, 0.001, 0.003, 0.002, 0.002]},
    "straight": SIX | {"lon": [0.0] * 6},
    "wide": {
        "downstream": [2, 3, 4, 5, 6, 0],
        "lat": [0.01, 0.03, 0.0, 0.02, 0.04, 0.03],
        "lon": np.linspace(0, 0.52, 6),
    },
}


@pytest.fixture(params=BASINS)
def odd(request):
    """A basin of six reaches of an odd shape."""
    basin = {f"{name}_fine": ("fine", list(values)) for name, values in BASINS[request.param].items()}
    ds = xr.Dataset(basin, {"fine": [1, 2, 3, 4, 5, 6]})
    return ds.assign(lat_fine=ds.lat_fine + 40, lon_fine=ds.lon_fine - 75)


def test_a_basin_of_any_shape_fills_its_map_and_the_map_its_figure(odd):
    ax = network(xr.DataArray(np.arange(6.0), {"fine": odd.fine}), odd)
    ax.figure.canvas.draw()
    page, axes = ax.figure.bbox, ax.get_window_extent()
    span = np.ptp(np.concatenate([ax.transData.transform(path) for path in rivers(ax)[0]]), axis=0)
    assert max(span / axes.size) > 0.9
    assert min(axes.size / axes.size[::-1]) > 0.3
    assert axes.width * axes.height > 0.3 * page.width * page.height


def test_a_tick_says_where_it_is(odd):
    ax = network(xr.DataArray(np.arange(6.0), {"fine": odd.fine}), odd)
    ax.figure.canvas.draw()
    for axis, (ahead, behind) in ((ax.xaxis, "EW"), (ax.yaxis, "NS")):
        texts = [label.get_text() for label in axis.get_ticklabels()]
        told = [float(text[:-2]) * {ahead: 1, behind: -1}[text[-1]] for text in texts]
        np.testing.assert_allclose(told, axis.get_ticklocs(), rtol=0, atol=1e-9)


def test_a_basin_without_coordinates_is_a_schematic_that_says_so(river, values):
    ax = network(values, river.drop_vars(["lat_fine", "lon_fine"]), mark=3)
    paths, colours, _, _ = rivers(ax)
    upper = {value: path[0].tolist() for path, value in zip(paths, np.asarray(colours), strict=True)}
    assert {value - 9: place[1] for value, place in upper.items()} == {1: 3, 2: 3, 3: 2, 4: 2, 5: 1}
    assert ax.get_xlabel() == "schematic: no coordinates in the dataset"
    assert ax.get_ylabel() == "distance from the outlet [reaches]"
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == []
    shown = {at: label.get_text() for at, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert {at: text for at, text in shown.items() if 0 <= at <= 3} == {0: "0", 1: "1", 2: "2", 3: "3"}
