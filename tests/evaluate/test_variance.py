"""The variance of a score due to data and to training, against plain loops and known components."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate import variance_decomposition

DIMS = ("model", "repeat", "fold", "seed")


def drawn(rng, data, training, shape=(3, 5, 5)):
    """Scores whose divisions and seeds have these standard deviations."""
    repeats, folds, seeds = shape
    return 1.5 + rng.normal(0, data, (repeats, folds, 1)) + rng.normal(0, training, (repeats, folds, seeds))


@pytest.fixture
def scores():
    rng = np.random.default_rng(3)
    values = np.array([drawn(rng, 0.2, 0.1), drawn(rng, 0.1, 0.05)])
    return xr.DataArray(values, dims=DIMS, coords={"model": ["fixed", "dynamic"]})


def plain(values):
    """The estimator written out: scores (division, seed)."""
    within = np.mean([np.var(row, ddof=1) for row in values])
    between = np.var([np.mean(row) for row in values], ddof=1)
    return within, max(between - within / len(values[0]), 0.0)


def test_it_is_the_estimator_written_out(scores):
    found = variance_decomposition(scores, reference="fixed")
    each = [plain(scores.sel(model=name).values.reshape(15, 5)) for name in scores.model.values]
    np.testing.assert_allclose(found.training, [within for within, _ in each])
    np.testing.assert_allclose(found.data, [data for _, data in each])
    np.testing.assert_allclose(found.ratio, [1, each[1][1] / each[0][1]])
    np.testing.assert_allclose(found["mean"], scores.mean(DIMS[1:]))
    assert (found.n_data, found.n_training) == (15, 5)


@pytest.mark.parametrize("order", [DIMS, DIMS[::-1]], ids=["first", "last"])
def test_ratios_are_to_the_reference(scores, order):
    found = variance_decomposition(scores.transpose(*order), reference="dynamic", confidence=0.8)
    np.testing.assert_allclose(found.ratio, found.data / found.data.sel(model="dynamic"))
    assert (found.ratio_low.sel(model="dynamic"), found.ratio_high.sel(model="dynamic")) == (1, 1)
    assert (
        found.ratio_low.sel(model="fixed")
        < found.ratio.sel(model="fixed")
        < found.ratio_high.sel(model="fixed")
    )


def test_intervals_are_percentiles_of_divisions_drawn_again(scores):
    found = variance_decomposition(scores, reference="fixed", confidence=0.8)
    rng, values = np.random.default_rng(8), scores.values.reshape(2, 15, 5)
    picks = rng.integers(0, 15, (3000, 15))
    again = np.array([[plain(one[pick]) for pick in picks] for one in values])  # (model, sample, part)
    for number, name in enumerate(("training", "data")):
        expected = np.quantile(again[:, :, number], [0.1, 0.9], axis=1)
        np.testing.assert_allclose([found[f"{name}_low"], found[f"{name}_high"]], expected, rtol=0.08)
    ratio = np.quantile(again[1, :, 1] / again[0, :, 1], [0.1, 0.9])
    np.testing.assert_allclose([found.ratio_low[1], found.ratio_high[1]], ratio, rtol=0.15)


def test_known_components_are_found():
    """Unbiased where neither is cut off at 0; the 90 % interval holds the truth in about as many draws."""
    rng, means, inside = np.random.default_rng(0), [], []
    for _ in range(200):
        values = drawn(rng, 0.3, 0.1, (6, 5, 5))
        found = variance_decomposition(xr.DataArray(values, dims=DIMS[1:]), confidence=0.9)
        means.append([found.data.item(), found.training.item()])
        inside.append(
            [found.data_low <= 0.09 <= found.data_high, found.training_low <= 0.01 <= found.training_high]
        )
    np.testing.assert_allclose(np.mean(means, axis=0), [0.09, 0.01], rtol=0.06)
    assert (np.mean(inside, axis=0) > 0.78).all()


def test_without_an_effect_of_the_data_its_variance_is_about_zero():
    values = np.random.default_rng(1).normal(0, 0.2, (20, 5, 8))
    found = variance_decomposition(xr.DataArray(values, dims=DIMS[1:]))
    assert found.data < 0.002
    assert found.training.item() == pytest.approx(0.04, rel=0.1)


def test_order_of_dimensions_does_not_matter(scores):
    xr.testing.assert_allclose(
        variance_decomposition(scores),
        variance_decomposition(scores.transpose("seed", "fold", "model", "repeat")),
    )


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (lambda s: s.isel(seed=0), {}, "no dimension 'seed'"),
        (lambda s: s, {"data": ["basin"]}, "no dimension 'basin'"),
        (lambda s: s.isel(seed=[0]), {}, "15 divisions and 1 seeds are too few"),
        (
            lambda s: s.where(s.fold != 2),
            {},
            "30 scores are not finite, the first of model fixed, repeat 0, fold 2",
        ),
        (lambda s: s, {"reference": "flat"}, "'flat' is not a label along 'model'"),
        (lambda s: s, {"confidence": 95}, "confidence is 95"),
        (lambda s: s.astype(str), {}, "the scores have dtype <U32; give numbers"),
    ],
)
def test_wrong_scores_are_refused(scores, change, given, message):
    with pytest.raises(InvalidArgumentError, match=message):
        variance_decomposition(change(scores), **given)


def test_a_variance_is_never_below_zero():
    """Both divisions have the mean 1.5, so that what the seeds explain is more than their difference."""
    values = xr.DataArray([[[[1.0, 2.0], [2.0, 1.0]]]], dims=DIMS, coords={"model": ["fixed"]})
    found = variance_decomposition(values)
    assert found.training.item() == 0.5
    assert found.data.item() == 0.0
