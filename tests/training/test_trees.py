"""Boosted trees through the same door as the networks: training, files, lazy prediction, what is held out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.ensemble import HistGradientBoostingRegressor

from tests.small import same
from xmsgl.cli.main import main
from xmsgl.errors import (
    ExtrapolationWarning,
    InvalidArgumentError,
    ModelMismatchError,
)
from xmsgl.evaluate.references.boosting import boosting_features
from xmsgl.models.file.model import Model, load_model
from xmsgl.prediction.downscale import downscale
from xmsgl.training import trees as module
from xmsgl.training.settings import TrainSettings
from xmsgl.training.train import train

QUICK = {"iterations": 20, "learning_rate": 0.2, "device": "cpu", "progress": False}
SCALES = pytest.mark.parametrize("labels", ["coarse", "fine"])
DAYS = slice("2002-06-01", "2002-12-31")


@pytest.fixture(scope="module")
def model(river_once):
    return train(river_once, "trees", validation=DAYS, **QUICK)


def by_hand(ds, model, labels):
    """Fit scikit-learn to a week's air, by pandas, and the slope, standardised as the model does."""
    scaling = model.spec.scaling[labels]
    segment = np.searchsorted(ds.coarse.values, ds.coarse_segment.values)
    places = segment if labels == "fine" else np.arange(ds.sizes["coarse"])
    air = ds.air_temperature_coarse.to_pandas().rolling(7, min_periods=1).mean().to_numpy()[:, places]
    if labels == "fine":
        air += -0.0065 * (ds.elevation_fine.values - ds.elevation_coarse.values[segment])
    slope = np.broadcast_to(np.sqrt(ds.slope_coarse.values)[places], air.shape)
    rows = (np.stack([air, slope], axis=-1) - scaling.mean) / scaling.deviation
    y = (ds[f"water_temperature_{labels}"].values - scaling.label_mean) / scaling.label_deviation
    seen = np.isfinite(y)
    trees = HistGradientBoostingRegressor(
        max_iter=20, learning_rate=0.2, max_leaf_nodes=63, early_stopping=False
    ).fit(rows[seen].astype(np.float32), y[seen])
    values = trees.predict(rows.reshape(-1, 2).astype(np.float32)).reshape(air.shape)
    degrees = np.maximum(values * scaling.label_deviation + scaling.label_mean, 0)
    return degrees[:, segment] if labels == "coarse" else degrees


@SCALES
def test_a_model_is_scikit_learn_on_hand_made_features(river, labels):
    features = ["air_temperature:7", "slope"]
    model = train(river, "trees", labels=labels, features=features, validation=None, **QUICK)
    expected = by_hand(river, model, labels)
    # From the seventh day on: before the record there are stand-ins, by hand there is nothing.
    close = np.abs(downscale(river, model).values - expected)[6:] < 1e-4
    assert np.ptp(expected) > 10
    assert close.mean() > 0.995  # a value on the edge of a bin may fall to either side


def test_default_features_are_those_of_the_reference(river, model):
    expected = [label.removesuffix(":1") for label in boosting_features(river)]
    assert [feature.label for feature in model.spec.features] == [*expected, "season_cos", "season_sin"]
    chosen = TrainSettings.of("trees", features=["default", "neighbour_anomalies:9km"]).features
    assert chosen == ("weather_memory", "statics", "season", "neighbour_anomalies:9km")


def test_a_file_holds_all_of_it(river, model, tmp_path):
    back = load_model(model.save(tmp_path / "trees.safetensors"))
    assert back.payload == model.payload
    assert same(back, model)
    np.testing.assert_array_equal(downscale(river, back), downscale(river, model))
    assert train(river, "trees", validation=DAYS, **QUICK).payload == model.payload
    other = train(river, "trees", validation=DAYS, max_features=0.3, seed=1, **QUICK)
    assert not same(other, train(river, "trees", validation=DAYS, max_features=0.3, seed=2, **QUICK))


@SCALES
@pytest.mark.parametrize(
    "chunks", [{"time": 90}, {"time": 131, "fine": 5, "coarse": 2}, {"time": -1}], ids=str
)
def test_lazy_is_eager_whatever_the_chunks(river, refuse_to_compute, labels, chunks):
    model = train(river, "trees", labels=labels, window=200, **QUICK)
    with refuse_to_compute():
        lazy = river.chunk(chunks).msgl.downscale(model, quantiles=[0.1, 0.5])
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy, downscale(river, model, quantiles=[0.1, 0.5]))


def test_a_later_start_changes_only_days_whose_means_reach_before_it(river, model):
    """Windows are on the same dates and have the days of the longest mean, 90, before them."""
    whole, late = downscale(river, model), downscale(river.isel(time=slice(211, None)), model)
    np.testing.assert_allclose(late[89:], whole[300:], atol=1e-3)
    assert np.abs(late[:30].values - whole[211:241].values).max() > 0.1


def test_the_best_number_of_trees_is_kept(river):
    """With one observation a leaf and a high rate, more trees fit noise."""
    noisy = train(river, "trees", validation=DAYS, **{**QUICK, "learning_rate": 0.6}, min_samples_leaf=1)
    scores = noisy.history["validation"]
    best = int(np.argmin(scores)) + 1
    assert 1 <= best < 20
    assert noisy.history["epoch"] == list(range(1, 21))
    assert noisy.weights["roots"].numel() == best + 1
    carried = downscale(river, noisy).groupby(river.coarse_segment).first()
    kept = river.water_temperature_coarse.sel(time=DAYS)
    error = carried.sel(time=DAYS).values - kept.values
    assert np.sqrt(np.nanmean(np.square(error))) == pytest.approx(scores[best - 1], abs=0.02)  # floored at 0
    assert noisy.history["loss_coarse"] == sorted(noisy.history["loss_coarse"], reverse=True)
    every = train(river, "trees", validation=None, **QUICK)
    assert every.weights["roots"].numel() == 21
    assert "validation" not in every.history


def test_validation_labels_are_not_fitted(river, model):
    warm = river.copy(deep=True)
    inside = (river.time >= np.datetime64(DAYS.start)) & (river.time <= np.datetime64(DAYS.stop))
    for scale in ("coarse", "fine"):
        name = f"water_temperature_{scale}"
        warm[name] = river[name].where(~inside, river[name] + 9).assign_attrs(river[name].attrs)
    other = train(warm, "trees", validation=DAYS, **QUICK)
    assert other.spec.scaling == model.spec.scaling
    assert other.history["loss_coarse"] == model.history["loss_coarse"]
    assert min(other.history["validation"]) > 5 + min(model.history["validation"])
    assert other.spec.intervals.residuals != model.spec.intervals.residuals


def test_held_segments_are_not_fitted_and_give_the_intervals(river):
    settings = {"validation": "segments:0.3", **QUICK}
    settings["features"] = ["default", "neighbour_anomalies:20km"]
    model = train(river, "trees", **settings)
    labels = model.spec.training["labels"]
    counts = river.water_temperature_coarse.count("time")
    held = [int(s) for s in counts.coarse if s not in model.spec.neighbours.segments]
    assert labels["validation_coarse"] == int(counts.sel(coarse=held).sum()) > 0
    changed = river.copy(deep=True)
    where = river.coarse.isin(held)
    changed["water_temperature_coarse"] = river.water_temperature_coarse.where(
        ~where, river.water_temperature_coarse + 7
    ).assign_attrs(units="degC")
    other = train(changed, "trees", **settings)
    assert other.spec.neighbours == model.spec.neighbours
    assert other.history["loss_coarse"] == model.history["loss_coarse"]
    assert other.history["validation"] != model.history["validation"]
    assert model.spec.intervals.n == int(
        river.water_temperature_fine.sel(fine=river.coarse_segment.isin(held)).count()
    )


def test_another_basin_gets_a_warning_and_no_neighbour_anomalies(river, river_of):
    model = train(river, "trees", features=["default", "neighbour_anomalies:20km"], **QUICK)
    other = river_of(days=400, seed=1)
    other = other.assign_coords(coarse=other.coarse + 900)
    for name in ("downstream_coarse", "coarse_segment"):
        other[name] = other[name].where(other[name] == 0, other[name] + 900)
    other = other.drop_vars(["water_temperature_coarse", "water_temperature_fine"])
    with pytest.warns(ExtrapolationWarning) as caught:
        prediction = downscale(other, model)
    assert any("first guess" in str(each.message) for each in caught)
    assert np.isfinite(prediction).all()
    known = model.spec.neighbours
    without = replace(model.spec, neighbours=known.without(known.segments))
    with pytest.warns(ExtrapolationWarning):
        np.testing.assert_array_equal(prediction, downscale(other, Model(without, model.weights)))


def test_members_are_averaged(river):
    model = train(river, "trees", ensemble=2, max_features=0.4, **QUICK)
    assert model.members == 2
    assert len(model.history["epoch"]) == 40
    parts = [downscale(river, model.member(k)) for k in range(2)]
    np.testing.assert_allclose(downscale(river, model), (parts[0] + parts[1]) / 2, atol=1e-4)
    assert np.abs(parts[0] - parts[1]).max() > 0.1


def test_a_finished_checkpoint_is_not_fitted_again(river, model, tmp_path, monkeypatch):
    path, standings = tmp_path / "c", []
    settings = {"validation": DAYS, **QUICK}
    train(river, "trees", checkpoint=path, observers=[standings.append], **settings)
    assert [(each.state.epoch, each.epochs) for each in standings] == [(0, 20), (20, 20)]
    assert standings[1].state.best_score == min(model.history["validation"])
    monkeypatch.setattr(module, "_grown", None)
    assert train(river, "trees", resume=path, **settings).payload == model.payload


SCRIPT = """
import sys
sys.modules["sklearn"] = None
import numpy as np, xarray as xr, xmsgl
model = xmsgl.load_model(sys.argv[1])
np.save(sys.argv[3], xr.open_dataset(sys.argv[2]).msgl.downscale(model).values)
try:
    import sklearn
except ImportError:
    sys.exit(7)
"""


def test_prediction_does_not_need_scikit_learn(river, model, tmp_path):
    river.to_netcdf(tmp_path / "river.nc")
    model.save(tmp_path / "m.safetensors")
    words = [str(tmp_path / name) for name in ("m.safetensors", "river.nc", "p.npy")]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], timeout=180, check=False)
    assert done.returncode == 7
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), downscale(river, model))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 5}, "'trees' does not use epochs; leave it out"),
        ({"warmup": 30}, "'trees' does not use warmup"),
        ({"hops": 3}, "'trees' does not use hops"),
        ({"identity": 8}, "'trees' does not use identity"),
        ({"recipe": "published"}, "recipe 'published' has no settings for 'trees'"),
        ({"hidden": 8}, "'trees' has no setting hidden"),
        ({"iteration": 8}, "did you mean iterations?"),
        ({"iterations": 0}, "iterations=0 must be"),
        ({"labels": "both"}, "must be 'coarse' or 'fine'"),
        ({"learning_rate": 0}, "learning_rate must be a positive number"),
        ({"learning_rate": [0.1, 0.2]}, "learning_rate has 2 values for 1 stages"),
        ({"max_features": 2}, "max_features=2 must be"),
        ({"features": ["weather_memory:7"]}, "are not in the dataset"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(river, settings, message):
    with pytest.raises(InvalidArgumentError, match=message):
        train(river, "trees", device="cpu", progress=False, **settings)


def test_trees_do_not_start_from_a_network(river):
    network = train(river, "remap", hidden=2, window=60, epochs=1, validation=None, progress=False)
    with pytest.raises(InvalidArgumentError, match="'trees' cannot start from another model"):
        train(river, "trees", start=network, progress=False)


def test_a_network_does_not_start_from_trees(river, model):
    with pytest.raises(ModelMismatchError, match="has no cell"):
        train(river, "remap", start=model, epochs=1, device="cpu", progress=False)


def test_networks_may_read_the_weather_memory(river):
    model = train(
        river, "remap", features=["weather_memory"], epochs=1, hidden=2, device="cpu", progress=False
    )
    assert [feature.label for feature in model.spec.features][:3] == [
        "air_temperature",
        "air_temperature:3",
        "air_temperature:7",
    ]


def test_the_commands_train_describe_and_train_again(river, model, tmp_path):
    river.to_netcdf(tmp_path / "river.nc")
    data, file, config = (str(tmp_path / name) for name in ("river.nc", "m.safetensors", "run.toml"))

    def run(*words):
        result = CliRunner().invoke(main, ["--quiet", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    options = ["--method", "trees", "--validation", "2002-06-01/2002-12-31", "--device", "cpu"]
    run("train", data, "-o", file, *options, "--set", "iterations=20", "learning_rate=0.2")
    assert same(load_model(file), model)
    text = run("describe", file)
    assert "trees" in text
    assert f"{min(model.history['validation']):.3f} degC in the best epoch" in text
    (tmp_path / "run.toml").write_text(run("describe", file, "--toml"), encoding="utf-8")
    run("train", data, "--config", config, "-o", str(tmp_path / "again.safetensors"))
    assert same(load_model(tmp_path / "again.safetensors"), model)
