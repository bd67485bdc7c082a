from __future__ import annotations

import math

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate.metrics import score


def make(seed=0, days=500, reaches=6, observed_part=0.3, start="2000-09-01"):
    """A prediction and sparse observations whose spread, means and gaps differ between reaches."""
    rng = np.random.default_rng(seed)
    coords = {"time": pd.date_range(start, periods=days), "fine": np.arange(reaches) * 7 + 100}
    season = 12 - 10 * np.cos(2 * np.pi * np.arange(days) / 365.25)
    truth = season[:, None] + rng.normal(0, 1, reaches) + rng.normal(0, 2, (days, reaches))
    seen = rng.random((days, reaches)) < observed_part * np.linspace(0.05, 2, reaches)
    attrs = {"units": "degC"}
    observed = xr.DataArray(np.where(seen, truth, np.nan), coords, ("time", "fine"), attrs=attrs)
    prediction = xr.DataArray(
        0.8 * truth + rng.normal(1, 2, truth.shape), coords, ("time", "fine"), attrs=attrs
    )
    return prediction, observed


def listed(prediction, observed):
    """Every observed pair, by a plain loop: (time, id, predicted, observed)."""
    rows = []
    for t in observed.time.values:
        for i in observed.fine.values:
            o = float(observed.sel(time=t, fine=i))
            if not math.isnan(o):
                rows.append((pd.Timestamp(t), i, float(prediction.sel(time=t, fine=i)), o))
    return rows


def loop_metrics(rows):
    """All metrics by loops and the textbook formulas."""
    p, o = [r[2] for r in rows], [r[3] for r in rows]
    n, mp, mo = len(o), sum(p) / len(p), sum(o) / len(o)
    cov = sum((a - mp) * (b - mo) for a, b in zip(p, o, strict=True))
    vp, vo = sum((a - mp) ** 2 for a in p), sum((b - mo) ** 2 for b in o)
    r, alpha, beta = cov / math.sqrt(vp * vo), math.sqrt(vp / vo), mp / mo
    by_reach = {}
    for _, i, a, b in rows:
        by_reach.setdefault(i, []).append((a - b) ** 2)
    medians = [math.sqrt(sum(v) / len(v)) for v in by_reach.values() if len(v) >= 30]
    return {
        "rmse": math.sqrt(sum((a - b) ** 2 for a, b in zip(p, o, strict=True)) / n),
        "mae": sum(abs(a - b) for a, b in zip(p, o, strict=True)) / n,
        "bias": mp - mo,
        "nse": 1 - sum((a - b) ** 2 for a, b in zip(p, o, strict=True)) / vo,
        "kge": 1 - math.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2),
        "rmse_median": float(np.median(medians)) if medians else math.nan,
        "n": n,
        "n_reaches": len(by_reach),
        "n_reaches_median": len(medians),
    }


@pytest.fixture(scope="module")
def pair():
    return make()


def test_pooled_scores_are_those_of_scikit_learn(pair):
    prediction, observed = pair
    seen = np.isfinite(observed.values)
    p, o = prediction.values[seen], observed.values[seen]
    result = score(prediction, observed)
    np.testing.assert_allclose(result.rmse, math.sqrt(mean_squared_error(o, p)), rtol=1e-12)
    np.testing.assert_allclose(result.mae, mean_absolute_error(o, p), rtol=1e-12)
    np.testing.assert_allclose(result.nse, r2_score(o, p), rtol=1e-12)
    assert result.n == seen.sum()
    assert result.n.dtype == np.int64


def test_pooled_scores_are_those_of_plain_loops(pair):
    result, expected = score(*pair), loop_metrics(listed(*pair))
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-10, err_msg=name)


def test_hot_and_cold_are_the_tails_of_the_observations():
    days = pd.date_range("2000-01-01", periods=100)
    observed = xr.DataArray(np.arange(100.0)[:, None] / 4, {"time": days, "fine": [1]}, ("time", "fine"))
    error = xr.where(observed >= 22.5, 3.0, xr.where(observed < 2.5, -2.0, 0.0))
    result = score(observed + error, observed)
    assert (result.rmse_hot, result.bias_hot, result.n_hot) == (3.0, 3.0, 10)
    assert (result.rmse_cold, result.bias_cold, result.n_cold) == (2.0, -2.0, 10)


KEYS = {
    "month": lambda row: row[0].month,
    "season": lambda row: ["DJF", "MAM", "JJA", "SON"][row[0].month % 12 // 3],
    "year": lambda row: row[0].year,
    "water_year": lambda row: row[0].year + (row[0].month >= 10),
    "reach": lambda row: row[1],
    "segment": lambda row: 1 + (row[1] - 100) // 14,
    "stream_order": lambda row: 1 + (row[1] - 100) // 21,
}


@pytest.mark.parametrize("by", KEYS)
def test_groups_are_those_of_a_plain_loop(pair, by):
    prediction, observed = pair
    ids = observed.fine.values
    ds = xr.Dataset(
        {
            "coarse_segment": ("fine", 1 + (ids - 100) // 14),
            "stream_order_fine": ("fine", 1 + (ids - 100) // 21),
        },
        {"fine": ids},
    ).isel(fine=slice(None, None, -1))
    result = score(prediction, observed, by=by, dataset=ds)
    groups = {}
    for row in listed(prediction, observed):
        groups.setdefault(KEYS[by](row), []).append(row)
    dim = {"reach": "fine", "segment": "coarse"}.get(by, by)
    assert set(result[dim].values.tolist()) == set(groups)
    for group, rows in groups.items():
        for name, value in loop_metrics(rows).items():
            np.testing.assert_allclose(
                result[name].sel({dim: group}), value, rtol=1e-9, err_msg=f"{name} {group}"
            )
    assert int(result.n.sum()) == int(score(prediction, observed).n)


def test_seasons_are_in_the_order_of_the_year(pair):
    assert score(*pair, by="season").season.values.tolist() == ["DJF", "MAM", "JJA", "SON"]


@pytest.mark.parametrize("dim", ["time", "fine"])
def test_groups_may_be_given_and_missing_ones_leave_out(pair, dim):
    prediction, observed = pair
    labels = np.arange(observed.sizes[dim]) % 3.0
    labels[labels == 2] = np.nan
    groups = xr.DataArray(labels, {dim: observed[dim]}, (dim,), name="kind")
    result = score(prediction, observed, by=groups[::-1])
    assert result.kind.values.tolist() == [0.0, 1.0]
    for kind in (0.0, 1.0):
        alone = score(prediction, observed.where(groups == kind))
        xr.testing.assert_allclose(result.sel(kind=kind, drop=True), alone)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_order_of_labels_does_not_matter(seed):
    prediction, observed = make(seed % 7, days=60, reaches=4)
    rng = np.random.default_rng(seed)
    shuffled = prediction.isel(time=rng.permutation(60), fine=rng.permutation(4))
    if seed % 2:
        shuffled = shuffled.transpose("fine", "time")
    other = observed.isel(time=rng.permutation(60), fine=rng.permutation(4))
    xr.testing.assert_identical(score(shuffled, other), score(prediction, observed))


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 60), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_every_chunking_gives_the_same_bits(rows, columns, observed_rows, observed_columns):
    prediction, observed = make(1, days=60, reaches=4)
    lazy = prediction.chunk(time=rows, fine=columns)
    sparse = observed.chunk(time=observed_rows, fine=observed_columns)
    xr.testing.assert_identical(score(lazy, sparse, by="month"), score(prediction, observed, by="month"))


def test_each_block_is_computed_at_most_once_and_blocks_without_observations_never():
    prediction, observed = make(2, days=60, reaches=4)
    observed[:20] = np.nan
    computed = []

    def note(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return block

    lazy = da.map_blocks(
        note, da.from_array(prediction.values, chunks=(20, 2)), dtype=float, meta=np.zeros((0, 0))
    )
    with dask.config.set(scheduler="synchronous"):
        score(prediction.copy(data=lazy), observed)
    assert sorted(computed) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_only_common_days_and_ids_count(pair):
    prediction, observed = pair
    part = score(prediction.isel(time=slice(100, 400), fine=[1, 3, 4]), observed.isel(fine=[3, 4, 5]))
    xr.testing.assert_identical(
        part,
        score(prediction, observed.isel(time=slice(100, 400), fine=[3, 4])),
    )


def test_ids_may_be_strings(pair):
    prediction, observed = (array.assign_coords(fine=[f"r{i}" for i in array.fine.values]) for array in pair)
    assert score(prediction, observed, by="reach").fine.values[0].startswith("r")
    np.testing.assert_array_equal(score(prediction, observed).rmse, score(*pair).rmse)


def test_units_and_names_on_every_number(pair):
    result = score(*pair, by="month")
    assert all(variable.attrs["long_name"] for variable in result.data_vars.values())
    assert {name for name, v in result.data_vars.items() if v.attrs["units"] == "degC"} == {
        "rmse",
        "rmse_median",
        "mae",
        "bias",
        "rmse_hot",
        "rmse_cold",
        "bias_hot",
        "bias_cold",
    }


def test_the_median_over_reaches_is_not_the_score_of_the_median_quantile(pair):
    prediction, observed = pair
    shifts = xr.DataArray([-2.0, 0.5, 2.0], {"quantile": [0.1, 0.5, 0.9]}, "quantile")
    both = score((prediction + shifts).assign_attrs(prediction.attrs), observed)
    assert both.rmse.item() == score(prediction + 0.5, observed).rmse.item() != both.rmse_median.item()
    said = both.rmse_median.attrs["long_name"]
    assert said.startswith("median over reaches of each reach's RMSE")
    assert "not the RMSE of a median quantile" in said


def test_undefined_numbers_are_nan():
    days = pd.date_range("2000-01-01", periods=1)
    observed = xr.DataArray([[5.0]], {"time": days, "fine": [1]}, ("time", "fine"))
    result = score(observed + 1, observed)
    assert result.rmse == 1
    assert np.isnan([result.nse, result.kge, result.rmse_median]).all()


def test_a_missing_prediction_is_named_not_dropped(pair):
    prediction, observed = pair
    day = observed.time[observed.sel(fine=135).notnull().argmax("time")]
    prediction = prediction.copy()
    prediction.loc[{"time": day, "fine": 135}] = np.nan
    with pytest.raises(InvalidArgumentError, match=rf"135 on {str(day.values)[:10]}"):
        score(prediction, observed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda p, o: (p.assign_coords(fine=p.fine + 1), o), "no id in common", id="other-ids"),
        pytest.param(
            lambda p, o: (p.isel(time=slice(9)), o.isel(time=slice(9, 20))), "no day in common", id="days"
        ),
        pytest.param(lambda p, o: (p, o * np.nan), "has an observation", id="no-observation"),
        pytest.param(lambda p, o: (p.assign_attrs(units="K"), o), "'K'.*'degC'", id="units"),
        pytest.param(lambda p, o: (p.isel(fine=0), o), "dims", id="one-dimension"),
        pytest.param(
            lambda p, o: (p.rename(fine="coarse"), o),
            r"one scale .* observed=ds\[.water_temperature_coarse",
            id="other-scale",
        ),
        pytest.param(lambda p, o: (p.isel(fine=[0, 0]), o), "fine: duplicated ids 100", id="repeated-id"),
        pytest.param(lambda p, o: (p.drop_vars("fine"), o), "no labels along 'fine'", id="no-labels"),
    ],
)
def test_invalid_arrays_are_refused(pair, change, message):
    with pytest.raises(InvalidArgumentError, match=message):
        score(*change(*pair))


@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        pytest.param("moon", UnknownNameError, "grouping 'moon'", id="unknown-word"),
        pytest.param("segment", InvalidArgumentError, "coarse_segment", id="no-crosswalk"),
        pytest.param("stream_order", InvalidArgumentError, "stream_order_fine", id="no-order"),
        pytest.param(xr.DataArray([1], {"fine": [100]}, ("fine",)), InvalidArgumentError, "107", id="hole"),
        pytest.param(
            xr.DataArray([1], {"x": [1]}, ("x",)), InvalidArgumentError, "labelled along", id="other-dim"
        ),
    ],
)
def test_invalid_groups_are_refused(pair, by, error, message):
    with pytest.raises(error, match=message):
        score(*pair, by=by)


def test_further_dimensions_are_kept(pair):
    """As each prediction alone, whatever the order of dimensions and the chunks; counts are common."""
    prediction, observed = pair
    leads = xr.concat([prediction, prediction + 1], xr.Variable("lead", [1, 5]))
    both = xr.concat([leads, leads - 2, leads + 0.3], "member").assign_attrs(prediction.attrs)
    result = score(both.transpose("time", "member", "fine", "lead").chunk(member=1), observed, by="season")
    assert result.rmse.dims == ("member", "lead", "season")
    assert result.n.dims == ("season",)
    for member in range(3):
        for lead in (1, 5):
            alone = score(both.isel(member=member).sel(lead=lead, drop=True), observed, by="season")
            one = result.isel(member=member).sel(lead=lead, drop=True).drop_vars("crps")
            xr.testing.assert_allclose(one, alone)


def test_members_get_a_crps(pair):
    """By the plain double sum over members, in each group."""
    prediction, observed = pair
    members = xr.concat([prediction, prediction - 1, prediction + 2.5], "member")
    result = score(members, observed, by="month")
    assert result.crps.dims == ("month",)
    near = abs(members - observed).mean("member")
    apart = abs(members - members.rename(member="other")).mean(["member", "other"])
    expected = (near - apart / 2).where(observed.notnull()).groupby("time.month").mean(...)
    np.testing.assert_allclose(result.crps, expected, rtol=1e-10)
    assert result.crps.attrs["units"] == "degC"


def test_quantiles_of_members_are_scored_each(pair):
    prediction, observed = pair
    shifts = xr.DataArray([-2.0, 0.0, 2.0], {"quantile": [0.1, 0.5, 0.9]}, "quantile")
    members = xr.concat([prediction, prediction + 1], "member")
    result = score(members + shifts, observed, by="season")
    assert result.pinball.dims == ("member", "season", "quantile")
    alone = score(prediction + 1 + shifts, observed, by="season")
    xr.testing.assert_allclose(result.isel(member=1), alone)


def test_a_dimension_and_a_group_of_one_name_clash(pair):
    prediction, observed = pair
    seasons = xr.concat([prediction, prediction], "season")
    with pytest.raises(InvalidArgumentError, match="season"):
        score(seasons, observed, by="season")


def river_dl(frame):
    """The tails of river-dl: strictly above and below the percentiles, none for ten observations or fewer."""
    o, p = frame["o"].to_numpy(), frame["p"].to_numpy()
    if o.size <= 10:
        return dict.fromkeys(("rmse_hot", "rmse_cold", "bias_hot", "bias_cold"), np.nan) | {"n_hot": 0}
    hot, cold = o > np.nanpercentile(o, 90), o < np.nanpercentile(o, 10)
    root = {f"rmse_{k}": np.sqrt(np.mean((p - o)[t] ** 2)) for k, t in (("hot", hot), ("cold", cold))}
    return root | {"bias_hot": np.mean((p - o)[hot]), "bias_cold": np.mean((p - o)[cold]), "n_hot": hot.sum()}


@pytest.mark.parametrize("by", [None, "reach", "month"])
def test_tails_may_be_those_of_river_dl(pair, by):
    prediction, observed = (array.round(0) for array in pair)  # with ties at the percentiles
    observed = observed.where((observed.fine != 100) | (observed.time < observed.time[100]))
    frame = xr.Dataset({"o": observed, "p": prediction}).to_dataframe().dropna().reset_index()
    keys = {"reach": frame["fine"], "month": frame["time"].dt.month, None: np.zeros(len(frame))}[by]
    result = score(prediction, observed, by=by, tails="river-dl")
    for place, (_, rows) in enumerate(frame.groupby(keys)):
        for name, value in river_dl(rows).items():
            np.testing.assert_allclose(np.atleast_1d(result[name])[place], value, rtol=1e-10, err_msg=name)
    assert result.n_hot.sum() < score(prediction, observed, by=by).n_hot.sum()


def test_unknown_tails_are_refused(pair):
    with pytest.raises(UnknownNameError, match="tails 'top'"):
        score(*pair, tails="top")


def test_equal_observations_have_no_efficiency():
    days = pd.date_range("2000-01-01", periods=300)
    observed = xr.DataArray(np.full((300, 1), 0.1), {"time": days, "fine": [1]}, ("time", "fine"))
    result = score(observed + np.arange(300.0)[:, None] / 10, observed)
    assert np.isnan([result.nse, result.kge, result.kge_alpha]).all()
