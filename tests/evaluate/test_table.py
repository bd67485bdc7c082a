from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import mean_squared_error

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate.table import compare, markdown, shared, skill_table


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    coords = {"time": pd.date_range("2000-01-01", periods=90), "fine": np.arange(5) + 10}
    truth = xr.DataArray(rng.normal(10, 4, (90, 5)), coords, ("time", "fine"), attrs={"units": "degC"})
    observed = truth.where(rng.random((90, 5)) < 0.5)
    predictions = {"good": truth + rng.normal(0, 1, (90, 5)), "poor one": truth + rng.normal(2, 3, (90, 5))}
    held = xr.DataArray([False, True, False, False, True], {"fine": coords["fine"]}, ("fine",))
    late = xr.DataArray(np.arange(90) >= 60, {"time": coords["time"]}, ("time",))
    return predictions, observed, {"held-out days": late & ~held, "held-out reaches": held}


def test_numbers_are_those_of_scikit_learn_on_each_group(case):
    predictions, observed, groups = case
    frame = skill_table(predictions, observed, groups=groups).to_dataframe()
    assert frame.index.tolist() == ["good", "poor one"]
    for name, prediction in predictions.items():
        for group, mask in groups.items():
            seen = (observed.notnull() & mask).values
            error = mean_squared_error(observed.values[seen], prediction.values[seen])
            np.testing.assert_allclose(frame.loc[name, (group, "rmse")], np.sqrt(error))
            assert frame.loc[name, (group, "n")] == seen.sum()


def test_all_methods_are_scored_on_the_same_reach_days(case):
    predictions, observed, groups = case
    predictions["poor one"] = predictions["poor one"].isel(time=slice(10, 80), fine=[4, 3, 2, 1])
    data = skill_table(predictions, observed, groups=groups).data
    assert (data.n.sel({"method": "good"}) == data.n.sel({"method": "poor one"})).all()
    assert int(data.n[0].sum()) < int(observed.count())


def test_every_form_shows_every_number(case):
    predictions, observed, groups = case
    table = skill_table(
        predictions, observed, groups=groups, metrics=("rmse", "mae", "bias", "nse", "n_reaches")
    )
    frame = table.to_dataframe()
    shown = [
        f"{frame.loc[m, (g, k)]:.2f}"
        for m in frame.index
        for g in groups
        for k in ("rmse", "mae", "bias", "nse")
    ]
    counts = [str(frame.loc["good", (g, k)]) for g in groups for k in ("n", "n_reaches")]
    for text in (str(table), table.to_markdown(), table._repr_html_()):
        assert all(number in text for number in [*shown, *counts])
        assert all(
            word in text for word in ["good", "poor one", *groups, "RMSE [degC]", "bias [degC]", "NSE"]
        )
    lines = str(table).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines[1:]}) == 1
    rows = table.to_markdown().splitlines()
    assert len({row.count("|") for row in rows}) == 1


def test_html_has_a_row_a_method_below_the_groups(case, read_html):
    predictions, observed, groups = case
    predictions = {"<i>good</i>": predictions["good"], **predictions}
    both = skill_table(predictions, observed, groups=groups, metrics=("rmse", "rmse_median"))
    assert read_html(both._repr_html_()).tables[0][1][1:3] == ["RMSE [degC]", "median reach RMSE [degC]"]
    table = skill_table(predictions, observed, groups=groups, metrics=("rmse",))
    (rows,) = read_html(table._repr_html_()).tables
    assert rows[0] == ["", *groups]
    assert rows[1] == ["method", *["RMSE [degC]", "n"] * len(groups)]
    frame = table.to_dataframe()
    for name, row in zip(predictions, rows[2:], strict=True):
        pairs = [(f"{frame.loc[name, (g, 'rmse')]:.2f}", f"{frame.loc[name, (g, 'n')]:,}") for g in groups]
        assert row == [name, *(cell for pair in pairs for cell in pair)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda p, o, g: ({}, o, {"groups": g}), "no prediction", id="none"),
        pytest.param(lambda p, o, g: (p, o, {"metrics": ["skill"]}), "unknown metrics skill", id="metric"),
        pytest.param(lambda p, o, g: (p, o, {"groups": {"odd": o}}), "'odd'.*boolean", id="not-boolean"),
        pytest.param(
            lambda p, o, g: (p, o, {"groups": {"part": (o.time > o.time[3])[4:]}}),
            "'part' has no value for 2000-01-01",
            id="short-group",
        ),
        pytest.param(
            lambda p, o, g: (p | {"hole": p["good"] * np.nan}, o, {}),
            "method 'hole', group 'all'",
            id="missing-prediction",
        ),
        pytest.param(
            lambda p, o, g: (p, o, {"groups": {"never": xr.zeros_like(o.time, dtype=bool)}}),
            "group 'never'.*has an observation",
            id="empty-group",
        ),
    ],
)
def test_faults_are_named(case, change, message):
    predictions, observed, options = change(*case)
    with pytest.raises(InvalidArgumentError, match=message):
        skill_table(predictions, observed, **options)


@pytest.mark.parametrize("long", ["a", "a name that is far wider than the columns below it"])
def test_the_names_of_groups_stand_above_their_columns(case, long):
    predictions, observed, groups = case
    named = {long: groups["held-out days"], "b": groups["held-out reaches"]}
    top, heads, *rows = str(skill_table(predictions, observed, groups=named, metrics=("rmse",))).splitlines()
    assert {len(line) for line in (top, heads, *rows)} == {len(heads)}
    above = [(found[0].strip("-"), found.end()) for found in re.finditer(r"\S+( \S+)*", top)]
    below = [found.end() for found in re.finditer(r" n\b", heads)]
    assert above == list(zip([long, "b"], below, strict=True))


def test_the_first_column_of_markdown_is_aligned_to_the_left():
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n|:--|--:|\n| 1 | 2 |"
    assert markdown(["a", "b"], [], left=(1,)).endswith("|--:|:--|")


def test_shared_keeps_what_all_have_and_dimensions_without_labels():
    observed = xr.DataArray(np.zeros((4, 3)), {"time": np.arange(4)}, ("time", "fine"))
    one = xr.DataArray(np.zeros((3, 3)), {"time": [0, 1, 3], "fine": [7, 8, 9]}, ("time", "fine"))
    kept = shared({"one": one, "two": one.isel(time=[1, 2])}, observed)
    assert kept.time.values.tolist() == [1, 3]
    assert kept.sizes == {"time": 2, "fine": 3}


def test_a_comparison_is_of_root_mean_squares(case):
    predictions, observed, _ = case
    segment = xr.DataArray(np.arange(5), {"fine": observed.fine}, ("fine",))
    ds = xr.Dataset({"coarse_segment": segment})
    found = compare(predictions, observed, dataset=ds)
    seen = observed.notnull().values
    errors = [np.sqrt(np.mean((one.values - observed.values)[seen] ** 2)) for one in predictions.values()]
    np.testing.assert_allclose(found.rmse, errors)
    np.testing.assert_allclose(found.rmse_difference, np.subtract(errors, errors[0]))
    xr.testing.assert_identical(found, compare(predictions, observed, dataset=ds, seed=0))
