"""Calibrated intervals: the table against known distributions, the way from training to quantiles."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small import TWO_FEATURES
from xmsgl.datasets import simulated
from xmsgl.errors import InvalidArgumentError, UncalibratedModelError
from xmsgl.evaluate import coverage, mask_labels
from xmsgl.inputs.validation import split_labels
from xmsgl.models.file.intervals import (
    BINS,
    LEAST,
    PROBABILITIES,
    RESIDUALS,
    IntervalTable,
    apply_table,
    fit_table,
)
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.spec import ModelSpec
from xmsgl.prediction.downscale import downscale
from xmsgl.prediction.predictor import Engine
from xmsgl.training.train import train
from xmsgl.util.plain import read_plain

# ------------------------------------------------------------- the table


def test_the_table_of_a_known_distribution_is_its_quantiles():
    """Errors grow with temperature: in each bin the quantiles are those of its own normal distribution."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 20, 200_000).astype("float32")
    spread = np.floor(x / 2) / 5 + 0.5  # constant within each of the ten bins
    table = fit_table(x, x + 0.3 + spread * rng.standard_normal(x.size))
    np.testing.assert_allclose(table.temperature, np.arange(1, 20, 2), atol=0.1)
    assert table.counts == (20_000,) * BINS
    assert table.probabilities == PROBABILITIES
    for centre, row in zip(table.temperature, table.residuals, strict=True):
        width = np.floor(centre / 2) / 5 + 0.5
        expected = scipy.stats.norm.ppf(PROBABILITIES, 0.3, width)
        np.testing.assert_allclose(row, expected, atol=0.12 * width)


@pytest.mark.parametrize("n", [50, 199, 399])
def test_ranks_are_those_of_split_conformal_prediction(n):
    """Written out by the definition: the smallest k with k >= (n + 1) p, the largest with k <= (n + 1) p."""
    residual = np.random.default_rng(1).permutation(np.arange(1.0, n + 1))
    table = fit_table(np.zeros(n), residual)
    for p, value in zip(table.probabilities, table.residuals[0], strict=True):
        ranks = np.arange(1, n + 1)
        if p < 0.5:
            expected = ranks[ranks <= (n + 1) * p + 1e-9].max()
        elif p > 0.5:
            expected = ranks[ranks >= (n + 1) * p - 1e-9].min()
        else:
            expected = (n + 1) / 2
        assert value == expected
    beyond = set(PROBABILITIES) - set(table.probabilities)
    assert all((n + 1) * min(p, 1 - p) < 1 - 1e-9 for p in beyond)
    assert bool(beyond) == (n < 199)


def test_intervals_hold_as_many_new_residuals_as_they_should():
    """Averaged over many small calibrations, coverage is within the bounds of the theorem."""
    rng = np.random.default_rng(2)
    n, inside = 99, []
    for _ in range(400):
        table = fit_table(np.zeros(n), rng.standard_t(3, n))
        low, high = table.at([0.05, 0.95])[0]
        inside.append(scipy.stats.t.cdf(high, 3) - scipy.stats.t.cdf(low, 3))
    assert 0.9 - 0.003 < np.mean(inside) < 0.9 + 2 / (n + 1) + 0.003
    plain = np.quantile(rng.standard_t(3, (4000, n)), [0.05, 0.95], axis=1)
    assert np.mean(np.diff(scipy.stats.t.cdf(plain, 3), axis=0)) < 0.9 - 0.003  # what is corrected


def test_equal_predictions_share_a_bin():
    """A third of the river stands at 0 degC: no cut goes through it, and temperatures differ."""
    rng = np.random.default_rng(3)
    x = np.maximum(0, rng.uniform(-5, 10, 3000))
    table = fit_table(x, x + rng.standard_normal(x.size))
    assert table.n == 3000
    assert table.counts[0] > 900
    assert min(table.counts) >= RESIDUALS
    assert (np.diff(table.temperature) > 0).all()


@pytest.mark.parametrize(
    ("n", "bins"), [(LEAST - 1, None), (LEAST, 1), (399, 1), (400, 2), (1000, 5), (9999, 10)]
)
def test_few_residuals_make_few_bins(n, bins):
    x = np.random.default_rng(4).uniform(0, 25, n)
    table = fit_table(x, x)
    assert (table and len(table.counts)) == bins


def test_the_order_of_residuals_does_not_matter():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 15, 2000).astype(float)
    y = x + rng.standard_normal(2000)
    mixed = rng.permutation(2000)
    assert fit_table(x, y) == fit_table(x[mixed], y[mixed])


def test_a_table_survives_json():
    x = np.linspace(0, 25, 700)
    table = fit_table(x, x + np.sin(x), "coarse")
    assert read_plain(IntervalTable, json.loads(json.dumps(asdict(table))), "intervals") == table
    assert (table.scale, table.n) == ("coarse", 700)


# ---------------------------------------------------------- its application


def slowly(table, x, p):
    """One number, written out: residual between bins, between probabilities, and not below 0."""
    rows = [np.interp(p, table.probabilities, row) for row in table.residuals]
    return max(0.0, x + np.interp(x, table.temperature, rows))


@given(
    st.lists(st.floats(0, 40, width=32), min_size=1, max_size=30),
    st.lists(st.floats(0.005, 0.995), min_size=1, max_size=6, unique=True),
    st.integers(200, 1500),
)
@settings(max_examples=60, deadline=None)
def test_quantiles_are_ordered_and_as_written_out(temperatures, probabilities, n):
    rng = np.random.default_rng(n)
    x = rng.uniform(0, 30, n)
    table = fit_table(x, x + rng.normal(0, 1 + x / 10))
    predicted = np.array(temperatures, np.float32)
    values = apply_table(table, predicted, probabilities)
    assert values.shape == (len(probabilities), predicted.size)
    assert values.dtype == np.float32
    assert (values >= 0).all()
    assert (np.diff(values[np.argsort(probabilities)], axis=0) >= 0).all()
    for p, row in zip(probabilities, values, strict=True):
        np.testing.assert_allclose(row, [slowly(table, value, p) for value in predicted], atol=2e-5)


def test_pieces_and_shape_do_not_matter():
    x = np.random.default_rng(6).uniform(0, 25, (5, 60_001)).astype("float32")
    table = fit_table(x[0], x[0] + np.cos(x[0]))
    whole = apply_table(table, x, [0.1, 0.9])
    assert whole.shape == (2, 5, 60_001)
    for k in range(5):
        np.testing.assert_array_equal(whole[:, k], apply_table(table, x[k], [0.1, 0.9]))
    assert np.isnan(apply_table(table, np.array([np.nan], np.float32), [0.5])).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([0.0, 0.5], "between 0 and 1"),
        ([1.2], "between 0 and 1"),
        ([np.nan], "between 0 and 1"),
        ([], "between 0 and 1"),
        ([0.5, 0.1, 0.5], "must not repeat a number, got 0.5, 0.1, 0.5"),
        ([0.01, 0.5], "0.01 cannot be estimated from 60 residuals; choose 0.025 to 0.975"),
    ],
)
def test_other_probabilities_are_refused(asked, message):
    table = fit_table(np.zeros(60), np.arange(60.0))
    with pytest.raises(InvalidArgumentError, match=message):
        table.at(asked)


# ------------------------------------------- from training to quantiles

HELD_OUT = slice("2005-10-01", "2006-09-30")
QUICK = {
    "hidden": 8,
    "window": 61,  # many short windows, so that the validation days are of all seasons
    "warmup": 45,
    "batch": 8,
    "epochs": 15,
    "learning_rate": 0.04,
    "device": "cpu",
    "progress": False,
    "features": ["air_temperature", "solar_radiation", "air_temperature:30", "drainage_area", "elevation"],
}
QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]


@pytest.fixture(scope="module")
def basin():
    """A small basin whose fifth and last year has no labels, and what was observed in that year."""
    ds = simulated(n_coarse=6, years=5, label_fraction=0.1, seed=1).load()
    held_out = ds["water_temperature_fine"].sel(time=HELD_OUT)
    return mask_labels(ds, days=held_out["time"]), held_out


@pytest.fixture(scope="module")
def model(basin):
    return train(basin[0], "fine-only", validation=0.3, **QUICK)


@pytest.fixture(scope="module")
def quantiles(basin, model):
    return downscale(basin[0], model, quantiles=QUANTILES)


def test_intervals_hold_on_days_never_seen(basin, model, quantiles):
    """The 90 % interval of a quickly trained model, against the observations of a year held out."""
    ds, observed = basin
    result = coverage(quantiles, observed)
    assert int(result.n) > 500
    assert 0.75 < float(result.coverage.sel(interval=0.9)) < 0.99
    assert 0.3 < float(result.coverage.sel(interval=0.5)) < 0.7
    # Wide enough for what the model misses, and narrower than knowing nothing but the climate.
    spread = float(observed.quantile(0.95) - observed.quantile(0.05))
    assert 0.5 < float(result.width.sel(interval=0.9)) < 0.7 * spread
    expected = ds.msgl.evaluate(quantiles, observed=observed)
    np.testing.assert_array_equal(expected.coverage, result.coverage)
    assert float(expected.crps) < float(expected.mae)


def test_the_table_is_made_of_the_residuals_of_downscaling(basin, model):
    """Predict as a user does, take the validation days from the labels that were learned from."""
    ds, _ = basin
    observed = ds["water_temperature_fine"].values
    learned = validation_days(ds)
    predicted = downscale(ds, model).values
    found = np.isfinite(observed) & learned[:, None]
    expected = fit_table(predicted[found], observed[found])
    table = model.spec.intervals
    assert table.n == found.sum() > 600
    assert (table.scale, table.counts) == ("fine", expected.counts)
    np.testing.assert_allclose(table.temperature, expected.temperature, atol=1e-4)
    np.testing.assert_allclose(table.residuals, expected.residuals, atol=1e-3)
    assert f"from {table.n:,} fine residuals" in repr(model)


def validation_days(ds):
    """The days that training with ``validation=0.3`` keeps apart."""
    return split_labels(ds, ("fine",), window=QUICK["window"], validation=0.3, seed=0).validation


def test_quantiles_are_labelled(basin, model, quantiles):
    plain = downscale(basin[0], model)
    assert quantiles.dims == ("quantile", "time", "fine")
    assert quantiles.dtype == np.float32
    assert quantiles["quantile"].dtype == np.float64
    np.testing.assert_array_equal(quantiles["quantile"], QUANTILES)
    assert set(quantiles.coords) == {"quantile", *plain.coords}
    assert quantiles.name == plain.name
    assert quantiles.attrs["units"] == "degC"
    assert quantiles.attrs["long_name"].startswith("quantile of the downscaled")
    assert f"from {model.spec.intervals.n} residuals of fine labels" in quantiles.attrs["intervals"]
    assert "quantiles=[0.05, 0.25, 0.5, 0.75, 0.95]" in quantiles.attrs["history"]
    assert (quantiles.diff("quantile") >= 0).all()
    assert (quantiles >= 0).all()
    np.testing.assert_array_equal(quantiles, apply_table(model.spec.intervals, plain.values, QUANTILES))
    assert "intervals" not in plain.attrs
    assert plain.dims == ("time", "fine")


@pytest.mark.parametrize("chunks", [{"time": 100}, {"time": -1, "coarse": 2}], ids=str)
def test_quantiles_of_a_lazy_dataset_are_lazy_and_equal(basin, model, quantiles, refuse_to_compute, chunks):
    lazy = basin[0].chunk(chunks)
    with refuse_to_compute():
        result = downscale(lazy, model, quantiles=QUANTILES)
        plain = downscale(lazy, model)
    assert result.chunks == ((5,), *plain.chunks)
    np.testing.assert_array_equal(result.isel(time=slice(700, 1000)), quantiles.isel(time=slice(700, 1000)))


def test_quantiles_survive_the_file_and_netcdf(basin, model, quantiles, tmp_path):
    days = basin[0].isel(time=slice(0, 60))
    back = load_model(model.save(tmp_path / "m"))
    assert back.spec == model.spec
    result = downscale(days, back, quantiles=[0.9, 0.1])
    np.testing.assert_array_equal(result["quantile"], [0.9, 0.1])
    result.to_netcdf(tmp_path / "q.nc")
    with xr.open_dataarray(tmp_path / "q.nc") as written:
        xr.testing.assert_equal(written, result)


@pytest.mark.parametrize("bad", [[0.0], [0.5, 1.0], [], [0.5, 0.5], [0.5, 0.999]], ids=str)
def test_invalid_quantiles_are_refused_at_once(basin, model, refuse_to_compute, bad):
    with refuse_to_compute(), pytest.raises(InvalidArgumentError, match="quantiles"):
        downscale(basin[0].chunk(time=100), model, quantiles=bad)


def test_a_model_without_validation_says_so(river):
    model = train(river.isel(time=slice(0, 120)), "remap", validation=None, **TWO_FEATURES)
    assert model.spec.intervals is None
    assert "intervals" not in model.spec.to_dict()
    with pytest.raises(UncalibratedModelError, match=r"train with validation"):
        downscale(river, model, quantiles=[0.5])


def test_few_fine_labels_are_replaced_by_coarse_ones(river):
    """Eight fine labels on the validation days, hundreds of coarse ones: the coarse task stands in."""
    days = slice("2002-10-01", "2003-03-31")
    few = river.copy(deep=True)
    fine = few["water_temperature_fine"]
    few["water_temperature_fine"] = fine.where((few.fine == 3) | (few.time < np.datetime64("2002-10-01")))
    model = train(few, "msgl", tasks=("coarse", "fine"), validation=days, **TWO_FEATURES)
    table = model.spec.intervals
    assert 0 < int(few["water_temperature_fine"].sel(time=days).count()) < LEAST
    observed = few["water_temperature_coarse"].sel(time=days)
    assert (table.scale, table.n) == ("coarse", int(observed.count()))
    assert "residuals of coarse labels" in downscale(few, model, quantiles=[0.5]).attrs["intervals"]
    # The coarse task's temperature at the segments, by a model that carries nothing but that to reaches.
    remap = ModelSpec.from_dict({**model.spec.to_dict(), "method": "remap", "architecture": {"hidden": 4}})
    weights = {name: value for name, value in model.weights.items() if name.startswith("cell.")}
    weights |= {
        name.replace("coarse_head.", "head."): value
        for name, value in model.weights.items()
        if name.startswith("coarse_head.")
    }
    carried = downscale(few, Model(remap, weights)).groupby(few["coarse_segment"]).first()
    predicted = carried.sel(time=days).rename(coarse_segment="coarse").transpose("time", "coarse")
    found = np.isfinite(observed.values)
    expected = fit_table(predicted.values[found], observed.values[found], "coarse")
    assert expected.counts == table.counts
    np.testing.assert_allclose(table.temperature, expected.temperature, atol=1e-3)
    np.testing.assert_allclose(table.residuals, expected.residuals, atol=2e-3)


def test_too_few_labels_make_no_table(river):
    days = slice("2002-10-01", "2002-10-20")
    model = train(river.drop_vars("water_temperature_coarse"), "fine-only", validation=days, **TWO_FEATURES)
    assert 0 < model.spec.training["labels"]["validation_fine"] < LEAST
    assert model.spec.intervals is None


def test_reaches_that_no_label_depends_on_are_left_out_and_change_nothing(two_rivers):
    """Labels on one river only: the table is the one that both rivers together give."""
    labels = two_rivers["water_temperature_fine"]
    one = two_rivers.drop_vars("water_temperature_coarse")
    one["water_temperature_fine"] = labels.where(labels["fine"] < 1000)
    model = train(one, "fine-only", validation=0.4, **TWO_FEATURES)
    whole = Engine._stream
    sizes = []

    def watch(self, batch, before):
        sizes.append(batch.fine_graph.shape[0])
        return whole(self, batch, before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_stream", watch)
        again = train(one, "fine-only", validation=0.4, **TWO_FEATURES)
    assert set(sizes) == {12}
    assert again.spec == model.spec


def test_an_ensemble_is_calibrated_by_its_mean(river):
    ds = river.isel(time=slice(0, 400))
    days = slice("2002-06-01", "2002-10-31")
    model = train(ds, "fine-only", ensemble=2, validation=days, **TWO_FEATURES)
    residual = (ds["water_temperature_fine"] - downscale(ds, model)).sel(time=days).values
    found = np.sort(residual[np.isfinite(residual)])
    assert model.spec.intervals.n == found.size
    assert model.spec.intervals.at([0.5])[0, 0] == pytest.approx(np.median(found), abs=1e-4)
    assert model.member(0).spec.intervals is None
