from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.ensemble import HistGradientBoostingRegressor

from xmsgl.datasets import simulated
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate import climatology, mask_labels, score
from xmsgl.evaluate.references import boosting
from xmsgl.evaluate.references.boosting import boosting_features, gradient_boosting
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours, fit_neighbours

SCALES = pytest.mark.parametrize("labels", ["coarse", "fine"])
AIR = ["air_temperature:7"]


def weekly(air):
    """Mean over the last seven days, by pandas."""
    return pd.DataFrame(air).rolling(7, min_periods=1).mean().to_numpy()


def rows(air, time):
    """Features of one place: its air over a week and the season."""
    angle = 2 * np.pi * pd.DatetimeIndex(time).day_of_year.to_numpy() / 365.25
    return np.column_stack([air, np.cos(angle), np.sin(angle)]).astype(np.float32)


def by_hand(air, labels, time, **settings):
    """Fit one scikit-learn model to all places with labels; predict every place."""
    trees = HistGradientBoostingRegressor(
        max_iter=40, learning_rate=0.2, max_leaf_nodes=63, early_stopping=False, **settings
    )
    all_rows = [rows(air[:, place], time) for place in range(air.shape[1])]
    seen = np.isfinite(labels)
    trees.fit(
        np.concatenate([x[seen[:, k]] for k, x in enumerate(all_rows)]),
        np.concatenate([labels[seen[:, k], k] for k in range(air.shape[1])]),
    )
    return np.maximum(np.column_stack([trees.predict(x) for x in all_rows]), 0)


@pytest.mark.parametrize("own", [False, True], ids=["inherited", "own"])
def test_on_fine_labels_it_is_scikit_learn_on_hand_made_features(river, own):
    """One reach has labels; all have air of their own, or their segment's corrected for height."""
    river["water_temperature_fine"] = river.water_temperature_fine.where(river.fine == 6)
    air = river.air_temperature_coarse.sel(coarse=river.coarse_segment).values.astype(float)
    height = river.elevation_coarse.sel(coarse=river.coarse_segment).values
    air += -0.0065 * (river.elevation_fine.values - height)
    if own:
        air += np.linspace(-2, 2, 12)
        river["air_temperature_fine"] = ("time", "fine"), air, {"units": "degC"}
    expected = by_hand(weekly(air), river.water_temperature_fine.values, river.time)
    result = gradient_boosting(river, features=AIR, iterations=40, learning_rate=0.2)
    assert np.ptp(expected) > 10
    # a day that lies on the edge of a bin may fall to either side: sums are taken in another order
    assert np.mean(np.abs(result.values - expected) < 1e-4) > 0.995


def test_coarse_labels_are_carried_from_the_segment(river):
    air = weekly(river.air_temperature_coarse.values.astype(float))
    expected = by_hand(air, river.water_temperature_coarse.values, river.time)
    result = gradient_boosting(river, labels="coarse", features=AIR, iterations=40, learning_rate=0.2)
    carried = expected[:, np.searchsorted(river.coarse.values, river.coarse_segment.values)]
    assert np.mean(np.abs(result.values - carried) < 1e-4) > 0.995


@pytest.mark.parametrize("settings", [{"min_samples_leaf": 200}, {"max_features": 0.4}], ids=str)
def test_leaves_and_splits_are_as_requested(river, settings):
    air = weekly(river.air_temperature_coarse.values.astype(float))
    expected = by_hand(air, river.water_temperature_coarse.values, river.time, random_state=7, **settings)
    common = {"labels": "coarse", "features": AIR, "iterations": 40, "learning_rate": 0.2}
    result, plain = (gradient_boosting(river, **common, **s) for s in ({**settings, "seed": 7}, {}))
    carried = expected[:, np.searchsorted(river.coarse.values, river.coarse_segment.values)]
    assert np.mean(np.abs(result.values - carried) < 1e-4) > 0.995
    assert np.mean(np.abs(result.values - plain.values) < 1e-4) < 0.5


@SCALES
def test_hidden_labels_are_not_used(river, labels):
    """Change every hidden label: not one bit of the prediction may change."""
    days, segments = river.time[300:600], [101, 104]
    coarse, fine = river.coarse.isin(segments), river.coarse_segment.isin(segments)
    planted = river.copy(deep=True)
    for scale, place in (("coarse", coarse), ("fine", fine)):
        label = river[f"water_temperature_{scale}"]
        planted[label.name] = label.where(~(place | river.time.isin(days)), 39.0).assign_attrs(label.attrs)
    first, second = (mask_labels(ds, days=days.values, segments=segments) for ds in (river, planted))
    settings = {"labels": labels, "iterations": 10}
    xr.testing.assert_identical(gradient_boosting(first, **settings), gradient_boosting(second, **settings))
    # and labels that are visible do
    seen = gradient_boosting(planted, **settings)
    assert not np.array_equal(gradient_boosting(river, **settings), seen)


@SCALES
def test_no_other_water_temperature_is_used(river, labels):
    other = "fine" if labels == "coarse" else "coarse"
    label = river[f"water_temperature_{other}"]
    changed = river.assign(
        {
            label.name: label * np.nan,
            "simulated_temperature_coarse": np.maximum(river.air_temperature_coarse, 0),
            "true_temperature_fine": river.water_temperature_fine.fillna(3),
            "water_temperature_max_fine": river.water_temperature_fine + 1,
        }
    )
    for name in (name for name in changed.data_vars if "temperature" in name):
        changed[name].attrs["units"] = "degC"
    settings = {"labels": labels, "iterations": 10}
    xr.testing.assert_identical(gradient_boosting(changed, **settings), gradient_boosting(river, **settings))


@SCALES
def test_order_and_chunks_do_not_matter(river, labels):
    result = gradient_boosting(river, labels=labels, iterations=10)
    shuffled = river.isel(coarse=[2, 0, 4, 1, 3], fine=np.random.default_rng(0).permutation(12))
    again = gradient_boosting(shuffled.chunk(time=250, fine=5), labels=labels, iterations=10)
    xr.testing.assert_identical(again.sel(fine=river.fine).compute(), result.compute())


def test_equal_seeds_give_equal_predictions(river):
    first, second = (gradient_boosting(river, iterations=5, seed=3).compute() for _ in range(2))
    xr.testing.assert_identical(first, second)


@SCALES
def test_the_result_is_labelled(river, labels):
    result = gradient_boosting(river, labels=labels, iterations=5)
    assert result.dims == ("time", "fine")
    assert result.dtype == np.float32
    assert result.name == "water_temperature_fine"
    assert result.attrs["units"] == "degC"
    assert result.attrs["labels"] == labels
    xr.testing.assert_identical(result.fine.drop_attrs(), river.fine.drop_attrs())
    assert float(result.min()) >= 0
    assert np.isfinite(result).all()


def test_never_below_freezing(river):
    river["water_temperature_fine"] = (river.water_temperature_fine - 4).assign_attrs(units="degC")
    assert float(gradient_boosting(river, iterations=20).min()) == 0


@SCALES
def test_only_what_is_asked_for_is_predicted(river, labels, monkeypatch):
    asked = []
    predict = boosting._Booster.__call__

    def spy(self, places):
        asked.extend(places.tolist())
        return predict(self, places)

    monkeypatch.setattr(boosting._Booster, "__call__", spy)
    result = gradient_boosting(river, labels=labels, iterations=5)
    assert asked == []
    result.sel(fine=[9, 8]).compute()
    assert set(asked) == ({7, 8} if labels == "fine" else {3})


@SCALES
def test_beats_climatology_on_days_never_seen(labels):
    ds = simulated(n_coarse=8, reaches_per_segment=3, years=3, label_fraction=0.1, seed=1)
    late = ds.time.dt.year >= 2004
    training = mask_labels(ds, days=late).drop_vars(["true_temperature_fine", "true_temperature_coarse"])
    truth = ds.true_temperature_fine.sel(time=late)
    boosted, seasonal = (
        float(score(prediction.sel(time=late), truth).rmse)
        for prediction in (gradient_boosting(training, labels=labels), climatology(training))
    )
    assert boosted < 0.95 * seasonal


@SCALES
def test_neighbours_are_attributes_of_the_dataset(river, labels):
    """Equal to anomalies added by hand, with the default features and with chosen ones."""
    lengths = (5_000, 20_000)
    by_hand = assign_neighbours(river, fit_neighbours(river, lengths))
    settings = {"labels": labels, "iterations": 5}
    given = gradient_boosting(by_hand, **settings)
    xr.testing.assert_identical(gradient_boosting(river, neighbours=list(lengths), **settings), given)
    assert not np.array_equal(given, gradient_boosting(river, **settings))
    chosen = gradient_boosting(by_hand, features=[*AIR, *neighbour_features(lengths)], **settings)
    asked = gradient_boosting(river, features=AIR, neighbours=lengths, **settings)
    xr.testing.assert_identical(asked, chosen)


def test_neighbours_improve_an_ungauged_reach():
    """Cold and warm tributaries that differ in no attribute, only in their neighbour anomalies."""
    ds = many_brooks()
    hidden = ds.coarse.values[1::4]  # one of each four segments of a brook
    training = mask_labels(ds, segments=hidden)
    truth = ds.water_temperature_fine.sel(fine=hidden)

    def rmse(**settings):
        predicted = gradient_boosting(training, labels="coarse", iterations=20, learning_rate=0.2, **settings)
        return float(score(predicted.sel(fine=hidden), truth).rmse)

    plain, informed = rmse(), rmse(neighbours=(5_000,))
    assert plain > 1.4
    assert informed < 0.6 * plain


def many_brooks():
    """Brooks of four segments of 1 km, too cold or too warm by 2 degC, 60 km apart along the river."""
    brooks, days = 12, 400
    n = 5 * brooks
    ids = np.arange(1, n + 1)
    stem = np.arange(n) % 5 == 4
    below = np.where(stem, ids + 5, ids + 1)
    below[-1] = 0
    rng = np.random.default_rng(3)
    time = pd.date_range("2001-01-01", periods=days, unit="ns")
    air = 12 - 9 * np.cos(2 * np.pi * time.day_of_year.to_numpy() / 365.25) + rng.normal(0, 2, days)
    kind = np.repeat(rng.permutation([-2.0, 2.0] * (brooks // 2)), 5) * ~stem
    water = np.maximum(0, 3 + 0.7 * weekly(air[:, None]) + kind + rng.normal(0, 0.2, (days, n)))
    daily, degrees = ("time", "coarse"), {"units": "degC"}
    length = np.where(stem, 6e4, 1e3)
    return xr.Dataset(
        {
            "downstream_coarse": ("coarse", below),
            "downstream_fine": ("fine", below),
            "coarse_segment": ("fine", ids),
            "length_coarse": ("coarse", length, {"units": "m"}),
            "length_fine": ("fine", length, {"units": "m"}),
            "slope_coarse": ("coarse", 0.1 * rng.random(n), {"units": "1"}),
            "air_temperature_coarse": (daily, np.tile(air[:, None], n), degrees),
            "water_temperature_coarse": (daily, water, degrees),
            "water_temperature_fine": (("time", "fine"), water, degrees),
        },
        coords={"time": time, "coarse": ids, "fine": ids},
    )


def test_default_features(river):
    assert boosting_features(river) == [
        *(f"air_temperature:{days}" for days in (1, 3, 7, 30, 90)),
        *(f"precipitation:{days}" for days in (1, 7, 30)),
        *(f"solar_radiation:{days}" for days in (1, 7, 30)),
        "drainage_area",
        "elevation",
        "slope",
    ]
    extremes = river.rename(air_temperature_coarse="air_temperature_max_coarse")
    assert boosting_features(extremes)[:2] == ["air_temperature_max:1", "air_temperature_max:3"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"labels": "both"}, "must be 'coarse' or 'fine'", id="scale"),
        pytest.param({"iterations": 0}, "iterations=0", id="iterations"),
        pytest.param({"learning_rate": 0.0}, "learning_rate=0", id="learning-rate"),
        pytest.param({"min_samples_leaf": 0}, "min_samples_leaf=0", id="leaf"),
        pytest.param({"max_features": 1.5}, "max_features=1.5", id="columns"),
        pytest.param({"features": ["discharge"]}, "discharge", id="feature"),
        pytest.param({"neighbours": [-5]}, "neighbours must be", id="neighbours"),
    ],
)
def test_settings_are_checked(river, settings, message):
    with pytest.raises(InvalidArgumentError, match=message):
        gradient_boosting(river, **settings)


def test_no_label_left_is_an_error(river):
    river["water_temperature_fine"] = river.water_temperature_fine * np.nan
    river["water_temperature_fine"].attrs["units"] = "degC"
    with pytest.raises(InvalidDatasetError, match="no label left: water_temperature_fine"):
        gradient_boosting(river)
    assert np.isfinite(gradient_boosting(river, labels="coarse", iterations=5)).all()
