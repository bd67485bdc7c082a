"""Training on what a baseline misses: taken off the labels, kept in the model, added to predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner

from xmsgl.batches import TrainingData
from xmsgl.cli import main
from xmsgl.errors import (
    ExtrapolationWarning,
    InvalidArgumentError,
    InvalidDatasetError,
    ModelMismatchError,
    UnknownNameError,
)
from xmsgl.features import Scaling
from xmsgl.fit import train
from xmsgl.models.card import model_card
from xmsgl.models.intervals import fit_table
from xmsgl.models.model import Model, ModelSpec, load_model
from xmsgl.predict import downscale
from xmsgl.residual import Residual
from xmsgl.residual_fit import baseline_temperature, find_residual
from xmsgl.windows import choose_features

SCALES = ("coarse", "fine")
SIMULATED = "simulated_temperature_coarse"
SMALL = {
    "hidden": 4,
    "window": 60,
    "warmup": 5,
    "epochs": 2,
    "device": "cpu",
    "progress": False,
    "features": ["air_temperature", "solar_radiation", "slope"],
}
STILL = {"window": 60, "warmup": 5, "epochs": 1, "pretrain": 0, "learning_rate": 1e-12, "progress": False}


@pytest.fixture(scope="module")
def basin(river_once):
    """Half a year from autumn on, with a process model that is wrong in its own way."""
    ds = river_once.isel(time=slice(0, 200))
    simulated = (ds["air_temperature_coarse"] * 0.6 + 3).clip(0) + 0.5 * np.arange(5)
    return ds.assign({SIMULATED: simulated.assign_attrs(units="degC")})


@pytest.fixture(scope="module")
def model(basin):
    return train(basin, "msgl", residual="regression", **SMALL)


def same(one, two):
    return set(one.weights) == set(two.weights) and all(
        torch.equal(one.weights[name], two.weights[name]) for name in one.weights
    )


def segments(ds):
    """Position of each reach's segment, looked up one by one."""
    ids = ds["coarse"].values.tolist()
    return [ids.index(segment) for segment in ds["coarse_segment"].values]


def at_reaches(ds, residual):
    """The baseline of every reach: that of its segment."""
    coarse = baseline_temperature(residual, ds.compute())
    return np.stack([coarse[:, place] for place in segments(ds)], axis=1)


# ----------------------------------------------------------------------- what is learned


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("kind", ["regression", "process"])
def test_labels_are_observed_minus_baseline(basin, kind, own):
    """Node by node and day by day, at both scales, and so is their scaling."""
    features = choose_features(basin, SMALL["features"])
    data = TrainingData(
        basin,
        features,
        scales=SCALES,
        window=60,
        warmup=5,
        validation=0.3,
        batch=2,
        seed=0,
        own_scaling=own,
        residual=find_residual(basin, kind, features),
    )
    coarse = baseline_temperature(data.residual, basin)
    rest = {}
    for scale, place in (("coarse", range(5)), ("fine", segments(basin))):
        rest[scale] = np.array(basin[f"water_temperature_{scale}"].values)
        for node, segment in enumerate(place):
            rest[scale][:, node] -= coarse[:, segment]
    learned = {scale: values[data.training_days] for scale, values in rest.items()}
    pooled = np.concatenate([values.ravel() for values in learned.values()])
    found, observed = ({scale: [] for scale in SCALES} for _ in range(2))
    for batch in data.training_batches(1):
        for scale, values in batch.labels.items():
            scaling = data.scaling[scale]
            moments = learned[scale] if own else pooled
            np.testing.assert_allclose(scaling.label_mean, np.nanmean(moments), atol=1e-4)
            np.testing.assert_allclose(scaling.label_deviation, np.nanstd(moments), rtol=1e-4)
            degrees = values * scaling.label_deviation + scaling.label_mean
            known = np.isfinite(degrees)
            found[scale].append(degrees[known])
            observed[scale].append((degrees + batch.baseline[scale])[known])
    for scale in SCALES:
        expected = learned[scale][np.isfinite(learned[scale])]
        np.testing.assert_allclose(np.sort(np.concatenate(found[scale])), np.sort(expected), atol=1e-4)
        there = basin[f"water_temperature_{scale}"].values[data.training_days]
        there = np.sort(there[np.isfinite(there)])
        np.testing.assert_allclose(np.sort(np.concatenate(observed[scale])), there, atol=1e-4)


def test_nodes_left_out_move_no_baseline(basin):
    ds = basin.copy()
    ds["water_temperature_fine"] = basin["water_temperature_fine"].where(basin["fine"] > 5)
    features = choose_features(ds, SMALL["features"])
    settings = {"scales": SCALES, "window": 60, "warmup": 5, "validation": None, "batch": 9, "seed": 0}
    data = TrainingData(ds, features, residual=find_residual(ds, "regression", features), **settings)
    few = data.prune({"coarse": np.arange(5), "fine": np.arange(5, 12)})
    (whole,), (pruned,) = data.training_batches(1), few.training_batches(1)
    assert pruned.nodes["fine"].tolist() != whole.nodes["fine"].tolist()
    for scale in SCALES:
        np.testing.assert_array_equal(pruned.labels[scale], whole.labels[scale])
        np.testing.assert_array_equal(pruned.baseline[scale], whole.baseline[scale])


def test_so_are_the_labels_of_a_process_model(basin):
    features = choose_features(basin, SMALL["features"])
    settings = {"window": 60, "warmup": 5, "validation": None, "batch": 9, "seed": 0}
    plan = find_residual(basin, "regression", features)
    data = TrainingData(basin, features, scales=["fine"], residual=plan, **settings)
    (batch,) = data.process_batches(1)
    degrees = batch.labels["coarse"] * data.scaling["coarse"].label_deviation
    degrees = np.sort((degrees + data.scaling["coarse"].label_mean)[np.isfinite(degrees)])
    expected = basin[SIMULATED].values - baseline_temperature(data.residual, basin)
    np.testing.assert_allclose(degrees, np.sort(expected.ravel()), atol=1e-4)


def exact(river):
    """A basin whose water is a regression on air and season, without noise; it never freezes."""
    ds = river.isel(time=slice(0, 400)).copy()
    ds["air_temperature_coarse"] = (ds["air_temperature_coarse"] * 0.5 + 12).assign_attrs(units="degC")
    ds = ds.drop_vars("air_temperature_fine", errors="ignore")
    means = find_residual(ds, "regression", ())
    truth = replace(means, coefficients=(3.0, 1.0, -2.0, 0, 0, 0.1, 0, 0.3, 0.2, 0.1, 0, 0, 0.05))
    water = baseline_temperature(truth, ds)
    for scale, place in (("coarse", range(5)), ("fine", segments(ds))):
        name = f"water_temperature_{scale}"
        ds[name] = ds[name].copy(data=np.where(np.isfinite(ds[name].values), water[:, list(place)], np.nan))
    return ds, water[:, segments(ds)]


@pytest.mark.parametrize("method", ["remap", "async-msgl"])
def test_where_the_truth_is_a_regression_nothing_is_left_to_learn(river_once, method):
    ds, truth = exact(river_once)
    settings = {**SMALL, "epochs": 3, "learning_rate": 1e-6}
    errors = []
    for residual in ("regression", None):
        predicted = downscale(ds, train(ds, method, residual=residual, **settings), device="cpu")
        errors.append(float(np.sqrt(np.mean((predicted.values - truth) ** 2))))
    assert errors[0] < 0.1
    assert errors[1] > 20 * errors[0]


def test_none_is_training_as_ever(basin):
    plain, none = train(basin, "remap", **SMALL), train(basin, "remap", residual=None, **SMALL)
    assert plain.payload == none.payload
    assert "residual" not in plain.spec.to_dict()
    assert "learns" not in plain.facts()
    assert ModelSpec.from_dict(plain.spec.to_dict()).residual is None  # as models of before


# ------------------------------------------------------------------ labels held out


@pytest.mark.parametrize("method", ["remap", "fine-only"])
def test_no_label_of_a_validation_day_reaches_the_fit(basin, method):
    """Nor one of the scale that the method does not learn from."""
    days = slice("2002-01-01", "2002-02-28")
    settings = {**SMALL, "validation": days, "residual": "regression", "epochs": 1}
    told, other = ("coarse", "fine") if method == "remap" else ("fine", "coarse")
    planted = basin.copy()
    held_out = (basin["time"] >= np.datetime64(days.start)) & (basin["time"] <= np.datetime64(days.stop))
    name = f"water_temperature_{told}"
    planted[name] = (
        basin[name].where(~(held_out & basin[name].notnull()), np.float32(44)).assign_attrs(basin[name].attrs)
    )
    planted[f"water_temperature_{other}"] = basin[f"water_temperature_{other}"] + 3
    clean, marked = train(basin, method, **settings), train(planted, method, **settings)
    assert clean.spec.residual == marked.spec.residual
    assert same(clean, marked)
    masked = basin.copy()
    masked[name] = basin[name].where(~held_out)
    everything = train(masked, method, **{**settings, "validation": None})
    assert everything.spec.residual == clean.spec.residual
    seen = train(planted, method, **{**settings, "validation": None})
    assert seen.spec.residual != clean.spec.residual


# ------------------------------------------------------------------------ predicting


def without_baseline(model):
    """The same network; its output, brought up by 100 degC, is not cut at 0."""
    scaling = {
        scale: Scaling(s.mean, s.deviation, s.label_mean + 100, s.label_deviation)
        for scale, s in model.spec.scaling.items()
    }
    return Model(replace(model.spec, residual=None, scaling=scaling), model.weights)


@pytest.mark.parametrize(
    ("method", "kind", "more"),
    [
        pytest.param("msgl", "regression", {}, id="msgl"),
        pytest.param("async-msgl", "process", {"epochs": 3}, id="async"),
        pytest.param("msgl", "regression", {"ensemble": 2, "tasks": ["interpolation"]}, id="ensemble"),
        pytest.param("remap", "regression", {"neighbours": [9e3], "season": True}, id="remap"),
        pytest.param("remap", "process", {}, id="remap, process"),
        pytest.param("fine-only", "process", {}, id="fine-only"),
        pytest.param("progressive", "regression", {"epochs": 3}, id="progressive"),
        pytest.param("direct", "regression", {"pretrain": 1}, id="direct"),
        pytest.param("direct", "process", {"pretrain": 1}, id="direct, process"),
        pytest.param("msgl", "regression", {"recipe": "published", "means": ()}, id="published"),
    ],
)
def test_a_prediction_is_baseline_plus_network_and_never_below_0(basin, method, kind, more, preceded):
    settings = {**SMALL, **more}
    if "means" in more:
        del settings["features"]
    model = train(basin, method, residual=kind, **settings)
    network = downscale(basin, without_baseline(model), device="cpu").values - 100
    base = at_reaches(preceded(basin, 89), model.spec.residual)[89:]
    expected = np.maximum(network + base, 0)
    found = downscale(basin, model, device="cpu")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.dtype == np.float32
    assert float(found.std()) > 2


def test_water_freezes_on_top_of_the_baseline(basin, model):
    cold = basin.assign(
        air_temperature_coarse=(basin["air_temperature_coarse"] - 25).assign_attrs(units="degC")
    )
    with pytest.warns(ExtrapolationWarning, match="air_temperature_coarse"):
        found = downscale(cold, model)
    assert float(found.min()) == 0
    assert (found == 0).mean() > 0.05


@pytest.mark.parametrize("kind", ["regression", "process"])
def test_lazy_equals_eager_for_every_chunking(basin, refuse_to_compute, kind):
    model = train(basin, "msgl", residual=kind, **{**SMALL, "epochs": 1})
    whole = downscale(basin, model)
    with refuse_to_compute():
        lazy = downscale(basin.chunk(time=37, coarse=2, fine=5), model)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy[130:140].compute(), whole[130:140], atol=1e-5)
    np.testing.assert_allclose(lazy.compute(), whole, atol=1e-5)
    carried = downscale(basin, model, carry=True)
    np.testing.assert_allclose(downscale(basin.chunk(time=50), model, carry=True), carried, atol=1e-5)


def test_parts_of_a_network_take_their_own_baseline(two_rivers, monkeypatch):
    from xmsgl import engine

    ds = two_rivers.isel(time=slice(0, 130))
    model = train(ds, "msgl", residual="regression", **SMALL)
    whole = downscale(ds, model)
    monkeypatch.setattr(
        engine.Engine.__init__, "__kwdefaults__", {"reaches": 12, "piece": 1, "only": None, "look": None}
    )
    np.testing.assert_allclose(downscale(ds, model), whole, atol=1e-4)


def test_a_prediction_needs_no_labels_and_the_file_is_enough(basin, model, tmp_path):
    expected = downscale(basin, model)
    bare = basin.drop_vars([*(f"water_temperature_{scale}" for scale in SCALES), SIMULATED])
    again = load_model(model.save(tmp_path / "river.safetensors"))
    assert again.spec == model.spec
    assert isinstance(again.spec.residual, Residual)
    assert again.sha256 == model.sha256
    np.testing.assert_array_equal(downscale(bare, again), expected)


def test_what_a_prediction_lacks_is_named(basin, model):
    process = train(basin, "remap", residual="process", **SMALL)
    with pytest.raises(ModelMismatchError, match="simulated_temperature_coarse is missing"):
        downscale(basin.drop_vars(SIMULATED), process)
    gap = basin.copy()
    gap[SIMULATED] = basin[SIMULATED].where(basin["time"] != basin["time"][30])
    with pytest.raises(InvalidDatasetError, match=f"{SIMULATED}: 5 values are NaN"):
        downscale(gap, process)
    with pytest.raises(InvalidDatasetError, match=f"{SIMULATED}: 5 values are NaN"):
        train(gap, "remap", residual="process", **SMALL)
    few = train(basin, "remap", residual="regression", **{**SMALL, "features": ["solar_radiation"]})
    with pytest.raises(ModelMismatchError, match="air_temperature_coarse is missing"):
        downscale(basin.drop_vars([n for n in basin if n.startswith("air_")]), few)


def test_settings_that_do_not_fit(basin):
    with pytest.raises(UnknownNameError, match="residual 'physics'"):
        train(basin, residual="physics")
    with pytest.raises(InvalidArgumentError, match="residual='process' needs simulated_temperature_coarse"):
        train(basin.drop_vars(SIMULATED), residual="process", **SMALL)


# ------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("scale", SCALES)
def test_intervals_are_about_temperatures(basin, scale):
    """Not about what is left: bins are of predicted temperature, the baseline in it."""
    method = "remap" if scale == "coarse" else "fine-only"
    days = slice("2002-01-01", "2002-03-31")
    ds = basin if scale == "fine" else basin.drop_vars("water_temperature_fine")
    model = train(ds, method, residual="regression", **{**SMALL, "validation": days})
    table = model.spec.intervals
    observed = ds[f"water_temperature_{scale}"].sel(time=days).values
    predicted = downscale(ds, model).sel(time=days).values
    if scale == "coarse":  # a reach has the temperature of its segment
        predicted = np.stack([predicted[:, segments(ds).index(k)] for k in range(5)], axis=1)
    known = np.isfinite(observed)
    expected = fit_table(predicted[known], observed[known], scale)
    assert (table.scale, table.n) == (scale, expected.n)
    np.testing.assert_allclose(table.temperature, expected.temperature, atol=1e-3)
    np.testing.assert_allclose(table.residuals, expected.residuals, atol=2e-3)
    quantiles = downscale(ds, model, quantiles=[0.1, 0.9])
    assert (quantiles >= 0).all()


# -------------------------------------------------------------- going on, telling, asking


def test_a_model_that_goes_on_keeps_its_baseline(basin, two_rivers, model):
    again = train(two_rivers, "remap", start=model, **STILL)
    assert again.spec.residual == model.spec.residual
    assert again.spec.scaling == model.spec.scaling
    same_kind = train(basin, "msgl", start=model, residual="regression", **STILL)
    assert same_kind.spec.residual == model.spec.residual
    np.testing.assert_allclose(downscale(basin, same_kind), downscale(basin, model), atol=1e-4)
    for start, asked in ((model, "process"), (train(basin, "remap", **SMALL), "regression")):
        with pytest.raises(InvalidArgumentError, match="residual is that of the model to start with"):
            train(basin, "msgl", start=start, residual=asked, **STILL)
    process = train(basin, "remap", residual="process", **{**SMALL, "epochs": 1})
    with pytest.raises(ModelMismatchError, match="simulated_temperature_coarse is missing"):
        train(two_rivers, "remap", start=process, **STILL)


def test_training_can_be_resumed(basin, model, tmp_path):
    path = tmp_path / "training.ckpt"
    train(basin, "msgl", residual="regression", checkpoint=path, **SMALL)
    again = train(basin, "msgl", residual="regression", resume=path, **SMALL)
    assert again.sha256 == model.sha256


def test_the_model_tells_what_it_is_the_rest_of(basin, model):
    assert "the rest of a regression on air_temperature, season, slope" in repr(model)
    assert "baseline" not in model_card(model, "river")
    process = train(basin, "remap", residual="process", **SMALL)
    assert "the rest of simulated_temperature_coarse" in process._repr_html_()
    card = model_card(process, "river")
    assert "The baseline that its output is added to needs `simulated_temperature_coarse` (degC)" in card


def test_the_command_takes_it(basin, tmp_path):
    basin.to_netcdf(tmp_path / "basin.nc")
    words = ["hidden=4", "window=60", "warmup=5", "residual=regression"]
    out = tmp_path / "m.safetensors"
    command = ["--quiet", "train", str(tmp_path / "basin.nc"), "-o", str(out), "--method", "remap"]
    done = CliRunner().invoke(main, [*command, "--epochs", "1", "--set", *words])
    assert done.exit_code == 0, done.output
    assert load_model(out).spec.residual.kind == "regression"
    assert isinstance(downscale(basin, out), xr.DataArray)
