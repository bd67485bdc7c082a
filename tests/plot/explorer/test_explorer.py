"""Contents and errors of the explorer page; test_page.py and test_page_looks.py open it in a browser."""

from __future__ import annotations

import html
import json
import re
import sys

import dask.array
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, MissingDependencyError
from xmsgl.plot import explore
from xmsgl.plot.explorer.data import Layer, Ruler, ruler, simplify
from xmsgl.plot.explorer.gather import gather
from xmsgl.plot.places import Lines


def as_frame(daily, name):
    """A layer as the page will read it: one column a reach of the dataset, by a plain loop."""
    layer, rows = daily.layers[name], {}
    for reach, row in zip(daily.reaches, layer.rows, strict=True):
        rows[int(reach)] = layer.values[row] if row >= 0 else np.full(len(daily.days), np.nan)
    return pd.DataFrame(rows, index=daily.days)


def test_every_value_comes_to_its_day_and_reach(explored, predicted):
    daily = gather(predicted, explored, None, None)
    assert daily.reaches == ["5", "3", "1", "4", "2"]
    assert daily.segments == ["70", "70", "60", "70", "60"]
    assert daily.days.is_monotonic_increasing
    shown = as_frame(daily, "predicted")
    observed, segment = as_frame(daily, "observed"), as_frame(daily, "segment")
    for day in daily.days:
        for reach in (1, 2, 3, 4, 5):
            here = {"time": day, "fine": reach}
            np.testing.assert_equal(shown.loc[day, reach], float(predicted.sel(here)))
            np.testing.assert_equal(
                observed.loc[day, reach], float(explored.water_temperature_fine.sel(here))
            )
            of = int(explored.coarse_segment.sel(fine=reach))
            wanted = float(explored.water_temperature_coarse.sel(time=day, coarse=of))
            np.testing.assert_equal(segment.loc[day, reach], wanted)
    assert daily.days[daily.warmest()] == pd.Timestamp(predicted.mean("fine").idxmax("time").item())
    counts = explored.water_temperature_fine.count("time")
    assert int(daily.reaches[daily.busiest()]) == int(counts.idxmax("fine"))


def test_quantiles_give_the_median_and_the_widest_interval(explored, quantiles, predicted):
    daily = gather(quantiles, explored, None, None)
    assert daily.level == pytest.approx(0.9)
    middle, low, high = (as_frame(daily, name) for name in ("predicted", "low", "high"))
    np.testing.assert_allclose(low, middle - 3, rtol=1e-6)
    np.testing.assert_allclose(high, middle + 3.5, rtol=1e-6)
    apart = gather(predicted, explored, quantiles.sel(quantile=[0.25, 0.75]), None)
    assert apart.level == pytest.approx(0.5)
    np.testing.assert_allclose(as_frame(apart, "high"), as_frame(apart, "predicted") + 1, rtol=1e-6)


def test_labels_and_held_out_observations_are_separate(explored, predicted):
    everything = explored.water_temperature_fine
    held_out = (everything.time >= np.datetime64("2010-07-10")) & (everything.fine == 3)
    daily = gather(
        predicted, explored.assign(water_temperature_fine=everything.where(~held_out)), None, everything
    )
    seen, unseen = as_frame(daily, "label"), as_frame(daily, "observed")
    assert not (seen.notna() & unseen.notna()).any(axis=None)
    truth = everything.to_pandas()[seen.columns]
    pd.testing.assert_frame_equal(seen.fillna(unseen), truth, check_names=False, check_freq=False)
    assert unseen.notna().any().loc[lambda any_: any_].index.tolist() == [3]
    assert daily.reaches[daily.busiest()] == "3"


def test_reaches_without_prediction_stay_empty(explored, predicted):
    daily = gather(predicted.sel(fine=[4, 1]), explored, None, None)
    shown = as_frame(daily, "predicted")
    assert shown.notna().any()[lambda any_: any_].index.tolist() == [1, 4]
    assert "segment" in daily.layers
    bare = gather(predicted, explored[["downstream_fine"]], None, None)
    assert list(bare.layers) == ["predicted"]
    assert bare.segments == [""] * 5


def test_what_is_not_finite_is_missing(explored, predicted):
    odd = predicted.copy()
    odd[{"time": 0, "fine": 0}] = np.inf
    layers = gather(odd, explored, None, None).layers
    assert np.isnan(layers["predicted"].values).sum() == 1 + np.isnan(predicted.values).sum()
    assert np.isfinite(ruler(layers).step)


def test_a_lazy_prediction_is_computed_once_and_not_changed(explored, quantiles, tmp_path):
    made = []

    def block(values):
        made.append(values.shape)
        return values

    chunks = {"time": 10, "fine": -1, "quantile": -1}
    lazy = quantiles.chunk(chunks)
    lazy = lazy.copy(data=dask.array.map_blocks(block, lazy.data, dtype=lazy.dtype, meta=lazy.data._meta))
    labels = explored.chunk({"time": 5})
    explore(lazy, labels, tmp_path / "page.html")
    assert len(made) == 4
    assert dask.is_dask_collection(lazy.data)
    explore(quantiles, explored, tmp_path / "eager.html")
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("page.html", "eager.html")]
    codes = [re.findall(r'"data":"([A-Za-z0-9+/=]{100,})"', page) for page in pages]
    assert len(codes[0]) > 4
    assert codes[0] == codes[1]


@pytest.mark.parametrize(
    "span", [pytest.param(30.0, id="degrees"), pytest.param(400.0, id="kelvin and more")]
)
def test_codes_are_at_most_half_a_step_off(span):
    values = np.random.default_rng(0).uniform(-1, span - 1, (7, 50))
    values[3, 4] = np.nan
    rule = ruler({"predicted": Layer.of(values, np.arange(7))})
    codes = rule.encode(values)
    assert codes.dtype == np.uint16
    assert (codes == rule.gap).sum() == 1
    back = np.where(codes == rule.gap, np.nan, rule.low + rule.step * codes)
    np.testing.assert_allclose(back, values, rtol=0, atol=0.5000001 * rule.step)
    assert rule.step == (0.001 if span == 30 else 0.01)


def test_the_code_of_a_gap_is_no_temperature():
    rule = Ruler(0.0, 0.001)
    assert rule.encode(np.array([65.534, np.nan])).tolist() == [65534, 65535]


def test_lines_lose_only_what_a_screen_cannot_show():
    angle = np.linspace(0, np.pi, 4000)
    wide, small = np.column_stack([np.cos(angle), np.sin(angle)]), np.array([[0.0, 0.0], [0.1, 0.2]])
    paths = simplify(Lines([wide, small], np.array([1, 0])), np.array([1, 3]))
    assert paths.reach.tolist() == [0, 1]  # the larger river last
    kept = paths.paths[1]
    assert 20 < len(kept) < 400
    np.testing.assert_allclose(kept[[0, -1]], wide[[0, -1]], atol=1e-6)
    off = shapely.hausdorff_distance(shapely.LineString(wide), shapely.LineString(kept))
    assert off <= 2 / 4000 + 1e-6
    np.testing.assert_allclose(paths.paths[0], small, rtol=1e-6)


def test_a_year_of_a_large_network_with_an_interval_is_a_small_page(tmp_path):
    count, days = 3182, pd.date_range("2019-01-01", periods=365)
    rng = np.random.default_rng(0)
    ids = np.arange(1, count + 1)
    walks = np.cumsum(rng.normal(0, 0.002, (count, 12, 2)), axis=1) + rng.uniform(40, 42, (count, 1, 2))
    daily = rng.normal(12, 8, (365, count)).astype(np.float32)
    ds = xr.Dataset(
        {
            "geometry_fine": ("fine", shapely.to_wkb(shapely.linestrings(walks), hex=True)),
            "coarse_segment": ("fine", ids % 456),
            "water_temperature_fine": (("time", "fine"), np.where(ids % 10 == 0, daily, np.nan)),
            "water_temperature_coarse": (("time", "coarse"), daily[:, :456]),
            "simulated_temperature_coarse": (("time", "coarse"), daily[:, :456]),
        },
        {"time": days, "fine": ids, "coarse": np.arange(456)},
    )
    temperature = xr.DataArray(
        np.stack([daily - 2, daily, daily + 2]), {"quantile": [0.05, 0.5, 0.95], "time": days, "fine": ids}
    )
    page = explore(temperature, ds, tmp_path / "page.html")
    assert page.stat().st_size < 15e6


def test_nothing_is_fetched_and_text_is_no_markup(explored, predicted, tmp_path):
    written = explore(predicted, explored, str(tmp_path / "page.html"))
    assert written == tmp_path / "page.html"
    page = written.read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)
    assert not re.search(r"@import|url\(\s*[\"']?https?:", page)
    assert "A small &lt;river&gt;" in page
    assert "A small <river>" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    again = explore(predicted, explored, written, title="Another")
    assert "<h1>Another</h1>" in again.read_text(encoding="utf-8")


def where_it_stands(value, text, place=("", "")):
    """Yield model and property of every place at which a document of Bokeh has a text."""
    if isinstance(value, dict) and value.get("type") == "object":
        for name, part in value.get("attributes", {}).items():
            yield from where_it_stands(part, text, (value["name"], name))
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from where_it_stands(part, text, place)
    elif isinstance(value, str) and text in value:
        yield place


def test_text_of_a_dataset_stands_only_where_bokeh_takes_it_for_text(hostile, tmp_path):
    ds, temperature = hostile
    page = explore(temperature, ds, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<img" not in re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    (document,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.DOTALL)
    assert "<" not in document
    roots = json.loads(html.unescape(document))
    places = set(where_it_stands(roots, "onerror"))
    assert places == {("PlainText", "text"), ("CustomJSHover", "args"), ("CustomJS", "args")}
    code = page.split(document)[0] + page.split(document)[1]
    assert code.count("onerror=&#34;") + code.count("onerror=&quot;") == 2  # the title and the heading


def test_the_accessor_takes_datasets_and_trees(explored, predicted, tmp_path):
    page = explored.msgl.explore(tmp_path / "page.html", prediction=predicted, title="of a dataset")
    assert "of a dataset" in page.read_text(encoding="utf-8")
    tree = explored.msgl.to_datatree()
    assert tree.msgl.explore(tmp_path / "tree.html", prediction=predicted).is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("page.png", "must end in .html", id="not a page"),
        pytest.param("folder.html", "a folder of that name", id="folder"),
        pytest.param("missing/page.html", "does not exist; make it first", id="no folder"),
    ],
)
def test_paths_that_cannot_be_written_are_named(explored, predicted, tmp_path, name, message):
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InvalidArgumentError, match=message):
        explore(predicted, explored, tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda p: p.isel(time=0), "it must have", id="one day without its dimension"),
        pytest.param(lambda p: p.rename(fine="coarse"), "it must have", id="coarse"),
        pytest.param(lambda p: p.drop_vars("fine"), "with labels along", id="no labels"),
        pytest.param(lambda p: p.isel(time=slice(0)), "empty along 'time'", id="no day"),
        pytest.param(lambda p: p * np.nan, "no finite value", id="all missing"),
        pytest.param(
            lambda p: p.assign_coords(fine=p.fine + 3), "3 reaches that the dataset lacks: 6, 7, 8", id="ids"
        ),
        pytest.param(lambda p: xr.concat([p, p], "time"), "repeated labels along 'time'", id="days twice"),
        pytest.param(lambda p: p.assign_coords(time=np.arange(40)), "instead of datetime64", id="no dates"),
        pytest.param(
            lambda p: (p + 273.15).assign_attrs(units="K"),
            r"convert: prediction = \(prediction - 273.15\)",
            id="kelvin",
        ),
        pytest.param(
            lambda p: p.expand_dims(quantile=[0.05, 0.95]),
            r"quantiles \[0.05, 0.95\] but no median",
            id="median",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused(explored, predicted, tmp_path, change, message):
    with pytest.raises(InvalidArgumentError, match=message):
        explore(change(predicted), explored, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_intervals_and_observations_that_do_not_fit_are_refused(explored, predicted, quantiles):
    with pytest.raises(InvalidArgumentError, match="already has quantiles"):
        gather(quantiles, explored, quantiles, None)
    with pytest.raises(InvalidArgumentError, match="do not form an interval"):
        gather(predicted, explored, quantiles.sel(quantile=[0.05, 0.75]), None)
    with pytest.raises(InvalidArgumentError, match="the interval has dims"):
        gather(predicted, explored, predicted, None)
    with pytest.raises(InvalidArgumentError, match="observed has dims"):
        gather(predicted, explored, None, explored.water_temperature_coarse)


def test_a_page_that_no_browser_would_open_is_refused_before_anything_is_computed(
    explored, refuse_to_compute
):
    days, ids = pd.date_range("1900-01-01", periods=36_500), np.arange(1, 1001)
    lazy = xr.DataArray(
        dask.array.zeros((36_500, 1000), chunks=(365, 1000)), {"time": days, "fine": ids}, ["time", "fine"]
    )
    with (
        refuse_to_compute(),
        pytest.raises(InvalidArgumentError, match="36,500,000 temperatures are too many"),
    ):
        gather(lazy, xr.Dataset(coords={"fine": ids}), None, None)


def test_a_network_without_places_says_what_to_add(explored, predicted, tmp_path):
    bare = explored.drop_vars(["geometry_fine", "downstream_fine"])
    with pytest.raises(InvalidDatasetError, match="and so is lat_fine, lon_fine, downstream_fine; add"):
        explore(predicted, bare, tmp_path / "page.html")


def test_days_of_spin_up_are_known_in_any_order(explored, predicted):
    assert gather(predicted, explored, None, None).spin_up is None
    first = predicted.time < np.datetime64("2010-06-25")
    flagged = predicted.assign_coords(spin_up=first.astype("int8"))
    found = gather(flagged, explored, None, None).spin_up
    assert found == (np.datetime64("2010-06-20"), np.datetime64("2010-06-25"))
    assert gather(flagged.isel(time=~first.values), explored, None, None).spin_up is None


def test_reaches_and_segments_with_a_sensor_are_known(explored, predicted):
    def marked(ds, observed=None, prediction=predicted):
        daily = gather(prediction, ds, None, observed)
        return [daily.reaches[reach] for reach in daily.sensors]

    fine, coarse = explored.water_temperature_fine, explored.water_temperature_coarse
    assert marked(explored) == ["5", "3", "4", "2"]  # reach 1 was never observed
    only = {reach: explored.assign(water_temperature_fine=fine.where(fine.fine == reach)) for reach in (2, 4)}
    # Segment 60 has reaches 1 and 2, and no link between them; segment 70 has 3 and 4, which flow into 5.
    assert marked(only[2]) == ["5", "2"]
    assert marked(only[4]) == ["1", "4"]
    assert marked(only[4].drop_vars("water_temperature_coarse")) == ["4"]
    assert marked(only[4].drop_vars("downstream_fine")) == ["4"]
    assert marked(only[4].assign(water_temperature_coarse=coarse * np.nan), fine) == ["5", "3", "4", "2"]
    first = fine.isel(time=0)
    days = explored.assign(water_temperature_fine=fine.where(fine.time == fine.time[0]))
    days = days.drop_vars("water_temperature_coarse")
    assert sorted(marked(days)) == sorted(str(i) for i in first.fine.values[first.notnull().values])
    assert marked(days, prediction=predicted.sortby("time").isel(time=slice(1, None))) == []
    bare = explored[["downstream_fine", "geometry_fine", "stream_order_fine"]]
    assert marked(bare) == []


def test_a_page_says_what_circles_are_only_where_there_are_any(explored, predicted, tmp_path):
    bare = explored.drop_vars(["water_temperature_fine", "water_temperature_coarse"])
    for ds, wanted in ((explored, True), (bare, False)):
        page = explore(predicted, ds, tmp_path / "page.html").read_text(encoding="utf-8")
        assert ("Circles on the map are sensors." in page) is wanted


def test_a_reconstruction_and_its_forecast_are_explored_as_they_are(river, tmp_path, small_fits):
    model = river.msgl.train("trees", validation="folds:2", iterations=3, progress=False)
    bounds = river.msgl.reconstruct(model, quantiles=[0.4, 0.5, 0.6])
    assert river.msgl.explore(tmp_path / "page.html", prediction=bounds).is_file()
    daily = gather(bounds, river, None, None)
    assert daily.level == pytest.approx(0.2)
    np.testing.assert_allclose(as_frame(daily, "low"), bounds.sel(quantile=0.4), rtol=1e-6)
    known = river[["water_temperature_fine"]].isel(time=slice(0, 400))
    week = river.msgl.reconstruct(model, observed=known, mode="forecast", lead=7, quantiles=[0.4, 0.5, 0.6])
    page = river.msgl.explore(tmp_path / "week.html", prediction=week).read_text(encoding="utf-8")
    first, last = week.time.dt.strftime("%Y-%m-%d").values[[0, -1]]
    assert f"12 reaches, {first} to {last}." in page
    with pytest.raises(InvalidArgumentError, match=r"predict 0\.5 too"):
        river.msgl.explore(tmp_path / "page.html", prediction=bounds.sel(quantile=[0.4, 0.6]))


def test_a_missing_bokeh_is_named(explored, predicted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(MissingDependencyError, match=r"bokeh.*xmsgl\[explore\]"):
        explore(predicted, explored, tmp_path / "page.html")
