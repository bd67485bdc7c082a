"""Figures of a benchmark: the numbers drawn are the numbers given."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.benchmark import pictures as plots
from xmsgl.errors import InvalidArgumentError


def rows(group, members, labels=("msgl", "remap"), seeds=(0, 1), fractions=(0.01, 1.0)):
    """Values that encode their origin: label 10, fraction 1, seed 0.1, member 0.01."""
    found = []
    for a, label in enumerate(labels):
        for b, fraction in enumerate(fractions):
            for seed in seeds:
                for d, member in enumerate(members):
                    value = 10 * (a + 1) + b + 0.1 * seed + 0.01 * d
                    row = {"group": group, "member": member, "metric": "rmse", "value": value, "n": 100 + d}
                    row |= {"label": label, "method": label, "fraction": fraction, "seed": seed}
                    found.append(row | {"settings": "{}", "degrade": "{}"})
    return pd.DataFrame(found)


def drawn(ax):
    """Mean, lower and upper end of each line with bars, by label."""
    found = {}
    for container in ax.containers:
        line, _, (bars,) = container
        ends = np.array(bars.get_segments())[:, :, 1]
        found[container.get_label()] = (*line.get_xydata().T, ends[:, 0], ends[:, 1])
    return found


def test_fractions_are_in_percent_with_the_range_of_the_seeds():
    ax = plots.fractions(rows("all", [""]))
    x, middle, low, high = drawn(ax)["msgl"]
    np.testing.assert_allclose(x, [1, 100])
    np.testing.assert_allclose(middle, [10.05, 11.05])
    np.testing.assert_allclose(low, [10, 11])
    np.testing.assert_allclose(high, [10.1, 11.1])
    assert ax.get_xscale() == "log"
    assert ax.get_ylabel() == "RMSE [°C]"


def test_a_method_without_a_fraction_is_a_level_line():
    scores = rows("all", [""])
    scores.loc[scores["label"] == "remap", "fraction"] = np.nan
    ax = plots.fractions(scores)
    (level,) = [line for line in ax.lines if line.get_label() == "remap"]
    np.testing.assert_allclose(level.get_ydata(), scores.query("label == 'remap'")["value"].mean())
    assert set(drawn(ax)) == {"msgl"}


def test_months_are_in_calendar_order():
    ax = plots.months(rows("month", ["12", "1", "2"], fractions=(1.0,)))
    x, middle, *_ = drawn(ax)["msgl"]
    np.testing.assert_allclose(np.round(x), [1, 2, 12])
    np.testing.assert_allclose(middle, [10.06, 10.07, 10.05])
    assert [text.get_text() for text in ax.get_xticklabels()][0::11] == ["Jan", "Dec"]


def test_stream_orders_show_their_n():
    ax = plots.stream_orders(rows("stream_order", ["1", "3"], fractions=(1.0,)))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1\nn = 100", "3\nn = 101"]


def test_methods_differ_in_colour_and_keep_it():
    labels = [f"m{number}" for number in range(9)]
    scores = rows("all", [""], labels=labels)
    looks = [(line[0].get_color(), line[0].get_marker()) for line in plots.fractions(scores).containers]
    assert len(set(looks)) == 9
    scores["label"] = pd.Categorical(scores["label"], labels)
    few = plots.fractions(scores[scores["label"].isin(["m4", "m8"])]).containers
    assert [(line[0].get_color(), line[0].get_marker()) for line in few] == [looks[4], looks[8]]


def test_sensitivity_orders_numbers_by_size_and_names_what_else_differs():
    scores = rows("all", [""], labels=("msgl",), fractions=(1.0,) * 4, seeds=(0,))
    hops = [{"hops": 10}, {"hops": 2}, {}, {"hops": 2, "kernel": "inverse"}]
    scores["settings"] = [json.dumps({"epochs": 4, **setting}) for setting in hops]
    ax = plots.sensitivity(scores, "hops")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "10", "default"]
    lines = drawn(ax)
    np.testing.assert_allclose(lines["msgl"][1], [11, 10, 12])
    np.testing.assert_allclose(lines["msgl, kernel=inverse"][1], [13])
    assert ax.get_xlabel() == "hops"


def test_sensitivity_to_a_degradation_starts_at_zero():
    scores = rows("all", [""], labels=("msgl",), fractions=(1.0,) * 3, seeds=(0,))
    scores["degrade"] = ["{}", '{"noise": 2.0}', '{"noise": 0.5}']
    ax = plots.sensitivity(scores, "noise")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.5", "2.0"]
    np.testing.assert_allclose(drawn(ax)["msgl"][1], [10, 12, 11])


def test_convergence_is_one_line_a_run_over_time():
    epochs = pd.DataFrame(
        {
            "run": ["a"] * 3 + ["b"] * 2,
            "label": ["msgl"] * 5,
            "seconds": [1.0, 3, 4, 2, 5],
            "validation": [np.nan, 2.0, 1.5, 2.2, 1.9],
        }
    )
    ax = plots.convergence(epochs)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[3, 2.0], [4, 1.5]])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[2, 2.2], [5, 1.9]])
    assert ax.lines[0].get_color() == ax.lines[1].get_color()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["msgl"]
    with pytest.raises(InvalidArgumentError, match="no epoch"):
        plots.convergence(epochs[:1])


@pytest.fixture
def ds():
    return xr.Dataset(
        {
            "downstream_fine": ("fine", [0, 5, 3]),
            "lat_fine": ("fine", [40.0, 40.2, 40.4]),
            "lon_fine": ("fine", [-75.0, -75.1, -75.3]),
        },
        {"fine": [5, 3, 1]},
    )


def test_the_map_shows_the_mean_over_seeds_and_grey_elsewhere(ds):
    ax = plots.reaches(rows("reach", ["1", "5"], labels=("msgl",), fractions=(1.0,)), ds)
    lines = ax.collections[-1]
    ends = [tuple(path[0]) for path in lines.get_segments()]
    values = dict(zip(ends, np.ma.filled(lines.get_array(), np.nan), strict=True))
    assert values[(-75.3, 40.4)] == pytest.approx(10.05)
    assert values[(-75.0, 40.0)] == pytest.approx(10.06)
    assert np.isnan(values[(-75.1, 40.2)])
    assert ax.get_title(loc="left") == "msgl"
    assert ax.child_axes[0].get_ylabel() == "RMSE [°C]"
    fixed = plots.reaches(rows("reach", ["1"], labels=("msgl",), fractions=(1.0,)), ds, limits=(0.5, 20))
    assert fixed.collections[-1].get_clim() == (0.5, 20)


def test_scores_that_cannot_be_drawn_are_refused(ds):
    with pytest.raises(InvalidArgumentError, match="one method"):
        plots.reaches(rows("reach", ["1"]), ds)
    with pytest.raises(InvalidArgumentError, match="no score of 'crps'"):
        plots.fractions(rows("all", [""]), metric="crps")
    with pytest.raises(InvalidArgumentError, match="no score of 'rmse' in group 'month'"):
        plots.months(rows("all", [""]))
    with pytest.raises(InvalidArgumentError, match="no run has the setting"):
        plots.sensitivity(rows("all", [""]), "hops")
