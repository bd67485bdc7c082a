"""Groups of scores, against groupby of pandas and of xarray."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from xarray.groupers import BinGrouper, TimeResampler, UniqueGrouper

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import score

SEASONS = ["DJF", "MAM", "JJA", "SON"]


def season_grouper(seasons=SEASONS):
    groupers = pytest.importorskip("xarray.groupers")
    if not hasattr(groupers, "SeasonGrouper"):
        pytest.skip("this xarray has no SeasonGrouper")
    return groupers.SeasonGrouper(seasons)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(3)
    coords = {"time": pd.date_range("2000-09-01", periods=500), "fine": np.arange(6) * 7 + 100}
    truth = rng.normal(12, 6, (500, 6)).clip(0, 40)
    observed = xr.DataArray(
        np.where(rng.random((500, 6)) < 0.2, truth, np.nan), coords, ("time", "fine"), attrs={"units": "degC"}
    )
    prediction = observed.copy(data=truth + rng.normal(0.5, 2, truth.shape))
    elevation = ("fine", np.array([10.0, 400, 90, 20, 600, 250]), {"units": "m", "long_name": "elevation"})
    ds = xr.Dataset({"elevation_fine": elevation, "coarse_segment": ("fine", [1, 1, 2, 2, 3, 3])}, coords)
    frame = xr.Dataset({"o": observed, "p": prediction}).to_dataframe().dropna().reset_index()
    return prediction, observed, ds, frame


def expected(frame, keys):
    """Scores by groupby of pandas."""
    rows = []
    for key, rows_of in frame.groupby(keys):
        error = rows_of["p"] - rows_of["o"]
        hot = rows_of["o"] >= np.quantile(rows_of["o"], 0.9)
        row = {"rmse": np.sqrt((error**2).mean()), "mae": error.abs().mean(), "bias": error.mean()}
        row |= {"rmse_hot": np.sqrt((error[hot] ** 2).mean()), "n": len(error), "n_hot": hot.sum()}
        row["n_reaches"] = rows_of["fine"].nunique()
        many = rows_of.assign(e=error**2).groupby("fine")["e"].agg(["mean", "size"]).query("size >= 30")
        row["rmse_median"] = np.sqrt(many["mean"]).median()
        if len(error) > 1:
            row["nse"] = 1 - (error**2).sum() / ((rows_of["o"] - rows_of["o"].mean()) ** 2).sum()
            row["kge_r"] = np.corrcoef(rows_of["p"], rows_of["o"])[0, 1]
        rows.append((key, row))
    return rows


def season(frame):
    return frame["time"].dt.month.map(lambda month: SEASONS[month % 12 // 3])


WAYS = {
    "two words": (["reach", "month"], ["fine", "month"], lambda f: [f["fine"], f["time"].dt.month]),
    "segment and season": (
        ["segment", "season"],
        ["coarse", "season"],
        lambda f: [f["fine"].map({100: 1, 107: 1, 114: 2, 121: 2, 128: 3, 135: 3}), season(f)],
    ),
    "resampled time": (
        {"time": TimeResampler("QS-DEC")},
        ["time"],
        lambda f: [pd.PeriodIndex(f["time"], freq="Q-NOV").to_timestamp(how="start")],
    ),
    "bins of a variable, by reach": (
        {"elevation_fine": BinGrouper([0, 100, 1000]), "reach": UniqueGrouper()},
        ["elevation_fine_bins", "fine"],
        lambda f: [
            f["fine"]
            .map({100: 0, 107: 1, 114: 0, 121: 0, 128: 1, 135: 1})
            .map({0: pd.Interval(0, 100), 1: pd.Interval(100, 1000)}),
            f["fine"],
        ],
    ),
    "bins of months": (
        {"month": BinGrouper([0, 6, 12])},
        ["month_bins"],
        lambda f: [
            f["time"].dt.month.map(lambda month: pd.Interval(0, 6) if month < 7 else pd.Interval(6, 12))
        ],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_groups_are_those_of_pandas(case, way):
    prediction, observed, ds, frame = case
    by, dims, keys = WAYS[way]
    result = score(prediction, observed, by=by, dataset=ds)
    assert list(result.n.dims) == dims
    for key, row in expected(frame, keys(frame)):
        one = result
        for dim, label in zip(dims, key, strict=True):
            (place,) = [k for k, value in enumerate(result[dim].values) if value == label]
            one = one.isel({dim: place})
        for name, value in row.items():
            np.testing.assert_allclose(one[name], value, rtol=1e-9, err_msg=f"{name} {key}")
    assert int(result.n.sum()) == len(frame)


def test_custom_seasons_are_those_of_xarray(case):
    prediction, observed, *_ = case
    result = score(prediction, observed, by={"time": season_grouper(["NDJFM", "AMJJASO"])})
    squares = ((prediction - observed) ** 2).stack(pair=["time", "fine"])
    means = squares.groupby(time=season_grouper(["NDJFM", "AMJJASO"])).mean()
    assert result.season.values.tolist() == ["NDJFM", "AMJJASO"]
    for name in result.season.values:
        np.testing.assert_allclose(result.rmse.sel(season=name) ** 2, means.sel(season=name), rtol=1e-12)


def test_one_grouper_can_be_used_twice(case):
    prediction, observed, *_ = case
    each = UniqueGrouper()
    first = score(prediction, observed, by={"month": each})
    assert score(prediction, observed, by={"reach": each}).fine.size == 6
    xr.testing.assert_identical(first.drop_attrs(), score(prediction, observed, by="month").drop_attrs())


def test_a_combination_without_observations_has_n_0(case):
    prediction, observed, *_ = case
    observed = observed.where(~((observed.fine == 100) & (observed.time.dt.month == 1)))
    one = score(prediction, observed, by=["month", "reach"]).sel(month=1, fine=100)
    assert (one.n, one.n_reaches, one.n_hot) == (0, 0, 0)
    assert all(np.isnan(one[name]) for name in ("rmse", "rmse_median", "nse", "kge", "bias_cold"))


@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        pytest.param(["month", "moon"], UnknownNameError, "grouping 'moon'", id="unknown"),
        pytest.param(
            ["month", "month"], InvalidArgumentError, "two groupings have the name 'month'", id="twice"
        ),
        pytest.param([], InvalidArgumentError, "no grouping", id="none"),
        pytest.param(5, InvalidArgumentError, "by has 5; a grouping is", id="number"),
        pytest.param([["month"]], InvalidArgumentError, r"by has \['month'\]; a grouping is", id="nested"),
        pytest.param(
            xr.DataArray([1, 2, 3], coords={"fine": [100, 107, 107]}, name="side"),
            InvalidArgumentError,
            "'side' have labels along 'fine' more than once: 107",
            id="repeated-labels",
        ),
        pytest.param({"month": "month"}, InvalidArgumentError, r"by\['month'\] is 'month'", id="no-grouper"),
        pytest.param(
            {"month": BinGrouper([20, 30])},
            InvalidArgumentError,
            "xarray cannot group 'month'",
            id="empty-bins",
        ),
    ],
)
def test_invalid_groups_are_refused(case, by, error, message):
    with pytest.raises(error, match=message):
        score(case[0], case[1], by=by)


def test_overlapping_seasons_are_refused(case):
    with pytest.raises(InvalidArgumentError, match="overlap"):
        score(case[0], case[1], by={"time": season_grouper(["DJFM", "MAM"])})
