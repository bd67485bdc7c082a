"""Pictures of skill, compared with plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import score
from xmsgl.plot.skill import against_observed, by_group


@pytest.fixture
def pair():
    """A prediction and sparse observations of four reaches, three years."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2001-01-01", periods=1000)
    truth = 12 + 9 * np.sin(np.arange(1000) / 58)[:, None] + rng.normal(0, 1, (1000, 4))
    coords = {"time": days, "fine": [4, 3, 2, 1]}
    observed = xr.DataArray(truth, coords, ("time", "fine"), attrs={"units": "degC"})
    prediction = observed + rng.normal(0.3, 1.0, truth.shape)
    observed = observed.where(rng.random(truth.shape) < [0.5, 0.3, 0.2, 0.01])
    return prediction.assign_attrs(units="degC"), observed


def frame_of(prediction, observed):
    table = xr.Dataset({"p": prediction, "o": observed}).to_dataframe().dropna().reset_index()
    return table.assign(error=table["p"] - table["o"])


def labels(ax):
    return [text.get_text().splitlines() for text in ax.get_xticklabels()]


def test_few_reach_days_are_dots_at_observed_and_predicted(pair):
    prediction, observed = pair
    ax = against_observed(prediction, observed)
    table = frame_of(prediction, observed)
    drawn = {tuple(row) for row in ax.lines[0].get_xydata().round(9)}
    assert drawn == set(zip(table["o"].round(9), table["p"].round(9), strict=True))
    error = table["error"]
    assert ax.get_title(loc="left") == (
        f"RMSE {np.sqrt((error**2).mean()):.2f} °C, bias {error.mean():+.2f} °C, n = {len(error):,}"
    )
    assert ax.get_xlabel() == "observed water temperature [°C]"
    assert ax.get_ylabel() == "predicted water temperature [°C]"
    np.testing.assert_array_equal(*ax.lines[-1].get_xydata().T)  # the line where both are equal


def test_many_reach_days_are_counted(pair):
    prediction, _ = pair
    ax = against_observed(prediction, prediction + 1)
    (cells,) = ax.collections
    assert cells.get_array().sum() == prediction.size
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.child_axes[0].get_ylabel() == "reach-days per hexagon"


def test_of_quantiles_the_median_is_drawn(pair):
    prediction, observed = pair
    shifts = xr.DataArray([-1.0, 0.0, 1.0], {"quantile": [0.1, 0.5, 0.9]}, "quantile")
    spread = (prediction + shifts).assign_attrs(units="degC")
    title = against_observed(prediction, observed).get_title(loc="left")
    assert against_observed(spread, observed).get_title(loc="left") == title
    with pytest.raises(InvalidArgumentError, match=r"0\.1, 0\.9.* predict 0\.5 too"):
        against_observed(spread.isel(quantile=[0, 2]), observed)


def test_months_are_those_of_a_plain_loop(pair):
    prediction, observed = pair
    scores = {
        "one": score(prediction, observed, by="month"),
        "two": score(prediction + 1, observed, by="month"),
    }
    ax = by_group(scores)
    table = frame_of(prediction, observed)
    for line, shift in zip(ax.lines, (0, 1), strict=True):
        error = (table["error"] + shift) ** 2
        expected = np.sqrt(error.groupby(table["time"].dt.month).mean())
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([expected.index, expected]))
    counts = table.groupby(table["time"].dt.month).size()
    assert labels(ax)[::11] == [["Jan", f"{counts[1]}"], ["Dec", f"{counts[12]}"]]
    assert f"n = {len(table):,}" in ax.get_xlabel()
    assert ax.get_ylabel() == "root mean square error [°C]"
    assert ax.get_ylim()[0] == 0
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()


def test_a_single_method_needs_no_legend(pair):
    ax = by_group({"": score(*pair, by="season")}, "nse")
    assert ax.get_legend() is None
    assert [name for name, _ in labels(ax)] == ["DJF", "MAM", "JJA", "SON"]


def test_a_missing_year_leaves_a_gap(pair):
    prediction, observed = pair
    kept = observed.where(observed["time"].dt.year != 2002)
    scores = score(prediction, kept, by="year")
    (line,) = by_group({"": scores}).lines
    np.testing.assert_array_equal(line.get_xdata(), [2001, 2002, 2003])
    before, between, after = line.get_ydata()
    assert np.isnan(between)
    assert [before, after] == scores["rmse"].values.tolist()


@pytest.mark.parametrize("depths", [[0.5, 0.75, 3.0], [0, 100, 10**12]], ids=["fractions", "whole"])
def test_numbers_of_other_groups_are_joined_where_they_stand(pair, depths):
    scores = score(*pair, by="season").isel(season=slice(0, 3))
    scores = scores.rename(season="depth").assign_coords(depth=depths)
    (line,) = by_group({"": scores}).lines
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([scores["depth"], scores["rmse"]]))


def test_many_groups_do_not_crowd_the_axis():
    years = np.arange(1980, 2022)
    scores = xr.Dataset(
        {"bias": ("year", np.sin(years), {"units": "degC"}), "n": ("year", years)}, {"year": years}
    )
    ax = by_group({"": scores}, "bias")
    ax.figure.canvas.draw()
    assert len(ax.get_xticks()) < 12
    assert f"n = {years.sum():,}" in ax.get_xlabel()
    assert ax.lines[-1].get_ydata() == [0, 0]


def test_given_groups_of_words_are_not_joined(pair):
    prediction, observed = pair
    by = xr.DataArray(["cold", "warm", "warm", "cold"], {"fine": [4, 3, 2, 1]}, name="source")
    ax = by_group({"": score(prediction, observed, by=by)}, "mae")
    assert [name for name, _ in labels(ax)] == ["cold", "warm"]
    assert ax.lines[0].get_linestyle() == "None"


def test_reaches_are_shares_of_those_observed_long_enough(pair):
    prediction, observed = pair
    ax = by_group({"": score(prediction, observed, by="reach")})
    table = frame_of(prediction, observed)
    days = table.groupby("fine").size()
    assert (days < 30).sum() == 1
    errors = np.sqrt((table["error"] ** 2).groupby(table["fine"]).mean())[days >= 30].sort_values()
    steps, half = ax.lines
    np.testing.assert_allclose(steps.get_xdata()[1:], errors)
    np.testing.assert_allclose(steps.get_ydata(), [0, 100 / 3, 200 / 3, 100])
    np.testing.assert_allclose(half.get_xydata(), [[errors.median(), 50]])
    assert ax.get_title(loc="left") == "3 reaches with at least 30 observed days"


@pytest.mark.parametrize(
    ("make", "metric", "error", "message"),
    [
        (lambda p, o: {}, "rmse", InvalidArgumentError, "no scores"),
        (lambda p, o: {"": score(p, o)}, "rmse", InvalidArgumentError, r"dims \(\) and must have groups"),
        (lambda p, o: {"": score(p, o, by="month")}, "rsme", UnknownNameError, "unknown score 'rsme'"),
        (
            lambda p, o: {"a": score(p, o, by="month"), "b": score(p, o[:500], by="month")},
            "rmse",
            InvalidArgumentError,
            "a, b are for different groups",
        ),
        (
            lambda p, o: {"": score(p, o[:40], by="reach")},
            "rmse",
            InvalidArgumentError,
            "based on 30 observed",
        ),
    ],
    ids=["nothing", "no-groups", "metric", "not-comparable", "too-short"],
)
def test_faults_are_named(pair, make, metric, error, message):
    with pytest.raises(error, match=message):
        by_group(make(*pair), metric)
