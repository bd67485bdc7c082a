"""The map of the uncertainty: widths as colours, sensors and proposals as markers, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.plot import uncertainty

DAYS = pd.date_range("2010-07-01", periods=4, unit="ns")
REACHES = [5, 3, 1, 4, 2]  # 1 and 2 into 3, 3 and 4 into 5
DOWNSTREAM = {1: 3, 2: 3, 3: 5, 4: 5, 5: 0}


@pytest.fixture
def basin():
    """Reach 4 is observed on the second day, segment 60 (reaches 1, 2 and 3) on the third."""
    fine, coarse = np.full((4, 5), np.nan), np.full((4, 2), np.nan)
    fine[1, REACHES.index(4)] = 20.0
    coarse[2, 0] = 18.0
    return xr.Dataset(
        {
            "downstream_fine": ("fine", [DOWNSTREAM[reach] for reach in REACHES]),
            "lat_fine": ("fine", [40.0, 40.2, 40.4, 40.3, 40.5]),
            "lon_fine": ("fine", [-75.0, -75.1, -75.3, -74.9, -75.0]),
            "coarse_segment": ("fine", [70, 60, 60, 70, 60]),
            "water_temperature_fine": (("time", "fine"), fine, {"units": "degC"}),
            "water_temperature_coarse": (("time", "coarse"), coarse, {"units": "degC"}),
        },
        {"time": DAYS, "fine": REACHES, "coarse": [60, 70]},
    )


@pytest.fixture
def bounds():
    """Quantiles in no order; reaches and days in another order than those of the dataset."""
    rng = np.random.default_rng(0)
    half = np.exp(rng.normal(0, 0.5, (4, 5)))
    values = np.stack([15 + half, 15 - 2 * half, 15 + 0 * half, 15 - half, 15 + 2 * half])
    coords = {"quantile": [0.75, 0.05, 0.5, 0.25, 0.95], "time": DAYS[[2, 0, 3, 1]], "fine": [1, 2, 3, 4, 5]}
    return xr.DataArray(values, coords, attrs={"units": "degC"}, name="water_temperature")


@pytest.fixture
def forecast(bounds):
    """The same as issued on the second day."""
    days = pd.date_range("2010-07-03", periods=4, unit="ns")
    found = bounds.assign_coords(time=days, lead=("time", [1, 2, 3, 4]), issue=DAYS[1])
    return found.swap_dims(time="lead")


def width_of(bounds, reach, days):
    """Mean of the 90 % interval, by a plain loop."""
    high, low = bounds.sel(quantile=0.95, fine=reach), bounds.sel(quantile=0.05, fine=reach)
    return np.mean([float(high.sel(time=day)) - float(low.sel(time=day)) for day in days])


def colours(ax):
    """Value of each reach of the map, by the place at which its line begins."""
    (drawn,) = (c for c in ax.collections if type(c).__name__ == "LineCollection")
    begins = [tuple(np.round(path[0], 6)) for path in drawn.get_segments()]
    return dict(zip(begins, np.asarray(drawn.get_array()), strict=True))


def start(ds, reach):
    here = ds.sel(fine=reach)
    return round(float(here.lon_fine), 6), round(float(here.lat_fine), 6)


def middle(ds, reach):
    """Half way to the reach downstream; a straight line, so the mean of its ends."""
    down = DOWNSTREAM[reach] or reach
    return np.mean([start(ds, reach), start(ds, down)], axis=0)


def marked(ax, label):
    """Places of the markers of a label, sorted."""
    found = [line for line in ax.lines if line.get_label() == label]
    return np.array(sorted(map(tuple, found[0].get_xydata()))).reshape(-1, 2) if found else None


@pytest.mark.parametrize(
    ("time", "days", "title"),
    [
        pytest.param(None, DAYS, "2010-07-01 to 2010-07-04\nmean of 4 days", id="all days"),
        pytest.param("2010-07-02", DAYS[[1]], "2010-07-02", id="a day"),
        pytest.param(
            slice("2010-07-02", "2010-07-03"),
            DAYS[1:3],
            "2010-07-02 to 2010-07-03\nmean of 2 days",
            id="some",
        ),
    ],
)
def test_colours_are_the_mean_width_of_the_widest_interval(basin, bounds, time, days, title):
    ax = basin.msgl.plot.uncertainty(bounds, time=time)
    found = colours(ax)
    assert len(found) == 5
    for reach in REACHES:
        assert found[start(basin, reach)] == pytest.approx(width_of(bounds, reach, days))
    assert ax.get_title(loc="left") == title
    assert ax.child_axes[0].get_ylabel() == "width of the 90 % interval [°C]"


def test_limits_colours_and_axes_are_those_given(basin, bounds):
    from matplotlib.figure import Figure

    own = Figure().subplots()
    assert uncertainty(bounds, basin, own, limits=(0, 9), cmap="cividis") is own
    (drawn,) = (c for c in own.collections if type(c).__name__ == "LineCollection")
    assert drawn.get_clim() == (0, 9)
    assert drawn.get_cmap().name == "cividis"


@pytest.mark.parametrize(
    ("time", "reaches"),
    [
        pytest.param(None, [3, 4], id="all days"),
        pytest.param("2010-07-02", [4], id="a reach"),
        pytest.param("2010-07-03", [3], id="a segment, at its most downstream reach"),
        pytest.param("2010-07-04", [], id="none"),
    ],
)
def test_sensors_that_report_on_the_days_shown_are_marked(basin, bounds, time, reaches):
    ax = uncertainty(bounds, basin, time=time)
    found = marked(ax, "sensor that reports")
    if not reaches:
        assert found is None
        assert ax.get_legend() is None
        return
    np.testing.assert_allclose(found, sorted(tuple(middle(basin, reach)) for reach in reaches))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sensor that reports"]


def test_observations_may_be_given_of_either_scale_or_both(basin, bounds):
    bare = basin.drop_vars(["water_temperature_fine", "water_temperature_coarse"])
    assert marked(uncertainty(bounds, bare), "sensor that reports") is None
    for given, reaches in (
        (basin["water_temperature_fine"], [4]),
        (basin["water_temperature_coarse"], [3]),
        (basin[["water_temperature_fine", "water_temperature_coarse"]], [3, 4]),
    ):
        found = marked(uncertainty(bounds, bare, observed=given), "sensor that reports")
        np.testing.assert_allclose(found, sorted(tuple(middle(basin, reach)) for reach in reaches))


def test_a_forecast_has_the_sensors_of_the_day_of_issue(basin, forecast):
    by_day = forecast.swap_dims(lead="time")
    for time, days in ((None, by_day.time.values), ("2010-07-05", ["2010-07-05"])):
        ax = uncertainty(forecast, basin, time=time)
        for reach in REACHES:
            assert colours(ax)[start(basin, reach)] == pytest.approx(width_of(by_day, reach, days))
        np.testing.assert_allclose(marked(ax, "sensor that reports"), [middle(basin, 4)])


@pytest.mark.parametrize("days", [1, 4], ids=["a day", "all days"])
def test_of_an_ensemble_the_mean_width_of_the_members_is_drawn(basin, forecast, days):
    """The members lie far apart and have intervals of other widths."""
    each = [forecast.median("quantile") + shift + (forecast - 15) * wide for shift, wide in ((-5, 1), (9, 3))]
    members = xr.concat(each, "member").transpose("member", ...)
    time = None if days == 4 else "2010-07-05"
    ax = basin.msgl.plot.uncertainty(members, time=time)
    alone = [colours(basin.msgl.plot.uncertainty(members.isel(member=k), time=time)) for k in (0, 1)]
    by_day = forecast.swap_dims(lead="time")
    for reach in REACHES:
        at = start(basin, reach)
        width = width_of(by_day, reach, by_day.time.values if time is None else [time])
        assert [one[at] for one in alone] == pytest.approx([width, 3 * width])
        assert colours(ax)[at] == pytest.approx(2 * width)
    written = ax.child_axes[0].get_ylabel().replace("\n", " ")
    assert written == "mean width of the 90 % interval of 2 members [°C]"
    np.testing.assert_allclose(marked(ax, "sensor that reports"), [middle(basin, 4)])


def test_proposed_sensors_are_numbered_in_their_order(basin, bounds):
    proposed = xr.Dataset({"reach": ("rank", [2, 5, 1])}, {"rank": [1, 2, 3]})
    for some in (proposed, proposed.isel(rank=[1, 2]), proposed.isel(rank=0)):
        ax = uncertainty(bounds, basin, time="2010-07-02", proposed=some)
        pairs = zip(np.atleast_1d(some["rank"]), np.atleast_1d(some["reach"]), strict=True)
        wanted = {str(rank): middle(basin, int(reach)) for rank, reach in pairs}
        found = {text.get_text(): text.xy for text in ax.texts}
        assert found.keys() == wanted.keys()
        for number, place in wanted.items():
            np.testing.assert_allclose(found[number], place)
        discs = marked(ax, "proposed sensor, in order")
        np.testing.assert_allclose(discs, sorted(map(tuple, wanted.values())))


def test_a_reconstruction_and_its_proposals_are_drawn(river, small_fits):
    from xmsgl.evaluate import mask_labels, next_sensors

    few = mask_labels(river, segments=[102, 104])
    model = few.msgl.train("trees", validation="folds:2", iterations=3, progress=False)
    bounds = few.msgl.reconstruct(model, quantiles=[0.4, 0.6])
    ax = few.msgl.plot.uncertainty(bounds, proposed=next_sensors(few, model, 2))
    assert ax.child_axes[0].get_ylabel() == "width of the 20 % interval [°C]"
    assert sorted(text.get_text() for text in ax.texts) == ["1", "2"]
    observed = few.water_temperature_fine.notnull().any("time")
    assert len(marked(ax, "sensor that reports")) == int(observed.sum())


def test_lazy_quantiles_are_computed_for_the_day_alone(basin, bounds):
    import dask

    asked = []

    def seen(block, block_info=None):
        asked.append(block_info[0]["chunk-location"][1])
        return block

    lazy = bounds.chunk(time=1).copy()
    lazy.data = lazy.data.map_blocks(seen, dtype=lazy.dtype, meta=np.empty((0, 0, 0)))
    with dask.config.set(scheduler="synchronous"):
        uncertainty(lazy, basin, time="2010-07-02")
    assert set(asked) == {3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda q: q.sel(quantile=0.5, drop=True), "no labelled 'quantile'", id="no quantiles"),
        pytest.param(lambda q: q.sel(quantile=[0.05, 0.5]), r"quantiles p and 1 - p", id="no interval"),
        pytest.param(
            lambda q: q.rename(fine="coarse"), "it must have 'quantile', 'time' and 'fine'", id="coarse"
        ),
        pytest.param(lambda q: q.isel(time=0), "it must have 'quantile', 'time' and 'fine'", id="no days"),
        pytest.param(
            lambda q: q.expand_dims(run=2), "may have 'member', and must have quantiles", id="other ensemble"
        ),
        pytest.param(lambda q: q.expand_dims(member=0), "all values are missing", id="no members"),
        pytest.param(lambda q: q.assign_coords(fine=q.fine + 90), "no id in common", id="other reaches"),
        pytest.param(lambda q: q * np.nan, "all values are missing", id="all missing"),
        pytest.param(lambda q: q.values, "give an xarray.DataArray", id="no labels"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(basin, bounds, change, message):
    with pytest.raises(InvalidArgumentError, match=message):
        uncertainty(change(bounds), basin)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"time": "2011-07-01"}, "2010-07-01 to 2010-07-04", id="day"),
        pytest.param({"proposed": [1, 2]}, r"proposed must be a Dataset", id="no proposal"),
        pytest.param(
            {"proposed": xr.Dataset({"reach": ("rank", [1, 77])}, {"rank": [1, 2]})},
            "proposed reaches 77 are not among the ids",
            id="proposal of another basin",
        ),
        pytest.param(
            {"observed": xr.DataArray(np.zeros((4, 5)), {"time": DAYS, "reach": REACHES}, ["time", "reach"])},
            "observations must have the dimensions time and fine",
            id="observations",
        ),
        pytest.param({"observed": [20.0]}, "observed is a list", id="observations without labels"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(basin, bounds, arguments, message):
    with pytest.raises(InvalidArgumentError, match=message):
        uncertainty(bounds, basin, **arguments)


def test_a_dataset_without_places_says_what_to_add(basin, bounds):
    with pytest.raises(InvalidDatasetError, match="the dataset does not say where the reaches lie"):
        uncertainty(bounds, basin.drop_vars(["lat_fine", "lon_fine", "downstream_fine"]))
