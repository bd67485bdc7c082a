"""``ds.msgl.plot``: its methods, and what makes every picture legible."""

from __future__ import annotations

import inspect
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UnknownNameError
from xmsgl.plot.door import Plots

METHODS = ["embedding", "graph", "network", "series", "skill", "uncertainty"]


@pytest.fixture(scope="module")
def basin():
    return xmsgl.datasets.simulated(n_coarse=6, years=2)


@pytest.fixture(scope="module")
def temperature(basin):
    rng = np.random.default_rng(0)
    true = basin["true_temperature_fine"]
    return (true + rng.normal(0, 1, true.shape)).assign_attrs(units="degC", long_name="predicted temperature")


@pytest.fixture(scope="module")
def spread(temperature):
    shifts = xr.DataArray([-1.6, 0.0, 1.6], {"quantile": [0.05, 0.5, 0.95]}, "quantile")
    return (temperature + shifts).assign_attrs(units="degC")


@pytest.fixture(scope="module")
def reach(basin):
    days = basin["water_temperature_fine"].notnull().sum("time")
    return days["fine"].values[int(days.values.argmax())]


def next_two(temperature):
    """Two reaches as if proposed for sensors."""
    return xr.Dataset({"reach": ("rank", temperature["fine"].values[[1, 7]])}, {"rank": [1, 2]})


PICTURES = {
    "a day": lambda p, t, q, r: p.network(t, time="2002-07-21"),
    "a month": lambda p, t, q, r: p.network("air_temperature_coarse", time="2002-07", cmap="cividis"),
    "a long name": lambda p, t, q, r: p.network("true_temperature_fine", time="2002-01-02", mark=r),
    "differences": lambda p, t, q, r: p.network(
        t.isel(time=0, drop=True) - t.isel(time=200, drop=True), center=0
    ),
    "static": lambda p, t, q, r: p.network("elevation_fine"),
    "series": lambda p, t, q, r: p.series(q, reach=r),
    "observed": lambda p, t, q, r: p.series(reach=r, period=slice("2002-01", "2002-12")),
    "against observed": lambda p, t, q, r: p.skill(t),
    "months": lambda p, t, q, r: p.skill({"a": t, "a longer name": t + 1, "c": t - 2, "d": q}, by="month"),
    "stream orders": lambda p, t, q, r: p.skill(t, by="stream_order", metric="bias"),
    "reaches": lambda p, t, q, r: p.skill({"a": t, "b": t + 1}, by="segment"),
    "both scales": lambda p, t, q, r: p.graph(),
    "both scales of a reach": lambda p, t, q, r: p.graph(reach=r),
    "fine": lambda p, t, q, r: p.graph("fine"),
    "coarse": lambda p, t, q, r: p.graph("coarse"),
    "neighbours": lambda p, t, q, r: p.graph("fine", reach=r),
    "uncertainty": lambda p, t, q, r: p.uncertainty(q, proposed=next_two(t)),
    "uncertainty of a day": lambda p, t, q, r: p.uncertainty(q, time="2002-07-21"),
}


def legible(figure):
    """Boxes of all that can be read on a figure, by text."""
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    beyond = set()  # ticks beyond the ends of an axis are there, but never drawn
    for axis in (axis for ax in figure.findobj(Axes) for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                beyond |= {id(tick.label1), id(tick.label2)}
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in beyond
    ]


@pytest.mark.parametrize("name", PICTURES)
def test_no_text_is_cut_or_lies_on_another(basin, temperature, spread, reach, name):
    ax = PICTURES[name](basin.msgl.plot, temperature, spread, reach)
    found = legible(ax.figure)
    assert len(found) > 5
    page = ax.figure.bbox
    for text, box in found:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= page.x1 + 1, text
        assert box.y1 <= page.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(found, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1 or high <= 1, f"{one!r} lies on {other!r}"


@pytest.mark.parametrize("width", [0.8, 0.9, 0.94, 1.0, 1.06])
@pytest.mark.parametrize("dpi", [80, 110, 150])
def test_a_map_of_any_shape_keeps_its_words_on_the_page_when_first_drawn(width, dpi):
    places = {"lat": [42.03, 41.4, 40.93], "lon": [-74.39, -74.39 - width, -74.39 - width / 2]}
    river = {
        f"{name}_fine": ("fine", values) for name, values in (places | {"downstream": [2, 3, 0]}).items()
    }
    labels = xr.DataArray(
        [5.0, 300.0, 556.0], {"fine": [1, 2, 3]}, attrs={"units": "d", "long_name": "labels"}
    )
    figure = xr.Dataset(river, {"fine": [1, 2, 3]}).msgl.plot.network(labels).figure
    figure.set_dpi(dpi)
    found = legible(figure)
    assert min(box.x0 for _, box in found) >= 0
    assert max(box.x1 for _, box in found) <= figure.bbox.x1


@pytest.mark.parametrize("name", PICTURES)
def test_axes_have_units_and_show_themselves(basin, temperature, spread, reach, name):
    ax = PICTURES[name](basin.msgl.plot, temperature, spread, reach)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    labels = [ax.get_xlabel(), ax.get_ylabel(), *(child.get_ylabel() for child in ax.child_axes)]
    if name != "both scales":  # the legend there tells what is what
        assert any("[" in label and "]" in label for label in labels)
    assert ax._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PICTURES)
def test_given_axes_are_drawn_into(basin, temperature, spread, reach, name, monkeypatch):
    from matplotlib.figure import Figure

    own = Figure().subplots()
    for method in METHODS:
        original = getattr(Plots, method)
        monkeypatch.setattr(Plots, method, lambda self, *a, f=original, **k: f(self, *a, ax=own, **k))
    assert PICTURES[name](basin.msgl.plot, temperature, spread, reach) is own
    assert own.has_data()


def test_pyplot_is_never_loaded():
    code = (
        "import sys, xmsgl; p = xmsgl.datasets.simulated(n_coarse=3, years=2).msgl.plot; "
        "assert 'matplotlib' not in sys.modules; p.network('slope_fine'); p.graph(); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented_and_takes_axes(name):
    method = getattr(Plots, name)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    for parameter in parameters:
        assert parameter.name in (inspect.getdoc(method) or ""), parameter.name
    assert "ax" in [parameter.name for parameter in parameters]
    assert [p.kind for p in parameters[1:]] == [inspect.Parameter.KEYWORD_ONLY] * len(parameters[1:])


def test_looking_around_never_fails():
    for bare in (xr.Dataset(), xr.Dataset({"a": ("x", [1.0])}), xr.DataTree()):
        door = bare.msgl.plot
        assert [name for name in dir(door) if not name.startswith("_")] == METHODS
        assert vars(door) == {"_obj": bare} or isinstance(bare, xr.DataTree)
    with pytest.raises(InvalidDatasetError):
        xr.Dataset().msgl.plot.graph("fine")
    with pytest.raises(UnknownNameError, match="unknown variable 'water'; known: none"):
        xr.Dataset().msgl.plot.network("water")


def test_the_variable_of_the_day_is_coloured(basin):
    ax = basin.msgl.plot.network("air_temperature_coarse", time="2002-07-21")
    (lines,) = [c for c in ax.collections if c.get_array() is not None]
    np.testing.assert_allclose(
        np.sort(np.unique(np.asarray(lines.get_array()))),
        np.unique(basin["air_temperature_coarse"].sel(time="2002-07-21").values.astype(float)),
    )
    assert ax.get_title(loc="left") == "2002-07-21"


def test_an_array_without_words_is_called_by_its_name(basin):
    plain = basin["elevation_fine"].drop_attrs().rename("my_own_fine")
    assert basin.msgl.plot.network(plain).child_axes[0].get_ylabel() == "my own"


@pytest.mark.parametrize(
    ("place", "words"), [(0, "quantile 0.05"), (1, "median"), ([2], "quantile 0.95"), (None, None)]
)
def test_a_picture_of_one_quantile_names_it(basin, temperature, spread, reach, place, words):
    one = temperature if place is None else spread.isel(quantile=place)
    pictures = basin.msgl.plot
    drawn = {"network": pictures.network(one, time="2002-07-21")}
    if place != [2]:  # where there is a dimension, a series has bands and a score is that of the median
        drawn |= {"series": pictures.series(one, reach=reach), "skill": pictures.skill(one)}
    for name, ax in drawn.items():
        read = " ".join(text for text, _ in legible(ax.figure)).replace("\n", " ")
        if words is None:
            assert "quantile" not in read, name
            assert "median" not in read, name
        else:
            assert read.count(f", {words}") == 1, name


def test_a_datatree_gives_the_same_pictures(basin):
    tree = basin.msgl.to_datatree()
    assert tree.msgl.plot.graph("coarse").get_title(loc="left") == basin.msgl.plot.graph("coarse").get_title(
        loc="left"
    )


def test_lazy_data_are_computed_for_the_day_alone(basin, temperature):
    import dask

    asked = []

    def seen(block, block_info=None):
        asked.append(block_info[0]["chunk-location"][0])
        return block

    lazy = temperature.chunk(time=73).copy()
    lazy.data = lazy.data.map_blocks(seen, dtype=lazy.dtype, meta=np.empty((0, 0)))
    with dask.config.set(scheduler="synchronous"):
        basin.msgl.plot.network(lazy, time=lazy["time"].values[100])
    assert set(asked) == {1}


def test_methods_are_compared_on_what_all_have(basin, temperature):
    half = temperature.isel(time=slice(0, 300))
    ax = basin.msgl.plot.skill({"all": temperature, "half": half}, by="month")
    n = int(basin["water_temperature_fine"].isel(time=slice(0, 300)).count())
    assert f"n = {n:,}" in ax.get_xlabel()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), ax.lines[1].get_ydata())


def test_scores_are_drawn_as_they_are(basin, temperature):
    scores = basin.msgl.evaluate(temperature, by="month")
    (line,) = basin.msgl.plot.skill(scores, metric="mae").lines
    np.testing.assert_array_equal(line.get_ydata(), scores["mae"])
    with pytest.raises(InvalidArgumentError, match=r"ds\.msgl\.evaluate"):
        basin.msgl.plot.skill(scores, by="month")


def test_own_observations_and_groups_are_used(basin, temperature):
    ax = basin.msgl.plot.skill(temperature, observed=temperature + 2)
    assert ax.get_title(loc="left").startswith("RMSE 2.00 °C, bias -2.00 °C")
    with pytest.raises(InvalidArgumentError, match="give by="):
        basin.msgl.plot.skill({"a": temperature, "b": temperature})
    with pytest.raises(InvalidArgumentError, match="give at least one"):
        basin.msgl.plot.skill({})
    with pytest.raises(UnknownNameError, match="unknown grouping 'decade'"):
        basin.msgl.plot.skill(temperature, by="decade")


@pytest.mark.parametrize(("by", "several"), [(None, False), ("month", False), ("month", True)])
def test_a_prediction_is_scored_on_the_labels_of_its_scale(basin, by, several):
    coarse = basin["air_temperature_coarse"]
    given = {"air": coarse} if several else coarse
    own = basin["water_temperature_coarse"]
    drawn, same = (basin.msgl.plot.skill(given, by=by, observed=each) for each in (None, own))
    n = int(own.notnull().sum())
    assert f"n = {n:,}" in (drawn.get_xlabel() if by else drawn.get_title(loc="left"))
    assert drawn.get_title(loc="left") == same.get_title(loc="left")
    wanted = 'observed=ds["water_temperature_coarse"]'
    with pytest.raises(InvalidArgumentError, match=re.escape(wanted)):
        basin.msgl.plot.skill(given, by=by, observed=basin["water_temperature_fine"])
    with pytest.raises(InvalidDatasetError, match=r"water_temperature_coarse is missing, .* needs observed="):
        basin.drop_vars("water_temperature_coarse").msgl.plot.skill(given, by=by)


def test_a_graph_of_other_settings_can_be_drawn(basin):
    near, far = (basin.msgl.graph("fine", hops=hops) for hops in (1, 4))
    counts = [basin.msgl.plot.graph(river).get_title(loc="left") for river in (near, far)]
    assert counts == [f"{river.n:,} reaches, {river.operator.nnz - river.n:,} links" for river in (near, far)]
    with pytest.raises(InvalidArgumentError, match="scale must be"):
        basin.msgl.plot.graph("medium")
